"""MS MARCO passages: texts stay on disk, found by an index of where their lines start."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from wavrag.closing import Closing
from wavrag.data.datasets.files import (
    drop_locations,
    group_adjacent,
    map_rows,
    read_table,
    require_file,
)
from wavrag.data.records import Content, TrainingRecord, skip_or_raise
from wavrag.errors import InputError
from wavrag.types import NoteCallback

NEGATIVES = 16
"""Most negatives of a record; the triples have up to a thousand a query."""


class LineIndex(Closing):
    """Where each line of a file of `NUMBER<tab>TEXT` starts: 16 bytes of memory a line."""

    def __init__(self, path: Path, on_note: NoteCallback | None = None) -> None:
        """Read the file once.

        Args:
            path: the file.
            on_note: told of every line that is not of that form; without it, one is an error.

        Raises:
            InputError: the file cannot be read, or a line is broken and there is no `on_note`.
        """
        numbers, starts, position = array("q"), array("q"), 0
        try:
            with path.open("rb") as lines:
                for count, line in enumerate(lines, start=1):
                    head, tab, _ = line.partition(b"\t")
                    if tab and head.isdigit() and len(head) < 19:
                        numbers.append(int(head))
                        starts.append(position)
                    else:
                        skip_or_raise(f"{path}:{count}: not a number, a tab and a text", on_note)
                    position += len(line)
            self._file = path.open("rb")
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error}") from error
        self._path = path
        keys = np.frombuffer(numbers, np.int64) if numbers else np.zeros(0, np.int64)
        offsets = np.frombuffer(starts, np.int64) if starts else np.zeros(0, np.int64)
        if np.any(keys[1:] < keys[:-1]):
            order = np.argsort(keys, kind="stable")
            keys, offsets = keys[order], offsets[order]
        self._keys, self._offsets = keys, offsets

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def text(self, number: int) -> str:
        """The text of that number.

        Raises:
            InputError: there is none, or it is not UTF-8.
        """
        found = int(np.searchsorted(self._keys, number))
        if found == len(self._keys) or self._keys[found] != number:
            raise InputError(f"{self._path} has no line {number}")
        self._file.seek(int(self._offsets[found]))
        try:
            line = self._file.readline().decode()
        except UnicodeDecodeError:
            raise InputError(f"{self._path}: line {number} is not UTF-8") from None
        return line.partition("\t")[2].strip()


def read_msmarco(
    folder: Path, split: str, on_note: NoteCallback | None
) -> Iterator[TrainingRecord]:
    """MS MARCO passages: positives of a query are its judged passages.

    Neighbouring lines of a query make one record. Where the triples of ids are there, they are read
    in place of the judgements and give negatives, the first 16 of a query.
    """
    collection = require_file(folder, "collection.tsv")
    queries = require_file(folder, f"queries.{split}.tsv")
    triples = folder / f"qidpidtriples.{split}.full.2.tsv"
    if triples.is_file():
        return _records(collection, queries, triples, ("query", "positive", "negative"), on_note)
    judged = require_file(folder, f"qrels.{split}.tsv", f"qrels.{split}.small.tsv")
    columns = ("query", "iteration", "positive", "relevance")
    return _records(collection, queries, judged, columns, on_note)


def _records(
    collection: Path,
    queries: Path,
    judged: Path,
    columns: tuple[str, ...],
    on_note: NoteCallback | None,
) -> Iterator[TrainingRecord]:
    with LineIndex(collection, on_note) as passages, LineIndex(queries, on_note) as questions:
        rows = read_table(judged, on_note, columns, delimiter="\t", quoted=False, header=False)
        numbered = map_rows(rows, _numbers, on_note)
        asked = group_adjacent(numbered, lambda row: row["query"])
        make = partial(_record, passages=passages, questions=questions)
        yield from drop_locations(
            map_rows(asked, make, on_note, f"{judged}: queries without a relevant passage")
        )


def _numbers(row: dict[str, str]) -> dict[str, int]:
    return {name: int(value) for name, value in row.items()}


def _record(
    rows: list[dict[str, int]], passages: LineIndex, questions: LineIndex
) -> TrainingRecord | None:
    positives = dict.fromkeys(row["positive"] for row in rows if row.get("relevance", 1) > 0)
    if not positives:
        return None
    near = (row["negative"] for row in rows if "negative" in row)
    negatives = list(dict.fromkeys(number for number in near if number not in positives))
    query = rows[0]["query"]
    return TrainingRecord(
        f"msmarco/{query}-{next(iter(positives))}",
        Content(text=questions.text(query)),
        tuple(Content(text=passages.text(number)) for number in positives),
        tuple(Content(text=passages.text(number)) for number in negatives[:NEGATIVES]),
        "msmarco",
    )
