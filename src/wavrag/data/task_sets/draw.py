"""What a data set gives for a task, and a draw of it."""

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
from wavrag.types import NoteCallback

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TaskSource:
    """A data set as a task, read again whenever it is asked, so that it need not be in memory.

    Attributes:
        corpus: all entries, each a row of `_id` and any of `title`, `text`, `audio`; `audio` is a
            path, or the bytes of a sound file.
        queries: those of the ids that are given, as rows of the same keys.
        qrels: judgements of each query, in the order in which queries are numbered.
    """

    corpus: Callable[[], Iterator[Row]]
    queries: Callable[[Collection[str]], Iterator[Row]]
    qrels: Qrels


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """Which part of a data set becomes the task.

    Attributes:
        split: one of the set's; None for its first.
        direction: such as `S2T`, one of the set's; None for its first.
        limit: queries that are drawn; None for all.
        passages: entries of the corpus: those that the drawn queries are judged on, and others
            that are drawn; None for all.
        seed: of both draws.
    """

    split: str | None = None
    direction: str | None = None
    limit: int | None = None
    passages: int | None = None
    seed: int = 0


def draw_task(
    source: TaskSource, options: TaskOptions, sounds: Path, on_note: NoteCallback | None
) -> TaskRows:
    """The rows of the task that is drawn from a source.

    Args:
        source: all of it.
        options: how much of it.
        sounds: folder for what is sound in memory.
        on_note: told of judgements that name no entry of the corpus, which are left out.

    Raises:
        InputError: no query has a relevant entry, or `passages` are too few for the queries.
    """
    known = dict.fromkeys(row["_id"] for row in source.corpus())
    judged = {
        query: {id: score for id, score in scores.items() if id in known}
        for query, scores in source.qrels.items()
    }
    usable = [query for query, scores in judged.items() if max(scores.values(), default=0) > 0]
    if on_note is not None and (lost := len(judged) - len(usable)):
        on_note(f"queries without a relevant entry in the corpus: {lost:,} left out")
    if not usable:
        raise InputError("no query has a relevant entry in the corpus: is it the right folder?")
    chosen = dict.fromkeys(sample(usable, options.limit, options.seed))
    kept = _kept(list(known), {id for query in chosen for id in judged[query]}, options)

    def stored(row: Row) -> Row:
        sound = row.get("audio")
        return row | {"audio": str(store_sound(sound, sounds))} if isinstance(sound, bytes) else row

    return TaskRows(
        corpus=(stored(row) for row in source.corpus() if row["_id"] in kept),
        queries=map(stored, source.queries(chosen)),
        qrels=((query, id, score) for query in chosen for id, score in judged[query].items()),
    )


def _kept(known: Sequence[str], wanted: Collection[str], options: TaskOptions) -> Collection[str]:
    """The entries of the corpus that stay."""
    if options.passages is None:
        return set(known)
    if options.passages < len(wanted):
        raise InputError(
            f"--passages {options.passages}: the queries are judged on {len(wanted):,} passages:"
            " give at least as many, or draw fewer queries with --limit"
        )
    others = [id for id in known if id not in wanted]
    return {*wanted, *sample(others, options.passages - len(wanted), options.seed)}


def sample(items: Sequence[T], number: int | None, seed: int) -> list[T]:
    """So many of the items, drawn without replacement, in their order; all if there are fewer."""
    if number is None or number >= len(items):
        return list(items)
    picks = random.Random(seed).sample(range(len(items)), number)
    return [items[pick] for pick in sorted(picks)]
