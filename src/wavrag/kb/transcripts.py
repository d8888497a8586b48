"""Transcribe recordings on demand, and keep the transcripts in the knowledge base.

Embedders that encode audio directly give no transcript, or one for search only that is too
inaccurate to quote.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wavrag import audio
from wavrag.audio import SAMPLE_RATE
from wavrag.embed import Recogniser, load_recogniser
from wavrag.errors import StoreError
from wavrag.store import Records
from wavrag.types import Clip

logger = logging.getLogger(__name__)


class ClipCache:
    """Facts about clips, keyed by the samples themselves.

    If they cannot be kept, they are computed again each time, and a warning goes to the log.

    Args:
        records: the records of the knowledge base.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    def read(self, kind: str, *keys: str | bytes) -> bytes | None:
        """Return a stored value; None if there is none."""
        try:
            return self._records.get(kind, _join(keys))
        except StoreError as error:
            logger.warning("%s", error)
            return None

    def write(self, kind: str, value: bytes, *keys: str | bytes) -> None:
        """Store a value, replacing an earlier one with the same keys."""
        try:
            self._records.put(kind, _join(keys), value)
        except StoreError as error:
            logger.warning("%s", error)


def _join(keys: Sequence[str | bytes]) -> str:
    return "/".join(key if isinstance(key, str) else key.hex() for key in keys)


class TranscriptCache(ClipCache):
    """Transcripts keyed by the samples themselves, so they always belong to the recording.

    Args:
        records: the records of the knowledge base.
        recogniser: speech recogniser (default: Moonshine tiny, English). Each revision has its
            own transcripts.
    """

    def __init__(self, records: Records, recogniser: Recogniser | None = None) -> None:
        super().__init__(records)
        self._recogniser = recogniser or load_recogniser("moonshine")
        self._revision = self._recogniser.spec.revision

    def get(self, clip: Clip) -> str:
        """Transcript of a clip of any length and sample rate; empty if it has no speech."""
        keys = clip_key(clip), self._revision
        stored = self.read("words", *keys)
        if stored is not None:
            return stored.decode("utf-8", "surrogatepass")
        transcript = self.transcribe(clip)
        self.write("words", transcript.encode("utf-8", "surrogatepass"), *keys)
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
