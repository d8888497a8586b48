"""Tables as text: one line per row, with the label of its column before each value.

    Route: Night bus | Weekday fare: — | Weekend fare: 4.50

A row stands for itself: it can be cut from the table, embedded, quoted and read without the rows
above it, and an empty cell never takes the value of its neighbour.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from typing import TypeAlias

Row: TypeAlias = Sequence[str]

SEPARATOR = " | "
EMPTY = "\u2014"  # an empty cell
ROW_CHARS = 600  # longest line of a row: less than the longest passage, so that no line is cut
GROUP_CHARS = 80  # longest caption or subheading that is repeated in each row
LABEL_CHARS = 200  # of the label of a column, which each row repeats
MAX_COPIES = 100_000  # of merged cells in a table: bounds hostile spans
_NUMERIC = re.compile(r"\W*\d[\d\s.,:/%+-]*(?:\W?\w{1,3})?\W*")  # 4.50, 12:30, 7 %, 120 km


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table with its extent.

    Attributes:
        text: its words.
        columns: number of columns that it covers.
        rows: number of rows that it covers.
    """

    text: str
    columns: int = 1
    rows: int = 1


def format_table(header: Row | None, rows: Sequence[Row], caption: str = "") -> str:
    """Format a table, one line per row.

    A row of a single cell in a table of several columns is a subheading. Captions and subheadings
    precede each row below them.

    Args:
        header: labels of the columns; None to find them in the first row; empty for none.
        rows: cells of each row; missing cells at the end count as empty.
        caption: title of the table.
    """
    grid = [[_clean(cell) for cell in row] for row in rows]
    if header is None:
        title, labels, grid = find_header(grid)
        caption = caption or title
    else:
        labels = [_clean(label) for label in header]
    labels, grid = _drop_empty_columns(labels, grid)
    labels = labels or [""]  # rows of a single cell
    caption, subheading = _clean(caption), ""
    lines = [caption] if len(caption) > GROUP_CHARS else []
    above = [] if lines or not caption else [caption]
    if any(len(label) > LABEL_CHARS for label in labels):
        lines.append(SEPARATOR.join(filter(None, labels)))  # complete, once
        labels = [_cut(label) for label in labels]
    pending = caption if above else ""  # a caption or subheading without a row so far
    for row in grid:
        if len(row) == 1 and len(labels) > 1 and row[0]:
            lines += [pending] if pending and pending != caption else []
            subheading = pending = row[0]
            if len(subheading) > GROUP_CHARS:
                lines.append(subheading)
                subheading = pending = ""
        elif any(row):
            pending = ""
            lines += _format_row(labels, row, [*above, subheading] if subheading else above)
    lines += [pending] if pending else []
    return "\n".join(lines or [SEPARATOR.join(filter(None, labels))])


def to_markdown(text: str) -> str:
    """Format the rows of tables in a text as Markdown tables; other lines stay as they are.

    Adjacent rows with the same labels form one table. A caption becomes a line above it.

    Example:
        >>> print(to_markdown("Fares | Route: Night bus | Weekend fare: 4.50 [1]"))
        **Fares**
        <BLANKLINE>
        | Route | Weekend fare |
        |---|---|
        | Night bus | 4.50 [1] |
    """
    output: list[str] = []
    for head, group in groupby(text.split("\n"), _find_head):
        lines = list(group)
        if head is None:
            output += lines
            continue
        captions, labels = head
        # Markdown takes a line right above a table for a paragraph that continues.
        output += [""] if output and output[-1].strip() else []
        output += [f"**{', '.join(captions)}**", ""] if captions else []
        output += [_join_cells(labels), "|" + "---|" * len(labels)]
        output += [_join_cells(_split_row(line)[1]) for line in lines] + [""]
    if output and not output[-1] and not text.endswith("\n"):
        output.pop()
    return "\n".join(output)


