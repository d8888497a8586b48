"""Markdown pages of experiments: handwritten prose with generated tables and plots.

A page contains marks, and the command replaces the text between a mark and its end:

    <!-- table: NAME --> … <!-- end -->      a table of the results or of the timings
    <!-- figure: NAME --> … <!-- end -->     a plot, copied beside the page as PAGE-NAME.png
    <!-- findings --> … <!-- end -->         computed sentences
    <!-- left out --> … <!-- end -->         missing parts of the experiment
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from experiments.base import Cell, Estimate, Results, Table
from wavrag.errors import InputError

END = "<!-- end -->"
_BLOCK = re.compile(
    r"(<!-- (?P<kind>table|figure|findings|left out)(?:: (?P<name>[\w.-]+))? -->\n)"
    r"(?P<body>.*?)(?P<end>" + END + r")",
    re.DOTALL,
)
_MARK = re.compile(r"<!-- (?:table: |figure: |findings|left out)")


def write_page(page: Path, results: Results, out: Path) -> None:
    """Write the results of a run into a page, and copy its plots beside it.

    Args:
        page: Markdown page with marks.
        results: results of the run.
        out: run folder with the plots.

    Raises:
        InputError: the page cannot be read or written, a mark has no end, or a mark names a table
            or plot missing in the results.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{page}: cannot be read ({error}): write it first, with marks") from error
    blocks = list(_BLOCK.finditer(text))
    if len(blocks) != len(_MARK.findall(text)) or any(_MARK.search(b["body"]) for b in blocks):
        raise InputError(f"{page}: a mark has no {END}: end each with one on a line of its own")
    text = _BLOCK.sub(lambda block: block[1] + _body(block, page, results) + block["end"], text)
    try:
        for name, file in results.figures.items():
            if f"<!-- figure: {name} -->" in text:
                shutil.copyfile(out / file, page.with_name(_beside(page, file)))
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {page}: {error.strerror or error}") from error


def markdown_table(table: Table) -> str:
    """Format a table in Markdown, with its title above and its note below."""
    heads = [column.name for column in table.columns]
    rows = [
        [format_cell(cell, column.digits) for cell, column in zip(row, table.columns, strict=True)]
        for row in table.rows
    ]
    numeric = [
        all(not isinstance(row[column], str) for row in table.rows) for column in range(len(heads))
    ]
    lines = [
        f"**{table.title}**",
        "",
        _line(heads),
        _line("---:" if right else "---" for right in numeric),
        *map(_line, rows),
    ]
    if table.note:
        lines += ["", table.note]
    return "\n".join(lines) + "\n"


def text_table(table: Table) -> str:
    """Format a table for a terminal."""
    rows = [
        [column.name for column in table.columns],
        *(
            [
                format_cell(cell, column.digits)
                for cell, column in zip(row, table.columns, strict=True)
            ]
            for row in table.rows
        ),
    ]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([table.title, *lines, *([table.note] if table.note else [])])


def format_cell(cell: Cell, digits: int) -> str:
    """Format a cell: `0.812 [0.750 0.861]` for an estimate, a dash for None."""
    if isinstance(cell, Estimate):
        low, high = cell.ci95
        return f"{cell.mean:.{digits}f} [{low:.{digits}f} {high:.{digits}f}]"
    if isinstance(cell, float):
        return f"{cell:,.{digits}f}"
    if isinstance(cell, int):
        return f"{cell:,}"
    return cell or "–"


def _body(block: re.Match[str], page: Path, results: Results) -> str:
    kind, name = block["kind"], block["name"]
    if kind == "findings":
        return _bullets(results.findings, "None.")
    if kind == "left out":
        return _bullets(results.left_out, "Nothing.")
    if kind == "table":
        for table in (*results.tables, *results.timings):
            if table.name == name:
                return "\n" + markdown_table(table) + "\n"
        names = ", ".join(table.name for table in (*results.tables, *results.timings))
        raise InputError(f"{page}: there is no table {name!r}: the results have {names}")
    if name not in results.figures:
        names = ", ".join(results.figures) or "none"
        raise InputError(f"{page}: there is no figure {name!r}: the results have {names}")
    return f"\n![{results.captions.get(name, name)}]({_beside(page, results.figures[name])})\n\n"


def _bullets(sentences: Iterable[str], placeholder: str) -> str:
    lines = [f"- {sentence}" for sentence in sentences] or [placeholder]
    return "\n" + "\n".join(lines) + "\n\n"


def _beside(page: Path, file: str) -> str:
    return f"{page.stem}-{file}"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
