"""Running headers, footers and page numbers: rows that repeat at the edges of pages."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from wavrag.text.pdf_pages import PdfPage, Row

EDGE_ROWS = 3  # rows at the top and at the bottom of a page that may repeat
MIN_PAGES = 3  # pages with the same row
MAX_SHIFT = 6.0  # vertical distance in points of repeated rows
_NUMBER = re.compile(r"\d+")
# A page number alone or with the word for it; with the number of pages even on a single page.
_PAGE_NUMBER = re.compile(
    r"\W*(?:(?:page|p\.|pg\.?|seite|s\.|p\u00e1gina|pagina|str\.|\u0441\u0442\u0440\.?)\s*)?"
    r"(?:\d{1,4}|[ivxl]{1,6})(\s*(?:of|/|von|de|di|sur)\s*\d{1,4})?\W*",
    re.IGNORECASE,
)


def remove_running_rows(pages: Sequence[PdfPage]) -> tuple[list[PdfPage], list[str]]:
    """Remove running headers, footers and page numbers.

    Returns:
        The pages without them, and the texts of the running headers, the first page's first.
    """
    by_text: dict[tuple[bool, str], set[tuple[int, int]]] = defaultdict(set)
    by_pattern: dict[tuple[bool, str], list[tuple[int, int, tuple[int, ...]]]] = defaultdict(list)
    for number, page in enumerate(pages):
        for at_top, index in _edge_rows(page):
            row = page.rows[index]
            by_text[at_top, row.text].add((number, index))
            numbers = tuple(int(digits[:9]) for digits in _NUMBER.findall(row.text))
            if numbers:
                pattern = _NUMBER.sub("#", row.text)
                by_pattern[at_top, pattern].append((number, index, numbers))
    running: set[tuple[int, int]] = set()
    for positions in by_text.values():
        if len({number for number, _ in positions}) >= MIN_PAGES:
            running |= _level(pages, positions)
    for (at_top, _), candidates in by_pattern.items():
        running |= {
            (number, index)
            for number, index, values in candidates
            if _is_page_number(pages[number].rows[index], values, number, at_top, candidates)
        }
    output: list[PdfPage] = []
    headers: list[str] = []
    for number, page in enumerate(pages):
        removed = {index for index in range(len(page.rows)) if (number, index) in running}
        removed = _outermost(removed, len(page.rows))
        headers += [_without_number(page.rows[i]) for i in sorted(removed) if i < EDGE_ROWS]
        rows = tuple(row for index, row in enumerate(page.rows) if index not in removed)
        output.append(replace(page, rows=rows))
    return output, headers


def _edge_rows(page: PdfPage) -> Iterator[tuple[bool, int]]:
    """Yield the rows at the edges that may be running ones: at the top or not, and their index."""
    rows = page.rows
    for index in range(min(EDGE_ROWS, len(rows))):
        if not (index + 1 < len(rows) and _is_table(rows[index], rows[index + 1])):
            yield True, index
    for index in range(max(len(rows) - EDGE_ROWS, 0), len(rows)):
        if not (index and _is_table(rows[index - 1], rows[index])):
            yield False, index


def _is_table(row: Row, following: Row) -> bool:
    """True for two close rows of cells: a table repeats its header on each page."""
    is_close = following.top - row.bottom < row.height
    return is_close and len(row.segments) > 1 and len(following.segments) > 1


def _level(pages: Sequence[PdfPage], positions: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Return the places at the most frequent height, if there are enough."""
    tops = sorted(pages[number].rows[index].top for number, index in positions)
    middle = tops[len(tops) // 2]
    level = {
        (number, index)
        for number, index in positions
        if abs(pages[number].rows[index].top - middle) <= MAX_SHIFT
    }
    return level if len({number for number, _ in level}) >= MIN_PAGES else set()


def _is_page_number(
    row: Row,
    values: tuple[int, ...],
    number: int,
    at_top: bool,
    rows: Sequence[tuple[int, int, tuple[int, ...]]],
) -> bool:
    """True if a number grows with the pages, others stay, and the row is no numbered heading."""
    match = _PAGE_NUMBER.fullmatch(row.text)
    if match and match[1]:
        return True
    grows = any(
        neighbour != number
        and _differences(values, numbers) in ({neighbour - number}, {0, neighbour - number})
        for neighbour, _, numbers in rows
    )
    is_alone = any(_PAGE_NUMBER.fullmatch(segment.text) for segment in row.segments)
    return grows and (is_alone or not at_top)


def _outermost(indexes: set[int], count: int) -> set[int]:
    """Keep the rows of a page with no other row between them and its edge."""
    top, bottom = 0, count
    while top in indexes:
        top += 1
    while bottom - 1 in indexes and bottom > top:
        bottom -= 1
    return set(range(top)) | set(range(bottom, count))


def _differences(before: tuple[int, ...], after: tuple[int, ...]) -> set[int]:
    return {b - a for a, b in zip(before, after, strict=True)}


def _without_number(row: Row) -> str:
    segments = row.segments
    return " ".join(s.text for s in segments if not _PAGE_NUMBER.fullmatch(s.text))
