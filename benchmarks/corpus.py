"""Input of the benchmarks, built from the packaged demo corpus; not a program."""

from __future__ import annotations

import wave
from collections.abc import Sequence
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


def build_pdf(pages: Sequence[str]) -> bytes:
    """Build a PDF of pages of 600 x 800 points.

    Args:
        pages: the operators that draw each page; the font F1 is Helvetica, which every reader has.
    """
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {len(pages)}/Kids[{kids}]>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for n, content in enumerate(pages):
        resources = "/Resources<</Font<</F1 3 0 R>>>>"
        box = f"/MediaBox[0 0 600 800]/Contents {5 + 2 * n} 0 R"
        objects.append(f"<</Type/Page/Parent 2 0 R{resources}{box}>>")
        objects.append(f"<</Length {len(content)}>>stream\n{content}\nendstream")
    data, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(data))
        data += f"{number} 0 obj{body}endobj\n".encode("latin-1")
    rows = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    trailer = f"trailer<</Size {size}/Root 1 0 R>>\nstartxref\n{len(data)}\n%%EOF"
    return data + f"xref\n0 {size}\n0000000000 65535 f \n{rows}{trailer}".encode()
