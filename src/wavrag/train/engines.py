"""What speaks: programs, a model in this process, and an endpoint, behind one method."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from wavrag.audio import load, resample
from wavrag.embed.runtime import load_session
from wavrag.errors import AudioError, InputError, MissingExtraError, WavRAGError
from wavrag.types import Clip

RATE = 16_000  # Hz
ENGINES = ("kokoro", "flite", "espeak", "festival", "piper", "openai")
RESERVED = frozenset(
    "af_nova am_onyx bf_alice bm_daniel af_sky am_puck bf_lily bm_fable joe"
    " af_kore am_echo bm_lewis".split()  # these three ask the demo's questions
)
"""Voices that only evaluation may use."""

UNSPEAKABLE = (AudioError, OSError, subprocess.SubprocessError, ValueError, RuntimeError)
"""What an engine raises that cannot say a text; it may still say the next one."""


class Engine(Protocol):
    """Something that speaks."""

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
        """Say a text in a voice, at a pace (and pitch) that the generator draws.

        Raises:
            Exception: one of `UNSPEAKABLE`: it cannot say this text.
            WavRAGError: any other: it cannot say anything as it is now.
        """
        ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A speech service with OpenAI's interface, `POST BASE_URL/audio/speech`.

    Attributes:
        model: as the service calls it.
        base_url: mostly ends in /v1; None for `OPENAI_BASE_URL`, or OpenAI's own.
        voices: names that the service knows.
        timeout: seconds of silence before a request counts as failed.
        retries: further tries after a refused connection, a timeout, 429 or a server's fault.
    """

    model: str
    base_url: str | None = None
    voices: tuple[str, ...] = ("alloy", "ash", "coral", "echo", "fable", "nova", "onyx", "sage")
    timeout: float = 120.0
    retries: int = 4


def load_engine(
    name: str,
    kokoro: Path | None = None,
    piper: Sequence[Path] = (),
    endpoint: Endpoint | None = None,
) -> Engine:
    """An engine by name.

    Args:
        name: one of `ENGINES`.
        kokoro: folder with `kokoro-int8.onnx` and `voices-v1.0.bin`, for the engine `kokoro`.
        piper: voice files, each with its `.onnx.json` beside it, for the engine `piper`.
        endpoint: service for the engine `openai`.

    Raises:
        InputError: there is no such engine, it is not installed, or what it needs is not given.
        MissingExtraError: the SDK of the engine `openai` is not installed.
    """
    if name == "kokoro":
        if kokoro is None:
            raise InputError("the engine kokoro needs its model: name the folder with --kokoro")
        return Kokoro(kokoro)
    if name == "openai":
        if endpoint is None:
            raise InputError("the engine openai needs the name of a model: give it with --model")
        return OpenAISpeech(endpoint)
    if name == "piper" and not piper:
        raise InputError("the engine piper needs a voice: name its file with --piper MODEL.onnx")
    for engine in (Flite(), Espeak(), Festival(), Piper(piper)):
        if engine.name == name:
            if shutil.which(engine.program) is None:
                raise InputError(f"engine {name} needs the program {engine.program!r}: install it")
            return engine
    raise InputError(f"no speech engine {name!r}: choose from {', '.join(ENGINES)}")


def reserved(voice: str) -> bool:
    """Whether only evaluation may use a voice; a name such as `en_US-joe-medium` holds one."""
    return not RESERVED.isdisjoint(re.split(r"[^a-z_]+", voice.lower()))


class _Program:
    """A program that says its version."""

    names_version: str

    @cached_property
    def revision(self) -> str:
        """Version of the program; empty if it cannot be had."""
        try:
            said = _run([self.names_version, "--version"]).decode(errors="replace")
        except subprocess.CalledProcessError as error:  # flite says it and exits with 1
            said = error.stdout.decode(errors="replace")
        except (OSError, subprocess.SubprocessError):
            return ""
        found = re.search(r"\d+(\.\d+)+", said)
        return found[0] if found else ""


