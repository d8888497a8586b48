"""Read the words of PDF pages with their positions, by PDFium."""

from __future__ import annotations

import ctypes
import math
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from wavrag.errors import DocumentError

PDFIUM_LOCK = threading.Lock()  # PDFium is not safe for threads
# Between words, as a share of the line height. A wider gap than SEGMENT_GAP may separate columns;
# spaces of justified text seldom reach it.
WORD_GAP = 0.2
SEGMENT_GAP = 0.75
ROW_SHIFT = 0.3  # vertical distance of words of the same row, as a share of the line height
MAX_ROTATED = 0.3  # share of rotated words beyond which the order of the file is kept
RENDER_DPI = 200
MAX_PIXELS = 4_000  # longest side of a rendered page
_HYPHENS = frozenset({0x02, 0xFFFE})  # PDFium's codes of a hyphen at the end of a line
_PASSWORD_ERROR = 4  # FPDF_ERR_PASSWORD


@dataclass(frozen=True, slots=True)
class Segment:
    """Neighbouring words of a row, without a wide gap.

    Attributes:
        left: left edge in points.
        right: right edge in points.
        top: distance of the upper edge from the top of the page in points.
        bottom: distance of the lower edge from the top of the page in points.
        text: the words.
    """

    left: float
    right: float
    top: float
    bottom: float
    text: str

    @property
    def height(self) -> float:
        """Line height in points."""
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class Row:
    """Segments side by side, from left to right."""

    segments: tuple[Segment, ...]

    @property
    def text(self) -> str:
        """The words of all segments."""
        return " ".join(segment.text for segment in self.segments)

    @property
    def top(self) -> float:
        """Distance of the upper edge from the top of the page in points."""
        return min(segment.top for segment in self.segments)

    @property
    def bottom(self) -> float:
        """Distance of the lower edge from the top of the page in points."""
        return max(segment.bottom for segment in self.segments)

    @property
    def height(self) -> float:
        """Line height in points."""
        return max(segment.height for segment in self.segments)


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a page from top to bottom.

    Attributes:
        rows: the rows.
        has_graphics: True if the page contains pictures or drawings.
    """

    rows: tuple[Row, ...]
    has_graphics: bool


def open_pdf(data: bytes, name: str) -> Any:
    """Open a PDF; close it after use, with the lock held.

    Raises:
        DocumentError: the file needs a password or is damaged.
    """
    import pypdfium2

    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == _PASSWORD_ERROR or "assword" in str(error):
            raise DocumentError(
                f"{name}: is password-protected: remove the password first, e.g. with"
                " `qpdf --password=SECRET --decrypt IN.pdf OUT.pdf`"
            ) from error
        raise DocumentError(
            f"{name}: is not a readable PDF ({error}): check that it opens, or print it to PDF"
            " again"
        ) from error


def read_page(document: Any, index: int) -> Page:
    """Read the rows of a page; `index` counts from 0. An unreadable page is empty."""
    import pypdfium2
    from pypdfium2 import raw

    try:
        page = document[index]
    except pypdfium2.PdfiumError:
        return Page((), has_graphics=False)
    with closing(page):
        has_graphics = raw.FPDFPage_CountObjects(page) > 0
        try:
            textpage = page.get_textpage()
        except pypdfium2.PdfiumError:
            return Page((), has_graphics)
        with closing(textpage):
            words, rotated = _read_words(textpage, page)
            if rotated > MAX_ROTATED * len(words):
                # Without a common direction, rows cannot be found.
                lines = textpage.get_text_range().splitlines()
                words = [
                    Segment(0.0, float(len(line)), 12.0 * top, 12.0 * top + 10.0, line)
                    for top, line in enumerate(lines)
                    if line.strip()
                ]
    return Page(tuple(group_rows(words)), has_graphics)


def render_page(document: Any, index: int) -> tuple[Any, float]:
    """Render a page as a grey image.

    Returns:
        The image, shape `(height, width)`, uint8, and its scale in pixels per point.
    """
    with closing(document[index]) as page:
        scale = min(RENDER_DPI / 72, MAX_PIXELS / max(*page.get_size(), 1))
        with closing(page.render(scale=scale, grayscale=True)) as bitmap:
            return bitmap.to_numpy().reshape(bitmap.height, -1)[:, : bitmap.width].copy(), scale


def _read_words(textpage: Any, page: Any) -> tuple[list[Segment], int]:
    """Return the words of a page and the number of words in another direction than the page."""
    from pypdfium2 import raw

    width, height = page.get_size()
    rotation = page.get_rotation() % 360
    if rotation in (90, 270):
        width, height = height, width  # of the page before its rotation
    box = raw.FS_RECTF()
    pointer = ctypes.byref(box)
    words: list[Segment] = []
    characters: list[int] = []
    left = right = top = bottom = 0.0
    rotated = 0
    for index in range(textpage.count_chars()):
        code = raw.FPDFText_GetUnicode(textpage, index)
        if code <= 0x20 and code not in _HYPHENS:
            words += _word(characters, left, right, top, bottom)
            continue
        if not raw.FPDFText_GetLooseCharBox(textpage, index, pointer):
            continue
        x0, x1, y0, y1 = box.left, box.right, box.bottom, box.top
        if rotation == 90:
            x0, x1, y0, y1 = y0, y1, x0, x1
        elif rotation == 180:
            x0, x1 = width - x1, width - x0
        elif rotation == 270:
            x0, x1, y0, y1 = height - y1, height - y0, width - x1, width - x0
        else:
            y0, y1 = height - y1, height - y0
        size = y1 - y0
        if characters and (
            x0 - right > WORD_GAP * size or x1 < left or abs((y0 + y1) - (top + bottom)) > size
        ):
            words += _word(characters, left, right, top, bottom)
        if not characters:
            left, right, top, bottom = x0, x1, y0, y1
            angle = math.degrees(raw.FPDFText_GetCharAngle(textpage, index))
            rotated += 10 < (angle + rotation) % 360 < 350 and 10 < (angle - rotation) % 360 < 350
        characters.append(0x2D if code in _HYPHENS else code)
        right, top, bottom = max(right, x1), min(top, y0), max(bottom, y1)
    words += _word(characters, left, right, top, bottom)
    return words, rotated


def _word(
    characters: list[int], left: float, right: float, top: float, bottom: float
) -> Iterator[Segment]:
    """Yield the word and clear its characters."""
    if characters and bottom > top and math.isfinite(left + right + top + bottom):
        text = "".join(map(chr, characters))
        if not text.isascii():
            # A character beyond 16 bits comes in two halves.
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
        yield Segment(left, right, top, bottom, text)
    characters.clear()


def group_rows(words: list[Segment]) -> Iterator[Row]:
    """Group words into rows from top to bottom, and the words of a row into segments."""
    row: list[Segment] = []
    center = 0.0
    for word in sorted(words, key=lambda word: (word.top + word.bottom, word.left)):
        middle = (word.top + word.bottom) / 2
        if row and middle - center > ROW_SHIFT * max(word.height, row[-1].height):
            yield Row(tuple(_join_words(row)))
            row = []
        if not row:
            center = middle
        row.append(word)
    if row:
        yield Row(tuple(_join_words(row)))


def _join_words(words: list[Segment]) -> Iterator[Segment]:
    words.sort(key=lambda word: word.left)
    group: list[Segment] = []
    right = 0.0
    for word in words:
        if group and word.left - right > SEGMENT_GAP * max(word.height, group[-1].height):
            yield _join(group)
            group = []
        right = max(right, word.right) if group else word.right
        group.append(word)
    yield _join(group)


def _join(words: list[Segment]) -> Segment:
    texts = [word.text for word in words]
    if sum(unicodedata.bidirectional(text[0]) in ("R", "AL") for text in texts) * 2 > len(texts):
        texts.reverse()  # of a script that runs from right to left
    return Segment(
        words[0].left,
        max(word.right for word in words),
        min(word.top for word in words),
        max(word.bottom for word in words),
        " ".join(texts),
    )
