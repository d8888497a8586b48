"""Layout of a PDF page: columns of text, tables and lines, in reading order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median

from wavrag.text.pdf_pages import Row, TextRun
from wavrag.text.table import merge_header

Span = tuple[float, float]

MIN_GUTTER = 0.5  # width of the gap between columns, as a share of the line height
MIN_COLUMN_ROWS = 4  # rows of columns of text; fewer may have wide spaces by chance
MAX_COLUMNS = 4  # of text, not of tables
MIN_COLUMN_WORDS = 3  # mean number of words of a line of a column of text
MIN_COLUMN_FILL = 0.6  # median width of a line of text, as a share of its column
MAX_GUTTERS = 60  # bounds the time for hostile files
MAX_CROSSING = 0.4  # share of the rows of a table with a cell over a column gap
LONG_CELL = 0.75  # share of its column that a cell fills before its text wraps
CLOSE = 0.8  # vertical distance of wrapped lines of a cell, in distances of rows
LARGE = 1.15  # height of a heading below a table, as a share of that of its rows
TABLE_GAP = 1.8  # vertical distance that ends a table, in distances of its rows
LEADER = " ... "  # between a heading and its page in a table of contents
_LEADER = re.compile(r"\.(?:\s?\.){4,}")
_THREE_WORDS = re.compile(r"\w \w+ \S")  # with a full stop: a sentence below a table, no row
_MARKER = re.compile(r"(?:[-*\u2022\u25aa\u25e6\u2023\u2043\u25cf\u25cb\u25a0\u2013]|\w{1,2}[.)])")


@dataclass(frozen=True, slots=True)
class Table:
    """A table: the texts of the cells of each row.

    Attributes:
        rows: all rows have the same number of cells; a subheading has a single cell.
        columns: left and right edges of the columns in points.
    """

    rows: list[list[str]]
    columns: list[Span]

    def continues(self, before: Table) -> bool:
        """True if the columns are those of a table on the page before."""
        return len(self.columns) == len(before.columns) and all(
            left < b and a < right
            for (left, right), (a, b) in zip(self.columns, before.columns, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of text of a column, from top to bottom."""

    lines: list[TextRun]


def find_regions(rows: Sequence[Row]) -> Iterator[Lines | Table]:
    """Yield the regions of a page in reading order."""
    rows = [_join_markers(row) for row in rows]
    lines: list[TextRun] = []
    at = 0
    while at < len(rows):
        band = _find_band(rows, at)
        regions = list(band.regions()) if band is not None else []
        if band is None or not regions:
            lines.append(_join_segments(rows[at].segments))
            at += 1
            continue
        if lines:
            yield Lines(lines)
            lines = []
        yield from regions
        at += band.count
    if lines:
        yield Lines(lines)