class Flite(_Program):
    """Carnegie Mellon's small synthesiser."""

    name = program = names_version = "flite"
    voices = ("kal16", "awb", "rms", "slt")

    def speak(self, text: str, voice: str, rng: np.random.Generator) -> Clip:
        """Say a text; the pace varies by a fifth."""
        stretch = f"duration_stretch={rng.uniform(0.82, 1.2):.2f}"
        with tempfile.NamedTemporaryFile(suffix=".wav") as out:
            _run(["flite", "-voice", voice, "--setf", stretch, "-t", text, "-o", out.name])
            return load(out.name)


class Espeak(_Program):
    """A formant synthesiser: hard to follow, in as many voices as wanted."""

    name = "espeak"
    program = names_version = "espeak-ng"
    voices = tuple(
        f"{accent}+{timbre}"
        for accent in ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029")
        for timbre in ("m1", "m3", "m7", "f1", "f2", "f4", "Gene", "Annie")
    )

    def speak(self, text: str, voice: str, rng: np.random.Generator) -> Clip:
        """Say a text; pace and pitch vary."""
        pace, pitch = str(int(rng.integers(130, 195))), str(int(rng.integers(30, 70)))
        command = ["espeak-ng", "-v", voice, "-s", pace, "-p", pitch, "--stdout", "--", text]
        return load(io.BytesIO(_run(command)))


class Festival(_Program):
    """Edinburgh's synthesiser."""

    name = "festival"
    program = "text2wave"
    names_version = "festival"
    voices = ("cmu_us_slt_arctic_hts", "kal_diphone", "ked_diphone")

    def speak(self, text: str, voice: str, rng: np.random.Generator) -> Clip:
        """Say a text; the pace varies by a fifth."""
        pace = f"(Parameter.set 'Duration_Stretch {rng.uniform(0.85, 1.2):.2f})"
        with tempfile.NamedTemporaryFile(suffix=".wav") as out:
            eval_all = ["-eval", f"(voice_{voice})", "-eval", pace]
            _run(["text2wave", *eval_all, "-o", out.name], text)
            return load(out.name)


class Piper:
    """Piper, neural and fast: a program, because its package is under the GPL; a voice is a file.

    A voice is called as its file without `.onnx`; each of several speakers in one file is
    `FILE#NUMBER`.

    Args:
        models: voice files, each with its configuration, `MODEL.onnx.json`, beside it.

    Raises:
        InputError: a file or its configuration is missing, or two files have one name.
    """

    name = program = "piper"

    def __init__(self, models: Sequence[Path]) -> None:
        self._models: dict[str, tuple[Path, int | None]] = {}
        for model in models:
            speakers = _speakers(model)
            for speaker in range(speakers) if speakers > 1 else (None,):
                voice = model.stem if speaker is None else f"{model.stem}#{speaker}"
                if voice in self._models:
                    raise InputError(f"two Piper voices are called {voice}: rename one")
                self._models[voice] = (model, speaker)
        self.voices = tuple(self._models)

    @cached_property
    def revision(self) -> str:
        """Digest of the voice files."""
        models = sorted({model for model, _ in self._models.values()}, key=lambda path: path.name)
        return " ".join(map(_digest, models))

    def speak(self, text: str, voice: str, rng: np.random.Generator) -> Clip:
        """Say a text; the pace varies by a fifth."""
        model, speaker = self._models[voice]
        pace = f"{rng.uniform(0.85, 1.2):.2f}"
        command = ["piper", "--model", str(model), "--length_scale", pace]
        command += [] if speaker is None else ["--speaker", str(speaker)]
        with tempfile.NamedTemporaryFile(suffix=".wav") as out:
            # A line is a text to it.
            _run([*command, "--output_file", out.name], " ".join(text.split()) + "\n")
            return load(out.name)


