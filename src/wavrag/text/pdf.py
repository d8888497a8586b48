"""Parse PDF: headings, paragraphs, lists and tables, page by page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from pathlib import PurePath
from statistics import median
from typing import Any

from wavrag.errors import DocumentError
from wavrag.text.document import ParsedText, TextBuilder, add_paragraph, one_line, seems_heading
from wavrag.text.limits import limits
from wavrag.text.ocr import find_engine, read_rows
from wavrag.text.pdf_layout import LEADER, Table, find_regions
from wavrag.text.pdf_pages import (
    PDFIUM_LOCK,
    PdfPage,
    Row,
    TextRun,
    open_pdf,
    read_page,
    render_page,
)
from wavrag.text.pdf_running import remove_running_rows
from wavrag.text.table import find_header

_HYPHEN = re.compile(r"(\w{1,100})[-\u2010\u00ad]$")
_ITEM = re.compile(r"(?:[-*\u2022\u25aa\u25e6\u2023\u2043\u25cf\u25cb\u25a0]|\d{1,2}[.)])\s+")
_BULLET = re.compile(r"^[*\u2022\u25aa\u25e6\u2023\u2043\u25cf\u25cb\u25a0]\s+")
_WORD = re.compile(r"\w+(?:-\w+)*")
# First parts of compounds that keep their hyphen at the end of a line.
_PREFIXES = frozenset(
    "all close cross double ex five four full half high left long low mid near new non old open"
    " part right self short single six so ten three two well".split()
)
REMEDY = (
    'install tesseract or `pip install "wavrag[ocr]"` and index it again, or run OCR first, e.g.'
    " with `ocrmypdf IN.pdf OUT.pdf`"
)
SHORT_LINE = 0.75  # share of the longest line around; a shorter line ends its paragraph
WIDE_GAP = 1.4  # vertical distance of paragraphs, as a share of the usual distance of lines
HEADING_SIZE = 1.15  # height of a heading, as a share of that of the text
MAX_HEADING_CHARS = 200
MAX_LEVEL = 4  # of headings told by their size
_NO_TITLE = re.compile(
    r"(?:microsoft (?:word|powerpoint|excel)|untitled|document|presentation|slide|folie|print)\b"
    r"[\s-]*\d*|microsoft \w+ - .*|powerpoint presentation|.*\.\w{2,5}",
    re.IGNORECASE,
)
_NO_VALUE = re.compile(r"\W*+(?:(?:anonymous|unspecified|unknown|user|none)\W*)?", re.IGNORECASE)
_DATE = re.compile(r"(?:D:)?(\d{4})(\d\d)(\d\d)")


@dataclass(slots=True)
class _Block:
    """A block of a page.

    Attributes:
        kind: `paragraph`, `heading`, `item` of a list or `table`.
        page: page number from 1.
        text: words, unless it is a table.
        size: line height of a heading in points.
        is_first: first of a column or page; it may continue the block before.
        table: the table.
    """

    kind: str
    page: int
    text: str = ""
    size: float = 0.0
    is_first: bool = False
    table: Table | None = None


def parse_pdf(data: bytes, name: str) -> ParsedText:
    """Extract the text of all pages in reading order.

    Running headers, footers and page numbers are left out. Pages of pictures alone are read by OCR
    if an engine is installed, and named in a note.

    Args:
        data: content of the file.
        name: path for messages; a title equal to the file name is none.

    Raises:
        DocumentError: the file needs a password, is damaged, or contains no text.
    """
    with PDFIUM_LOCK:
        document = open_pdf(data, name)
    builder = TextBuilder()
    try:
        with PDFIUM_LOCK:
            pages = [read_page(document, index) for index in range(len(document))]
            properties = document.get_metadata_dict(skip_empty=True)
        pages, headers = remove_running_rows(pages)
        pages = _read_images(document, pages, builder)
    finally:
        with PDFIUM_LOCK:
            document.close()
    date = _DATE.match(properties.get("CreationDate", ""))
    fields = {"author": "Author", "subject": "Subject", "tags": "Keywords"}
    builder.add_metadata(
        {
            key: value
            for key, field in fields.items()
            if not _NO_VALUE.fullmatch(value := properties.get(field, ""))
        }
    )
    builder.add_metadata({"date": "-".join(date.groups()) if date else None})
    _add_blocks(builder, list(_join_blocks(pages)))
    if not builder:
        raise DocumentError(f"{name}: contains no text, only images: {REMEDY}")
    title = one_line(properties.get("Title", ""))
    if _NO_TITLE.fullmatch(title) or _NO_VALUE.fullmatch(title) or title == PurePath(name).stem:
        title = ""
    parsed = builder.build(title)
    return (
        parsed if parsed.title else replace(parsed, title=next(filter(seems_heading, headers), ""))
    )


def _read_images(document: Any, pages: Sequence[PdfPage], builder: TextBuilder) -> list[PdfPage]:
    """Read pages without text by OCR, and note the pages that were, and were not, read."""
    rows: dict[int, tuple[Row, ...]] = {}
    empty = [n for n, page in enumerate(pages, start=1) if page.has_graphics and not page.rows]
    engine = find_engine() if empty else None
    remedy = REMEDY
    if engine is not None:
        remedy = f"{engine.name} recognised nothing there"
        for number in empty:
            limits.restart()
            with PDFIUM_LOCK:
                image, scale = render_page(document, number - 1)
            try:
                rows[number] = read_rows(image, scale, engine)
            except DocumentError as error:
                remedy = str(error)
        if read := [number for number in empty if rows.get(number)]:
            builder.add_note(f"{_name_pages(read)}: read by OCR ({engine.name}), with mistakes")
    if unread := [number for number in empty if not rows.get(number)]:
        builder.add_note(f"no text, only pictures, on {_name_pages(unread)}: {remedy}")
    return [replace(page, rows=rows.get(n, page.rows)) for n, page in enumerate(pages, start=1)]


def _name_pages(numbers: Sequence[int]) -> str:
    """`page 3`, or `pages 2-5, 9`."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][-1] == number - 1:
            ranges[-1][1:] = [number]
        else:
            ranges.append([number])
    return f"page{'s' * (len(numbers) > 1)} {', '.join('-'.join(map(str, r)) for r in ranges)}"


