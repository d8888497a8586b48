"""Read the words of PDF pages with their positions, by PDFium."""

from __future__ import annotations

import ctypes
import math
import re
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeAlias

from wavrag.errors import DocumentError

_Box: TypeAlias = tuple[float, float, float, float]  # left, right, top, bottom

PDFIUM_LOCK = threading.Lock()  # PDFium is not safe for threads
# Of a gap between columns, as a share of the line height; spaces of justified text seldom reach it.
SEGMENT_GAP = 0.75
MAX_WIDTH = 1.2  # mean width of a character, as a share of the line height
ROW_SHIFT = 0.3  # vertical distance of words of the same row, as a share of the line height
MAX_ROTATED = 0.3  # share of rotated words beyond which the order of the file is kept
RENDER_DPI = 200
MAX_PIXELS = 4_000  # longest side of a rendered page
_HYPHENS = {0x02: "-", 0xFFFE: "-"}  # PDFium's codes of a hyphen at the end of a line
_WORD = re.compile("[^\x00\x01\x03-\x20\xa0]+")
_PASSWORD_ERROR = 4  # FPDF_ERR_PASSWORD


@dataclass(frozen=True, slots=True)
class TextRun:
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

    segments: tuple[TextRun, ...]

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
class PdfPage:
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


def read_page(document: Any, index: int) -> PdfPage:
    """Read the rows of a page; `index` counts from 0. An unreadable page is empty."""
    import pypdfium2
    from pypdfium2 import raw

    try:
        page = document[index]
    except pypdfium2.PdfiumError:
        return PdfPage((), has_graphics=False)
    with closing(page):
        has_graphics = raw.FPDFPage_CountObjects(page) > 0
        try:
            textpage = page.get_textpage()
        except pypdfium2.PdfiumError:
            return PdfPage((), has_graphics)
        with closing(textpage):
            words, rotated = _read_words(textpage, page)
            if rotated > MAX_ROTATED * len(words):
                # Without a common direction, rows cannot be found.
                lines = textpage.get_text_range().splitlines()
                words = [
                    TextRun(0.0, float(len(line)), 12.0 * top, 12.0 * top + 10.0, line)
                    for top, line in enumerate(lines)
                    if line.strip()
                ]
    return PdfPage(tuple(group_rows(words)), has_graphics)


def render_page(document: Any, index: int) -> tuple[Any, float]:
    """Render a page as a grey image.

    Returns:
        The image, shape `(height, width)`, uint8, and its scale in pixels per point.
    """
    with closing(document[index]) as page:
        scale = min(RENDER_DPI / 72, MAX_PIXELS / max(*page.get_size(), 1))
        with closing(page.render(scale=scale, grayscale=True)) as bitmap:
            return bitmap.to_numpy().reshape(bitmap.height, -1)[:, : bitmap.width].copy(), scale


def _read_words(textpage: Any, page: Any) -> tuple[list[TextRun], int]:
    """Return the words of a page and the number of words in another direction than the page."""
    from pypdfium2 import raw

    boxes = _Boxes(textpage, page)
    words: list[TextRun] = []
    rotated = 0
    characters = _read_characters(textpage)
    for match in _WORD.finditer(characters):
        # PDFium puts a space between words, also where the file has none.
        for start, end, first, last in boxes.split(*match.span()):
            left, right = min(first[0], last[0]), max(first[1], last[1])
            top, bottom = min(first[2], last[2]), max(first[3], last[3])
            if not (bottom > top and math.isfinite(left + right + top + bottom)):
                continue
            angle = math.degrees(raw.FPDFText_GetCharAngle(textpage, start)) % 360
            if angle or boxes.rotation:
                turns = (angle + boxes.rotation) % 360, (angle - boxes.rotation) % 360
                rotated += all(10 < turn < 350 for turn in turns)
            words.append(TextRun(left, right, top, bottom, _decode(characters[start:end])))
    return words, rotated


def _read_characters(textpage: Any) -> str:
    """Return one character for each index of PDFium; those beyond 16 bits have two."""
    from pypdfium2 import raw

    count = textpage.count_chars()
    buffer = (ctypes.c_ushort * (count + 1))()
    # Characters without a code are left out, which shifts the others.
    if raw.FPDFText_GetText(textpage, 0, count, buffer) == count + 1:
        return "".join(map(chr, buffer[:count]))
    return "".join(chr(raw.FPDFText_GetUnicode(textpage, i) & 0xFFFF) for i in range(count))


def _decode(word: str) -> str:
    if word.isascii() and "\x02" not in word:
        return word
    word = word.translate(_HYPHENS)
    return word.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")


class _Boxes:
    """Boxes of the characters of a page, in points from the left and the top as it is shown."""

    def __init__(self, textpage: Any, page: Any) -> None:
        from pypdfium2 import raw

        self.rotation = page.get_rotation() % 360
        self._width, self._height = page.get_size()
        if self.rotation in (90, 270):  # the size before the rotation
            self._width, self._height = self._height, self._width
        self._get = raw.FPDFText_GetLooseCharBox
        self._box = raw.FS_RECTF()
        self._pointer = ctypes.byref(self._box)
        self._textpage = textpage

    def read(self, index: int) -> _Box:
        """Left, right, top and bottom of a character."""
        box = self._box
        if not self._get(self._textpage, index, self._pointer):
            return math.nan, math.nan, math.nan, math.nan
        x0, x1, y0, y1 = box.left, box.right, box.bottom, box.top
        if self.rotation == 90:
            return y0, y1, x0, x1
        if self.rotation == 180:
            return self._width - x1, self._width - x0, y0, y1
        if self.rotation == 270:
            return self._height - y1, self._height - y0, self._width - x1, self._width - x0
        return x0, x1, self._height - y1, self._height - y0

    def split(self, start: int, end: int) -> Iterator[tuple[int, int, _Box, _Box]]:
        """Split characters without a space where they are far apart, as in another line or column.

        Yields start, end, and the boxes of the first and the last character.
        """
        first, last = self.read(start), self.read(end - 1)
        height = first[3] - first[2]
        is_level = abs(last[2] - first[2]) < height / 2
        if is_level and last[1] - first[0] <= MAX_WIDTH * (end - start) * height:
            yield start, end, first, last
            return
        before = first
        for index in range(start + 1, end):
            box = self.read(index)
            if abs(box[0] - before[1]) > height or abs(box[2] - before[2]) > height / 2:
                yield start, index, first, before
                start, first = index, box
            before = box
        yield start, end, first, before


def group_rows(words: list[TextRun]) -> Iterator[Row]:
    """Group words into rows from top to bottom, and the words of a row into segments."""
    row: list[TextRun] = []
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


def _join_words(words: list[TextRun]) -> Iterator[TextRun]:
    words.sort(key=lambda word: word.left)
    group: list[TextRun] = []
    right = 0.0
    for word in words:
        if group and word.left - right > SEGMENT_GAP * max(word.height, group[-1].height):
            yield _join(group)
            group = []
        right = max(right, word.right) if group else word.right
        group.append(word)
    yield _join(group)


def _join(words: list[TextRun]) -> TextRun:
    texts = [word.text for word in words]
    if sum(unicodedata.bidirectional(text[0]) in ("R", "AL") for text in texts) * 2 > len(texts):
        texts.reverse()  # of a script that runs from right to left
    return TextRun(
        words[0].left,
        max(word.right for word in words),
        min(word.top for word in words),
        max(word.bottom for word in words),
        " ".join(texts),
    )
