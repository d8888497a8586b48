"""Read the words of page images by an OCR engine, if one is installed.

The `tesseract` program comes first, then the package rapidocr (`pip install "wavrag[ocr]"`).
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from wavrag.errors import DocumentError
from wavrag.text.pdf_pages import Row, TextRun, group_rows

MIN_CONFIDENCE = 0.6  # of a word; below, engines read letters into pictures
MIN_WORDS = 2  # in a row; fewer are marks in a picture, unless the word is long
MIN_LETTERS = 5  # of the single word of a row
PAGE_SECONDS = 120  # longest time for a page


@dataclass(frozen=True, slots=True)
class OcrEngine:
    """An OCR engine.

    Attributes:
        name: name for messages.
        read_words: yields the words of a grey image, shape `(height, width)`, uint8, with their
            positions in pixels.
    """

    name: str
    read_words: Callable[[Any], Iterator[TextRun]]


def find_engine() -> OcrEngine | None:
    """Return the first installed engine; None without one."""
    if shutil.which("tesseract"):
        return OcrEngine("tesseract", _tesseract)
    if importlib.util.find_spec("rapidocr") is not None:
        return OcrEngine("rapidocr", _rapidocr)
    return None


def read_rows(image: Any, scale: float, engine: OcrEngine) -> tuple[Row, ...]:
    """Read the rows of an image with several words, or a long one.

    Args:
        image: shape `(height, width)`, uint8.
        scale: pixels per point.
        engine: the engine.

    Raises:
        DocumentError: the engine failed.
    """
    try:
        words = [
            TextRun(w.left / scale, w.right / scale, w.top / scale, w.bottom / scale, w.text)
            for w in engine.read_words(image)
        ]
    except Exception as error:
        # Engines raise all kinds of exceptions; the text of other pages is worth keeping.
        raise DocumentError(f"{engine.name} failed: {error}: try it on the file alone") from error
    return tuple(row for row in group_rows(words) if _is_text(row.text))


def _is_text(text: str) -> bool:
    words = [word for word in text.split() if any(map(str.isalnum, word))]
    return len(words) >= MIN_WORDS or any(
        sum(map(str.isalpha, word)) >= MIN_LETTERS for word in words
    )


def _tesseract(image: Any) -> Iterator[TextRun]:
    height, width = image.shape
    command = ["tesseract", "stdin", "stdout", *_languages(), "tsv"]
    result = subprocess.run(
        command,
        input=b"P5 %d %d 255\n" % (width, height) + image.tobytes(),
        capture_output=True,
        timeout=PAGE_SECONDS,
        check=True,
    )
    for line in result.stdout.decode("utf-8", "replace").splitlines()[1:]:
        fields = line.split("\t")
        if len(fields) == 12 and float(fields[10]) >= 100 * MIN_CONFIDENCE and fields[11].strip():
            left, top, across, down = map(int, fields[6:10])
            yield TextRun(left, left + across, top, top + down, fields[11].strip())


@cache
def _languages() -> list[str]:
    """Option for all installed languages; without it, tesseract reads English only."""
    result = subprocess.run(
        ["tesseract", "--list-langs"], capture_output=True, timeout=PAGE_SECONDS, check=True
    )
    names = result.stdout.decode("utf-8", "replace").split("\n")[1:]
    languages = [name for name in names if name.strip() and name not in ("osd", "equ")]
    return ["-l", "+".join(languages)] if languages else []


def _rapidocr(image: Any) -> Iterator[TextRun]:
    output = _load_rapidocr()(image[:, :, None].repeat(3, axis=2))
    lines: Iterable[tuple[Any, str, float]] = (
        zip(output.boxes, output.txts, output.scores, strict=True) if output.txts else ()
    )
    for corners, text, score in lines:
        if score >= MIN_CONFIDENCE and text.strip():
            (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
            yield TextRun(float(left), float(right), float(top), float(bottom), text.strip())


@cache
def _load_rapidocr() -> Any:
    from rapidocr import RapidOCR

    engine = RapidOCR()
    logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
    return engine
