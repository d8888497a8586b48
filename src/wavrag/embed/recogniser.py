"""The recogniser interface: a clip in, its transcript out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from wavrag.embed.language import LanguageScore
from wavrag.types import Clip


@dataclass(frozen=True, slots=True)
class RecogniserSpec:
    """Capabilities of a recogniser."""

    name: str  # accepted by `load_recogniser`
    revision: str  # changes whenever the transcripts change
    sampling_rate: int  # required sample rate of clips in Hz
    max_seconds: float  # longest clip in seconds
    languages: tuple[str, ...]  # ISO 639-1 codes of the transcripts; `mul` for many
    licence: str  # SPDX identifier of the weights


@runtime_checkable
class Recogniser(Protocol):
    """Transcribes speech. Must be thread-safe."""

    @property
    def spec(self) -> RecogniserSpec:
        """Name, revision and limits."""
        ...

    def transcribe(self, clip: Clip) -> str:
        """Return the transcript of a clip, deterministically; empty without speech.

        Args:
            clip: at the sample rate of `spec`, at most `max_seconds` long, finite samples.
        """
        ...


@runtime_checkable
class BatchRecogniser(Recogniser, Protocol):
    """A recogniser that transcribes several clips faster together than one by one."""

    def transcribe_batch(self, clips: Sequence[Clip]) -> list[str]:
        """Return the transcripts that `transcribe` returns for each clip."""
        ...


@runtime_checkable
class LanguageRecogniser(Recogniser, Protocol):
    """A recogniser that scores the language of a clip."""

    def score_language(self, clip: Clip, transcript: str) -> LanguageScore | None:
        """Return evidence that the clip is in a language of `spec`; None if it takes any."""
        ...


def split_language(name: str) -> tuple[str, str | None]:
    """Split `NAME@LANGUAGE` into the name and an ISO 639 code; None without one.

    Example:
        >>> split_language("models/whisper@de")
        ('models/whisper', 'de')
    """
    match = re.fullmatch(r"(.*)@([a-z]{2,3})", name)
    return (match[1], match[2]) if match else (name, None)
