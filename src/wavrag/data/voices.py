"""Speech engines for training data: random speaking styles, without the voices of evaluation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from wavrag.errors import InputError
from wavrag.speech import (
    Endpoint,
    Engine,
    Espeak,
    Kokoro,
    Piper,
    Service,
    Style,
    Synthesiser,
    load_engine,
    voice_settings,
)
from wavrag.types import Clip

__all__ = [
    "RESERVED_VOICES", "Endpoint", "RandomStyleSpeaker", "Speaker", "is_reserved_voice",
    "load_speaker",
]  # fmt: skip

RESERVED_VOICES = frozenset(
    "af_nova am_onyx bf_alice bm_daniel af_sky am_puck bf_lily bm_fable joe"
    " af_kore am_echo bm_lewis".split()  # these three ask the questions of the demo
)
"""Voices for evaluation only."""


class Speaker(Synthesiser, Protocol):
    """A speech engine that draws the speaking style from a random generator."""

    def speak(self, text: str, voice: str, rng: np.random.Generator) -> Clip:
        """Speak a text in a voice, in a style drawn from `rng`.

        Raises:
            Exception: one of `wavrag.speech.SPEECH_ERRORS` if the engine cannot speak this text.
            WavRAGError: any other one if the engine cannot speak at all.
        """
        ...


def load_speaker(
    name: str,
    kokoro: Path | None = None,
    piper: Sequence[Path] = (),
    endpoint: Endpoint | None = None,
) -> Speaker:
    """Load a speech engine by name; the arguments are those of `wavrag.speech.load_engine`.

    Raises:
        InputError: the engine is unknown or not installed, its files are not given, or its voice
            is reserved for evaluation.
        MissingExtraError: the SDK of the engine `openai` is not installed.
    """
    if name == "kokoro" and kokoro is not None:
        return KokoroSpeaker(kokoro)
    if name == "openai" and endpoint is not None:
        return OpenAISpeaker(endpoint)
    engine = load_engine(name, kokoro, piper, endpoint)
    match name:
        case "piper":
            return PiperSpeaker(piper)
        case "flite":
            return FliteSpeaker(engine)
        case "espeak":
            return EspeakSpeaker(engine)
        case _:
            return RandomStyleSpeaker(engine)


def is_reserved_voice(voice: str) -> bool:
    """Tell whether a voice, or a part of its name such as in `en_US-joe-medium`, is reserved."""
    return not RESERVED_VOICES.isdisjoint(re.split(r"[^a-z_]+", voice.lower()))


class RandomStyleSpeaker:
    """An engine with a random pace: durations vary by up to a fifth."""

    stretch = (0.85, 1.2)  # range of the factor of duration

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name = engine.name
        self.voices = engine.voices

    @property
    def revision(self) -> str:
        """Revision of the engine."""
        return self._engine.revision

    def speak(self, text: str, voice: str, rng: np.random.Generator) -> Clip:
        """Speak a text in a random style."""
        return self._engine.speak(text, voice, self.style(voice, rng))

    def style(self, voice: str, rng: np.random.Generator) -> Style:
        """Draw a speaking style for a voice."""
        return Style(rate=1 / rng.uniform(*self.stretch))


class FliteSpeaker(RandomStyleSpeaker):
    """Flite, with a slightly higher top pace than the other engines."""

    stretch = (0.82, 1.2)


class EspeakSpeaker(RandomStyleSpeaker):
    """espeak-ng, with random pitch in addition."""

    def style(self, voice: str, rng: np.random.Generator) -> Style:
        """Draw pace and pitch."""
        # In espeak's own units, words per minute and steps from 0 to 99, which are whole numbers.
        pace, pitch = int(rng.integers(130, 195)), int(rng.integers(30, 70))
        return Style(pace / Espeak.words_per_minute, (pitch - 50) / Espeak.steps_per_semitone)


class PiperSpeaker(RandomStyleSpeaker):
    """Voices of Piper.

    Raises:
        InputError: a model or its configuration is missing, two models have the same name, or a
            voice is reserved for evaluation.
    """

    def __init__(self, models: Sequence[Path]) -> None:
        for model in models:
            # A renamed file still names its training voice in the configuration.
            names = (model.stem, str(voice_settings(model).get("dataset") or ""))
            if any(map(is_reserved_voice, names)):
                raise InputError(f"Piper voice {model} is held back for evaluation")
        super().__init__(Piper(models))


class KokoroSpeaker(RandomStyleSpeaker):
    """Kokoro; a third of the clips blend two voices, which makes more speakers than it has voices.

    Voices of other languages speak English with an American or a British accent, at random.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(Kokoro(folder))
        self.voices = [voice for voice in self.voices if voice not in RESERVED_VOICES]
        self._english = [voice for voice in self.voices if voice[0] in "ab"]

    def style(self, voice: str, rng: np.random.Generator) -> Style:
        """Draw pace, blend and accent."""
        blend = voice
        if rng.random() < 1 / 3:
            second = self._english[int(rng.integers(len(self._english)))]
            blend = f"{voice}*{rng.uniform(0.3, 0.7)!r}+{second}"
        # The first letter of a voice is its accent: `a` American, `b` British, others foreign.
        british = voice[0] == "b" or (voice[0] != "a" and rng.random() < 0.5)
        accent = "en-gb" if british else "en-us"
        return Style(rate=rng.uniform(0.85, 1.3), voice=f"{blend}@{accent}")


class OpenAISpeaker(RandomStyleSpeaker):
    """A service with OpenAI's API; the pace varies if the model supports it.

    Raises:
        MissingExtraError: the SDK is not installed.
        InputError: there is no API key.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(Service(endpoint))
