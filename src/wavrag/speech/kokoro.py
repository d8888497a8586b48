"""Kokoro-82M, near human (Apache-2.0; package `kokoro-onnx`)."""

from __future__ import annotations

import threading
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from wavrag.audio import SAMPLE_RATE, resample
from wavrag.embed import load_session
from wavrag.errors import InputError
from wavrag.speech.base import Style, digest, louder, repitched
from wavrag.types import Clip, Float32

_SPEEDS = (0.5, 2.0)  # that the package takes


class Kokoro:
    """Voices whose names begin with a (American) and b (British) are English.

    The voices for other languages say English with something of an accent. A variant of a voice,
    `Style.voice`, may be a mix, `af_bella*0.4+am_adam` (40 % of the first), and may end in the
    accent that words are looked up in: `zf_xiaoyi@en-gb`.

    Args:
        folder: holds `kokoro-int8.onnx` and `voices-v1.0.bin`.

    Raises:
        InputError: the package is not installed.
        EmbedderError: the model is missing or broken.
    """

    name = "kokoro"

    def __init__(self, folder: Path) -> None:
        try:
            from kokoro_onnx import Kokoro as Model
        except ImportError as error:
            raise InputError(
                "the engine kokoro needs a package: pip install kokoro-onnx"
            ) from error
        self._file = folder / "kokoro-int8.onnx"
        self._model: Any = Model.from_session(
            load_session(self._file), str(folder / "voices-v1.0.bin")
        )
        self.voices = tuple(self._model.get_voices())
        self.default_voice = "af_heart" if "af_heart" in self.voices else self.voices[0]
        self._phonemising = threading.Lock()  # espeak's library keeps one state a process

    @cached_property
    def revision(self) -> str:
        """Digest of the model."""
        return digest(self._file)

    def speak(self, text: str, voice: str, style: Style) -> Clip:
        """Say a text."""
        mix, _, accent = (style.voice or voice).partition("@")
        with self._phonemising:
            said = self._model.tokenizer.phonemize(
                text, accent or ("en-gb" if mix[0] == "b" else "en-us")
            )
        say = partial(self._say, text, said, self._timbre(mix))
        return louder(repitched(say, style.rate, style.pitch), style.energy)

    def _say(self, text: str, phonemes: str, timbre: Float32, rate: float) -> Clip:
        speed = float(np.clip(rate, *_SPEEDS))
        samples, hertz = self._model.create(phonemes, timbre, speed=speed, is_phonemes=True)
        return resample(Clip(np.clip(samples, -1, 1).astype(np.float32), hertz, text), SAMPLE_RATE)

    def _timbre(self, mix: str) -> Float32:
        """What stands for a voice in the model, or for a mix of two."""
        first, _, second = mix.partition("+")
        if not second:
            timbre: Float32 = self._model.get_voice_style(first)
            return timbre
        name, _, share = first.partition("*")
        one, other = self._model.get_voice_style(name), self._model.get_voice_style(second)
        weight = float(share or 0.5)
        mixed: Float32 = (weight * one + (1 - weight) * other).astype("f4")
        return mixed
