"""The speech synthesis interface: text, voice and style to a clip."""

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

# Errors of an engine for a single text; it may still speak the next one.
SPEECH_ERRORS = (AudioError, OSError, subprocess.SubprocessError, ValueError, RuntimeError)

_CEILING = 0.99  # peak of a clip after a gain: the gain is reduced before samples clip


@dataclass(frozen=True, slots=True)
class Style:
    """Style of speech, relative to the engine's default in the same voice."""

    rate: float = 1.0  # tempo factor; above 1 is faster
    pitch: float = 0.0  # semitones; above 0 is higher
    energy: float = 0.0  # dB; above 0 is louder, up to full scale
    # Variant of the voice, by the engine's name for it; None for the voice itself.
    voice: str | None = None

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise ValueError(f"the rate is {self.rate}: give a factor above 0")


NEUTRAL = Style()


class Synthesiser(Protocol):
    """Identity and voices of a speech synthesiser."""

    @property
    def name(self) -> str:
        """Name for `load_engine`."""
        ...

    @property
    def revision(self) -> str:
        """Version of the program or digest of the model; another revision may sound different."""
        ...

    @property
    def voices(self) -> Sequence[str]:
        """Names of the voices."""
        ...


@runtime_checkable
class Engine(Synthesiser, Protocol):
    """A speech synthesiser that speaks in a given style."""

    @property
    def default_voice(self) -> str:
        """Voice used if none is named."""
        ...

    def speak(self, text: str, voice: str, style: Style) -> Clip:
        """Speak a text in a voice and a style.

        Returns:
            A clip at 16 kHz.

        Raises:
            Exception: one of `SPEECH_ERRORS` if the engine cannot speak this text.
            WavRAGError: any other one if the engine does not work at all.
        """
        ...


def apply_gain(clip: Clip, decibels: float) -> Clip:
    """Apply a gain to a clip, up to full scale."""
    if not decibels:
        return clip
    samples = clip.samples * np.float32(10 ** (decibels / 20))
    peak = float(np.abs(samples).max(initial=0.0))
    return replace(clip, samples=as_float32(samples * min(1.0, _CEILING / max(peak, 1e-9))))


def shift_pitch(speak: Callable[[float], Clip], rate: float, semitones: float) -> Clip:
    """Shift the pitch of an engine without pitch control: speak slower, then play faster.

    The formants of the voice shift with its pitch, as they do on a tape.
    """
    factor = 2 ** (semitones / 12)
    clip = speak(rate / factor)
    if factor == 1:
        return clip
    faster = replace(clip, sample_rate=round(clip.sample_rate * factor))
    return resample(faster, clip.sample_rate)


def describe_error(error: Exception) -> str:
    """Cause of a speech error, on one line."""
    match error:
        case subprocess.CalledProcessError():
            lines = (error.stderr or b"").decode(errors="replace").strip().splitlines()
            return f"exit code {error.returncode}{': ' + lines[-1] if lines else ''}"
        case subprocess.TimeoutExpired():
            return f"took longer than {error.timeout:g} s"
        case _:
            return " ".join(str(error).split()) or type(error).__name__


def file_digest(path: Path) -> str:
    """Digest of a file's content: 16 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
