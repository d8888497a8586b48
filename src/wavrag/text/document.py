"""Document text with its structure, independent of the file format."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from wavrag.text.table import Row, format_table
from wavrag.types import Metadata, Scalar

BlockKind: TypeAlias = Literal["heading", "paragraph", "list", "table", "code"]

# Soft hyphens, zero-width characters, control characters except tab and line feed, and lone
# surrogates, which UTF-8 cannot encode. The joiners U+200C and U+200D stay: Persian and Indic
# spelling needs them.
_INVISIBLE = re.compile(
    "[\u00ad\u200b\u200e\u200f\u2060\ufeff\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]"
)
# Typographic ligatures by code point: full-text search for `file` would miss a word with one.
_LIGATURES = dict(enumerate("ff fi fl ffi ffl st st".split(), start=0xFB00))
_LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
HEADING_CHARS = 60  # maximum length of a heading in formats without heading markup
# Titles and headings are copied into every passage below them, so longer ones are cut there.
MAX_HEADING_CHARS = 300
_SPACES = re.compile("[^\\S\n]+")
BLOCK_SEPARATOR = "\n\n"
PIECE_CHARS = 1 << 20  # of a piece of a long text: a few MB of memory while it is split
METADATA_KEYS = 50  # of a document's own metadata
METADATA_CHARS = 500  # longest value; a longer one is an abstract or a picture


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, heading, list, table or code block.

    Attributes:
        start: offset of the first character.
        end: offset after the last character.
        kind: kind of block.
        level: heading level from 1; 0 for other blocks.
        page: page number from 1, in formats with pages.
        times: start and end in a recording in seconds, in transcripts.
        speaker: name of the speaker, in transcripts.
    """

    start: int
    end: int
    kind: BlockKind
    level: int = 0
    page: int | None = None
    times: tuple[float, float] | None = None
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class ParsedText:
    """A text and its blocks.

    Attributes:
        title: title of the document, or its file name.
        text: the normalised text; offsets refer to the complete one.
        blocks: in order, without overlap.
        metadata: author, date, tags and the like, from the document itself.
        notes: remarks for the user, such as pages without text.
        offset: of `text` in the complete text, of which this is a piece; an empty line separates
            pieces.
    """

    title: str
    text: str
    blocks: tuple[Block, ...]
    metadata: Metadata = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    offset: int = 0


def seems_heading(paragraph: str) -> bool:
    """Guess whether a paragraph is a heading: a short line without final punctuation."""
    line = paragraph.strip()
    return (
        0 < len(line) <= HEADING_CHARS
        and "\n" not in line
        and line[-1].isalnum()
        and (line[0].isupper() or line[0].isdigit())
        and any(letter.isalpha() for letter in line)
    )


