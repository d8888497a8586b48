"""Texts to passages, on their structure: headings, then paragraphs, then sentences, then words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from typing import TypeAlias

from wavrag.errors import InputError
from wavrag.text.document import Block, ParsedText, one_line
from wavrag.text.segmentation import sentences

Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """How texts are cut. All in characters.

    Attributes:
        target_chars: paragraphs and sentences are packed up to this length. 400 characters are
            about 65 words, well within what the text model reads at once.
        max_chars: longest passage.
        overlap_chars: a sentence up to this length that ends one passage of a long paragraph also
            begins the next.
    """

    target_chars: int = 400
    max_chars: int = 700
    overlap_chars: int = 100

    def __post_init__(self) -> None:
        if not 0 <= self.overlap_chars <= self.target_chars <= self.max_chars or not self.max_chars:
            raise InputError(
                f"{self}: choose sizes with 0 <= overlap_chars <= target_chars <= max_chars, and"
                " max_chars above 0"
            )


@dataclass(frozen=True, slots=True)
class TextPassage:
    """A passage of a text.

    Attributes:
        text: its characters.
        char_start: offset of the first in the document's text.
        char_end: offset after the last.
        section: headings above it, outermost first, joined by " > "; without the title.
        page: on which it begins, from 1, where there are pages.
    """

    text: str
    char_start: int
    char_end: int
    section: str
    page: int | None


def split(parsed: ParsedText, options: SplitOptions | None = None) -> list[TextPassage]:
    """Cut a text into passages.

    A passage does not cross a heading or a page. Paragraphs stay whole where they fit, and so do
    lists, tables and code. Together the passages hold every visible character outside headings.
    """
    options = options or SplitOptions()
    chunks = []
    for (section, page), blocks in groupby(_body(parsed), key=lambda pair: pair[0]):
        pieces = [piece for _, block in blocks for piece in _pieces(parsed.text, block, options)]
        for start, end in _pack(pieces, options):
            chunks.append(TextPassage(parsed.text[start:end], start, end, section, page))
    return chunks


def _body(parsed: ParsedText) -> Iterator[tuple[tuple[str, int | None], Block]]:
    """Every block that is no heading, with its section and page.

    A heading with nothing below it counts as text.
    """
    above: list[tuple[int, str]] = []
    for block, following in zip_longest(parsed.blocks, parsed.blocks[1:]):
        while block.level and above and above[-1][0] >= block.level:
            above.pop()
        empty = following is None or 0 < following.level <= block.level
        if block.kind == "heading" and not empty:
            above.append((block.level, one_line(parsed.text[block.start : block.end])))
        else:
            names = [name for _, name in above if name != parsed.title]
            yield (" > ".join(names), block.page), block


def _pieces(text: str, block: Block, options: SplitOptions) -> Iterator[Span]:
    """Spans of a block that fit into a passage; those of a long block may overlap."""
    if block.end - block.start <= options.max_chars:
        yield block.start, block.end
        return
    within = text[block.start : block.end]
    spans = sentences(within) if block.kind == "paragraph" else _lines(within)
    units = [
        (block.start + a, block.start + b)
        for start, end in spans
        for a, b in _fitting(within, start, end, options.max_chars)
    ]
    first = 0
    while first < len(units):
        last = first
        while (
            last + 1 < len(units) and units[last + 1][1] - units[first][0] <= options.target_chars
        ):
            last += 1
        yield units[first][0], units[last][1]
        repeats = (
            last + 1 < len(units)
            and last > first
            and units[last][1] - units[last][0] <= options.overlap_chars
        )
        first = last if repeats else last + 1


def _lines(text: str) -> list[Span]:
    spans, at = [], 0
    for line in text.split("\n"):
        if line.strip():
            spans.append((at, at + len(line)))
        at += len(line) + 1
    return spans


def _fitting(text: str, start: int, end: int, limit: int) -> Iterator[Span]:
    """A span as it is, or cut at spaces, or anywhere if there are none."""
    while end - start > limit:
        cut = max(
            text.rfind(" ", start + 1, start + limit), text.rfind("\n", start + 1, start + limit)
        )
        if cut <= start:
            yield start, start + limit
            start += limit
            continue
        yield start, cut
        start = cut + 1
    if start < end:
        yield start, end


def _pack(pieces: Sequence[Span], options: SplitOptions) -> list[Span]:
    """Neighbouring pieces joined up to the target; a short rest joins the passage before."""
    packed: list[Span] = []
    for start, end in pieces:
        if packed:
            first, last = packed[-1]
            small = min(last - first, end - start) <= options.overlap_chars
            limit = options.max_chars if small else options.target_chars
            if start >= last and end - first <= limit:
                packed[-1] = (first, end)
                continue
        packed.append((start, end))
    return packed
