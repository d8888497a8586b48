"""Transcribe recordings on demand, and keep the transcripts on disk in `words.sqlite3`.

Embedders that encode audio directly give no transcript, or one for search only that is too
inaccurate to quote.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

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


class TranscriptCache:
    """Transcripts keyed by the samples themselves, so they always belong to the recording.

    Args:
        directory: folder of `words.sqlite3`. If it is not writable, clips are transcribed again
            each time, and a warning goes to the log.
        recogniser: speech recogniser (default: Moonshine tiny, English). Each revision has its
            own transcripts.
    """

    def __init__(self, directory: Path, recogniser: Recogniser | None = None) -> None:
        self._path = directory / FILE
        self._recogniser = recogniser or load_recogniser("moonshine")
        self._revision = self._recogniser.spec.revision

    def get(self, clip: Clip) -> str:
        """Transcript of a clip of any length and sample rate; empty if it has no speech."""
        key = hashlib.blake2b(
            np.ascontiguousarray(clip.samples).tobytes(),
            digest_size=16,
            salt=str(clip.sample_rate).encode(),
        ).digest()
        transcript = self._read(key)
        if transcript is None:
            transcript = self.transcribe(clip)
            self._write(key, transcript)
        return transcript

    def transcribe(self, clip: Clip) -> str:
        """Transcribe a clip without the cache."""
        clip = audio.resample(clip, SAMPLE_RATE)
        # Without overlap, so that no word is recognised twice.
        windows = audio.windows([clip.samples], clip.sample_rate, overlap_seconds=0.0)
        texts = (self._recogniser.transcribe(window) for window in windows if window.speech)
        return " ".join(filter(None, texts))

    def _read(self, key: bytes) -> str | None:
        query = "SELECT text FROM words WHERE sound = ? AND recogniser = ?"
        if not self._path.exists():
            return None
        try:
            with self._connect() as database:
                row = database.execute(query, (key, self._revision)).fetchone()
        except sqlite3.Error as error:
            logger.warning("%s: transcripts cannot be read (%s)", self._path, error)
            return None
        return None if row is None else str(row[0])

    def _write(self, key: bytes, text: str) -> None:
        try:
            with self._connect() as database, database:
                database.execute(
                    "INSERT OR REPLACE INTO words VALUES (?, ?, ?)", (key, self._revision, text)
                )
        except sqlite3.Error as error:
            logger.warning("%s: transcripts cannot be kept (%s)", self._path, error)

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        # A connection for each call: SQLite connections must not move between threads.
        with closing(sqlite3.connect(self._path, timeout=10.0)) as database:
            database.execute(_TABLE)
            yield database


def detect_speech(clip: Clip) -> Clip:
    """Run voice activity detection on a clip and set its `speech`."""
    resampled = audio.resample(clip, SAMPLE_RATE)
    windows = audio.windows([resampled.samples], resampled.sample_rate)
    return replace(clip, speech=any(window.speech for window in windows))
