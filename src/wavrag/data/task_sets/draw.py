"""A data set as the source of a task, and random samples of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from wavrag.data.datasets.store import store_sound
from wavrag.data.task_files import Row, TaskRows
from wavrag.data.tasks import Qrels
from wavrag.errors import InputError
from wavrag.types import OnNote

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TaskSource:
    """A data set as a task, read anew by every call, so that it need not fit in memory."""

    # reads all documents, rows with `_id` and any of `title`, `text`, `audio`; `audio` is a path,
    # or the bytes of an audio file
    corpus: Callable[[], Iterator[Row]]
    # reads the queries with the given ids, rows with the same keys
    queries: Callable[[Collection[str]], Iterator[Row]]
    qrels: Qrels  # judgements of each query, in the order of the data set


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """Split, direction and size of a task."""

    split: str | None = None  # split of the data set; None for its first
    # kinds of queries and documents, such as `S2T`; None for the first
    direction: str | None = None
    limit: int | None = None  # number of queries in the sample; None for all
    # number of documents in the corpus: the judged ones of these queries, and a sample of the
    # others; None for all
    passages: int | None = None
    seed: int = 0  # random seed of both samples


def draw_task(source: TaskSource, options: TaskOptions, sounds: Path, on_note: OnNote) -> TaskRows:
    """Sample queries and documents from a source.

    `on_note` is called with the number of queries without a relevant document, which are
    skipped. `sounds` is the folder for audio that the source has in memory.

    Raises:
        InputError: no query has a relevant document, or `passages` is too small for the queries.
    """
    # The corpus is read twice, for its ids and for its rows: the largest have millions of texts.
    ids = dict.fromkeys(row["_id"] for row in source.corpus())
    judgements = {
        query: {id: score for id, score in scores.items() if id in ids}
        for query, scores in source.qrels.items()
    }
    usable = [query for query, scores in judgements.items() if max(scores.values(), default=0) > 0]
    if on_note is not None and (count := len(judgements) - len(usable)):
        on_note(f"queries without a relevant entry in the corpus: {count:,} left out")
    if not usable:
        raise InputError("no query has a relevant entry in the corpus: is it the right folder?")
    queries = dict.fromkeys(sample_items(usable, options.limit, options.seed))
    documents = _sample_corpus(
        list(ids), {id for query in queries for id in judgements[query]}, options
    )

    def store(row: Row) -> Row:
        sound = row.get("audio")
        return row | {"audio": str(store_sound(sound, sounds))} if isinstance(sound, bytes) else row

    return TaskRows(
        corpus=(store(row) for row in source.corpus() if row["_id"] in documents),
        queries=map(store, source.queries(queries)),
        qrels=((query, id, score) for query in queries for id, score in judgements[query].items()),
    )


def _sample_corpus(
    ids: Sequence[str], required: Collection[str], options: TaskOptions
) -> Collection[str]:
    """Return the ids of the documents in the sample."""
    if options.passages is None:
        return set(ids)
    if options.passages < len(required):
        raise InputError(
            f"--passages {options.passages}: the queries are judged on {len(required):,} passages:"
            " give at least as many, or draw fewer queries with --limit"
        )
    distractors = [id for id in ids if id not in required]
    return {*required, *sample_items(distractors, options.passages - len(required), options.seed)}


def sample_items(items: Sequence[T], number: int | None, seed: int) -> list[T]:
    """Sample items without replacement, in their order; all of them if there are fewer."""
    if number is None or number >= len(items):
        return list(items)
    picks = random.Random(seed).sample(range(len(items)), number)
    return [items[pick] for pick in sorted(picks)]
