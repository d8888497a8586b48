"""Cached frames that tell their letters: a vector a letter, three frames each."""

import json
from pathlib import Path

import numpy as np

from wavrag.train.mini.frames import Frames
from wavrag.train.mini.moonshine import WIDTH

TEXTS = ("a bad cab", "dad is here", "go home", "who is she", "zoo")


def letter_frames(folder: Path) -> Frames:
    """Forty clips, each by a speaker of its own, every second one augmented."""
    vectors = np.random.default_rng(0).standard_normal((40, WIDTH)).astype(np.float16)
    offset = 0
    with (folder / "set.f16").open("wb") as data, (folder / "set.jsonl").open("w") as lines:
        for number in range(40):
            text = TEXTS[number % len(TEXTS)]
            made = np.repeat(vectors[[ord(letter) % 40 for letter in text]], 3, 0)
            data.write(made.tobytes())
            row = {"set": "set", "voice": f"v{number}", "text": text, "variant": number % 2}
            lines.write(json.dumps({**row, "offset": offset, "frames": len(made)}) + "\n")
            offset += len(made)
    return Frames(folder)
