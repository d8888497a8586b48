"""A text with its structure, whatever format it came from."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal, TypeAlias

BlockKind: TypeAlias = Literal["heading", "paragraph", "list", "table", "code"]

# Soft hyphens, zero-width characters, control characters other than tab and line feed, and halves
# of characters, which cannot be stored. The joiners U+200C and U+200D stay: they spell words.
_INVISIBLE = re.compile(
    "[\u00ad\u200b\u200e\u200f\u2060\ufeff\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]"
)
# Joined letters, as typesetters write them: a search for `file` finds them only apart.
_LIGATURES = str.maketrans(
    dict(
        zip(
            "\ufb00\ufb01\ufb02\ufb03\ufb04\ufb05\ufb06",
            "ff fi fl ffi ffl st st".split(),
            strict=True,
        )
    )
)
_LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
HEADING_CHARS = 60  # longest line that is taken for a heading without being marked as one
_SPACES = re.compile("[^\\S\n]+")


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of the text.

    Attributes:
        start: offset of its first character.
        end: offset after its last character.
        kind: what it is.
        level: of a heading, from 1; 0 for the rest.
        page: from 1, where there are pages.
    """

    start: int
    end: int
    kind: BlockKind
    level: int = 0
    page: int | None = None


@dataclass(frozen=True, slots=True)
class ParsedText:
    """A text and where its parts begin and end.

    Attributes:
        title: what the document calls itself, or its file name.
        text: the whole text, normalised; offsets refer to it.
        blocks: in order, not overlapping.
    """

    title: str
    text: str
    blocks: tuple[Block, ...]


def seems_heading(paragraph: str) -> bool:
    """Whether a paragraph of a format without headings reads like one: a short line, unfinished."""
    line = paragraph.strip()
    return (
        0 < len(line) <= HEADING_CHARS
        and "\n" not in line
        and line[-1].isalnum()
        and (line[0].isupper() or line[0].isdigit())
        and any(letter.isalpha() for letter in line)
    )


class TextBuilder:
    """Puts a text together from blocks, an empty line between them."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._blocks: list[Block] = []
        self._length = 0

    def __bool__(self) -> bool:
        return bool(self._blocks)

    def add(
        self, text: str, kind: BlockKind = "paragraph", level: int = 0, page: int | None = None
    ) -> None:
        """Append a block; one without visible characters is left out."""
        text = normalise(text, keep_spaces=kind == "code")
        if not text:
            return
        if self._parts:
            self._parts.append("\n\n")
            self._length += 2
        start = self._length
        self._parts.append(text)
        self._length += len(text)
        self._blocks.append(Block(start, self._length, kind, level, page))

    def build(self, title: str) -> ParsedText:
        """The text so far; the title defaults to the first heading of level 1."""
        text = "".join(self._parts)
        if not title:
            first = next((b for b in self._blocks if b.kind == "heading" and b.level == 1), None)
            title = text[first.start : first.end] if first else ""
        return ParsedText(one_line(title), text, tuple(self._blocks))


def add_unmarked(builder: TextBuilder, paragraph: str, page: int | None = None) -> None:
    """Append a paragraph of a format that does not mark its headings; the first names the text."""
    if seems_heading(paragraph):
        builder.add(paragraph, "heading", level=2 if builder else 1, page=page)
    else:
        builder.add(paragraph, page=page)


def normalise(text: str, keep_spaces: bool = False) -> str:
    """Composed characters (NFC), line feeds only, nothing invisible, no ligatures.

    Lines begin and end without spaces.

    Args:
        text: any.
        keep_spaces: leave indentation and runs of spaces, as code needs them.
    """
    text = unicodedata.normalize("NFC", _LINE_ENDS.sub("\n", text))
    text = _INVISIBLE.sub("", text).translate(_LIGATURES)
    if keep_spaces:
        return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")
    return "\n".join(_SPACES.sub(" ", line).strip() for line in text.split("\n")).strip()


def one_line(text: str) -> str:
    """Text with all white space folded."""
    return " ".join(text.split())
