"""The texts of records to speech, into files named by what they hold.

A folder of spoken records holds

    records.jsonl     the records, with paths relative to it
    clips.jsonl       what spoke each clip: engine, revision, voice, draw, text
    audio/ab/ab….wav  the clips

A clip is named by the SHA-256 of engine, revision, voice, draw and text, where `draw` is the number
that settles pace and pitch. It depends on the seed and the text alone, and so do engine and voice:
an equal text is the same clip, and a clip that is there is never spoken again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from filelock import FileLock

from wavrag import config
from wavrag.audio import write_wav
from wavrag.data.prefetch import prefetch_map
from wavrag.data.records import Content, TrainingRecord, read_numbered_lines, write_records
from wavrag.data.voices import Speaker, is_reserved_voice
from wavrag.errors import AudioError, InputError
from wavrag.speech import UNSPEAKABLE, reason

Part: TypeAlias = Literal["query", "positives", "all"]

_HEADER = 44  # bytes of a WAV file without samples
_SILENCE = 1e-4  # a clip that stays below this share of full scale says nothing


@dataclass(frozen=True, slots=True)
class SpeakOptions:
    """What is spoken, and how.

    Attributes:
        part: entries of a record whose text becomes sound: its query, its positives, or both.
        voices: names to draw from; none for every voice of the engines.
        seed: of the draws of engine, voice, pace and pitch.
        threads: texts spoken at a time; None for the number that models use.
    """

    part: Part = "query"
    voices: tuple[str, ...] = ()
    seed: int = 0
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class SpeakResult:
    """What `speak_records` did.

    Attributes:
        records: how many were written.
        spoken: clips that were made.
        reused: clips that were there.
        failures: id of each record that was left out, and why.
    """

    records: int
    spoken: int
    reused: int
    failures: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _SpeechJob:
    """A clip to be: what speaks it, and where it goes."""

    engine: Speaker
    voice: str
    draw: int
    text: str
    path: Path

    @property
    def row(self) -> dict[str, Any]:
        return {
            "audio": "/".join(self.path.parts[-3:]),
            "engine": self.engine.name,
            "revision": self.engine.revision,
            "voice": self.voice,
            "draw": self.draw,
            "text": self.text,
        }


def read_questions(path: str | os.PathLike[str]) -> Iterator[TrainingRecord]:
    """The lines of a text file as records: a question whose own words are its positive.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    name = Path(path).stem
    for number, line in read_numbered_lines(path):
        entry = Content(text=line.strip())
        yield TrainingRecord(f"{name}/{number}", entry, (entry,), source=name)


