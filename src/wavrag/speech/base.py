"""The speech seam: a text, a voice and a style in, a clip out."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from wavrag.audio import resample
from wavrag.errors import AudioError
from wavrag.types import Clip, as_float32

# What an engine raises that cannot say a text; it may still say the next one.
UNSPEAKABLE = (AudioError, OSError, subprocess.SubprocessError, ValueError, RuntimeError)

_CEILING = 0.99  # peak above which a clip is turned down rather than clipped


@dataclass(frozen=True, slots=True)
class Style:
    """How something is said, against the engine's own way in the same voice.

    Attributes:
        rate: factor of the pace; above 1 is faster.
        pitch: semitones; above 0 is higher.
        energy: dB; above 0 is louder, up to full scale.
        voice: variant of the voice that is asked for, as the engine names it; None for the voice
            itself.
    """

    rate: float = 1.0
    pitch: float = 0.0
    energy: float = 0.0
    voice: str | None = None

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise ValueError(f"a rate is a factor above 0, and this one is {self.rate}")


NEUTRAL = Style()


@runtime_checkable
class Engine(Protocol):
    """Something that speaks."""

    @property
    def name(self) -> str:
        """What `load_engine` knows it by."""
        ...

    @property
    def revision(self) -> str:
        """Its version, or what names its model: another one may sound different."""
        ...

    @property
    def voices(self) -> Sequence[str]:
        """Names of its voices."""
        ...

    @property
    def default_voice(self) -> str:
        """The one that answers are spoken in if none is named."""
        ...

    def speak(self, text: str, voice: str, style: Style) -> Clip:
        """Say a text in a voice, in a style.

        Returns:
            The sound at `SAMPLE_RATE`.

        Raises:
            Exception: one of `UNSPEAKABLE`: it cannot say this text.
            WavRAGError: any other: it cannot say anything as it is now.
        """
        ...


def louder(clip: Clip, decibels: float) -> Clip:
    """A clip with a gain; as much of it as full scale allows."""
    if not decibels:
        return clip
    samples = clip.samples * np.float32(10 ** (decibels / 20))
    peak = float(np.abs(samples).max(initial=0.0))
    return replace(clip, samples=as_float32(samples * min(1.0, _CEILING / max(peak, 1e-9))))


def repitched(speak: Callable[[float], Clip], rate: float, semitones: float) -> Clip:
    """Another pitch from an engine that only knows pace: said slower, then played faster.

    The resonances of the voice move along with its pitch, as they do on a tape.

    Args:
        speak: says the text at a rate.
        rate: of the result.
        semitones: above 0 is higher.
    """
    factor = 2 ** (semitones / 12)
    clip = speak(rate / factor)
    if factor == 1:
        return clip
    faster = replace(clip, sample_rate=round(clip.sample_rate * factor))
    return resample(faster, clip.sample_rate)


def reason(error: Exception) -> str:
    """Why a text was not spoken, on one line."""
    match error:
        case subprocess.CalledProcessError():
            said = (error.stderr or b"").decode(errors="replace").strip().splitlines()
            return f"exit code {error.returncode}{': ' + said[-1] if said else ''}"
        case subprocess.TimeoutExpired():
            return f"took longer than {error.timeout:g} s"
        case _:
            return " ".join(str(error).split()) or type(error).__name__


def digest(path: Path) -> str:
    """What names the content of a file: 16 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
