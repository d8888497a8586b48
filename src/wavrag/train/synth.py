"""Texts to speech by synthetic voices, on several threads, continued where it ended.

A set of spoken texts is a folder: `index.jsonl`, a line a clip, and `audio.i16`, the samples of
all of them one after another, 16-bit, 16 kHz.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from wavrag import config
from wavrag.audio import load, resample
from wavrag.embed.runtime import load_session
from wavrag.errors import AudioError, InputError
from wavrag.train.ahead import ahead
from wavrag.train.texts import Text
from wavrag.types import Clip, Float32

RATE = 16_000  # Hz
ENGINES = ("kokoro", "flite", "espeak", "festival")
RESERVED = frozenset(
    "af_nova am_onyx bf_alice bm_daniel af_sky am_puck bf_lily bm_fable joe"
    " af_kore am_echo bm_lewis".split()  # these three ask the demo's questions
)
"""Voices that only evaluation may use."""

_PEAK = 32_767


class Engine(Protocol):
    """Something that speaks."""

    @property
    def name(self) -> str:
        """What `load_engine` knows it by."""
        ...

    @property
    def voices(self) -> Sequence[str]:
        """Names of its voices."""
        ...

    def speak(self, text: str, voice: str, rng: np.random.Generator) -> Clip:
        """Say a text in a voice, at a pace (and pitch) that the generator draws."""
        ...


@dataclass(frozen=True, slots=True)
class Counts:
    """What `synthesise` did: clips there are, texts that no sound came of, hours of sound."""

    clips: int
    failed: int
    hours: float


@dataclass(frozen=True, slots=True)
class Record:
    """A spoken text of a set."""

    text: str
    voice: str
    audio: Path
    offset: int
    count: int

    def samples(self) -> Float32:
        """Its samples, -1 to 1, at 16 kHz."""
        stored = np.fromfile(self.audio, "<i2", self.count, offset=2 * self.offset)
        return stored.astype(np.float32) / np.float32(_PEAK)


def load_engine(name: str, kokoro: Path | None = None) -> Engine:
    """An engine by name.

    Args:
        name: one of `ENGINES`.
        kokoro: folder with `kokoro-int8.onnx` and `voices-v1.0.bin`, for the engine `kokoro`.

    Raises:
        InputError: there is no such engine, or it is not installed.
    """
    if name == "kokoro":
        if kokoro is None:
            raise InputError("the engine kokoro needs its model: name the folder with --kokoro")
        return Kokoro(kokoro)
    for engine in (Flite(), Espeak(), Festival()):
        if engine.name == name:
            if shutil.which(engine.program) is None:
                raise InputError(f"engine {name} needs the program {engine.program!r}: install it")
            return engine
    raise InputError(f"no speech engine {name!r}: choose from {', '.join(ENGINES)}")


class Flite:
    """Carnegie Mellon's small synthesiser."""

    name = program = "flite"
    voices = ("kal16", "awb", "rms", "slt")

    def speak(self, text: str, voice: str, rng: np.random.Generator) -> Clip:
        """Say a text; the pace varies by a fifth."""
        stretch = f"duration_stretch={rng.uniform(0.82, 1.2):.2f}"
        with tempfile.NamedTemporaryFile(suffix=".wav") as out:
            _run(["flite", "-voice", voice, "--setf", stretch, "-t", text, "-o", out.name])
            return load(out.name)


class Espeak:
    """A formant synthesiser: hard to follow, in as many voices as wanted."""

    name = "espeak"
    program = "espeak-ng"
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


class Festival:
    """Edinburgh's synthesiser."""

    name = "festival"
    program = "text2wave"
    voices = ("cmu_us_slt_arctic_hts", "kal_diphone", "ked_diphone")

    def speak(self, text: str, voice: str, rng: np.random.Generator) -> Clip:
        """Say a text; the pace varies by a fifth."""
        pace = f"(Parameter.set 'Duration_Stretch {rng.uniform(0.85, 1.2):.2f})"
        with tempfile.NamedTemporaryFile(suffix=".wav") as out:
            eval_all = ["-eval", f"(voice_{voice})", "-eval", pace]
            _run(["text2wave", *eval_all, "-o", out.name], text)
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
        session = load_session(folder / "kokoro-int8.onnx")
        self._model = Model.from_session(session, str(folder / "voices-v1.0.bin"))
        self.voices = [voice for voice in self._model.get_voices() if voice not in RESERVED]
        self._styles = {voice: self._model.get_voice_style(voice) for voice in self.voices}
        self._english = [voice for voice in self.voices if voice[0] in "ab"]
        self._phonemising = threading.Lock()  # espeak's library keeps one state a process

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


def synthesise(
    texts: Sequence[Text],
    engine: Engine,
    folder: Path,
    *,
    seed: int,
    limit: int,
    threads: int | None = None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Counts:
    """Speak the first `limit` texts, each in a voice drawn for it; those spoken before stay.

    Killed halfway, it goes on with the text after the last whole clip.

    Raises:
        InputError: the engine names a voice that is held back for evaluation.
    """
    reserved = RESERVED.intersection(engine.voices)
    if reserved:
        raise InputError(f"voices held back for evaluation: {', '.join(sorted(reserved))}")
    folder.mkdir(parents=True, exist_ok=True)
    index, audio = folder / "index.jsonl", folder / "audio.i16"
    rows = _rows(index) if audio.exists() else []
    offset = rows[-1]["offset"] + rows[-1]["samples"] if rows else 0

    def say(numbered: tuple[int, Text]) -> tuple[str, Float32 | None]:
        number, text = numbered
        rng = np.random.default_rng((seed, number))
        voice = engine.voices[int(rng.integers(len(engine.voices)))]
        try:
            return voice, engine.speak(text.text, voice, rng).samples
        except (AudioError, OSError, subprocess.SubprocessError, ValueError, RuntimeError):
            return voice, None

    with index.open("w", encoding="utf-8") as lines, audio.open("ab") as sound:
        sound.truncate(2 * offset)
        for row in rows:
            lines.write(json.dumps(row) + "\n")
        lines.flush()
        todo = list(enumerate(texts))[len(rows) : limit]
        with ThreadPoolExecutor(threads or config.threads()) as pool:
            for (_, text), (voice, samples) in zip(todo, ahead(pool, say, todo, 16), strict=True):
                row = {"text": text.text, "source": text.source, "voice": voice}
                row |= {"offset": offset, "samples": 0 if samples is None else len(samples)}
                if samples is not None:
                    sound.write((np.clip(samples, -1, 1) * _PEAK).astype("<i2").tobytes())
                    sound.flush()
                    offset += len(samples)
                lines.write(json.dumps(row) + "\n")
                lines.flush()
                rows.append(row)
                on_progress(len(rows))
    failed = sum(row["samples"] == 0 for row in rows)
    return Counts(len(rows) - failed, failed, round(offset / RATE / 3600, 2))


def read_set(folder: Path) -> list[Record]:
    """The clips of a set.

    Raises:
        InputError: the folder is no set of spoken texts.
    """
    if not (folder / "index.jsonl").is_file():
        raise InputError(f"{folder} holds no index.jsonl: it is no set of spoken texts")
    return [
        Record(row["text"], row["voice"], folder / "audio.i16", row["offset"], row["samples"])
        for row in _rows(folder / "index.jsonl")
        if row["samples"]
    ]


def _rows(index: Path) -> list[dict[str, Any]]:
    """The whole lines of an index; one that was cut off in the middle is left out."""
    if not index.exists():
        return []
    lines = index.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


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
