"""The Piper engine, neural and fast: run as a program, because its package is under the GPL."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from wavrag.audio import load
from wavrag.errors import InputError
from wavrag.speech.base import Style, apply_gain, file_digest, shift_pitch
from wavrag.speech.programs import run
from wavrag.types import Clip


class Piper:
    """Each voice is a file, named without `.onnx`; speakers of one file are `FILE#NUMBER`.

    Args:
        models: voice files, each with its configuration, `MODEL.onnx.json`, beside it.

    Raises:
        InputError: a file or its configuration is missing, or two files have the same name.
    """

    name = program = "piper"

    def __init__(self, models: Sequence[Path]) -> None:
        self._models: dict[str, tuple[Path, int | None]] = {}
        for model in models:
            speakers = voice_settings(model)["num_speakers"]
            for speaker in range(speakers) if speakers > 1 else (None,):
                voice = model.stem if speaker is None else f"{model.stem}#{speaker}"
                if voice in self._models:
                    raise InputError(f"two Piper voices are called {voice}: rename one")
                self._models[voice] = (model, speaker)
        self.voices = tuple(self._models)
        self.default_voice = next(iter(self.voices), "")

    @cached_property
    def revision(self) -> str:
        """Digests of the voice files."""
        models = sorted({model for model, _ in self._models.values()}, key=lambda path: path.name)
        return " ".join(map(file_digest, models))

    def speak(self, text: str, voice: str, style: Style) -> Clip:
        """Speak a text."""
        say = partial(self._speak, text, style.voice or voice)
        return apply_gain(shift_pitch(say, style.rate, style.pitch), style.energy)

    def _speak(self, text: str, voice: str, rate: float) -> Clip:
        model, speaker = self._models[voice]
        command = ["piper", "--model", str(model), "--length_scale", f"{1 / rate:.2f}"]
        command += [] if speaker is None else ["--speaker", str(speaker)]
        with tempfile.NamedTemporaryFile(suffix=".wav") as out:
            # Piper reads each line as a text of its own.
            run([*command, "--output_file", out.name], " ".join(text.split()) + "\n")
            return load(out.name)


def voice_settings(model: Path) -> dict[str, Any]:
    """Read the configuration of a Piper voice, with `num_speakers`.

    Raises:
        InputError: the voice or its configuration is missing or damaged.
    """
    config = model.with_name(model.name + ".json")
    for path in (model, config):
        if not path.is_file():
            raise InputError(f"Piper voice {model}: there is no {path}")
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
        if not isinstance(settings, dict):
            raise TypeError("it is not a JSON object")
        return {**settings, "num_speakers": int(settings.get("num_speakers") or 1)}
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{config} is no configuration of a Piper voice: {error}") from error