def _find_head(line: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Captions and labels of a row; None for another line."""
    if SEPARATOR not in line:
        return None
    captions, _, labels = _split_row(line)
    return captions, labels


def _split_row(line: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Captions, values and labels of a row."""
    cells = [
        (label, value) if colon else ("", label)
        for label, colon, value in (cell.partition(": ") for cell in line.split(SEPARATOR))
    ]
    # Cells without a label before those with one are captions and subheadings.
    first = next((at for at, (label, _) in enumerate(cells) if label), 0)
    captions = tuple(value for _, value in cells[:first])
    labels, values = zip(*cells[first:], strict=True)
    return captions, values, labels


def _join_cells(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.strip().replace("|", r"\|") for cell in cells) + " |"


def expand(rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
    """Copy the text of merged cells into each cell of a grid that they cover.

    A row with a single cell over the complete width stays a single cell.
    """
    # Damaged files have cells over columns that no row has.
    width = max(map(len, rows), default=0)
    total = 0
    grid: list[list[str]] = []
    merged: dict[int, tuple[str, int]] = {}  # by column: text of the cell above, rows left
    for row in rows:
        cells = iter([(c.text, c.rows) for c in row for _ in range(min(c.columns, width))])
        line: list[str] = []
        below: dict[int, tuple[str, int]] = {}
        while True:
            column = len(line)
            cell = merged.pop(column, None) or next(cells, None) or (("", 1) if merged else None)
            if cell is None:
                break
            text, count = cell
            line.append(text)
            if count > 1:
                below[column] = text, count - 1
        merged = below
        grid.append(line)
        total += len(line) - len(row)
        if total > MAX_COPIES:
            return [[cell.text for cell in row] for row in rows]
    width = max(map(len, grid), default=0)
    return [
        [row[0].text] if len(row) == 1 and row[0].columns >= width > 1 else line
        for row, line in zip(rows, grid, strict=True)
    ]


def merge_header(rows: Sequence[Row]) -> list[str]:
    """Merge the header rows of a table into one: `Fare` above `Weekday` becomes `Fare Weekday`."""
    return [
        " ".join(dict.fromkeys(filter(None, map(_clean, column))))
        for column in zip_longest(*(row for row in rows if len(row) > 1), fillvalue="")
    ]


def _clean(cell: str) -> str:
    """A cell on one line; a bar would end it."""
    return " ".join(cell.split()).replace(SEPARATOR, " / ").strip("|")


def _cut(label: str) -> str:
    return label if len(label) <= LABEL_CHARS else f"{label[: LABEL_CHARS - 1]}\u2026"


def find_header(grid: list[list[str]]) -> tuple[str, list[str], list[list[str]]]:
    """Split a grid into title, labels and body; there may be no title or labels.

    The first row is a header if its cells differ, none is a number, and either the table has more
    than two columns or numbers below it: two columns of words are rather names and values.
    """
    width = max(map(len, grid), default=0)
    title = ""
    if len(grid) > 1 and len(grid[0]) == 1 < width:
        title, grid = grid[0][0], grid[1:]
    if len(grid) < 2 or width < 2:
        return title, [""] * width, grid
    first, body = grid[0], grid[1:]
    labels = list(filter(None, first))
    is_header = (
        len(labels) > width // 2
        and len(set(labels)) == len(labels)
        and not any(map(_NUMERIC.fullmatch, labels))
        and (width > 2 or all(_NUMERIC.fullmatch(row[1]) for row in body if any(row[1:])))
    )
    return (title, first, body) if is_header else (title, [""] * width, grid)


def _drop_empty_columns(
    labels: list[str], grid: list[list[str]]
) -> tuple[list[str], list[list[str]]]:
    """Remove columns without any text; give all rows except subheadings the same length."""
    width = max([len(labels), *map(len, grid)])
    labels = labels + [""] * (width - len(labels))
    rows = [labels, *(row for row in grid if len(row) > 1)]
    keep = sorted({column for row in rows for column, cell in enumerate(row) if cell})
    body = [
        row if len(row) == 1 else [row[column] if column < len(row) else "" for column in keep]
        for row in grid
    ]
    return [labels[column] for column in keep], body


def _format_row(labels: Row, row: Row, above: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a row: several, each with its first cell, if it is very long."""
    cells = [f"{a}: {b or EMPTY}" if a else b or EMPTY for a, b in zip(labels, row, strict=True)]
    line = SEPARATOR.join([*above, *cells])
    if len(line) <= ROW_CHARS:
        yield line
        return
    lead = SEPARATOR.join([*above, cells[0]])
    first = 1
    if len(lead) > ROW_CHARS // 2:
        lead, first = SEPARATOR.join(above), 0
    line = lead
    for label, cell in zip(labels[first:], row[first:], strict=True):
        start = f"{label}: " if label else ""
        limit = max(ROW_CHARS - len(lead) - len(SEPARATOR) - len(start), GROUP_CHARS)
        for words in textwrap.wrap(cell, limit, break_on_hyphens=False) or [EMPTY]:
            if len(line) > len(lead) and len(line) + len(start) + len(words) > ROW_CHARS - 3:
                yield line
                line = lead
            line = SEPARATOR.join(filter(None, (line, start + words)))
    yield line
