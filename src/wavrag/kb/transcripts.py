"""Transcribe recordings on demand, and keep the transcripts on disk in `words.sqlite3`.

Embedders that encode audio directly give no transcript, or one for search only that is too
inaccurate to quote.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from wavrag import audio
from wavrag.audio import SAMPLE_RATE
from wavrag.embed import Recogniser, load_recogniser
from wavrag.types import Clip

logger = logging.getLogger(__name__)

FILE = "words.sqlite3"
_TABLE = (
    "CREATE TABLE IF NOT EXISTS words ("
    " sound BLOB, recogniser TEXT, text TEXT NOT NULL, PRIMARY KEY (sound, recogniser)"
    ") WITHOUT ROWID"
)


CacheKeys: TypeAlias = Mapping[str, str | bytes]


class ClipCache:
    """Facts about clips in `words.sqlite3`, keyed by the samples themselves.

    If the folder is not writable, facts are computed again each time, and a warning goes to the
    log.

    Args:
        directory: folder of the file.
    """

    table: str  # statement that creates the table of a subclass

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE

    def read(self, table: str, column: str, keys: CacheKeys) -> Any:
        """Return a stored value; None if there is none."""
        condition = " AND ".join(f"{name} = ?" for name in keys)
        if not self._path.exists():
            return None
        try:
            with self._connect() as database:
                query = f"SELECT {column} FROM {table} WHERE {condition}"
                row = database.execute(query, tuple(keys.values())).fetchone()
        except sqlite3.Error as error:
            logger.warning("%s: %s cannot be read (%s)", self._path, table, error)
            return None
        return None if row is None else row[0]

    def write(self, table: str, values: CacheKeys) -> None:
        """Store a row, replacing an earlier one with the same keys."""
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        try:
            with self._connect() as database, database:
                statement = f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})"
                database.execute(statement, tuple(values.values()))
        except sqlite3.Error as error:
            logger.warning("%s: %s cannot be kept (%s)", self._path, table, error)

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        # A connection for each call: SQLite connections must not move between threads.
        with closing(sqlite3.connect(self._path, timeout=10.0)) as database:
            database.execute(self.table)
            yield database


class TranscriptCache(ClipCache):
    """Transcripts keyed by the samples themselves, so they always belong to the recording.

    Args:
        directory: folder of `words.sqlite3`.
        recogniser: speech recogniser (default: Moonshine tiny, English). Each revision has its
            own transcripts.
    """

    table = _TABLE

    def __init__(self, directory: Path, recogniser: Recogniser | None = None) -> None:
        super().__init__(directory)
        self._recogniser = recogniser or load_recogniser("moonshine")
        self._revision = self._recogniser.spec.revision

    def get(self, clip: Clip) -> str:
        """Transcript of a clip of any length and sample rate; empty if it has no speech."""
        keys: CacheKeys = {"sound": clip_key(clip), "recogniser": self._revision}
        transcript: str | None = self.read("words", "text", keys)
        if transcript is None:
            transcript = self.transcribe(clip)
            self.write("words", {**keys, "text": transcript})
        return transcript

    def transcribe(self, clip: Clip) -> str:
        """Transcribe a clip without the cache."""
        clip = audio.resample(clip, SAMPLE_RATE)
        # Without overlap, so that no word is recognised twice.
        windows = audio.windows([clip.samples], clip.sample_rate, overlap_seconds=0.0)
        texts = (self._recogniser.transcribe(window) for window in windows if window.speech)
        return " ".join(filter(None, texts))


def clip_key(clip: Clip) -> bytes:
    """Hash of the samples and the sample rate of a clip."""
    salt = str(clip.sample_rate).encode()
    samples = np.ascontiguousarray(clip.samples).tobytes()
    return hashlib.blake2b(samples, digest_size=16, salt=salt).digest()


def detect_speech(clip: Clip) -> Clip:
    """Run voice activity detection on a clip and set its `speech`."""
    resampled = audio.resample(clip, SAMPLE_RATE)
    windows = audio.windows([resampled.samples], resampled.sample_rate)
    return replace(clip, speech=any(window.speech for window in windows))
