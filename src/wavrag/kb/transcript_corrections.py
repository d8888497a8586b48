"""Corrections of transcripts by hand: kept in `corrections.sqlite3`, applied at every indexing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path

from wavrag.embed import EmbedderSpec
from wavrag.errors import StoreError
from wavrag.kb.transcript import Segment, spread_words
from wavrag.kb.transcripts import TranscriptCache
from wavrag.kb.word_times import WordTimeCache
from wavrag.types import Clip, Passage, TimedWord

FILE = "corrections.sqlite3"
_TABLE = (
    "CREATE TABLE IF NOT EXISTS corrections ("
    " document_id TEXT, track INTEGER, channel INTEGER, start REAL, end REAL,"
    " original TEXT NOT NULL, corrected TEXT NOT NULL,"
    " PRIMARY KEY (document_id, track, channel, start, end)) WITHOUT ROWID"
)
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
        directory: folder of the file.
        transcripts: transcripts of passages without a text that can be quoted.
        word_times: times of the words of passages.
        spec: the embedder.
    """

    def __init__(
        self,
        directory: Path,
        transcripts: TranscriptCache,
        word_times: WordTimeCache,
        spec: EmbedderSpec,
    ) -> None:
        self._path = directory / FILE
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
            StoreError: the file cannot be read or written.
        """
        start, end = words[0].start, words[-1].end
        new = self._word_times.get(clip, text) or spread_words(Segment(text, start, end))
        new_words = (
            replace(word, start=_clamp(word.start, start, end), end=_clamp(word.end, start, end))
            for word in new
        )
        earlier = {
            correction
            for passage in passages
            for correction in self.find(passage)
            if correction.start < end and correction.end > start
        }
        original = [word for correction in earlier for word in correction.original]
        # Words that were corrected before are not what was recognised.
        original += [
            word for word in words if not any(c.start <= _middle(word) <= c.end for c in earlier)
        ]
        remaining = [
            word
            for correction in earlier
            for word in correction.corrected
            if not start <= _middle(word) <= end
        ]
        merged = TranscriptCorrection(
            min([start, *(correction.start for correction in earlier)]),
            max([end, *(correction.end for correction in earlier)]),
            tuple(sorted(original, key=_middle)),
            tuple(sorted([*remaining, *new_words], key=_middle)),
        )
        self._write(passages[0], merged)
        return merged

    def _write(self, passage: Passage, correction: TranscriptCorrection) -> None:
        """Store a correction of the recording and the channel of a passage."""
        words = (correction.original, correction.corrected)
        texts = [json.dumps([astuple(word) for word in row], ensure_ascii=False) for row in words]
        row = (*_voice(passage), correction.start, correction.end, *texts)
        try:
            with self._connect() as database, database:
                # The earlier ones are merged into it.
                database.execute(
                    "DELETE FROM corrections WHERE document_id = ? AND track = ? AND channel = ?"
                    " AND start < ? AND end > ?",
                    (*_voice(passage), correction.end, correction.start),
                )
                database.execute("INSERT INTO corrections VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        except sqlite3.Error as error:
            raise StoreError(
                f"{self._path} cannot be written ({error}): free disk space"
            ) from error

    def find(self, passage: Passage) -> list[TranscriptCorrection]:
        """Return the corrections of words in a passage, in the order of their times.

        Raises:
            StoreError: the file cannot be read.
        """
        if not self._path.exists() or passage.start is None:
            return []
        query = (
            "SELECT start, end, original, corrected FROM corrections WHERE document_id = ?"
            " AND track = ? AND channel = ? AND start < ? AND end > ? ORDER BY start"
        )
        try:
            with self._connect() as database:
                span = (passage.end, passage.start)
                rows = database.execute(query, (*_voice(passage), *span)).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self._path} cannot be read ({error}): restore it") from error
        return [
            TranscriptCorrection(
                start, end, *(tuple(TimedWord(*word) for word in json.loads(t)) for t in texts)
            )
            for start, end, *texts in rows
        ]

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

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        # A connection for each call: SQLite connections must not move between threads.
        with closing(sqlite3.connect(self._path, timeout=10.0)) as database:
            database.execute(_TABLE)
            yield database


def _voice(passage: Passage) -> tuple[str, int, int]:
    # NULLs are never equal in SQL, so 0 stands for a recording with a single track or channel.
    return passage.document_id, passage.track or 0, passage.channel or 0


def _between(words: Sequence[TimedWord], start: float, end: float) -> list[TimedWord]:
    return [word for word in words if start <= _middle(word) <= end]


def _clamp(value: float, lower: float, upper: float) -> float:
    return min(max(value, lower), upper)


def _middle(word: TimedWord) -> float:
    return (word.start + word.end) / 2


def _similarity(first: Sequence[TimedWord], second: Sequence[TimedWord]) -> float:
    texts = ["".join(word.text for word in words).casefold() for words in (first, second)]
    return float(SequenceMatcher(None, texts[0], texts[1], autojunk=False).ratio())