class TextBuilder:
    """Builds a text from blocks, separated by empty lines, at once or in pieces."""

    def __init__(self) -> None:
        self._strings: list[str] = []
        self._blocks: list[Block] = []
        self._length = 0  # of the complete text
        self._offset = 0  # of the piece that is being built
        self._metadata: dict[str, Scalar] = {}
        self._notes: list[str] = []

    def __bool__(self) -> bool:
        return self._length > 0

    @property
    def is_full(self) -> bool:
        """True if the next piece of a long text is ready; see `take`."""
        return self._length - self._offset >= PIECE_CHARS

    def add(
        self,
        text: str,
        kind: BlockKind = "paragraph",
        level: int = 0,
        page: int | None = None,
        *,
        times: tuple[float, float] | None = None,
        speaker: str | None = None,
    ) -> None:
        """Append a block, unless it has no visible characters; the fields are those of `Block`."""
        text = normalise(text, keep_spaces=kind == "code")
        if not text:
            return
        if self._length:
            self._length += len(BLOCK_SEPARATOR)
        if self._strings:
            self._strings.append(BLOCK_SEPARATOR)
        else:
            self._offset = self._length
        start = self._length
        self._strings.append(text)
        self._length += len(text)
        self._blocks.append(Block(start, self._length, kind, level, page, times, speaker))

    def extend(self, parsed: ParsedText, below: int = 0) -> None:
        """Append the blocks of another text, with its headings below this level."""
        for block in parsed.blocks:
            level = block.level + below if block.level else 0
            text = parsed.text[block.start : block.end]
            self.add(text, block.kind, level, block.page, times=block.times, speaker=block.speaker)

    def add_table(
        self, header: Row | None, rows: Sequence[Row], caption: str = "", page: int | None = None
    ) -> None:
        """Append a table, one line per row; see `format_table`."""
        self.add(format_table(header, rows, caption), "table", page=page)

    def add_metadata(self, values: Mapping[Any, Any]) -> None:
        """Add metadata under keys in lower case; earlier values of the same keys stay.

        Lists become one value, joined by commas. Values with structure, and very long ones, are
        left out, and so is the title.
        """
        for name, value in values.items():
            key, scalar = one_line(normalise(str(name))).lower(), flatten(value)
            if (
                key not in ("", "title")
                and scalar is not None
                and len(self._metadata) < METADATA_KEYS
            ):
                self._metadata.setdefault(key, scalar)

    def add_note(self, note: str) -> None:
        """Add a remark for the user about the document."""
        self._notes.append(note)

    @property
    def metadata(self) -> Metadata:
        """The metadata so far."""
        return self._metadata

    def build(self, title: str) -> ParsedText:
        """Return the text; the title defaults to the first heading of level 1."""
        title = one_line(title)
        if len(title) > MAX_HEADING_CHARS:
            self.add(title)  # complete, once
        return self.take(title)

    def take(self, title: str = "") -> ParsedText:
        """Remove the text so far and return it as a piece; offsets and metadata continue."""
        text = "".join(self._strings)
        if not title:
            first = next((b for b in self._blocks if b.kind == "heading" and b.level == 1), None)
            start = self._offset
            title = text[first.start - start : first.end - start] if first else ""
        blocks, notes = tuple(self._blocks), tuple(self._notes)
        self._strings, self._blocks, self._notes = [], [], []
        return ParsedText(shorten(title), text, blocks, self._metadata, notes, self._offset)


def join_pieces(pieces: Iterable[ParsedText]) -> ParsedText:
    """Join the pieces of a text; the first one has the title."""
    parsed = [piece for piece in pieces if piece.text or piece.notes]
    first = parsed[0] if parsed else ParsedText("", "", ())
    return replace(
        first,
        text=BLOCK_SEPARATOR.join(piece.text for piece in parsed if piece.text),
        blocks=tuple(block for piece in parsed for block in piece.blocks),
        notes=tuple(note for piece in parsed for note in piece.notes),
    )


def add_paragraph(builder: TextBuilder, paragraph: str, page: int | None = None) -> None:
    """Append a paragraph of a format without heading markup; a first heading becomes the title."""
    if seems_heading(paragraph):
        builder.add(paragraph, "heading", level=2 if builder else 1, page=page)
    else:
        builder.add(paragraph, page=page)


def flatten(value: Any) -> Scalar | None:
    """Convert a value to one that metadata can hold; None if it is empty or has structure."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        # The store holds 64 bits.
        return value if abs(value) < 2**63 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        # One level only: aliases of YAML can nest exponentially many values in a few lines.
        members = [flatten(member) for member in value if not isinstance(member, list | tuple)]
        value = ", ".join(str(member) for member in members if member is not None)
    if hasattr(value, "isoformat"):  # date and time
        value = value.isoformat()
    if not isinstance(value, str) or len(value) > METADATA_CHARS:
        return None
    return one_line(normalise(value)) or None


def normalise(text: str, keep_spaces: bool = False) -> str:
    """Normalise to NFC with line feeds, without invisible characters and ligatures.

    Spaces at the end of lines are removed, and unless `keep_spaces` is set, as for code,
    indentation and repeated spaces, too.
    """
    text = unicodedata.normalize("NFC", _LINE_ENDS.sub("\n", text))
    text = _INVISIBLE.sub("", text).translate(_LIGATURES)
    if keep_spaces:
        return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")
    return "\n".join(_SPACES.sub(" ", line).strip() for line in text.split("\n")).strip()


def shorten(text: str, limit: int = MAX_HEADING_CHARS) -> str:
    """A text on one line, cut with an ellipsis if it is longer than the limit."""
    line = one_line(text[: 4 * limit])
    return line if len(line) <= limit and len(text) <= 4 * limit else f"{line[: limit - 2]} \u2026"


def one_line(text: str) -> str:
    """Replace each run of white space by one space."""
    return " ".join(text.split())
