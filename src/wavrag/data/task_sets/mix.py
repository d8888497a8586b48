"""A task over recordings and texts, made of a task over texts: the same facts, a share spoken."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from wavrag.data.records import Content, TrainingRecord, read_records
from wavrag.data.speak import SpeakOptions, speak_records
from wavrag.data.task_files import Row, TaskRows, write_task
from wavrag.data.task_sets.draw import TaskOptions, TaskSource, draw_task, sample
from wavrag.data.tasks import Task, TaskContent
from wavrag.data.voices import Speaker
from wavrag.errors import InputError


@dataclass(frozen=True, slots=True)
class MixOptions:
    """How much of the corpus is spoken.

    Attributes:
        ratio: share of the relevant entries, and of the others, that are recordings; 0 to 1.
        limit: queries that are drawn; None for all.
        passages: entries of the corpus; None for all. See `TaskOptions`.
        seed: of the draws, of the choice of recordings, and of voice and style.
        threads: entries spoken at a time; None for the number that models use.
    """

    ratio: float = 0.5
    limit: int | None = None
    passages: int | None = None
    seed: int = 0
    threads: int | None = None


def make_mixed_task(
    task: Task,
    out: Path,
    engines: Sequence[Speaker],
    options: MixOptions | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[int, int]:
    """Make the folder of a task in which some facts are recordings, and distractors are both.

    Relevant entries and the others are drawn for themselves, so that the ratio holds among either.
    An entry that has a recording is used with it; others are spoken into `OUT/spoken`, and what is
    there from an earlier run is used again. A title is not spoken, and texts lose theirs, so that
    both kinds say the same. Queries stay as they are.

    Args:
        task: whose entries have words.
        out: folder of the new task.
        engines: what speaks; one of them is drawn for each entry.
        options: ratio and draws.
        on_progress: told how many texts of how many are spoken.

    Returns:
        How many queries and how many entries.

    Raises:
        InputError: the ratio is not from 0 to 1, an entry has no words or cannot be spoken, or the
            folder cannot be written.
    """
    options = options or MixOptions()
    if not 0 <= options.ratio <= 1:
        raise InputError(f"a ratio of {options.ratio:g}: give one from 0 to 1")
    draw = TaskOptions(limit=options.limit, passages=options.passages, seed=options.seed)
    drawn_rows = draw_task(_source(task), draw, out, None)
    corpus, qrels = [row["_id"] for row in drawn_rows.corpus], list(drawn_rows.qrels)
    spoken = _chosen(corpus, {id for _, id, score in qrels if score > 0}, options)
    audio, silent = _parts(task, spoken)
    if silent:
        audio |= _speak(silent, out / "spoken", engines, options, on_progress)
    rows = TaskRows(
        corpus=[
            {"_id": id, "audio": audio[id]}
            if id in spoken
            else {"_id": id, "text": task.corpus[id].words}
            for id in corpus
        ],
        queries=drawn_rows.queries,
        qrels=qrels,
        provenance=_provenance(task, engines, options, len(spoken), len(corpus)),
    )
    return write_task(out, rows)


def _source(task: Task) -> TaskSource:
    def entries() -> Iterator[Row]:
        return (_row(entry) for entry in task.corpus.values())

    def queries(chosen: Collection[str]) -> Iterator[Row]:
        return (_row(entry) for id, entry in task.queries.items() if id in chosen)

    return TaskSource(entries, queries, task.qrels)


def _row(entry: TaskContent) -> Row:
    parts = {"title": entry.title, "text": entry.text, "audio": entry.audio}
    return {"_id": entry.id} | {key: value for key, value in parts.items() if value}


def _chosen(corpus: Sequence[str], relevant: Collection[str], options: MixOptions) -> set[str]:
    """The entries that are recordings."""
    groups = [id for id in corpus if id in relevant], [id for id in corpus if id not in relevant]
    return {
        id
        for group in groups
        for id in sample(group, round(options.ratio * len(group)), options.seed)
    }


def _parts(task: Task, spoken: Collection[str]) -> tuple[dict[str, str], list[TrainingRecord]]:
    """The recordings that are there, and records of what is to be spoken."""
    found: dict[str, str] = {}
    silent: list[TrainingRecord] = []
    for id, entry in task.corpus.items():
        if id in spoken and entry.audio is not None:
            found[id] = entry.audio
        elif id in spoken:
            words = Content(text=" ".join(entry.words.split()))
            silent.append(TrainingRecord(id, words, (words,)))
        elif not entry.words:
            raise InputError(f"{entry.where}: {id!r} has no words, and a ratio below 1 needs them")
    return found, silent


def _speak(
    silent: Sequence[TrainingRecord],
    folder: Path,
    engines: Sequence[Speaker],
    options: MixOptions,
    on_progress: Callable[[int, int], None],
) -> dict[str, str]:
    speak = SpeakOptions(seed=options.seed, threads=options.threads)
    done = speak_records(silent, engines, folder, speak, on_progress)
    if done.failures:
        id, reason = done.failures[0]
        raise InputError(f"{len(done.failures)} entries were not spoken, first {id!r}: {reason}")
    spoken = read_records(folder / "records.jsonl")
    return {record.id: str(record.query.audio) for record in spoken}


def _provenance(
    task: Task, engines: Sequence[Speaker], options: MixOptions, spoken: int, entries: int
) -> dict[str, Any]:
    return {
        "made_of": task.name,
        "ratio": options.ratio,
        "recordings": spoken,
        "texts": entries - spoken,
        "engines": [f"{engine.name} {engine.revision}".strip() for engine in engines],
        "limit": options.limit,
        "passages": options.passages,
        "seed": options.seed,
        "wavrag": version("wavrag"),
    }