def _add_blocks(builder: TextBuilder, blocks: Sequence[_Block]) -> None:
    """Add blocks, items of a list as one, and a table with the header of the page before."""
    sizes = sorted({round(b.size) for b in blocks if b.kind == "heading"}, reverse=True)
    header: list[str] = []
    before: _Block | None = None
    for kind, members in groupby(blocks, key=lambda block: (block.kind, block.page)):
        group = list(members)
        if kind[0] == "item":
            items = (_BULLET.sub("- ", block.text) for block in group)
            builder.add("\n".join(items), "list", page=kind[1])
            continue
        for block in group:
            if block.table is not None:
                header = _add_table(builder, block, before, header)
            elif block.kind == "heading":
                level = min(sizes.index(round(block.size)) + 1, MAX_LEVEL)
                builder.add(block.text, "heading", level, block.page)
            elif sizes and seems_heading(block.text):
                builder.add(block.text, "heading", MAX_LEVEL + 1, block.page)
            else:
                add_paragraph(builder, block.text, block.page)
            before = block
        before = group[-1]


def _add_table(
    builder: TextBuilder, block: _Block, before: _Block | None, header: list[str]
) -> list[str]:
    """Add a table and return its header: that of the table before, if this one continues it."""
    table = block.table
    assert table is not None
    if before is None or before.table is None or not table.continues(before.table):
        title, header, rows = find_header(table.rows)
    else:
        title, rows = "", table.rows[table.rows[:1] == [header] :]
    builder.add_table(header, rows, title, page=block.page)
    return header


