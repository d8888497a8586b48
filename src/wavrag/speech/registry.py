"""Engines by name, and the best one that is here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from wavrag.errors import InputError, SpeechError
from wavrag.speech.base import Engine
from wavrag.speech.engines import Espeak, Festival, Flite
from wavrag.speech.fake import FakeEngine
from wavrag.speech.kokoro import Kokoro
from wavrag.speech.piper import Piper
from wavrag.speech.service import Endpoint, Service

ENGINES = ("kokoro", "flite", "espeak", "festival", "piper", "openai")
PROGRAMS = (Flite, Festival, Espeak)  # best first


def load_engine(
    name: str,
    kokoro: Path | None = None,
    piper: Sequence[Path] = (),
    endpoint: Endpoint | None = None,
) -> Engine:
    """An engine by name.

    Args:
        name: one of `ENGINES`, or `fake`.
        kokoro: folder with `kokoro-int8.onnx` and `voices-v1.0.bin`, for the engine `kokoro`.
        piper: voice files, each with its `.onnx.json` beside it, for the engine `piper`.
        endpoint: service for the engine `openai`.

    Raises:
        InputError: there is no such engine, it is not installed, or what it needs is not given.
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
            raise InputError("the engine openai needs the name of a model: give it with --model")
        return Service(endpoint)
    if name == "piper" and not piper:
        raise InputError("the engine piper needs a voice: name its file with --piper MODEL.onnx")
    for engine in (*(program() for program in PROGRAMS), Piper(piper)):
        if engine.name == name:
            if shutil.which(engine.program) is None:
                raise InputError(f"engine {name} needs the program {engine.program!r}: install it")
            return engine
    raise InputError(f"no speech engine {name!r}: choose from {', '.join(ENGINES)}")


def best_engine(name: str | None = None) -> Engine:
    """The best engine that is here, or the one named, set up from the environment.

    Looked for in this order: `WAVRAG_PIPER` (a voice, `FILE.onnx`; several are joined as in PATH),
    `WAVRAG_KOKORO` (the model's folder), `WAVRAG_SPEECH_URL` (a service with OpenAI's interface;
    `WAVRAG_SPEECH_MODEL` and `WAVRAG_SPEECH_VOICE` say what to ask it for), then the programs
    festival if it has the voice of `festvox-us-slt-hts`, flite, festival without it, and espeak-ng.

    Raises:
        SpeechError: nothing here can speak.
        InputError: what the environment names, or the engine of that name, cannot be used.
        MissingExtraError: the SDK for the service is not installed.
    """
    piper, kokoro = os.environ.get("WAVRAG_PIPER"), os.environ.get("WAVRAG_KOKORO")
    url = os.environ.get("WAVRAG_SPEECH_URL")
    named = {"piper": piper, "kokoro": kokoro, "openai": url}
    installed = [program.name for program in PROGRAMS if shutil.which(program.program)]
    if Festival.name in installed and Festival().default_voice == Festival.voices[0]:
        installed.insert(0, Festival.name)
    found = [name, *(engine for engine, value in named.items() if value), *installed]
    chosen = next(filter(None, found), None)
    if chosen is None:
        raise SpeechError(
            "nothing here can speak an answer: apt-get install espeak-ng (or flite), or name a"
            " neural voice with WAVRAG_PIPER or WAVRAG_KOKORO, or a service with WAVRAG_SPEECH_URL"
        )
    if chosen in named and not named[chosen]:
        variable = {"piper": "WAVRAG_PIPER", "kokoro": "WAVRAG_KOKORO"}.get(
            chosen, "WAVRAG_SPEECH_URL"
        )
        raise InputError(f"the engine {chosen} is set up by the environment: set {variable}")
    voices = tuple(filter(None, os.environ.get("WAVRAG_SPEECH_VOICE", "").split(",")))
    model = os.environ.get("WAVRAG_SPEECH_MODEL") or "tts-1"
    return load_engine(
        chosen,
        Path(kokoro) if kokoro else None,
        list(map(Path, piper.split(os.pathsep))) if piper else (),
        (Endpoint(model, url, voices) if voices else Endpoint(model, url)) if url else None,
    )
