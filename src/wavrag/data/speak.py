"""Synthetic speech for the texts of training records.

A folder of spoken records holds

    records.jsonl     the records, with paths relative to the folder
    clips.jsonl       engine, revision, voice, draw and text of each clip
    audio/ab/ab….wav  the clips

A clip is named by the SHA-256 of engine, revision, voice, draw and text; `draw` is the random seed
of pace and pitch. Engine, voice and draw depend on the random seed and the text alone, so equal
texts share a clip, and existing clips are reused.
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
from wavrag.speech import SPEECH_ERRORS, describe_error

SpokenFields: TypeAlias = Literal["query", "positives", "all"]

_HEADER_BYTES = 44  # a WAV file of this size has no samples: a run was killed while writing it
_SILENCE = 1e-4  # peak below which a clip is silent, as a share of full scale


@dataclass(frozen=True, slots=True)
class SpeakOptions:
    """Options of `speak_records`."""

    # fields of a record whose texts are spoken: query, positives, or both
    fields: SpokenFields = "query"
    # names of the voices to draw from; empty for all voices of the engines
    voices: tuple[str, ...] = ()
    seed: int = 0  # random seed of engine, voice, pace and pitch
    # number of texts spoken in parallel; None for the number of threads of models
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class SpeakResult:
    """Counts and failures of `speak_records`."""

    records: int  # number of records written
    new_clips: int  # number of clips spoken in this run
    reused_clips: int  # number of clips from earlier runs
    failures: tuple[tuple[str, str], ...]  # id of each skipped record, and the reason


@dataclass(frozen=True, slots=True)
class _SpeechJob:
    """A text with the engine and the file for its clip."""

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
    """Read a text file with one question per line; the question is also its own positive.

    Raises:
        InputError: the file cannot be read, or is not UTF-8.
    """
    name = Path(path).stem
    for number, line in read_numbered_lines(path):
        content = Content(text=line.strip())
        yield TrainingRecord(f"{name}/{number}", content, (content,), source=name)


def speak_records(
    records: Sequence[TrainingRecord],
    engines: Sequence[Speaker],
    folder: Path,
    options: SpeakOptions | None = None,
    on_progress: Callable[[int, int], None] = lambda count, total: None,
) -> SpeakResult:
    """Speak texts of records, and write the records with audio instead of these texts.

    The text becomes the transcript. Contents with audio are unchanged. A record is skipped if one
    of its texts cannot be spoken. After an interruption, the next run reuses all complete clips.

    Args:
        records: records with unique ids.
        engines: speech engines; one is drawn for each text.
        folder: output folder; created if it does not exist.
        options: fields, voices, random seed and threads.
        on_progress: called with the number of distinct texts spoken and their total.

    Raises:
        InputError: a voice is unknown or reserved for evaluation, no text can be spoken, an engine
            cannot continue, or the folder cannot be written.

    Example:
        >>> from wavrag.data import load_speaker, read_questions
        >>> records = list(read_questions("questions.txt"))  # doctest: +SKIP
        >>> speak_records(records, [load_speaker("flite")], Path("out"))  # doctest: +SKIP
    """
    options = options or SpeakOptions()
    names = options.voices
    voices = [[v for v in engine.voices if not names or v in names] for engine in engines]
    _check_voices(engines, voices, options.voices)
    cast = [(engine, names) for engine, names in zip(engines, voices, strict=True) if names]

    jobs: dict[str, _SpeechJob] = {}
    for record in records:
        for text in _texts(record, options.fields):
            if text not in jobs:
                jobs[text] = _draw_job(text, cast, folder, options.seed)
    new_clips, errors = _run_jobs(list(jobs.values()), options.threads, on_progress)
    results, failures = [], []
    for record in records:
        reasons = [errors[text] for text in _texts(record, options.fields) if text in errors]
        if reasons:
            failures.append((record.id, reasons[0]))
        else:
            results.append(_replace_texts(record, options.fields, jobs))
    if failures and not results:
        raise InputError(f"no text could be spoken; record {failures[0][0]!r}: {failures[0][1]}")
    _write(folder, results, [job for text, job in jobs.items() if text not in errors])
    reused_clips = len(jobs) - new_clips - len(errors)
    return SpeakResult(len(results), new_clips, reused_clips, tuple(failures))


def _texts(record: TrainingRecord, fields: SpokenFields) -> list[str]:
    """List the texts of a record to speak."""
    contents = [record.query] if fields != "positives" else []
    contents += record.positives if fields != "query" else ()
    return [c.text for c in contents if c.audio is None and c.text is not None]


def _replace_texts(
    record: TrainingRecord, fields: SpokenFields, jobs: Mapping[str, _SpeechJob]
) -> TrainingRecord:
    """Replace the texts of a record by their clips."""

    def speak(content: Content) -> Content:
        if content.audio is not None or content.text is None:
            return content
        path = jobs[content.text].path
        return replace(content, text=None, audio=str(path), transcript=content.text)

    return replace(
        record,
        query=record.query if fields == "positives" else speak(record.query),
        positives=record.positives if fields == "query" else tuple(map(speak, record.positives)),
    )


def _check_voices(
    engines: Sequence[Speaker], voices: Sequence[Sequence[str]], names: Sequence[str]
) -> None:
    """Refuse reserved voices, voices of no engine, and engines without any of the voices."""
    reserved_voices = sorted(filter(is_reserved_voice, {*names, *(v for vs in voices for v in vs)}))
    if reserved_voices:
        raise InputError(f"voices held back for evaluation: {', '.join(reserved_voices)}")
    for name in names:
        if not any(name in selection for selection in voices):
            choices = sorted({voice for engine in engines for voice in engine.voices})
            raise InputError(f"no engine has the voice {name!r}: choose from {', '.join(choices)}")
    for engine, selection in zip(engines, voices, strict=True):
        if not selection:
            raise InputError(
                f"the engine {engine.name} has none of the voices named: name one of"
                f" {', '.join(engine.voices)}, or leave the engine out"
            )


def _draw_job(
    text: str, cast: Sequence[tuple[Speaker, Sequence[str]]], folder: Path, seed: int
) -> _SpeechJob:
    # Seeded by the text rather than by its position, so that adding records changes no clip.
    rng = np.random.default_rng(list(_hash([seed, text])))
    engine, voices = cast[int(rng.integers(len(cast)))]
    # JSON numbers are exact up to 2**53 in every reader.
    voice, draw = voices[int(rng.integers(len(voices)))], int(rng.integers(2**53))
    name = _hash([engine.name, engine.revision, voice, draw, text]).hex()
    return _SpeechJob(engine, voice, draw, text, folder / "audio" / name[:2] / f"{name}.wav")


def _hash(values: list[Any]) -> bytes:
    return hashlib.sha256(json.dumps(values).encode()).digest()


def _run_jobs(
    jobs: Sequence[_SpeechJob], threads: int | None, on_progress: Callable[[int, int], None]
) -> tuple[int, dict[str, str]]:
    """Speak the jobs; return the number of new clips, and the reason for each failed text."""
    new_clips, errors = 0, {}
    threads = threads or config.threads()
    with ThreadPoolExecutor(threads) as pool:
        results = zip(jobs, prefetch_map(pool, _run_job, jobs, 4 * threads), strict=True)
        try:
            for count, (job, (is_new, error)) in enumerate(results, start=1):
                new_clips += is_new
                if error:
                    errors[job.text] = error
                on_progress(count, len(jobs))
        except BaseException:
            # Otherwise leaving the `with` block would first speak all pending texts.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return new_clips, errors


def _run_job(job: _SpeechJob) -> tuple[bool, str]:
    """Speak a text; return whether the clip is new, and the reason for a failure."""
    try:
        if job.path.stat().st_size > _HEADER_BYTES:
            return False, ""
    except OSError:
        pass  # the file does not exist
    try:
        clip = job.engine.speak(job.text, job.voice, np.random.default_rng(job.draw))
        if np.abs(clip.samples).max(initial=0.0) < _SILENCE:
            raise AudioError("it is silent")
    except SPEECH_ERRORS as error:
        return False, f"{job.engine.name} ({job.voice}): {describe_error(error)}"
    try:
        job.path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {job.path}: {error.strerror or error}") from error
    write_wav(job.path, clip)
    return True, ""


def _write(folder: Path, records: Sequence[TrainingRecord], jobs: Sequence[_SpeechJob]) -> None:
    """Write `records.jsonl`, and add the clips to `clips.jsonl`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Two runs may share a folder: without the lock, the later one would drop the clips of the
        # earlier one from the list.
        with FileLock(folder / ".lock"):
            index, partial = folder / "clips.jsonl", folder / "clips.jsonl.partial"
            lines = index.read_text(encoding="utf-8").splitlines() if index.exists() else []
            lines += [json.dumps(job.row, ensure_ascii=False) for job in jobs]
            unique_lines = dict.fromkeys(lines)
            partial.write_text("".join(f"{line}\n" for line in unique_lines), encoding="utf-8")
            os.replace(partial, index)
            write_records(folder / "records.jsonl", records)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from error