@dataclass(slots=True)
class _Band:
    """Consecutive rows with common gaps.

    Attributes:
        rows: the rows.
        gutters: horizontal spans without text, from left to right.
        count: number of rows.
        columns: horizontal spans between the gutters.
    """

    rows: list[Row]
    gutters: list[Span]
    count: int = 0
    columns: list[Span] = field(default_factory=list)

    def regions(self) -> Iterator[Lines | Table]:
        """Yield columns of text or a table; nothing if the gaps are accidental."""
        self._set_columns()
        self.count = len(self.rows)
        if self._is_text():
            if len(self.rows) >= MIN_COLUMN_ROWS:
                for column in range(len(self.columns)):
                    cells = (self._cells(row)[column] for row in self.rows)
                    yield Lines([_join_segments(cell) for cell in cells if cell])
            return
        self._trim()
        if self.gutters and sum(len(row.segments) > 1 for row in self.rows) >= 2:
            self._set_columns()
            yield Table(_merge_header_rows(list(self._table_rows())), self.columns)

    def _set_columns(self) -> None:
        left = min(row.segments[0].left for row in self.rows)
        right = max(row.segments[-1].right for row in self.rows)
        starts = [left, *(gutter[1] for gutter in self.gutters)]
        self.columns = list(zip(starts, [*(g[0] for g in self.gutters), right], strict=True))

    def _is_text(self) -> bool:
        """True for columns of text: few, with lines of several words that fill them."""
        if len(self.columns) > MAX_COLUMNS:
            return False
        for column, (left, right) in enumerate(self.columns):
            cells = [cell for row in self.rows if (cell := self._cells(row)[column])]
            words = sum(segment.text.count(" ") + 1 for cell in cells for segment in cell)
            widths = [cell[-1].right - cell[0].left for cell in cells]
            if words < MIN_COLUMN_WORDS * len(cells) or len(cells) < len(self.rows) / 4:
                return False
            if median(widths) < MIN_COLUMN_FILL * (right - left):
                return False
        return True

    def _cells(self, row: Row) -> list[list[TextRun]]:
        """Assign the segments of a row to the columns that they overlap most."""
        cells: list[list[TextRun]] = [[] for _ in self.columns]
        for segment in row.segments:
            cells[_closest(segment, self.columns)].append(segment)
        return cells

    def _trim(self) -> None:
        """Cut a table at a wide vertical gap or larger letters, and single cells at its end."""
        usual = median(_pitches(self.rows[:9]))
        height = median(row.height for row in self.rows[:5])
        for index, pitch in enumerate(_pitches(self.rows), start=1):
            if pitch > TABLE_GAP * usual or self.rows[index].height > LARGE * height:
                del self.rows[index:]
                break
        while len(self.rows) > 1 and len(self.rows[-1].segments) == 1:
            last, before = self.rows[-1], self.rows[-2]
            gutters = _find_gutters(self.rows[:-1])
            if (
                last.top - before.top <= 1.25 * usual
                and last.height <= 1.1 * before.height
                and not (last.text[-1] in ".!?:" and _THREE_WORDS.search(last.text))
                and _narrow(gutters, last) == gutters
                and not any(_crosses(last.segments[0], gutter) for gutter in gutters)
            ):
                break
            self.rows.pop()
        self.count = len(self.rows)
        self.gutters = _find_gutters(self.rows)

    def _table_rows(self) -> Iterator[list[str]]:
        """Yield the cells of each row, with wrapped lines joined and merged cells copied."""
        usual = median(_pitches(self.rows))
        pending: list[str] | None = None
        before: list[list[TextRun]] = []
        top = 0.0
        for row in self.rows:
            cells = self._cells(row)
            texts = [_join_segments(cell).text if cell else "" for cell in cells]
            if pending is not None and self._continues(cells, before, row.top - top < 0.8 * usual):
                pending = [
                    " ".join(filter(None, pair)) for pair in zip(pending, texts, strict=True)
                ]
            else:
                if pending is not None:
                    yield pending
                pending = self._copy_merged(row, texts)
            before, top = cells, row.top
        if pending is not None:
            yield pending

    def _continues(
        self, cells: list[list[TextRun]], before: list[list[TextRun]], is_close: bool
    ) -> bool:
        """True if a row holds the wrapped lines of the row before."""
        if is_close:
            return True
        if cells[0]:
            return all(cell[0].text[:1].islower() for cell in cells if cell) and not all(cells)
        return all(
            bool(above) and above[-1].right - above[0].left > LONG_CELL * (right - left)
            for cell, above, (left, right) in zip(cells, before, self.columns, strict=True)
            if cell
        ) and not any(character.isdigit() for cell in cells for s in cell for character in s.text)

    def _copy_merged(self, row: Row, texts: list[str]) -> list[str]:
        """Copy the text of a cell into each column that it covers."""
        if len(row.segments) == 1 and all(
            _crosses(row.segments[0], gutter) for gutter in self.gutters
        ):
            return [row.segments[0].text]
        texts = list(texts)
        is_head = row is self.rows[0] and len(row.segments) < len(self.columns)
        for segment in row.segments:
            covers = _covers_most if is_head else _crosses
            crossed = [i for i, gutter in enumerate(self.gutters) if covers(segment, gutter)]
            for column in (c for i in crossed for c in (i, i + 1)):
                texts[column] = texts[column] or segment.text
        return texts


def _pitches(rows: Sequence[Row]) -> list[float]:
    """Vertical distances of at least two neighbouring rows in points."""
    return [below.top - above.top for above, below in pairwise(rows)]


def _find_band(rows: Sequence[Row], start: int) -> _Band | None:
    """Collect the rows from a start that have a common gap; None for less than two."""
    first = rows[start].segments
    if len(first) == 1:
        # Columns whose lines are not level begin with a line of one of them.
        if start + 1 == len(rows) or rows[start + 1].top >= rows[start].bottom - 1:
            return None
        first = tuple(sorted((*first, *rows[start + 1].segments), key=lambda s: s.left))
    gutters = _gaps(first)
    if not gutters:
        return None
    band = [rows[start]]
    for index in range(start + 1, len(rows)):
        row = rows[index]
        updated = _narrow(gutters, row)
        if not updated or all(any(_crosses(s, g) for s in row.segments) for g in gutters):
            # A cell over the complete width, if the same columns go on below it.
            following = rows[index + 1].segments if index + 1 < len(rows) else ()
            if len(row.segments) > 1 or len(following) < max(2, len(gutters)):
                break
            if any(_crosses(segment, gutter) for segment in following for gutter in gutters):
                break
            updated = gutters
        gutters = updated
        band.append(row)
    gutters = _find_gutters(band)
    return _Band(band, gutters) if gutters and len(band) > 1 else None


