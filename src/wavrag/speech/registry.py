"""Load an engine by name, or the best one available."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from wavrag import config
from wavrag.errors import InputError, SpeechError
from wavrag.speech.base import NEUTRAL, SPEECH_ERRORS, Engine, describe_error
from wavrag.speech.fake import FakeEngine
from wavrag.speech.kokoro import Kokoro
from wavrag.speech.piper import Piper
from wavrag.speech.programs import Espeak, Festival, Flite
from wavrag.speech.service import Endpoint, Service

ENGINES = ("kokoro", "flite", "espeak", "festival", "piper", "openai")
PROGRAMS = {program.name: program for program in (Flite, Festival, Espeak)}  # best first


def load_engine(
    name: str,
    kokoro: Path | None = None,
    piper: Sequence[Path] = (),
    endpoint: Endpoint | None = None,
) -> Engine:
    """Load an engine by name.

    Args:
        name: one of `ENGINES`, or `fake`.
        kokoro: folder with `kokoro-int8.onnx` and `voices-v1.0.bin`, for the engine `kokoro`.
        piper: voice files, each with its `.onnx.json` beside it, for the engine `piper`.
        endpoint: service for the engine `openai`.

    Raises:
        InputError: the engine is unknown or not installed, or an argument is missing.
        MissingExtraError: the SDK of the engine `openai` is not installed.
    """
    if name == "fake":
        return FakeEngine()
    if name == "kokoro":
        if kokoro is None:
            raise InputError("the engine kokoro needs its model: name the folder with --kokoro")
        return Kokoro(kokoro)
    if name == "openai":
        if endpoint is None:
            raise InputError("the engine openai needs a model: name it with --model")
        return Service(endpoint)
    if name == "piper" and not piper:
        raise InputError("the engine piper needs a voice: name its file with --piper MODEL.onnx")
    if name == "piper":
        engine = Piper(piper)
        if shutil.which(engine.program) is None:
            raise InputError("engine piper needs the program 'piper': install it")
        return engine
    if name not in PROGRAMS:
        raise InputError(f"no speech engine {name!r}: choose from {', '.join(ENGINES)}")
    defect = find_defect(name)
    if defect is not None:
        raise InputError(f"engine {name} {defect}")
    return PROGRAMS[name]()


def find_defect(name: str) -> str | None:
    """The reason why an engine that runs a program cannot speak, with a remedy; None if it can.

    It speaks a word once in this process: an installed program may have no voice.

    Args:
        name: `flite`, `festival` or `espeak`.
    """
    engine = PROGRAMS[name]
    path = shutil.which(engine.program)
    if path is None:
        return (
            f"needs the program {engine.program!r}: install it (apt-get install {engine.package})"
        )
    return _speak_word(name, path)


@cache
def _speak_word(name: str, path: str) -> str | None:
    engine = PROGRAMS[name]()
    try:
        is_silent = not engine.speak("Yes.", engine.default_voice, NEUTRAL).samples.any()
        reason = "it writes silence" if is_silent else ""
    except SPEECH_ERRORS as error:
        reason = describe_error(error)
    if not reason:
        return None
    return f"is installed, but cannot speak ({reason}): apt-get install {engine.package}"


def best_engine(name: str | None = None) -> Engine:
    """Load the best engine that can speak, or a named one, with settings from the environment.

    The order is: `WAVRAG_PIPER` (voice files, separated as in PATH), `WAVRAG_KOKORO` (model
    folder), `WAVRAG_SPEECH_URL` (service with OpenAI's interface, with `WAVRAG_SPEECH_MODEL` and
    `WAVRAG_SPEECH_VOICE`), festival with the voice of `festvox-us-slt-hts`, flite, festival with
    other voices, espeak-ng. The order of the programs follows the word error rates in
    docs/voice.md.

    Raises:
        SpeechError: no engine is available.
        InputError: an engine is configured or named, but not usable.
        MissingExtraError: the SDK for the service is not installed.
    """
    variables = {"piper": "WAVRAG_PIPER", "kokoro": "WAVRAG_KOKORO", "openai": "WAVRAG_SPEECH_URL"}
    piper, kokoro, url = map(config.setting_text, ("piper", "kokoro", "speech_url"))
    settings = {"piper": piper, "kokoro": kokoro, "openai": url}
    names = (engine for engine, value in settings.items() if value)
    choice = name or next(names, None) or next(filter(_can_speak, _rank_programs()), None)
    if choice is None:
        raise SpeechError(
            "no speech engine is available: apt-get install espeak-ng (or flite), or name a"
            " neural voice with WAVRAG_PIPER or WAVRAG_KOKORO, or a service with WAVRAG_SPEECH_URL"
        )
    if choice in settings and not settings[choice]:
        raise InputError(f"the engine {choice} needs its setting: set {variables[choice]}")
    voices = tuple(filter(None, config.setting_text("speech_voice").split(",")))
    model = config.setting_text("speech_model") or "tts-1"
    return load_engine(
        choice,
        Path(kokoro) if kokoro else None,
        list(map(Path, piper.split(os.pathsep))) if piper else (),
        (Endpoint(model, url, voices) if voices else Endpoint(model, url)) if url else None,
    )


def _rank_programs() -> Iterator[str]:
    """Names of installed programs, best first."""
    programs = [name for name, engine in PROGRAMS.items() if shutil.which(engine.program)]
    if "festival" in programs and Festival().default_voice == Festival.voices[0]:
        yield "festival"
    yield from programs


def _can_speak(name: str) -> bool:
    return find_defect(name) is None
