"""Estimate how far indexing has come within a file, and how long the remaining files take."""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress

from wavrag import audio
from wavrag.errors import AudioError
from wavrag.kb.kinds import suffix
from wavrag.types import Document, Passage

MIN_SECONDS = 2.0  # of indexing before the first estimate
LARGE_FILE = 1 << 20  # bytes; the length of smaller recordings is not looked up


def measure_length(document: Document) -> float | None:
    """The length of a document in the unit of its passages: seconds, or characters.

    Returns:
        Seconds according to the headers of a large recording, bytes of a text; None if unknown.
    """
    if document.text is not None:
        return float(len(document.text))
    size = _size(document)
    if document.path is None or size < LARGE_FILE:
        return None
    with suppress(AudioError):
        if audio.is_recording(document.path):
            with audio.open_audio(document.path) as source:
                return source.duration
        return float(size)
    return None


class TimeEstimate:
    """Predicts the remaining time from the time per byte of the files so far.

    A minute of wav has ten times the bytes of a minute of mp3, and a second of text takes thousands
    of times the bytes of a second of audio: each suffix has a rate of its own.
    """

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = documents
        self._position = {document.id: index for index, document in enumerate(documents)}
        self._sizes = list(map(_size, documents))
        self._left: Counter[str] = Counter()  # bytes of documents that have not begun, by suffix
        for document, size in zip(documents, self._sizes, strict=True):
            self._left[_kind(document)] += size
        self._next = 0  # index of the first of these
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._bytes: defaultdict[str, float] = defaultdict(float)
        self._start = 0.0
        self._size = 0
        self._kind = ""
        self.length: float | None = None  # of the current document
        self.fraction = 0.0  # of the current document that is embedded

    def begin(self, document: Document, length: float | None) -> None:
        """Note that the next passages are of this document."""
        now = time.monotonic()
        if self._kind:
            self._seconds[self._kind] += now - self._start
            self._bytes[self._kind] += self._size
        # The documents before it are done, or unchanged.
        end = self._position[document.id] + 1
        for index in range(self._next, end):
            self._left[_kind(self._documents[index])] -= self._sizes[index]
        self._next = max(self._next, end)
        self._start, self._size, self._kind = now, self._sizes[end - 1], _kind(document)
        self.length, self.fraction = length, 0.0

    def advance(self, passage: Passage) -> None:
        """Note that a passage of the current document is embedded."""
        end = passage.end if passage.end is not None else passage.char_end
        if self.length and end:
            # Headers of recordings lie, and a text has fewer characters than bytes.
            self.fraction = min(end / self.length, 0.99)

    def seconds_left(self) -> float | None:
        """The remaining seconds; None while there is too little to go by."""
        elapsed = time.monotonic() - self._start
        seconds = {**self._seconds, self._kind: self._seconds[self._kind] + elapsed}
        current = self._size * self.fraction
        sizes = {**self._bytes, self._kind: self._bytes[self._kind] + current}
        total_seconds, total_bytes = sum(seconds.values()), sum(sizes.values())
        if total_seconds < MIN_SECONDS or not total_bytes:
            return None
        left = {**self._left, self._kind: self._left[self._kind] + self._size - current}
        return sum(
            size * (seconds[kind] / sizes[kind] if sizes.get(kind) else total_seconds / total_bytes)
            for kind, size in left.items()
        )


def _kind(document: Document) -> str:
    return suffix(document.path) if document.path else "text" if document.text else "clip"


def _size(document: Document) -> int:
    if document.path is None:
        return len(document.text or "") if document.clip is None else document.clip.samples.nbytes
    with suppress(OSError):
        return os.path.getsize(document.path)
    return 0