def _join_blocks(pages: Sequence[PdfPage]) -> Iterator[_Block]:
    """Yield the blocks of all pages; a paragraph may continue in the next column or page."""
    lines = [segment for page in pages for row in page.rows for segment in row.segments]
    words = frozenset(word for line in lines for word in _WORD.findall(line.text.lower()))
    body = _usual_height(lines)
    pending: _Block | None = None
    for number, page in enumerate(pages, start=1):
        for region in find_regions(page.rows):
            blocks: Iterable[_Block] = (
                [_Block("table", number, table=region)]
                if isinstance(region, Table)
                else _paragraphs(region.lines, number, body, words)
            )
            for block in blocks:
                if (
                    pending is not None
                    and block.is_first
                    and block.kind == "paragraph"
                    and pending.kind in ("paragraph", "item")
                    and _continues(pending.text, block.text)
                ):
                    pending.text = _append(pending.text, block.text, words)
                    continue
                if pending is not None:
                    yield pending
                pending = block
    if pending is not None:
        yield pending


def _usual_height(lines: Sequence[TextRun]) -> float:
    """Median height of the lines, weighted by their length."""
    remaining = sum(len(line.text) for line in lines) / 2
    for line in sorted(lines, key=lambda line: line.height):
        remaining -= len(line.text)
        if remaining <= 0:
            return line.height
    return 0.0


def _paragraphs(
    lines: Sequence[TextRun], page: int, body: float, words: frozenset[str]
) -> Iterator[_Block]:
    """Join the lines of a column.

    A paragraph ends at a wide gap, another size of letters, a short line, a list item, or a heading
    after a complete sentence.
    """
    pitches = [b.top - a.top for a, b in pairwise(lines) if b.top > a.top]
    usual = median(pitches) if pitches else 0.0
    runs = [[lines[0]]]
    for before, line in pairwise(lines):
        size = line.height if _is_large(line, body) else 0.0
        gap = 2 * size if size else max(WIDE_GAP * usual, 1.2 * before.height)
        if line.top - before.top > gap or abs(line.height - before.height) > 0.1 * body:
            runs.append([])
        runs[-1].append(line)
    for number, run in enumerate(runs):
        size = run[0].height if _is_large(run[0], body) else 0.0
        right = max(line.right for line in run)
        limit = right - (1 - SHORT_LINE) * (right - min(line.left for line in run))
        block = _Block("heading" if size else "paragraph", page, "", size, number == 0)
        before = run[0]
        for line in run:
            if (
                block.text
                and not size
                and (
                    _ITEM.match(line.text)
                    or (block.text[-1] in ".!?" and seems_heading(line.text))
                    or (before.right < limit and before.text[-1] not in ",;-\u2010")
                )
            ):
                yield block
                block = _Block("paragraph", page)
            if not block.text and not size and _ITEM.match(line.text):
                block.kind = "item"
            block.text = _append(block.text, line.text, words)
            before = line
        yield block


def _is_large(line: TextRun, body: float) -> bool:
    return (
        line.height > HEADING_SIZE * body
        and len(line.text) <= MAX_HEADING_CHARS
        and LEADER not in line.text
        and any(map(str.isalpha, line.text))
    )


def _continues(paragraph: str, following: str) -> bool:
    return paragraph[-1] not in ".!?:" and following[:1].islower()


def _append(paragraph: str, line: str, words: frozenset[str]) -> str:
    """Append a line; a word divided at the end of the line is joined, a compound is not."""
    if not paragraph:
        return line
    match = _HYPHEN.search(paragraph, max(len(paragraph) - 101, 0))
    following = _WORD.match(line)
    if match is None or following is None or not line[0].islower():
        return f"{paragraph}\n{line}"
    first, second = match[1].lower(), following[0].lower()
    is_compound = first + second not in words and (
        f"{first}-{second}" in words or first in _PREFIXES or first.isdigit()
    )
    return (paragraph if is_compound else paragraph[:-1]) + line
