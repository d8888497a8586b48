"""Split texts into passages along headings, paragraphs, sentences and words, in that order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, groupby, pairwise
from typing import TypeAlias

from wavrag.text.document import (
    BLOCK_SEPARATOR,
    MAX_HEADING_CHARS,
    Block,
    BlockKind,
    ParsedText,
    shorten,
)
from wavrag.text.segmentation import sentences
from wavrag.types import Passage

Span: TypeAlias = tuple[int, int]
_Key: TypeAlias = tuple[str, int | None, tuple[float, float] | None, str | None]

# Paragraphs and sentences are merged up to this length: 400 characters are about 65 words, well
# below the token limit of the text model.
TARGET_CHARS = 400

MAX_CHARS = 700  # longest passage
MAX_SECTION_CHARS = 1_000  # of all headings above a passage

# Within a long paragraph, the last sentence of a passage up to this length is repeated in the next
# passage.
OVERLAP_CHARS = 100

_LINE = re.compile(r"^[^\S\n]*\S[^\n]*", re.MULTILINE)  # a line with visible characters
_ITEM = re.compile(r"[-*+]\s|\d{1,9}[.)]\s")


def split(parsed: ParsedText, base: Passage | None = None) -> list[Passage]:
    r"""Split a text into passages.

    Passages do not cross headings or pages, nor blocks with times. Paragraphs, lists, tables and
    code stay intact if they fit; rows of tables, items of lists and lines of code are never cut if
    they fit. Every visible character outside headings is in a passage. `section` holds the headings
    above it without the title, and `page` its first page.

    Args:
        parsed: the text.
        base: the fields that all passages share, such as the document id (default: empty).

    Example:
        >>> from wavrag.text import parse
        >>> [passage.text for passage in split(parse("One bell.\n\nTwo bells."))]
        ['One bell.\n\nTwo bells.']
    """
    return list(split_pieces((parsed,), base))


def split_pieces(pieces: Iterable[ParsedText], base: Passage | None = None) -> Iterator[Passage]:
    """Split a text that comes in pieces into the passages of the complete text; see `split`."""
    base = base or Passage("", 0)
    window = _Window()
    ordinal = 0
    for key, pairs in groupby(_body(window, pieces), key=lambda pair: pair[0]):
        section, page, times, speaker = key
        seconds = (None, None) if times is None else times
        spans = (span for _, block in pairs for span in _block_spans(window, block))
        for start, end in _pack(spans):
            yield replace(
                base,
                ordinal=ordinal,
                text=window.slice(start, end),
                char_start=start,
                char_end=end,
                section=section,
                page=page,
                start=seconds[0],
                end=seconds[1],
                speaker=speaker,
            )
            ordinal += 1
            window.first = start


class _Window:
    """The text from the last passage to the end of the current piece.

    Attributes:
        first: offset of the last passage; the next ones do not begin before it.
    """

    def __init__(self) -> None:
        self.first = 0
        self._text = ""
        self._offset = 0

    def blocks(self, pieces: Iterable[ParsedText]) -> Iterator[tuple[str, Block]]:
        """Yield the blocks of the pieces, each with the title."""
        for piece in pieces:
            if not self._text:
                self._text, self._offset = piece.text, piece.offset
            elif piece.text:
                text = self._text[max(self.first - self._offset, 0) :]
                self._text = f"{text}{BLOCK_SEPARATOR}{piece.text}"
                self._offset = max(self.first, self._offset)
            for block in piece.blocks:
                yield piece.title, block

    def slice(self, start: int, end: int) -> str:
        """The text between two offsets of the complete text."""
        return self._text[start - self._offset : end - self._offset]


def _body(window: _Window, pieces: Iterable[ParsedText]) -> Iterator[tuple[_Key, Block]]:
    """Yield all blocks except headings, with section, page, times and speaker.

    A heading without content, or too long to be copied into each passage, is text: otherwise its
    words would be lost.
    """
    headings: list[tuple[int, str]] = []
    blocks = chain(window.blocks(pieces), [None])
    for current, following in pairwise(blocks):
        assert current is not None
        title, block = current
        while block.level and headings and headings[-1][0] >= block.level:
            headings.pop()
        is_empty = following is None or 0 < following[1].level <= block.level
        is_heading = block.kind == "heading" and not is_empty
        if is_heading:
            headings.append((block.level, shorten(window.slice(block.start, block.end))))
        if not is_heading or block.end - block.start > MAX_HEADING_CHARS:
            names = [name for _, name in headings if name != title]
            section = " > ".join(names)
            # The innermost headings are the closest to the text.
            section = section if len(section) <= MAX_SECTION_CHARS else shorten(names[-1])
            yield (section, block.page, block.times, block.speaker), block


def _block_spans(window: _Window, block: Block) -> Iterator[Span]:
    """Split a block into spans of passage length; the spans of a long block may overlap."""
    if block.end - block.start <= MAX_CHARS:
        yield block.start, block.end
        return
    within = window.slice(block.start, block.end)
    units = [
        (block.start + a, block.start + b)
        for start, end in _units(within, block.kind)
        for a, b in _split_span(within, start, end)
    ]
    first = 0
    while first < len(units):
        last = first
        while last + 1 < len(units) and units[last + 1][1] - units[first][0] <= TARGET_CHARS:
            last += 1
        yield units[first][0], units[last][1]
        # Repeat the last sentence only if the passage has others, or it would never end. Rows,
        # items and lines of code stand for themselves.
        repeats = (
            block.kind == "paragraph"
            and last + 1 < len(units)
            and last > first
            and units[last][1] - units[last][0] <= OVERLAP_CHARS
        )
        first = last if repeats else last + 1


def _units(text: str, kind: BlockKind) -> Iterable[Span]:
    """Spans of a block to keep intact: sentences, rows, items of a list or lines of code."""
    if kind in ("paragraph", "heading"):
        return sentences(text)
    lines = [match.span() for match in _LINE.finditer(text)]
    if kind == "code":
        return _code_units(text, lines)
    if kind != "list":
        return lines
    items: list[Span] = []
    for start, end in lines:
        # An item continues on lines without a marker while it fits.
        if items and not _ITEM.match(text, start) and end - items[-1][0] <= MAX_CHARS:
            items[-1] = items[-1][0], end
        else:
            items.append((start, end))
    return items


def _code_units(text: str, lines: Sequence[Span]) -> Iterator[Span]:
    """Merge lines of code to functions and the like: they begin unindented after an empty line."""
    group: list[Span] = []
    for line in [*lines, None]:
        if group and (line is None or _begins_unit(text, group[-1][1], line[0])):
            start, end = group[0][0], group[-1][1]
            yield from [(start, end)] if end - start <= MAX_CHARS else group
            group = []
        group += [line] if line is not None else []


def _begins_unit(text: str, end: int, start: int) -> bool:
    return text.count("\n", end, start) > 1 and not text[start].isspace()


def _split_span(text: str, start: int, end: int) -> Iterator[Span]:
    """Split a span at spaces, or anywhere in a text without spaces, such as Chinese."""
    while end - start > MAX_CHARS:
        limit = start + MAX_CHARS
        cut = max(text.rfind(" ", start + 1, limit), text.rfind("\n", start + 1, limit))
        if cut <= start:
            yield start, limit
            start = limit
            continue
        yield start, cut
        start = cut + 1
    if start < end:
        yield start, end


def _pack(spans: Iterable[Span]) -> Iterator[Span]:
    """Merge neighbouring spans up to the target length; a short last span may exceed it."""
    packed: Span | None = None
    for start, end in spans:
        if packed is not None:
            first, last = packed
            # Alone, a span as short as a repeated sentence would be a poor passage.
            is_short = min(last - first, end - start) <= OVERLAP_CHARS
            limit = MAX_CHARS if is_short else TARGET_CHARS
            if start >= last and end - first <= limit:
                packed = first, end
                continue
            yield packed
        packed = start, end
    if packed is not None:
        yield packed
