"""The speech engines as training uses them: style drawn, voices of evaluation left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from wavrag.errors import InputError
from wavrag.speech import Endpoint, Engine, Espeak, Kokoro, Piper, Service, Style, voice_settings
from wavrag.speech import load_engine as load_speech_engine
from wavrag.types import Clip

__all__ = [
    "RESERVED_VOICES",
    "Endpoint",
    "RandomStyleSpeaker",
    "Speaker",
    "is_reserved_voice",
    "load_speaker",
]

RESERVED_VOICES = frozenset(
    "af_nova am_onyx bf_alice bm_daniel af_sky am_puck bf_lily bm_fable joe"
    " af_kore am_echo bm_lewis".split()  # these three ask the demo's questions
)
"""Voices that only evaluation may use."""


class Speaker(Protocol):
    """Something that speaks as a generator of random numbers decides."""

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

    def speak(self, text: str, voice: str, rng: np.random.Generator) -> Clip:
        """Say a text in a voice, in a style drawn from the generator.

        Raises:
            Exception: one of `wavrag.speech.base.UNSPEAKABLE`: it cannot say this text.
            WavRAGError: any other: it cannot say anything as it is now.
        """
        ...


def load_speaker(
    name: str,
    kokoro: Path | None = None,
    piper: Sequence[Path] = (),
    endpoint: Endpoint | None = None,
) -> Speaker:
    """An engine by name, to speak as drawn; the arguments are those of `wavrag.speech`.

    Raises:
        InputError: there is no such engine, it is not installed, what it needs is not given, or
            its voice is held back for evaluation.
        MissingExtraError: the SDK of the engine `openai` is not installed.
    """
    if name == "kokoro" and kokoro is not None:
        return KokoroSpeaker(kokoro)
    if name == "openai" and endpoint is not None:
        return OpenAISpeech(endpoint)
    engine = load_speech_engine(name, kokoro, piper, endpoint)
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
    """Whether only evaluation may use a voice; a name such as `en_US-joe-medium` holds one."""
    return not RESERVED_VOICES.isdisjoint(re.split(r"[^a-z_]+", voice.lower()))


class RandomStyleSpeaker:
    """An engine whose pace varies by a fifth."""

    stretch = (0.85, 1.2)  # factors of duration

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name = engine.name
        self.voices = engine.voices

    @property
    def revision(self) -> str:
        """Of the engine."""
        return self._engine.revision

    def speak(self, text: str, voice: str, rng: np.random.Generator) -> Clip:
        """Say a text in a style drawn for it."""
        return self._engine.speak(text, voice, self.style(voice, rng))

    def style(self, voice: str, rng: np.random.Generator) -> Style:
        """Draw how a text is said in a voice."""
        return Style(rate=1 / rng.uniform(*self.stretch))


class FliteSpeaker(RandomStyleSpeaker):
    """Flite, a little faster at most than the others."""

    stretch = (0.82, 1.2)


class EspeakSpeaker(RandomStyleSpeaker):
    """espeak-ng, whose pitch varies too."""

    def style(self, voice: str, rng: np.random.Generator) -> Style:
        """Draw pace and pitch."""
        pace, pitch = int(rng.integers(130, 195)), int(rng.integers(30, 70))
        program = Espeak
        return Style(pace / program.words_per_minute, (pitch - 50) / program.steps_per_semitone)


class PiperSpeaker(RandomStyleSpeaker):
    """Piper's voices.

    Raises:
        InputError: a file or its configuration is missing, two files have one name, or a voice is
            held back for evaluation.
    """

    def __init__(self, models: Sequence[Path]) -> None:
        for model in models:
            names = (model.stem, str(voice_settings(model).get("dataset") or ""))
            if any(map(is_reserved_voice, names)):
                raise InputError(f"Piper voice {model} is held back for evaluation")
        super().__init__(Piper(models))


class KokoroSpeaker(RandomStyleSpeaker):
    """KokoroSpeaker: a third of the clips are in a mix of two voices.

    The words of a voice for another language are looked up in either accent.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(Kokoro(folder))
        self.voices = [voice for voice in self.voices if voice not in RESERVED_VOICES]
        self._english = [voice for voice in self.voices if voice[0] in "ab"]

    def style(self, voice: str, rng: np.random.Generator) -> Style:
        """Draw pace, mix and accent."""
        mix = voice
        if rng.random() < 1 / 3:
            other = self._english[int(rng.integers(len(self._english)))]
            mix = f"{voice}*{rng.uniform(0.3, 0.7)!r}+{other}"
        british = voice[0] == "b" or (voice[0] != "a" and rng.random() < 0.5)
        accent = "en-gb" if british else "en-us"
        return Style(rate=rng.uniform(0.85, 1.3), voice=f"{mix}@{accent}")


class OpenAISpeech(RandomStyleSpeaker):
    """A service, whose pace varies by a fifth where the model lets it.

    Raises:
        MissingExtraError: the SDK is not installed.
        InputError: there is no key.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(Service(endpoint))

    def style(self, voice: str, rng: np.random.Generator) -> Style:
        """Draw the pace."""
        return Style(rate=rng.uniform(*self.stretch))
