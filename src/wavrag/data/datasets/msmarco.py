"""MS MARCO passages; the texts stay on disk, behind an index of line offsets."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from wavrag.closing import Closing
from wavrag.data.datasets.files import read_table, require_file
from wavrag.data.records import Content, TrainingRecord, skip_or_raise
from wavrag.errors import InputError
from wavrag.types import OnNote

NEGATIVES = 16
"""Maximum number of negatives of a record; the triples have up to a thousand per query."""


class LineIndex(Closing):
    """Random access to a file with lines `NUMBER<tab>TEXT`, with 16 bytes of memory per line."""

    def __init__(self, path: Path, on_note: OnNote) -> None:
        """Read the file once and index it; malformed lines go to `on_note` and are skipped.

        Raises:
            InputError: the file cannot be read, or a line is malformed and there is no `on_note`.
        """
        numbers, starts, position = array("q"), array("q"), 0
        try:
            with path.open("rb") as lines:
                for count, line in enumerate(lines, start=1):
                    head, tab, _ = line.partition(b"\t")
                    if tab and head.isdigit() and len(head) < 19:  # fits into 64 bits
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
        # The collection is in order, so only the queries need sorting.
        if np.any(keys[1:] < keys[:-1]):
            order = np.argsort(keys, kind="stable")
            keys, offsets = keys[order], offsets[order]
        self._keys, self._offsets = keys, offsets

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def text(self, number: int) -> str:
        """Return the text of a number.

        Raises:
            InputError: the number is unknown, or the text is not UTF-8.
        """
        row = int(np.searchsorted(self._keys, number))
        if row == len(self._keys) or self._keys[row] != number:
            raise InputError(f"{self._path} has no line {number}")
        self._file.seek(int(self._offsets[row]))
        try:
            line = self._file.readline().decode()
        except UnicodeDecodeError:
            raise InputError(f"{self._path}: line {number} is not UTF-8") from None
        return line.partition("\t")[2].strip()


def read_msmarco(folder: Path, split: str, on_note: OnNote) -> Iterable[TrainingRecord]:
    """Read MS MARCO passages: the positives of a query are its relevant passages.

    Adjacent lines of a query make one record. If the file of triples exists, it replaces the
    judgements and adds the first 16 negatives of each query.
    """
    collection = require_file(folder, "collection.tsv")
    queries = require_file(folder, f"queries.{split}.tsv")
    triples = folder / f"qidpidtriples.{split}.full.2.tsv"
    if triples.is_file():
        columns: tuple[str, ...] = ("query", "positive", "negative")
        return _read_records(collection, queries, triples, columns, on_note)
    # Only the development split is published in two sizes.
    judgements = require_file(folder, f"qrels.{split}.tsv", f"qrels.{split}.small.tsv")
    columns = ("query", "iteration", "positive", "relevance")
    return _read_records(collection, queries, judgements, columns, on_note)


def _read_records(
    collection: Path, queries: Path, judgements: Path, columns: tuple[str, ...], on_note: OnNote
) -> Iterator[TrainingRecord]:
    with LineIndex(collection, on_note) as passages, LineIndex(queries, on_note) as questions:
        rows = read_table(judgements, on_note, columns, delimiter="\t", quoted=False, header=False)
        groups = rows.map(_parse_numbers).group(lambda row: row["query"])
        build = partial(_build_record, passages=passages, questions=questions)
        yield from groups.map(build, f"{judgements}: queries without a relevant passage")


def _parse_numbers(row: dict[str, str]) -> dict[str, int]:
    return {name: int(value) for name, value in row.items()}


def _build_record(
    rows: list[dict[str, int]], passages: LineIndex, questions: LineIndex
) -> TrainingRecord | None:
    positives = dict.fromkeys(row["positive"] for row in rows if row.get("relevance", 1) > 0)
    if not positives:
        return None
    candidates = (row["negative"] for row in rows if "negative" in row)
    negatives = list(dict.fromkeys(number for number in candidates if number not in positives))
    query = rows[0]["query"]
    # The id has a positive, since lines of a query that are not adjacent give several records.
    return TrainingRecord(
        f"msmarco/{query}-{next(iter(positives))}",
        Content(text=questions.text(query)),
        tuple(Content(text=passages.text(number)) for number in positives),
        tuple(Content(text=passages.text(number)) for number in negatives[:NEGATIVES]),
        "msmarco",
    )
