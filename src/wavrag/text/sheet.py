"""Parse tables of CSV and TSV files."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Sequence

from wavrag.errors import DocumentError
from wavrag.text.document import ParsedText, TextBuilder
from wavrag.text.table import Row

_NUMBER = re.compile(r"[\W\d]*\d[\W\d]*\w{0,3}")
SAMPLE_LINES = 20  # that the delimiter is chosen by
DELIMITERS = ",;\t|"


def parse_csv(text: str, delimiter: str = "") -> ParsedText:
    """Parse comma-separated values; the delimiter may also be a semicolon, a tab or a bar.

    Raises:
        DocumentError: the quoting is broken.
    """
    builder = TextBuilder()
    text = text.removeprefix("\ufeff")
    # Excel writes the delimiter into a first line of its own.
    if match := re.match(r"sep=(.)\r?\n", text):
        delimiter, text = match[1], text[match.end() :]
    csv.field_size_limit(sys.maxsize if sys.maxsize < 2**31 else 2**31 - 1)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter or _delimiter(text))
    try:
        rows = [row for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise DocumentError(f"the table is not readable ({error}): save it again") from error
    add_sheet(builder, rows)
    return builder.build("")


def add_sheet(builder: TextBuilder, rows: Sequence[Row], page: int | None = None) -> None:
    """Append a table of a sheet: its first row is the header unless it has numbers or gaps."""
    captions = []
    # Sheets often begin with a title in a row of its own.
    while len(rows) > 2 and max(map(len, rows)) > 1 and _is_caption(rows[0]):
        captions.append(rows[0][0].strip())
        rows = rows[1:]
    if not rows:
        return
    first = [cell.strip() for cell in rows[0]]
    while first and not first[-1]:
        first.pop()
    width = max(map(len, rows))
    is_header = (
        len(rows) > 1
        and len(first) > 1
        and all(first)
        and len(set(first)) == len(first) >= width - 1
        and not any(map(_NUMBER.fullmatch, first))
    )
    builder.add_table(
        first if is_header else None, rows[1:] if is_header else rows, " ".join(captions), page
    )


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
