"""Cells of an HTML table, in the order of the document."""

from __future__ import annotations

from typing import Any

from wavrag.text.document import one_line
from wavrag.text.table import Cell, expand, merge_header

_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
MAX_CELL_CHARS = 2_000  # a longer cell is part of a page laid out as a table


class HtmlTable:
    """Collects the cells of a table.

    Args:
        is_layout: the table arranges a page; its cells are paragraphs of text.
    """

    def __init__(self, is_layout: bool) -> None:
        self.is_layout = is_layout
        self._caption: list[str] = []
        self._rows: list[list[_HtmlCell]] = []
        self._columns = 0  # of the longest row
        self._head_rows = 0
        self._owner: int | None = None

    @property
    def has_cells(self) -> bool:
        """True for a table of data: several columns, and no headings or tables inside."""
        return not self.is_layout and self._columns > 1

    @property
    def has_labels(self) -> bool:
        """True if a cell so far is a header: surely a table of data."""
        return not self.is_layout and any(cell.is_header for row in self._rows for cell in row)

    def add_element(self, element: Any, context: Any) -> None:
        """Add an element inside the table."""
        tag = element.tag
        if tag == "tr":
            self._rows.append([])
            self._head_rows += element.parent.tag == "thead"
        elif tag in ("td", "th") and self._rows:
            self._rows[-1].append(_HtmlCell(element))
            self._columns = max(self._columns, len(self._rows[-1]))
        elif tag in _HEADINGS and context.cell is not None and context.cell.tag == "td":
            self.is_layout = True
        elif tag == "img":
            self.add_text(context, f" {element.attributes.get('alt') or ''} ")

    def add_text(self, context: Any, text: str) -> None:
        """Add text inside the table; text of another element is another word."""
        target = self._caption
        if context.cell is not None and self._rows and self._rows[-1]:
            cell = self._rows[-1][-1]
            target = cell.strings
            cell.length += len(text)
            self.is_layout |= cell.length > MAX_CELL_CHARS
        if context.owner.mem_id != self._owner:
            target.append(" ")
            self._owner = context.owner.mem_id
        target.append(text)

    def parse(self) -> tuple[list[str] | None, list[list[str]], str]:
        """Return header, rows and caption; the header is None if the markup does not tell."""
        grid = expand([[cell.expand() for cell in row] for row in self._rows])
        width = max(map(len, grid), default=0)
        count = self._head_rows
        for row in self._rows[count:]:
            if not row or not all(cell.is_header for cell in row):
                break
            count += 1
        titles = [row[0] for row in grid[:count] if len(row) == 1 < width]
        caption = one_line(" ".join([*self._caption, *titles]))
        if count == len(grid):
            return [], grid, caption
        if count:
            return merge_header(grid[:count]), grid[count:], caption
        # A first row of a header and values belongs to a table with headers on the left.
        is_left = any(cell.is_header for cell in self._rows[0])
        return ([] if is_left else None), grid, caption


class _HtmlCell:
    def __init__(self, element: Any) -> None:
        self.is_header = element.tag == "th"
        self.strings: list[str] = []
        self.length = 0
        self._columns = _span(element.attributes.get("colspan"))
        # Zero means all rows of the group.
        self._rows = _span(element.attributes.get("rowspan")) or 65_534

    def expand(self) -> Cell:
        text = one_line("".join(self.strings).replace("\v", " "))
        return Cell(text, max(self._columns, 1), self._rows)


def _span(value: str | None) -> int:
    value = (value or "1").strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) < 6 else 1
