"""Derive the style of an answer from the prosody of a recording."""

from __future__ import annotations

from dataclasses import replace
from math import log2
from typing import Literal, TypeAlias

from wavrag.audio import Prosody, measure_prosody
from wavrag.speech.base import NEUTRAL, Engine, Style

# The clip whose prosody an answer follows: the question, or the recording behind the answer.
Follow: TypeAlias = Literal["question", "source"]

# Spoken once in each voice to measure its default prosody: two sentences, because tempo needs
# a few seconds of speech.
CALIBRATION = (
    "The ferry leaves at noon and comes back in the evening. Nobody knows how old the bridge is."
)

# Limits of a style, so that the speech stays intelligible.
RATE_LIMITS = (0.8, 1.25)  # tempo factor
PITCH_LIMIT = 4.0  # semitones up and down
ENERGY_LIMIT = 8.0  # dB up and down


def match_style(target: Prosody, default: Prosody) -> Style:
    """The style that brings a voice with a default prosody closest to a target.

    A value missing in either measurement keeps its default.
    """
    style = NEUTRAL
    if target.rate is not None and default.rate is not None:
        style = replace(style, rate=_clamp(target.rate / default.rate, *RATE_LIMITS))
    if target.f0 is not None and default.f0 is not None:
        semitones = 12 * log2(target.f0 / default.f0)
        style = replace(style, pitch=_clamp(semitones, -PITCH_LIMIT, PITCH_LIMIT))
    if target.loudness is not None and default.loudness is not None:
        decibels = target.loudness - default.loudness
        style = replace(style, energy=_clamp(decibels, -ENERGY_LIMIT, ENERGY_LIMIT))
    return style


def measure_voice(engine: Engine, voice: str) -> Prosody:
    """Measure the default prosody of a voice on `CALIBRATION`."""
    return measure_prosody(engine.speak(CALIBRATION, voice, NEUTRAL))


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
