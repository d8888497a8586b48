"""The recogniser seam of the cascade: a clip in, its words out; and recognisers by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from wavrag.errors import EmbedderError
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


def load_recogniser(name: str) -> Recogniser:
    """The recogniser of that name.

    Args:
        name: `moonshine` (tiny, English, in the package), `whisper=FOLDER` (a Whisper model in
            the CTranslate2 format) or `pocketsphinx` (English, small and weak).

    Raises:
        EmbedderError: there is none of that name, or its folder is not a model's.
    """
    kind, _, folder = name.partition("=")
    if kind == "whisper" and folder:
        from wavrag.embed.whisper import Whisper

        return Whisper(folder)
    if name == "moonshine":
        from wavrag.embed.moonshine import Moonshine

        return Moonshine()
    if name == "pocketsphinx":
        from wavrag.embed.sphinx import PocketSphinx

        return PocketSphinx()
    raise EmbedderError(
        f"no recogniser is called {name!r}: choose moonshine, pocketsphinx or whisper=FOLDER, where"
        " FOLDER holds a Whisper model in the CTranslate2 format"
    )
