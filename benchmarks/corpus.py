"""Material for the benchmarks, made from the packaged demo corpus."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from wavrag import audio
from wavrag.audio import SAMPLE_RATE
from wavrag.demo import DATA
from wavrag.types import Clip

RECORDINGS = DATA / "corpus" / "recordings"
DOCUMENTS = DATA / "corpus" / "documents"
QUESTIONS = DATA / "questions"


def speech() -> np.ndarray:
    """All demo recordings with speech one after the other, half a second apart, as PCM16."""
    gap = np.zeros(SAMPLE_RATE // 2, np.float32)
    parts = []
    for path in sorted(RECORDINGS.iterdir()):
        if path.stem != "bells-in-the-rain":
            parts += [audio.load(path, SAMPLE_RATE).samples, gap]
    return (np.clip(np.concatenate(parts), -1, 1) * 32_767).astype("<i2")


def long_recording(path: Path, seconds: float) -> None:
    """Write a WAV file of that length: the speech above, over and over."""
    one = speech()
    left = round(seconds * SAMPLE_RATE)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        while left > 0:
            file.writeframes(one[:left].tobytes())
            left -= len(one)


def write_wav(path: Path, samples: np.ndarray) -> None:
    """Write float samples at 16 kHz as PCM16."""
    audio.write_wav(path, Clip(samples, SAMPLE_RATE))


def texts(folder: Path, copies: int) -> None:
    """Write every demo document that is not a PDF so many times, each under a name of its own."""
    for path in sorted(DOCUMENTS.iterdir()):
        if path.suffix != ".pdf":
            for copy in range(copies):
                (folder / f"{path.stem}-{copy}{path.suffix}").write_bytes(path.read_bytes())
