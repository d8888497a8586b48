"""Times of the words of passages, computed on demand and kept in the knowledge base."""

from __future__ import annotations

import hashlib
from functools import cached_property

import numpy as np

from wavrag.embed import WordAligner
from wavrag.kb.transcripts import ClipCache, clip_key
from wavrag.types import Clip, TimedWord

TICK = 0.01  # seconds; finer than the frames of the aligner, and 16 bits hold 10 minutes
_ROW = np.dtype([("start", "<u2"), ("end", "<u2"), ("probability", "u1")])


class WordTimeCache(ClipCache):
    """Word times keyed by the samples and the transcript; 5 bytes a word."""

    @cached_property
    def _aligner(self) -> WordAligner:
        return WordAligner()

    def get(self, clip: Clip, text: str) -> tuple[TimedWord, ...]:
        """Return the words of a transcript with their times; see `WordAligner.align`."""
        text_key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        keys = clip_key(clip), text_key, WordAligner.revision
        data = self.read("word_times", *keys)
        if data is None:
            data = _pack(self._aligner.align(clip, text), clip.start)
            self.write("word_times", data, *keys)
        # Read back even if they are new, so that times are the same on every call.
        return _unpack(data, text, clip.start)


def _pack(words: tuple[TimedWord, ...], offset: float) -> bytes:
    rows = np.empty(len(words), _ROW)
    rows["start"] = [round((word.start - offset) / TICK) for word in words]
    rows["end"] = [round((word.end - offset) / TICK) for word in words]
    rows["probability"] = [round(word.probability * 255) for word in words]
    return rows.tobytes()


def _unpack(data: bytes, text: str, offset: float) -> tuple[TimedWord, ...]:
    rows = np.frombuffer(data, _ROW)
    if not len(rows):
        return ()
    return tuple(
        TimedWord(
            word,
            round(offset + TICK * int(row["start"]), 3),
            round(offset + TICK * int(row["end"]), 3),
            round(int(row["probability"]) / 255, 3),
        )
        for word, row in zip(text.split(), rows, strict=True)
    )
