"""Input of the benchmarks, built from the packaged demo corpus; not a program."""

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


def load_speech() -> np.ndarray:
    """Concatenate all demo recordings with speech, half a second apart, as PCM16."""
    gap = np.zeros(SAMPLE_RATE // 2, np.float32)
    blocks = []
    for path in sorted(RECORDINGS.iterdir()):
        if path.stem != "bells-in-the-rain":
            blocks += [audio.load(path, SAMPLE_RATE).samples, gap]
    return (np.clip(np.concatenate(blocks), -1, 1) * 32_767).astype("<i2")


def write_long_recording(path: Path, seconds: float) -> None:
    """Write a WAV file of a duration: the speech of `load_speech`, repeated."""
    samples = load_speech()
    remaining = round(seconds * SAMPLE_RATE)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        while remaining > 0:
            file.writeframes(samples[:remaining].tobytes())
            remaining -= len(samples)


def write_wav(path: Path, samples: np.ndarray) -> None:
    """Write float samples at 16 kHz as PCM16."""
    audio.write_wav(path, Clip(samples, SAMPLE_RATE))


def write_texts(folder: Path, copies: int) -> None:
    """Write copies of every demo document except PDFs, each under a distinct name."""
    for path in sorted(DOCUMENTS.iterdir()):
        if path.suffix != ".pdf":
            for copy in range(copies):
                (folder / f"{path.stem}-{copy}{path.suffix}").write_bytes(path.read_bytes())
