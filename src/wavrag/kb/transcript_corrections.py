"""Corrections of transcripts by hand: kept in the knowledge base, applied at every indexing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from difflib import SequenceMatcher

from wavrag.embed import EmbedderSpec
from wavrag.kb.transcript import Segment, spread_words
from wavrag.kb.transcripts import TranscriptCache
from wavrag.kb.word_times import WordTimeCache
from wavrag.store import Records
from wavrag.types import Clip, Passage, TimedWord

KIND = "corrections"  # of the records
# Share of equal letters between the words that were corrected and those found in their place: a
# better recogniser stays above it, another recording under the same path below.
MIN_SIMILARITY = 0.4


@dataclass(frozen=True, slots=True)
class TranscriptCorrection:
    """Words of a recording in place of recognised ones; times in seconds."""

    start: float
    end: float
    original: tuple[TimedWord, ...]  # the recognised words
    corrected: tuple[TimedWord, ...]

    def apply(self, words: Sequence[TimedWord], start: float, end: float) -> list[TimedWord]:
        """Replace the words of a passage from `start` to `end`; others have nothing in common."""
        overlap = _between(words, self.start, self.end)
        original = _between(self.original, start, end)
        corrected = _between(self.corrected, start, end)
        # A passage may hold the corrected words already.
        if max(_similarity(overlap, original), _similarity(overlap, corrected)) < MIN_SIMILARITY:
            return list(words)
        remaining = [word for word in words if word not in overlap]
        return sorted([*remaining, *corrected], key=_middle)


class TranscriptCorrections:
    """Corrections of the recordings of a knowledge base.

    Args:
        records: the records of the knowledge base.
        transcripts: transcripts of passages without a text that can be quoted.
        word_times: times of the words of passages.
        spec: the embedder.
    """

    def __init__(
        self,
        records: Records,
        transcripts: TranscriptCache,
        word_times: WordTimeCache,
        spec: EmbedderSpec,
    ) -> None:
        self._records = records
        self._transcripts = transcripts
        self._word_times = word_times
        self._is_quotable = spec.transcribes and spec.quotable_transcripts

    def create(
        self, passages: Sequence[Passage], clip: Clip, words: Sequence[TimedWord], text: str
    ) -> TranscriptCorrection:
        """Store a correction, merged with earlier ones of the same words.

        Args:
            passages: the passages of the corrected words, of one recording and channel.
            clip: the audio of the corrected words.
            words: the words to replace.
            text: the correct words.

        Raises:
            StoreError: the corrections cannot be read or written.
        """
        start, end = words[0].start, words[-1].end
        new = self._word_times.get(clip, text) or spread_words(Segment(text, start, end))
        new_words = [
            replace(word, start=_clamp(word.start, start, end), end=_clamp(word.end, start, end))
            for word in new
        ]
        merged = TranscriptCorrection(start, end, tuple(words), tuple(new_words))

        def change(data: bytes | None) -> bytes:
            nonlocal merged
            stored = _parse(data)
            merged = _merge(stored, words, new_words)
            others = [row for row in stored if not _overlaps(row, merged.start, merged.end)]
            rows = sorted([*others, merged], key=lambda row: row.start)
            return json.dumps([astuple(row) for row in rows], ensure_ascii=False).encode()

        self._records.update(KIND, _key(passages[0]), change)
        return merged

    def find(self, passage: Passage) -> list[TranscriptCorrection]:
        """Return the corrections of words in a passage, in the order of their times.

        Raises:
            StoreError: the corrections cannot be read.
        """
        if passage.start is None or passage.end is None:
            return []
        rows = _parse(self._records.get(KIND, _key(passage)))
        return [row for row in rows if _overlaps(row, passage.start, passage.end)]

    def apply(self, passage: Passage, text: str | None, clip: Clip) -> str | None:
        """Return the text of a passage with its corrections; `text` if there are none.

        Args:
            passage: a passage of a recording.
            text: its text by the embedder.
            clip: its audio.
        """
        corrections = self.find(passage)
        if not corrections:
            return text
        transcript = text if text and self._is_quotable else self._transcripts.get(clip)
        words: Sequence[TimedWord] = self._word_times.get(clip, transcript)
        if not words:
            return text
        for correction in corrections:
            words = correction.apply(words, passage.start or 0.0, passage.end or 0.0)
        return " ".join(word.text for word in words)


def _merge(
    stored: Sequence[TranscriptCorrection],
    words: Sequence[TimedWord],
    new_words: Sequence[TimedWord],
) -> TranscriptCorrection:
    """A correction of words, with the stored ones that it overlaps."""
    start, end = words[0].start, words[-1].end
    earlier = [row for row in stored if _overlaps(row, start, end)]
    original = [word for row in earlier for word in row.original]
    # Words that were corrected before are not what was recognised.
    original += [
        word for word in words if not any(row.start <= _middle(word) <= row.end for row in earlier)
    ]
    remaining = [
        word for row in earlier for word in row.corrected if not start <= _middle(word) <= end
    ]
    return TranscriptCorrection(
        min([start, *(row.start for row in earlier)]),
        max([end, *(row.end for row in earlier)]),
        tuple(sorted(original, key=_middle)),
        tuple(sorted([*remaining, *new_words], key=_middle)),
    )


def _parse(data: bytes | None) -> list[TranscriptCorrection]:
    return [
        TranscriptCorrection(
            start, end, *(tuple(TimedWord(*word) for word in words) for words in texts)
        )
        for start, end, *texts in json.loads(data or b"[]")
    ]


def _key(passage: Passage) -> str:
    # 0 stands for a recording with a single track or channel.
    return f"{passage.track or 0}/{passage.channel or 0}/{passage.document_id}"


def _overlaps(correction: TranscriptCorrection, start: float, end: float) -> bool:
    return correction.start < end and correction.end > start


def _between(words: Sequence[TimedWord], start: float, end: float) -> list[TimedWord]:
    return [word for word in words if start <= _middle(word) <= end]


def _clamp(value: float, lower: float, upper: float) -> float:
    return min(max(value, lower), upper)


def _middle(word: TimedWord) -> float:
    return (word.start + word.end) / 2


def _similarity(first: Sequence[TimedWord], second: Sequence[TimedWord]) -> float:
    texts = ["".join(word.text for word in words).casefold() for words in (first, second)]
    return float(SequenceMatcher(None, texts[0], texts[1], autojunk=False).ratio())
