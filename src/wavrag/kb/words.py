"""Words of recordings, recognised when somebody wants to read them, and kept beside the vectors.

An embedder that hears natively gives no words, or words that serve search and are no text to quote.
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


class Words:
    """Recognised words by the sound itself, so that they never belong to another recording.

    Args:
        directory: where they are kept, in `words.sqlite3`. If it cannot be written they are
            recognised anew each time, with a warning in the log.
        recogniser: what recognises; Moonshine tiny, which is English, by default. For another
            revision other words are kept.
    """

    def __init__(self, directory: Path, recogniser: Recogniser | None = None) -> None:
        self._path = directory / FILE
        self._recogniser = recogniser or load_recogniser("moonshine")
        self._revision = self._recogniser.spec.revision

    def of(self, clip: Clip) -> str:
        """The words of a clip of any length; empty where there is no voice.

        Args:
            clip: of any rate.
        """
        sound = hashlib.blake2b(
            np.ascontiguousarray(clip.samples).tobytes(),
            digest_size=16,
            salt=str(clip.sample_rate).encode(),
        ).digest()
        kept = self._kept(sound)
        if kept is not None:
            return kept
        text = self.recognise(clip)
        self._keep(sound, text)
        return text

    def recognise(self, clip: Clip) -> str:
        """Like `of`, and nothing of it is kept."""
        heard = audio.resample(clip, SAMPLE_RATE)
        pieces = audio.windows([heard.samples], heard.sample_rate, overlap_seconds=0.0)
        said = (self._recogniser.transcribe(piece) for piece in pieces if piece.speech)
        return " ".join(filter(None, said))

    def _kept(self, sound: bytes) -> str | None:
        query = "SELECT text FROM words WHERE sound = ? AND recogniser = ?"
        if not self._path.exists():
            return None
        try:
            with self._connected() as database:
                row = database.execute(query, (sound, self._revision)).fetchone()
        except sqlite3.Error as error:
            logger.warning("%s: recognised words cannot be read (%s)", self._path, error)
            return None
        return None if row is None else str(row[0])

    def _keep(self, sound: bytes, text: str) -> None:
        try:
            with self._connected() as database, database:
                database.execute(
                    "INSERT OR REPLACE INTO words VALUES (?, ?, ?)", (sound, self._revision, text)
                )
        except sqlite3.Error as error:
            logger.warning("%s: recognised words cannot be kept (%s)", self._path, error)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=10.0)) as database:
            database.execute(_TABLE)
            yield database


def with_voice(clip: Clip) -> Clip:
    """The clip, told whether there is a voice in it, for which it is listened through."""
    heard = audio.resample(clip, SAMPLE_RATE)
    voiced = any(piece.speech for piece in audio.windows([heard.samples], heard.sample_rate))
    return replace(clip, speech=voiced)