class Kokoro:
    """Kokoro-82M, near human (Apache-2.0; package `kokoro-onnx`).

    A third of the clips are in a mix of two voices, and voices made for other languages say
    English with something of an accent.
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
        self._model = Model.from_session(load_session(self._file), str(folder / "voices-v1.0.bin"))
        self.voices = [voice for voice in self._model.get_voices() if voice not in RESERVED]
        self._styles = {voice: self._model.get_voice_style(voice) for voice in self.voices}
        self._english = [voice for voice in self.voices if voice[0] in "ab"]
        self._phonemising = threading.Lock()  # espeak's library keeps one state a process

    @cached_property
    def revision(self) -> str:
        """Digest of the model."""
        return _digest(self._file)

    def speak(self, text: str, voice: str, rng: np.random.Generator) -> Clip:
        """Say a text; the pace varies, and a third of the time so does the voice."""
        style = self._styles[voice]
        if rng.random() < 1 / 3:
            other = self._english[int(rng.integers(len(self._english)))]
            share = rng.uniform(0.3, 0.7)
            style = (share * style + (1 - share) * self._styles[other]).astype("f4")
        british = voice[0] == "b" or (voice[0] != "a" and rng.random() < 0.5)
        with self._phonemising:
            said = self._model.tokenizer.phonemize(text, "en-gb" if british else "en-us")
        samples, rate = self._model.create(
            said, style, speed=float(rng.uniform(0.85, 1.3)), is_phonemes=True
        )
        return resample(Clip(np.clip(samples, -1, 1).astype(np.float32), rate, text), RATE)


class OpenAISpeech:
    """A service with OpenAI's speech interface; the key is `OPENAI_API_KEY`.

    Raises:
        MissingExtraError: the SDK is not installed.
        InputError: there is no key.
    """

    name = "openai"

    def __init__(self, endpoint: Endpoint) -> None:
        if importlib.util.find_spec("openai") is None:
            raise MissingExtraError("the engine openai", "openai")
        if not os.environ.get("OPENAI_API_KEY"):
            raise InputError(
                "the engine openai needs a key: set OPENAI_API_KEY (to any word for a server that"
                " asks for none)"
            )
        import openai

        self.revision = endpoint.model
        self.voices = endpoint.voices
        self._client = openai.OpenAI(
            base_url=endpoint.base_url, timeout=endpoint.timeout, max_retries=endpoint.retries
        )

    def speak(self, text: str, voice: str, rng: np.random.Generator) -> Clip:
        """Say a text; the pace varies by a fifth where the model lets it.

        Raises:
            AudioError: the service refuses this text, takes too long for it, or sends no sound.
            InputError: the service cannot be reached, or refuses the key, the model or the rate.
        """
        import openai

        try:
            answer = self._client.audio.speech.create(
                model=self.revision,
                voice=voice,
                input=text,
                response_format="wav",
                speed=round(float(rng.uniform(0.85, 1.2)), 2),
            )
            return load(io.BytesIO(answer.content))
        except openai.OpenAIError as error:
            raise self._explained(error) from error
        except AudioError as error:
            raise AudioError(f"{self._client.base_url}: sent no sound ({error})") from error

    def _explained(self, error: Exception) -> WavRAGError:
        import openai

        url = self._client.base_url
        match error:
            case openai.APITimeoutError():
                return AudioError(f"{url}: did not answer in time ({error})")
            case openai.APIConnectionError():
                remedy = "cannot be reached: start the server, or correct --base-url"
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                remedy = "refuses the key: correct OPENAI_API_KEY"
            case openai.NotFoundError():
                remedy = (
                    f"has no model {self.revision!r}, or is no such endpoint: correct --model, or"
                    " --base-url, which mostly ends in /v1"
                )
            case openai.RateLimitError():
                remedy = "allows no more requests: go on later, or with fewer --threads"
            case _:
                return AudioError(f"{url}: refuses the text ({error})")
        return InputError(f"{url}: {remedy} ({error})")


def _speakers(model: Path) -> int:
    """How many speakers a Piper voice has."""
    config = model.with_name(model.name + ".json")
    for path in (model, config):
        if not path.is_file():
            raise InputError(f"Piper voice {model}: there is no {path}")
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
        names = (model.stem, str(settings.get("dataset") or ""))
        if any(map(reserved, names)):
            raise InputError(f"Piper voice {model} is held back for evaluation")
        return int(settings.get("num_speakers") or 1)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{config} is no configuration of a Piper voice: {error}") from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _run(command: list[str], text: str | None = None) -> bytes:
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        command,
        input=None if text is None else text.encode(),
        capture_output=True,
        check=True,
        timeout=60,
        env=environment,
    ).stdout