def speak_records(
    records: Sequence[TrainingRecord],
    engines: Sequence[Speaker],
    folder: Path,
    options: SpeakOptions | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> SpeakResult:
    """Speak texts of records, and write the records with the sound in their place.

    A record of which a text cannot be spoken is left out. An entry that has sound stays as it is.
    Killed halfway, the clips that are whole are reused by the next run.

    Args:
        records: whose ids are told in case of failure.
        engines: one of them is drawn for each text.
        folder: made if it is not there.
        options: what is spoken, and how.
        on_progress: told how many distinct texts of how many are done.

    Raises:
        InputError: a voice is held back for evaluation or not known, nothing at all could be
            spoken, an engine cannot go on, or the folder cannot be written.
    """
    options = options or SpeakOptions()
    voices = [_voices(engine, options.voices) for engine in engines]
    _check_voices(engines, voices, options.voices)
    cast = [(engine, names) for engine, names in zip(engines, voices, strict=True) if names]

    tasks: dict[str, _SpeechJob] = {}
    for record in records:
        for text in _texts(record, options.part):
            if text not in tasks:
                tasks[text] = _task(text, cast, folder, options.seed)
    made, failed = _speak(list(tasks.values()), options.threads, on_progress)
    written, failures = [], []
    for record in records:
        reasons = [failed[text] for text in _texts(record, options.part) if text in failed]
        if reasons:
            failures.append((record.id, reasons[0]))
        else:
            written.append(_sounding(record, options.part, tasks))
    if failures and not written:
        raise InputError(f"no text could be spoken; record {failures[0][0]!r}: {failures[0][1]}")
    _write(folder, written, [task for text, task in tasks.items() if text not in failed])
    return SpeakResult(len(written), made, len(tasks) - made - len(failed), tuple(failures))


def _texts(record: TrainingRecord, part: Part) -> list[str]:
    """The texts of a record that become sound."""
    chosen = [record.query] if part != "positives" else []
    chosen += record.positives if part != "query" else ()
    return [entry.text for entry in chosen if entry.audio is None and entry.text is not None]


def _sounding(
    record: TrainingRecord, part: Part, tasks: Mapping[str, _SpeechJob]
) -> TrainingRecord:
    """A record with the sound of its texts in their place."""

    def change(entry: Content) -> Content:
        if entry.audio is not None or entry.text is None:
            return entry
        return replace(entry, text=None, audio=str(tasks[entry.text].path), transcript=entry.text)

    return replace(
        record,
        query=record.query if part == "positives" else change(record.query),
        positives=record.positives if part == "query" else tuple(map(change, record.positives)),
    )


def _voices(engine: Speaker, wanted: Sequence[str]) -> list[str]:
    return [voice for voice in engine.voices if not wanted or voice in wanted]


def _check_voices(
    engines: Sequence[Speaker], voices: Sequence[Sequence[str]], wanted: Sequence[str]
) -> None:
    """Refuse voices that are held back, and engines and voices that do not meet."""
    held_back = sorted(
        filter(is_reserved_voice, {*wanted, *(name for names in voices for name in names)})
    )
    if held_back:
        raise InputError(f"voices held back for evaluation: {', '.join(held_back)}")
    for voice in wanted:
        if not any(voice in names for names in voices):
            known = sorted({name for engine in engines for name in engine.voices})
            raise InputError(f"no engine has the voice {voice!r}: choose from {', '.join(known)}")
    for engine, names in zip(engines, voices, strict=True):
        if not names:
            raise InputError(
                f"the engine {engine.name} has none of the voices named: name one of"
                f" {', '.join(engine.voices)}, or leave the engine out"
            )


def _task(
    text: str, cast: Sequence[tuple[Speaker, Sequence[str]]], folder: Path, seed: int
) -> _SpeechJob:
    rng = np.random.default_rng(list(_digest([seed, text])))
    engine, voices = cast[int(rng.integers(len(cast)))]
    voice, draw = voices[int(rng.integers(len(voices)))], int(rng.integers(2**53))
    name = _digest([engine.name, engine.revision, voice, draw, text]).hex()
    return _SpeechJob(engine, voice, draw, text, folder / "audio" / name[:2] / f"{name}.wav")


def _digest(parts: list[Any]) -> bytes:
    return hashlib.sha256(json.dumps(parts).encode()).digest()


def _speak(
    tasks: Sequence[_SpeechJob], threads: int | None, on_progress: Callable[[int, int], None]
) -> tuple[int, dict[str, str]]:
    """How many clips were made, and the texts that none came of, with the reason."""
    made, failed = 0, {}
    threads = threads or config.threads()
    with ThreadPoolExecutor(threads) as pool:
        results = zip(tasks, prefetch_map(pool, _make, tasks, 4 * threads), strict=True)
        try:
            for done, (task, (new, reason)) in enumerate(results, start=1):
                made += new
                if reason:
                    failed[task.text] = reason
                on_progress(done, len(tasks))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # what has not begun stays undone
            raise
    return made, failed


def _make(task: _SpeechJob) -> tuple[bool, str]:
    """Whether the clip is new, and why there is none."""
    try:
        if task.path.stat().st_size > _HEADER:
            return False, ""
    except OSError:
        pass  # it is not there
    try:
        clip = task.engine.speak(task.text, task.voice, np.random.default_rng(task.draw))
        if np.abs(clip.samples).max(initial=0.0) < _SILENCE:
            raise AudioError("it is silent")
    except UNSPEAKABLE as error:
        return False, f"{task.engine.name} ({task.voice}): {reason(error)}"
    try:
        task.path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {task.path}: {error.strerror or error}") from error
    write_wav(task.path, clip)
    return True, ""


def _write(folder: Path, records: Sequence[TrainingRecord], tasks: Sequence[_SpeechJob]) -> None:
    """Write both lists; another run into the folder waits."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            index, unfinished = folder / "clips.jsonl", folder / "clips.jsonl.partial"
            before = index.read_text(encoding="utf-8").splitlines() if index.exists() else []
            rows = [json.dumps(task.row, ensure_ascii=False) for task in tasks]
            lines = dict.fromkeys([*before, *rows])
            unfinished.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            os.replace(unfinished, index)
            write_records(folder / "records.jsonl", records)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from error
