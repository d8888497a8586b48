"""Sets of spoken texts in which every letter is a tone of its own."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wavrag.train.mini.synth import AUDIO, INDEX, write_samples

RATE = 16_000
LETTER = 2_000  # samples of a letter: five frames
TEXTS = ("a bad cab", "dad is here", "go home", "who is she", "old sheep")


def write_set(folder: Path, clips: int, voice: str = "v{}", texts: Sequence[str] = TEXTS) -> Path:
    """Write a set of `clips` clips, each by a voice of its own."""
    folder.mkdir(parents=True)
    times = np.arange(LETTER) / RATE
    with (folder / AUDIO).open("wb") as sound, (folder / INDEX).open("w") as lines:
        offset = 0
        for number in range(clips):
            text = texts[number % len(texts)]
            hertz = [0 if letter == " " else 120 * (ord(letter) - 95) for letter in text]
            samples = np.concatenate([0.3 * np.sin(2 * np.pi * pitch * times) for pitch in hertz])
            write_samples(sound, samples.astype(np.float32))
            row = {"text": text, "source": "test", "voice": voice.format(number)}
            lines.write(json.dumps({**row, "offset": offset, "samples": len(samples)}) + "\n")
            offset += len(samples)
    return folder
