"""Synthetic speech for training texts; an interrupted run resumes.

A set of spoken texts is a folder with `index.jsonl`, one line per clip, and `audio.i16`, the
samples of all clips in that order, 16-bit, 16 kHz.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from wavrag import config
from wavrag.audio import SAMPLE_RATE
from wavrag.data import RESERVED_VOICES, Speaker, prefetch_map
from wavrag.errors import InputError
from wavrag.speech import SPEECH_ERRORS
from wavrag.train.mini.texts import SourceText
from wavrag.types import Float32

INDEX, AUDIO = "index.jsonl", "audio.i16"
PEAK = 32_767


@dataclass(frozen=True, slots=True)
class SynthesisCounts:
    """Result of `synthesise`: number of clips, number of failed texts, and hours of audio."""

    clips: int
    failed: int
    hours: float


@dataclass(frozen=True, slots=True)
class SpokenText:
    """A clip of a set of spoken texts."""

    text: str
    voice: str
    audio: Path
    offset: int
    count: int

    def samples(self) -> Float32:
        """Read the samples, from -1 to 1, at 16 kHz."""
        stored = np.fromfile(self.audio, "<i2", self.count, offset=2 * self.offset)
        return stored.astype(np.float32) / np.float32(PEAK)


def synthesise(
    texts: Sequence[SourceText],
    engine: Speaker,
    folder: Path,
    *,
    seed: int,
    limit: int,
    threads: int | None = None,
    on_progress: Callable[[int], None] = lambda count: None,
) -> SynthesisCounts:
    """Speak the first `limit` texts, each in a random voice; existing clips are kept.

    An interrupted run resumes after the last complete clip.

    Raises:
        InputError: the engine has a voice that is reserved for evaluation.
    """
    reserved = RESERVED_VOICES.intersection(engine.voices)
    if reserved:
        raise InputError(f"voices held back for evaluation: {', '.join(sorted(reserved))}")
    folder.mkdir(parents=True, exist_ok=True)
    index, audio = folder / INDEX, folder / AUDIO
    rows = _rows(index) if audio.exists() else []
    offset = rows[-1]["offset"] + rows[-1]["samples"] if rows else 0

    def speak_text(item: tuple[int, SourceText]) -> tuple[str, Float32 | None]:
        number, text = item
        rng = np.random.default_rng((seed, number))
        voice = engine.voices[int(rng.integers(len(engine.voices)))]
        try:
            return voice, engine.speak(text.text, voice, rng).samples
        except SPEECH_ERRORS:
            return voice, None

    with index.open("w", encoding="utf-8") as lines, audio.open("ab") as sound:
        # Samples are written before their line: after an interruption, the rest is cut off.
        sound.truncate(2 * offset)
        for row in rows:
            lines.write(json.dumps(row) + "\n")
        lines.flush()
        pending = list(enumerate(texts))[len(rows) : limit]
        with ThreadPoolExecutor(threads or config.threads()) as pool:
            for (_, text), (voice, samples) in zip(
                pending, prefetch_map(pool, speak_text, pending, 16), strict=True
            ):
                row = {"text": text.text, "source": text.source, "voice": voice}
                row |= {"offset": offset, "samples": 0 if samples is None else len(samples)}
                if samples is not None:
                    write_samples(sound, samples)
                    sound.flush()
                    offset += len(samples)
                lines.write(json.dumps(row) + "\n")
                lines.flush()
                rows.append(row)
                on_progress(len(rows))
    failed = sum(row["samples"] == 0 for row in rows)
    return SynthesisCounts(len(rows) - failed, failed, round(offset / SAMPLE_RATE / 3600, 2))


def write_samples(file: BinaryIO, samples: Float32) -> None:
    """Append samples in [-1, 1] to the audio of a set."""
    file.write((np.clip(samples, -1, 1) * PEAK).astype("<i2").tobytes())


def read_set(folder: Path) -> list[SpokenText]:
    """Return the clips of a set of spoken texts."""
    if not (folder / INDEX).is_file():
        raise InputError(f"{folder} holds no {INDEX}: it is no set of spoken texts")
    return [
        SpokenText(row["text"], row["voice"], folder / AUDIO, row["offset"], row["samples"])
        for row in _rows(folder / INDEX)
        if row["samples"]
    ]


def _rows(index: Path) -> list[dict[str, Any]]:
    """Read the complete lines of an index; an incomplete last line is dropped."""
    if not index.exists():
        return []
    lines = index.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]
