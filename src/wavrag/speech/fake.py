"""A fake engine: buzzes that follow the syllables of the text, and pitch, tempo and level."""

from __future__ import annotations

import re

import numpy as np

from wavrag.audio import SAMPLE_RATE
from wavrag.errors import AudioError
from wavrag.speech.base import Style, apply_gain
from wavrag.types import Clip

_SYLLABLE = re.compile(r"[aeiouy]+", re.IGNORECASE)
_HERTZ = {"low": 110.0, "high": 200.0}
_SECONDS = 0.2  # a syllable with its gap
_VOICED_SHARE = 0.7  # of a syllable; the rest is its gap
_HARMONICS = 8


class FakeEngine:
    """Speaks every group of vowels as a buzz, for tests: deterministic and without weights."""

    name = "fake"
    revision = "1"
    voices = ("low", "high")
    default_voice = "low"

    def speak(self, text: str, voice: str, style: Style) -> Clip:
        """Speak a text.

        Raises:
            AudioError: the text has no vowel.
        """
        syllables = len(_SYLLABLE.findall(text))
        if not syllables:
            raise AudioError(f"{text!r} has no syllable to speak")
        hertz = _HERTZ[style.voice or voice] * 2 ** (style.pitch / 12)
        length = round(_SECONDS / style.rate * SAMPLE_RATE)
        time = np.arange(round(length * _VOICED_SHARE)) / SAMPLE_RATE
        phase = 2 * np.pi * hertz * time
        buzz = sum(np.sin(n * phase) / n for n in range(1, _HARMONICS + 1))
        buzz = 0.1 * buzz * np.hanning(len(time))
        syllable = np.pad(buzz, (0, length - len(time)))
        return apply_gain(
            Clip(np.tile(syllable, syllables).astype(np.float32), SAMPLE_RATE, text), style.energy
        )