def _find_gutters(rows: Sequence[Row]) -> list[Span]:
    """Return the gaps that the rows share, except rows with cells merged over a gap."""
    # The row with most cells has most columns; others may have merged or empty cells.
    widest = max(rows, key=lambda row: len(row.segments)).segments
    gutters = _gaps(widest)
    left, right = widest[0].left, max(segment.right for segment in widest)
    for row in rows:
        for segment in reversed(row.segments):
            if segment.right < left:
                gutters.insert(0, (segment.right, left))
            left = min(left, segment.left)
        for segment in row.segments:
            if segment.left > right:
                gutters.append((right, segment.left))
            right = max(right, segment.right)
    if len(gutters) > MAX_GUTTERS:
        return []
    for row in rows:
        # A first row with fewer cells has labels over several columns.
        if row is not rows[0] or len(row.segments) == len(widest):
            gutters = _narrow(gutters, row)
    height = median(row.height for row in rows)
    return [
        gutter
        for gutter in gutters
        if gutter[1] - gutter[0] > MIN_GUTTER * height
        and sum(any(_crosses(s, gutter) for s in row.segments) for row in rows)
        <= max(1, MAX_CROSSING * len(rows))
    ]


def _narrow(gutters: Sequence[Span], row: Row) -> list[Span]:
    """Narrow gutters to the gaps of a row; a segment inside splits one, others may cross it."""
    spans: list[Span] = []
    for gutter in gutters:
        gaps = [gutter]
        for segment in row.segments:
            if (
                not _crosses(segment, gutter)
                and segment.left < gutter[1]
                and segment.right > gutter[0]
            ):
                gaps = [
                    (left, right)
                    for a, b in gaps
                    for left, right in ((a, min(b, segment.left)), (max(a, segment.right), b))
                    if right > left
                ]
        spans += gaps
    return spans


def _gaps(segments: Sequence[TextRun]) -> list[Span]:
    """Return the gaps between segments."""
    gaps: list[Span] = []
    right = segments[0].right
    for segment in segments[1:]:
        if segment.left > right:
            gaps.append((right, segment.left))
        right = max(right, segment.right)
    return gaps


def _crosses(segment: TextRun, gutter: Span) -> bool:
    return segment.left <= gutter[0] and segment.right >= gutter[1]


def _covers_most(segment: TextRun, gutter: Span) -> bool:
    overlap = min(segment.right, gutter[1]) - max(segment.left, gutter[0])
    return overlap > (gutter[1] - gutter[0]) / 2


def _closest(segment: TextRun, columns: Sequence[Span]) -> int:
    """Index of the column that a segment overlaps most, or the nearest one."""
    return max(
        range(len(columns)),
        key=lambda i: (min(segment.right, columns[i][1]) - max(segment.left, columns[i][0]), -i),
    )


def _join_segments(segments: Sequence[TextRun]) -> TextRun:
    if len(segments) == 1:
        return segments[0]
    return TextRun(
        min(segment.left for segment in segments),
        max(segment.right for segment in segments),
        min(segment.top for segment in segments),
        max(segment.bottom for segment in segments),
        " ".join(segment.text for segment in segments),
    )


def _join_markers(row: Row) -> Row:
    """Join the marker of a list item to its text, and a line of a table of contents."""
    if _LEADER.search(row.text):
        line = _join_segments(row.segments)
        return Row((replace(line, text=" ".join(_LEADER.sub(LEADER, line.text).split())),))
    first, *segments = row.segments
    if segments and _MARKER.fullmatch(first.text):
        return Row((_join_segments((first, segments[0])), *segments[1:]))
    return row


def _merge_header_rows(rows: list[list[str]]) -> list[list[str]]:
    """Merge two header rows into one: labels over several columns, and a label for each below."""
    if len(rows) < 3 or len(rows[0]) == 1 or len(rows[1]) != len(rows[0]):
        return rows
    top, labels = rows[0], rows[1]
    if any(c.isdigit() for label in (*top, *labels) for c in label) or not all(
        map(any, zip(top, labels, strict=True))
    ):
        return rows
    # A label over several columns may stand above the first of them only.
    merged = [top[0]]
    for column, label in enumerate(top[1:], start=1):
        merged.append(label or (merged[-1] if column > 1 and labels[column - 1] else ""))
    is_group = "" in top or len(set(top)) < len(top)
    return [merge_header([merged, labels]), *rows[2:]] if is_group else rows
