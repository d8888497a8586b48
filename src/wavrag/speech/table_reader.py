"""Rewrite the rows of Markdown tables as sentences, also while the text is generated."""

from __future__ import annotations

import re

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_CELL_BORDER = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"\s*:?-+:?\s*")  # a cell of the line below the header
_EMPTY_CELLS = ("", "-", "\u2013", "\u2014")


class TableReader:
    r"""Replaces each row of a table by `header: value, header: value.`; other text passes through.

    A line that begins with `|` is held back until it is complete, a first row until the next line
    shows whether it is the header.

    Example:
        >>> reader = TableReader()
        >>> reader.feed("| Bus | Fare |\n|---|---|\n| Night | 4 |") + reader.close()
        'Bus: Night, Fare: 4.\n\n'
    """

    def __init__(self) -> None:
        self._line = ""
        self._in_text = False  # within a line that is no row
        self._header: list[str] = []
        self._first: list[str] | None = None  # a row that may be the header

    def feed(self, delta: str) -> str:
        """Return the complete rows and text."""
        output = ""
        for line in _LINE.findall(delta):
            self._line += line
            ends = line.endswith("\n")
            if self._in_text or self._line.lstrip(" \t")[:1] not in ("", "|", "\n"):
                output += self._end_table() + self._line
                self._line, self._in_text = "", not ends
            elif ends:
                output += self._take_line()
        return output

    def close(self) -> str:
        """Return the rest of the text."""
        return self._take_line() + self._end_table()

    def _take_line(self) -> str:
        line, self._line = self._line, ""
        if not line.strip():
            return self._end_table() + line
        cells = _CELL_BORDER.split(line.strip().removeprefix("|").removesuffix("|"))
        if all(map(_RULE.fullmatch, cells)):
            self._header, self._first = self._first or self._header, None
            return ""
        row = [cell.replace(r"\|", "|").strip() for cell in cells]
        if self._header:
            return _read_row(self._header, row)
        first, self._first = self._first, row
        return _read_row([], first or [])

    def _end_table(self) -> str:
        first, self._first, self._header = self._first, None, []
        return _read_row([], first or [])


def _read_row(header: list[str], row: list[str]) -> str:
    names = [*header, *[""] * len(row)]
    cells = [
        f"{name}: {'none' if cell in _EMPTY_CELLS else cell}" if name else cell
        for name, cell in zip(names, row, strict=False)
    ]
    sentence = ", ".join(filter(None, cells))
    return f"{sentence.rstrip('.')}.\n\n" if sentence else ""
