"""Describe how a recording sounds, in words for a prompt, from measurements only."""

from __future__ import annotations

import math

from wavrag.audio.prosody import rms_dbfs
from wavrag.types import Clip, Float32

# Upper bounds in dBFS; anything above the last one is loud.
_LEVELS = ((-60.0, "hardly audible"), (-32.0, "quiet"), (-12.0, "of usual level"))


def measure_level(samples: Float32) -> float:
    """RMS level of samples in dBFS; `-inf` for digital silence and for no samples."""
    level = rms_dbfs(samples)
    return -math.inf if level is None else level


def mean_level(first: float, first_seconds: float, second: float, second_seconds: float) -> float:
    """Level in dBFS of two clips played one after the other.

    Levels are logarithms of power, so the powers are averaged, weighted by duration.
    """
    energy = first_seconds * 10 ** (first / 10) + second_seconds * 10 ** (second / 10)
    power = energy / max(first_seconds + second_seconds, 1e-9)
    return 10 * math.log10(power) if power > 0 else -math.inf


def describe_sound(speech: bool | None, seconds: float, level: float) -> str:
    """Describe a recording by its content, duration and loudness.

    Args:
        speech: whether it contains speech; None if voice activity detection has not run.
        seconds: duration.
        level: RMS level in dBFS, `-inf` for digital silence.

    Returns:
        For example `sound without speech, 12.4 s, quiet (-38 dBFS)`.
    """
    if level == -math.inf:
        return f"silence, {seconds:.1f} s"
    content = {True: "speech", False: "sound without speech", None: "sound"}[speech]
    loudness = next((name for bound, name in _LEVELS if level < bound), "loud")
    return f"{content}, {seconds:.1f} s, {loudness} ({level:.0f} dBFS)"


def describe_clip(clip: Clip) -> str:
    """Measure a clip and describe it; see `describe_sound`."""
    return describe_sound(clip.speech, clip.duration, measure_level(clip.samples))
