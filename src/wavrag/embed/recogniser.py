"""The recogniser seam of the cascade: a clip in, its words out; and recognisers by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from wavrag.types import Clip


@dataclass(frozen=True, slots=True)
class RecogniserSpec:
    """What a recogniser is and can do.

    Attributes:
        name: as `load_recogniser` takes it.
        revision: changes whenever the words change.
        sampling_rate: Hz that clips must have.
        max_seconds: longest clip that it hears whole.
        languages: ISO 639-1 codes of what it writes down.
        licence: SPDX identifier of the weights.
    """

    name: str
    revision: str
    sampling_rate: int
    max_seconds: float
    languages: tuple[str, ...]
    licence: str


@runtime_checkable
class Recogniser(Protocol):
    """Writes down what is said. Several threads may call it at a time."""

    @property
    def spec(self) -> RecogniserSpec:
        """What it is and can do."""
        ...

    def transcribe(self, clip: Clip) -> str:
        """The words of a clip, empty where there are none; the same for the same clip.

        Args:
            clip: at the sampling rate of `spec`, at most `max_seconds`, finite samples.
        """
        ...
