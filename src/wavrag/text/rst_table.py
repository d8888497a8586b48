"""Tables of reStructuredText: grids, simple tables, `list-table` and `csv-table`."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from typing import TypeAlias

from wavrag.text.table import merge_header

Table: TypeAlias = tuple[list[str] | None, list[list[str]]]  # header, None if unknown; and rows

_GRID_BORDER = re.compile(r"\+[-=+]+\+$")
_SIMPLE_BORDER = re.compile(r"={2,}(?: +={2,})+$")
_OPTION = re.compile(r":([\w-]{1,40}):\s*(.*)$")


def parse_table(lines: Sequence[str]) -> Table | None:
    """Parse a grid or a simple table; None if the lines are no table."""
    first = lines[0].strip()
    if _GRID_BORDER.match(first):
        return _parse_grid([line.strip() for line in lines])
    if _SIMPLE_BORDER.match(first):
        indent = len(lines[0]) - len(lines[0].lstrip())
        return _parse_simple([line[indent:] for line in lines])
    return None


def _parse_grid(lines: Sequence[str]) -> Table:
    """Columns begin at the crosses of the first border; a cell may cover several."""
    edges = [at for at, mark in enumerate(lines[0]) if mark == "+"]
    rows: list[list[str]] = []
    head, is_new = 0, True
    for line in lines:
        if line.startswith("+"):
            is_new = True
            head = len(rows) if "=" in line and rows else head
            continue
        if is_new:
            rows.append([""] * (len(edges) - 1))
            is_new = False
        column = 0
        while column < len(edges) - 1:
            last = column + 1
            while last < len(edges) - 1 and line[edges[last] : edges[last] + 1] != "|":
                last += 1
            words = line[edges[column] + 1 : edges[last]].strip()
            # A merged cell counts for each column that it covers.
            for index in range(column, last):
                rows[-1][index] = f"{rows[-1][index]} {words}".strip()
            column = last
    return (merge_header(rows[:head]), rows[head:]) if head else (None, rows)


def _parse_simple(lines: Sequence[str]) -> Table:
    """Columns begin where those of the border do; a line without a first cell continues a row."""
    starts = [match.start() for match in re.finditer("=+", lines[0])]
    ends = [*starts[1:], None]
    rows: list[list[str]] = []
    head, borders = 0, 0
    for line in lines:
        if set(line) <= set("= "):
            borders += 1
            head = len(rows) if borders == 2 else head
            continue
        if set(line) <= set("- "):
            continue
        cells = [line[start:end].strip() for start, end in zip(starts, ends, strict=True)]
        if rows and not cells[0] and head < len(rows):
            cells = [f"{a} {b}".strip() for a, b in zip(rows.pop(), cells, strict=True)]
        rows.append(cells)
    # With two borders, the second one is the end.
    return (merge_header(rows[:head]), rows[head:]) if borders > 2 and head else (None, rows)


def parse_directive(name: str, lines: Sequence[str]) -> Table:
    """Parse the content of a `list-table` or a `csv-table` with its options."""
    options: dict[str, str] = {}
    content: list[str] = []
    for line in lines:
        option = _OPTION.match(line.strip())
        if option and not content:
            options[option[1]] = option[2]
        elif line.strip():
            content.append(line.strip())
    rows = _list_rows(content) if name == "list-table" else _csv_rows(content)
    count = options.get("header-rows", "0")
    head = int(count) if count in ("1", "2", "3") else 0
    if header := options.get("header"):
        return next(iter(_csv_rows([header]))), rows
    return (merge_header(rows[:head]), rows[head:]) if head else (None, rows)


def _list_rows(lines: Sequence[str]) -> list[list[str]]:
    rows: list[list[str]] = []
    for line in lines:
        if line.startswith("* -"):
            rows.append([line[3:].strip()])
        elif rows and (line.startswith("- ") or line == "-"):
            rows[-1].append(line[1:].strip())
        elif rows:
            rows[-1][-1] = f"{rows[-1][-1]} {line}".strip()
    return rows


def _csv_rows(lines: Sequence[str]) -> list[list[str]]:
    try:
        return list(csv.reader(lines, skipinitialspace=True))
    except csv.Error:
        return [[line] for line in lines]
