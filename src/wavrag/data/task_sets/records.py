"""Training records to a task, in a choice of modalities for queries and documents."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from typing import TypeAlias

from wavrag.data.records import Content, TrainingRecord
from wavrag.data.task_files import Row
from wavrag.data.task_sets.draw import TaskSource
from wavrag.errors import InputError

ReadRecords: TypeAlias = Callable[[], Iterator[TrainingRecord]]
_Key: TypeAlias = tuple[str, str | bytes]  # text and audio of a row


def build_task_source(read: ReadRecords, direction: str, *, reverse: bool = False) -> TaskSource:
    """Build a task from the queries and positives of records.

    Equal contents become one document, so a passage or a sound with several questions is in the
    corpus once. The transcript is the text of a content without text.

    Args:
        read: function that streams the records, the same ones on every call.
        direction: kinds of queries and documents, such as `T2S` or `AT2AT`.
        reverse: use positives as queries and queries as documents; a positive of several queries
            becomes one query with several relevant documents.

    Raises:
        InputError: a record lacks audio or text that the direction needs.
    """
    query_kind, document_kind = direction.split("2")
    qrels: dict[str, dict[str, float]] = {}
    queries: dict[_Key, str] = {}
    documents: dict[_Key, str] = {}
    for id, query, document in _read_pairs(read, query_kind, document_kind, reverse):
        name = queries.setdefault(_key(query), id) if reverse else id
        document_id = documents.setdefault(_key(document), f"passage-{len(documents) + 1:06d}")
        qrels.setdefault(name, {})[document_id] = 1.0

    def read_corpus() -> Iterator[Row]:
        seen: set[str] = set()
        for _, _, document in _read_pairs(read, query_kind, document_kind, reverse):
            id = documents[_key(document)]
            if id not in seen:
                seen.add(id)
                yield {"_id": id} | document

    def read_queries(ids: Collection[str]) -> Iterator[Row]:
        seen: set[str] = set()
        for id, query, _ in _read_pairs(read, query_kind, document_kind, reverse):
            if id in ids and id not in seen:
                seen.add(id)
                yield {"_id": id} | query

    return TaskSource(read_corpus, read_queries, qrels)


def _read_pairs(
    read: ReadRecords, query_kind: str, document_kind: str, reverse: bool
) -> Iterator[tuple[str, Row, Row]]:
    """Yield the id of the record, the query row and the document row of every pair."""
    for record in read():
        for positive in record.positives:
            query, document = (positive, record.query) if reverse else (record.query, positive)
            yield (
                record.id,
                _build_row(query, query_kind, record.id),
                _build_row(document, document_kind, record.id),
            )


def _build_row(content: Content, kind: str, id: str) -> Row:
    words = content.text or content.transcript
    if "T" in kind and not words:
        raise InputError(f"{id}: is a recording without words: choose another --direction")
    if kind != "T" and content.audio is None:
        raise InputError(
            f"{id}: has no recording here, only words: put the recordings into the folder, or"
            " choose another --direction"
        )
    row: Row = {"text": words} if "T" in kind else {}
    return row if kind == "T" else row | {"audio": content.audio}


def _key(row: Row) -> _Key:
    audio = row.get("audio", "")
    return row.get("text", ""), hashlib.sha256(audio).digest() if isinstance(
        audio, bytes
    ) else audio
