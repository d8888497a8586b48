"""A task over recordings and texts, from a task over texts: part of the corpus is spoken."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from wavrag.data.records import Content, TrainingRecord, read_records
from wavrag.data.speak import SpeakOptions, speak_records
from wavrag.data.task_files import Row, TaskRows, write_task
from wavrag.data.task_sets.draw import TaskOptions, TaskSource, draw_task, sample_items
from wavrag.data.tasks import Task, TaskContent
from wavrag.data.voices import Speaker
from wavrag.errors import InputError


@dataclass(frozen=True, slots=True)
class MixOptions:
    """Options of `make_mixed_task`."""

    ratio: float = 0.5  # share of recordings, among relevant documents and among the others; 0 to 1
    limit: int | None = None  # number of queries in the sample; None for all
    # Number of documents in the corpus; None for all. See `TaskOptions`.
    passages: int | None = None
    seed: int = 0  # random seed of the samples, of the choice of recordings, and of voice and style
    # number of texts spoken in parallel; None for the number of threads of models
    threads: int | None = None


def make_mixed_task(
    task: Task,
    out: Path,
    engines: Sequence[Speaker],
    options: MixOptions | None = None,
    on_progress: Callable[[int, int], None] = lambda count, total: None,
) -> tuple[int, int]:
    """Write a task in which both relevant documents and distractors are recordings and texts.

    Recordings are sampled separately from the relevant documents and from the others, so the ratio
    holds in both. Existing recordings are used; other documents are spoken into `OUT/spoken`, and
    clips of earlier runs are reused. Titles are neither spoken nor kept with texts, so that both
    modalities have the same words. Queries are unchanged. Returns the number of queries and of
    documents.

    Raises:
        InputError: the ratio is not from 0 to 1, a document has no text or cannot be spoken, or
            the folder cannot be written.
    """
    options = options or MixOptions()
    if not 0 <= options.ratio <= 1:
        raise InputError(f"a ratio of {options.ratio:g}: give one from 0 to 1")
    size = TaskOptions(limit=options.limit, passages=options.passages, seed=options.seed)
    sample = draw_task(_open_task(task), size, out, None)
    corpus, qrels = [row["_id"] for row in sample.corpus], list(sample.qrels)
    relevant = {id for _, id, score in qrels if score > 0}
    audio_ids = _sample_audio_ids(corpus, relevant, options)
    audio, records = _find_audio(task, audio_ids)
    if records:
        audio |= _speak(records, out / "spoken", engines, options, on_progress)
    rows = TaskRows(
        corpus=[
            {"_id": id, "audio": audio[id]}
            if id in audio_ids
            else {"_id": id, "text": task.corpus[id].words}
            for id in corpus
        ],
        queries=sample.queries,
        qrels=qrels,
        provenance=_describe(task, engines, options, len(audio_ids), len(corpus)),
    )
    return write_task(out, rows)


def _open_task(task: Task) -> TaskSource:
    def read_corpus() -> Iterator[Row]:
        return map(_build_row, task.corpus.values())

    def read_queries(ids: Collection[str]) -> Iterator[Row]:
        return (_build_row(query) for id, query in task.queries.items() if id in ids)

    return TaskSource(read_corpus, read_queries, task.qrels)


def _build_row(content: TaskContent) -> Row:
    values = {"title": content.title, "text": content.text, "audio": content.audio}
    return {"_id": content.id} | {key: value for key, value in values.items() if value}


def _sample_audio_ids(
    corpus: Sequence[str], relevant: Collection[str], options: MixOptions
) -> set[str]:
    """Return the ids of the documents that become recordings."""
    groups = [id for id in corpus if id in relevant], [id for id in corpus if id not in relevant]
    return {
        id
        for group in groups
        for id in sample_items(group, round(options.ratio * len(group)), options.seed)
    }


def _find_audio(
    task: Task, audio_ids: Collection[str]
) -> tuple[dict[str, str], list[TrainingRecord]]:
    """Return existing recordings by id, and the other documents as records for speech."""
    audio: dict[str, str] = {}
    records: list[TrainingRecord] = []
    for id, document in task.corpus.items():
        if id in audio_ids and document.audio is not None:
            audio[id] = document.audio
        elif id in audio_ids:
            content = Content(text=" ".join(document.words.split()))
            records.append(TrainingRecord(id, content, (content,)))
        elif not document.words:
            raise InputError(
                f"{document.where}: {id!r} has no words, and a ratio below 1 needs them"
            )
    return audio, records


def _speak(
    records: Sequence[TrainingRecord],
    folder: Path,
    engines: Sequence[Speaker],
    options: MixOptions,
    on_progress: Callable[[int, int], None],
) -> dict[str, str]:
    """Speak the queries of records; return the paths of the clips by id."""
    speak_options = SpeakOptions(seed=options.seed, threads=options.threads)
    result = speak_records(records, engines, folder, speak_options, on_progress)
    if result.failures:
        id, reason = result.failures[0]
        raise InputError(f"{len(result.failures)} entries were not spoken, first {id!r}: {reason}")
    return {record.id: str(record.query.audio) for record in read_records(folder / "records.jsonl")}


def _describe(
    task: Task, engines: Sequence[Speaker], options: MixOptions, recordings: int, size: int
) -> dict[str, Any]:
    """Describe the origin of the task for `provenance.json`."""
    return {
        "made_of": task.name,
        "ratio": options.ratio,
        "recordings": recordings,
        "texts": size - recordings,
        "engines": [f"{engine.name} {engine.revision}".strip() for engine in engines],
        "limit": options.limit,
        "passages": options.passages,
        "seed": options.seed,
        "wavrag": version("wavrag"),
    }
