"""Records of a data set to a task: what asks, what should be found, and as words or as sound."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from typing import TypeAlias

from wavrag.data.records import Content, TrainingRecord
from wavrag.data.task_files import Row
from wavrag.data.task_sets.draw import TaskSource
from wavrag.errors import InputError

Read: TypeAlias = Callable[[], Iterator[TrainingRecord]]
_Key: TypeAlias = tuple[str, str | bytes]  # what a row holds


def from_records(read: Read, direction: str, *, turned: bool = False) -> TaskSource:
    """A task of the queries of records and all their positives.

    Entries that hold the same are one, so that a passage or a sound with several questions is in
    the corpus once. Of an entry without text the words that are said in it stand for its text.

    Args:
        read: starts reading; the same records every time.
        direction: kind of the queries and of the corpus, such as `T2S` or `AT2AT`.
        turned: ask with the positives for the queries; a positive that was found by several
            queries is one query with all of them to be found.

    Raises:
        InputError: a record has no sound or no words where the direction needs them.
    """
    asks, found = direction.split("2")
    qrels: dict[str, dict[str, float]] = {}
    queries: dict[_Key, str] = {}
    entries: dict[_Key, str] = {}
    for id, query, entry in _pairs(read, asks, found, turned):
        name = queries.setdefault(_key(query), id) if turned else id
        known = entries.setdefault(_key(entry), f"passage-{len(entries) + 1:06d}")
        qrels.setdefault(name, {})[known] = 1.0

    def corpus() -> Iterator[Row]:
        seen: set[str] = set()
        for _, _, entry in _pairs(read, asks, found, turned):
            id = entries[_key(entry)]
            if id not in seen:
                seen.add(id)
                yield {"_id": id} | entry

    def asked(chosen: Collection[str]) -> Iterator[Row]:
        seen: set[str] = set()
        for id, query, _ in _pairs(read, asks, found, turned):
            if id in chosen and id not in seen:
                seen.add(id)
                yield {"_id": id} | query

    return TaskSource(corpus, asked, qrels)


def _pairs(read: Read, asks: str, found: str, turned: bool) -> Iterator[tuple[str, Row, Row]]:
    """Id, query and entry of every pair, without their ids."""
    for record in read():
        for positive in record.positives:
            query, entry = (positive, record.query) if turned else (record.query, positive)
            yield record.id, _part(query, asks, record.id), _part(entry, found, record.id)


def _part(entry: Content, kind: str, id: str) -> Row:
    words = entry.text or entry.transcript
    if "T" in kind and not words:
        raise InputError(f"{id}: is a recording without words: choose another --direction")
    if kind != "T" and entry.audio is None:
        raise InputError(
            f"{id}: has no recording here, only words: put the recordings into the folder, or"
            " choose another --direction"
        )
    row: Row = {"text": words} if "T" in kind else {}
    return row if kind == "T" else row | {"audio": entry.audio}


def _key(row: Row) -> _Key:
    audio = row.get("audio", "")
    return row.get("text", ""), hashlib.sha256(audio).digest() if isinstance(
        audio, bytes
    ) else audio
