"""Parse tables of CSV and TSV files."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from typing import TextIO

from wavrag.errors import DocumentError
from wavrag.text.document import PIECE_CHARS, ParsedText, TextBuilder
from wavrag.text.table import GROUP_CHARS, Row, find_header

_NUMBER = re.compile(r"[\W\d]*\d[\W\d]*\w{0,3}")
SAMPLE_LINES = 20  # that the delimiter is chosen by
SAMPLE_CHARS = 1 << 16  # that these lines are in
FIELD_CHARS = 1 << 24  # of a cell: a quote that is never closed must not take in a complete file
DELIMITERS = ",;\t|"


def parse_csv(file: TextIO, delimiter: str = "") -> Iterator[ParsedText]:
    """Parse comma-separated values; the delimiter may also be a semicolon, a tab or a bar.

    Args:
        file: a file that can be read from the start again, with its line ends.
        delimiter: the delimiter; empty to detect it.

    Yields:
        The table in pieces; a table of one piece keeps all its rows together.

    Raises:
        DocumentError: the quoting is broken.
    """
    sample = file.read(SAMPLE_CHARS).removeprefix("\ufeff")
    file.seek(0)
    # Excel writes the delimiter into a first line of its own.
    if match := re.match(r"sep=(.)\r?\n", sample):
        delimiter = match[1]
        file.readline()
    csv.field_size_limit(FIELD_CHARS)
    lines = (line.removeprefix("\ufeff") for line in file)
    reader = csv.reader(lines, delimiter=delimiter or _delimiter(sample))
    builder = TextBuilder()
    try:
        for _ in _add_rows(builder, (row for row in reader if any(map(str.strip, row)))):
            yield builder.take()
    except csv.Error as error:
        raise DocumentError(f"the table is not readable ({error}): save it again") from error
    yield builder.take()


def add_sheet(builder: TextBuilder, rows: Iterable[Row]) -> None:
    """Append a table of a sheet: its first row is the header unless it has numbers or gaps."""
    for _ in _add_rows(builder, iter(rows)):
        pass


def _add_rows(builder: TextBuilder, rows: Iterator[Row]) -> Iterator[None]:
    """Append a table in blocks; yield before each of them but the first."""
    body = _take_rows(rows)
    captions = []
    # Sheets often begin with a title in a row of its own.
    while len(body) > 2 and max(map(len, body)) > 1 and _is_caption(body[0]):
        captions.append(body[0][0].strip())
        body = body[1:]
    if not body:
        return
    first = [cell.strip() for cell in body[0]]
    while first and not first[-1]:
        first.pop()
    width = max(map(len, body))
    is_header = (
        len(body) > 1
        and len(first) > 1
        and all(first)
        and len(set(first)) == len(first) >= width - 1
        and not any(map(_NUMBER.fullmatch, first))
    )
    header, caption = (first if is_header else None), " ".join(captions)
    body = body[1:] if is_header else body
    builder.add_table(header, body, caption)
    if header is None:
        title, header, _ = find_header([list(map(str.strip, row)) for row in body])
        caption = caption or title
    subheading: list[Row] = []
    while following := _take_rows(rows):
        subheading = [row for row in body if len(row) == 1 < len(header)][-1:] or subheading
        yield
        body = following
        # A long caption is a line of its own above the table.
        caption = caption if len(caption) <= GROUP_CHARS else ""
        builder.add_table(header, [*subheading, *body], caption)


def _take_rows(rows: Iterator[Row]) -> list[Row]:
    """The next rows of a table, as many as fit into a piece."""
    table_rows: list[Row] = []
    chars = 0
    while chars < PIECE_CHARS and (row := next(rows, None)) is not None:
        table_rows.append(row)
        chars += sum(map(len, row)) + len(row)
    return table_rows


def _is_caption(row: Row) -> bool:
    return bool(row) and bool(row[0].strip()) and not any(cell.strip() for cell in row[1:])


def _delimiter(text: str) -> str:
    """The delimiter that splits the first lines into the most even number of cells."""
    lines = [line for line in text.splitlines()[:SAMPLE_LINES] if line.strip()]

    def score(delimiter: str) -> tuple[int, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        common = max(set(counts), key=counts.count, default=1)
        return (counts.count(common) if common > 1 else 0, common)

    try:
        return max(DELIMITERS, key=score)
    except csv.Error:
        return ","
