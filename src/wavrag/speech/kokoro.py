"""The Kokoro-82M engine, close to human speech (Apache-2.0; package `kokoro-onnx`)."""

from __future__ import annotations

import threading
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from wavrag.audio import SAMPLE_RATE, resample
from wavrag.embed import load_session
from wavrag.errors import InputError
from wavrag.speech.base import Style, apply_gain, file_digest, shift_pitch
from wavrag.types import Clip, Float32

_SPEEDS = (0.5, 2.0)  # range of the package


class Kokoro:
    """Voices with names in a (American) and b (British) are English.

    The voices of other languages speak English with an accent. `Style.voice` may be a mix of two
    voices, `af_bella*0.4+am_adam` (40 % of the first), and may end with the accent of the
    pronunciation: `zf_xiaoyi@en-gb`.

    Args:
        folder: folder with `kokoro-int8.onnx` and `voices-v1.0.bin`.

    Raises:
        InputError: the package is not installed.
        EmbedderError: the model is missing or damaged.
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
        self._phonemiser_lock = threading.Lock()  # espeak's library has one global state

    @cached_property
    def revision(self) -> str:
        """Digest of the model file."""
        return file_digest(self._file)

    def speak(self, text: str, voice: str, style: Style) -> Clip:
        """Speak a text."""
        mix, _, accent = (style.voice or voice).partition("@")
        with self._phonemiser_lock:
            phonemes = self._model.tokenizer.phonemize(
                text, accent or ("en-gb" if mix[0] == "b" else "en-us")
            )
        say = partial(self._speak, text, phonemes, self._timbre(mix))
        return apply_gain(shift_pitch(say, style.rate, style.pitch), style.energy)

    def _speak(self, text: str, phonemes: str, timbre: Float32, rate: float) -> Clip:
        speed = float(np.clip(rate, *_SPEEDS))
        samples, hertz = self._model.create(phonemes, timbre, speed=speed, is_phonemes=True)
        return resample(Clip(np.clip(samples, -1, 1).astype(np.float32), hertz, text), SAMPLE_RATE)

    def _timbre(self, mix: str) -> Float32:
        """Style matrix of a voice in the model, or of a mix of two."""
        first, _, second = mix.partition("+")
        name, _, share = first.partition("*")
        timbre: Float32 = self._model.get_voice_style(name)
        if second:
            weight, second_timbre = float(share or 0.5), self._model.get_voice_style(second)
            timbre = (weight * timbre + (1 - weight) * second_timbre).astype("f4")
        return timbre
