"""From how a voice sounds to how an answer is said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log2
from typing import Literal, TypeAlias

from wavrag.audio import Prosody, measure_prosody
from wavrag.speech.base import NEUTRAL, Engine, Style

# What an answer sounds like: the one who asks, or the recording that it rests on.
Follow: TypeAlias = Literal["question", "source"]

# Said once in a voice, to know how it sounds of itself.
CALIBRATION = (
    "The ferry leaves at noon and comes back in the evening. Nobody knows how old the bridge is."
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a style may go from the engine's own way, so that it stays easy to follow.

    Attributes:
        rate: lowest and highest factor.
        pitch: semitones up and down.
        energy: dB up and down.
    """

    rate: tuple[float, float] = (0.8, 1.25)
    pitch: float = 4.0
    energy: float = 8.0


def style_from(
    heard: Prosody, own: Prosody, limits: Limits | None = None, voice: str | None = None
) -> Style:
    """The style in which a voice comes closest to what was heard.

    What either measurement does not tell stays as it is.

    Args:
        heard: of a question, or of a retrieved recording.
        own: of the engine's voice in its own way, from `own_prosody`.
        limits: of the style.
        voice: variant of the voice that the style names.
    """
    limits = limits or Limits()
    style = replace(NEUTRAL, voice=voice)
    if heard.rate is not None and own.rate is not None:
        style = replace(style, rate=_clamped(heard.rate / own.rate, *limits.rate))
    if heard.f0 is not None and own.f0 is not None:
        semitones = 12 * log2(heard.f0 / own.f0)
        style = replace(style, pitch=_clamped(semitones, -limits.pitch, limits.pitch))
    if heard.loudness is not None and own.loudness is not None:
        decibels = heard.loudness - own.loudness
        style = replace(style, energy=_clamped(decibels, -limits.energy, limits.energy))
    return style


def own_prosody(engine: Engine, voice: str) -> Prosody:
    """How a voice sounds of itself, measured on `CALIBRATION`."""
    return measure_prosody(engine.speak(CALIBRATION, voice, NEUTRAL))


def _clamped(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
