"""An engine without a model: buzzes whose number, pitch, pace and level follow what is asked."""

from __future__ import annotations

import re

import numpy as np

from wavrag.audio import SAMPLE_RATE
from wavrag.errors import AudioError
from wavrag.speech.base import Style, louder
from wavrag.types import Clip

_SYLLABLE = re.compile(r"[aeiouy]+", re.IGNORECASE)
_HERTZ = {"low": 110.0, "high": 200.0}
_SECONDS = 0.2  # a syllable with its gap
_SOUNDING = 0.7  # share of a syllable that sounds
_HARMONICS = 8


class FakeEngine:
    """Says every group of vowels as a buzz, for tests: deterministic, and without weights."""

    name = "fake"
    revision = "1"
    voices = ("low", "high")
    default_voice = "low"

    def speak(self, text: str, voice: str, style: Style) -> Clip:
        """Buzz a text.

        Raises:
            AudioError: it has no vowel.
        """
        syllables = len(_SYLLABLE.findall(text))
        if not syllables:
            raise AudioError(f"{text!r} has nothing to say")
        hertz = _HERTZ[style.voice or voice] * 2 ** (style.pitch / 12)
        length = round(_SECONDS / style.rate * SAMPLE_RATE)
        time = np.arange(round(length * _SOUNDING)) / SAMPLE_RATE
        phase = 2 * np.pi * hertz * time
        buzz = sum(np.sin(n * phase) / n for n in range(1, _HARMONICS + 1))
        buzz = 0.1 * buzz * np.hanning(len(time))
        one = np.pad(buzz, (0, length - len(time)))
        return louder(
            Clip(np.tile(one, syllables).astype(np.float32), SAMPLE_RATE, text), style.energy
        )
