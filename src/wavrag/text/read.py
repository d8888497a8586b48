"""Read files into `ParsedText`: small texts in this process, others in a pool of processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from wavrag.errors import DocumentError
from wavrag.text.document import ParsedText, join_pieces
from wavrag.text.formats import Format, Unread, detect_format, needs_office
from wavrag.text.parser_pool import pool
from wavrag.text.parsers import parse_pieces
from wavrag.types import NoteCallback

# Texts up to these sizes are parsed in this process: their parsers take at most half a second, and
# another process takes a quarter of a second to start. The time of Markdown grows with the square
# of the unclosed brackets.
SMALL_BYTES: dict[Format, int] = {
    **dict.fromkeys(("txt", "csv", "tsv", "srt", "vtt", "ass", "json", "jsonl"), 1 << 16),
    **dict.fromkeys(("html", "rst", "org", "md"), 1 << 14),
}
SMALL_BRACKETS = 1_000


def read(
    path: str | os.PathLike[str], *, name: str = "", on_note: NoteCallback | None = None
) -> ParsedText:
    """Read and parse a complete file; see `read_pieces`.

    Example:
        >>> from wavrag.demo import DATA
        >>> read(DATA / "corpus" / "documents" / "rye-bread-recipe.md").title
        'Dark rye bread'
    """
    return join_pieces(read_pieces(path, name=name, on_note=on_note))


def read_pieces(
    path: str | os.PathLike[str], *, name: str = "", on_note: NoteCallback | None = None
) -> Iterator[ParsedText]:
    """Read and parse a file; its content determines the format, and its suffix that of text.

    All but small texts are parsed in another process, with limits of time, memory and output in
    proportion to the size of the file; see `limits.py`.

    Plain text, Markdown, tables, JSON Lines and mailboxes are read in pieces, so that memory does
    not grow with the file. Other formats are one piece, and limited to `MAX_TEXT_BYTES` or
    `MAX_BINARY_BYTES`.

    Args:
        path: a document; text of an unknown kind is read as plain text.
        name: name for messages and of the format, if the path has another one.
        on_note: called with a message if the encoding had to be guessed.

    Yields:
        At least one piece with text; all of them have the title of the first.

    Raises:
        DocumentError: the file cannot be read or has no text; the message names the remedy.
    """
    file = Path(path)
    label = name or str(file)
    format, size = _check_file(file, label)
    if isinstance(format, Unread) or needs_office(format) or _is_small(file, format, size):
        yield from parse_pieces(file, format, name=label, on_note=on_note)
        return
    yield from pool.read(str(file.absolute()), label, size, on_note or (lambda note: None))


def _is_small(file: Path, format: Format, size: int) -> bool:
    """True for a text that is parsed in this process."""
    if size > SMALL_BYTES.get(format, 0):
        return False
    return format != "md" or file.read_bytes().count(b"[") <= SMALL_BRACKETS


def _check_file(file: Path, name: str) -> tuple[Format | Unread, int]:
    """Format and size in bytes of a file."""
    try:
        size = os.stat(file).st_size
        if not size:
            raise DocumentError(f"{file}: is empty (0 bytes): replace it or leave it out")
        return detect_format(file, name, as_text=True), size
    except FileNotFoundError as error:
        raise DocumentError(f"{file}: no such file: check the path") from error
    except (OSError, ValueError) as error:  # ValueError: null character in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise DocumentError(f"{file}: {reason}: make it readable or leave it out") from error
