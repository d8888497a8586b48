"""Read text, Markdown, HTML and PDF files into `ParsedText`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

from wavrag.errors import DocumentError
from wavrag.text.document import ParsedText
from wavrag.text.html import html_encoding, parse_html
from wavrag.text.markdown import parse_markdown
from wavrag.text.pdf import parse_pdf
from wavrag.text.plain import decode, parse_plain
from wavrag.types import NoteCallback

Kind: TypeAlias = Literal["txt", "md", "html"]

_PARSERS: dict[Kind, Callable[[str], ParsedText]] = {
    "txt": parse_plain,
    "md": parse_markdown,
    "html": parse_html,
}
_KINDS: dict[str, Kind | Literal["pdf"]] = {
    ".txt": "txt",
    ".text": "txt",
    ".md": "md",
    ".markdown": "md",
    ".html": "html",
    ".htm": "html",
    ".pdf": "pdf",
}
TEXT_SUFFIXES = frozenset(_KINDS)


def parse(text: str, kind: Kind = "txt") -> ParsedText:
    r"""Parse a text in memory.

    Args:
        text: the document.
        kind: `txt`, `md` or `html`.

    Raises:
        DocumentError: the text has no visible characters.

    Example:
        >>> parse("# Ferry\n\nIt leaves at ten.", "md").title
        'Ferry'
    """
    parsed = _PARSERS[kind](text)
    if not parsed.text:
        raise DocumentError("the text is empty: pass a text with visible characters")
    return parsed


def read(path: str | os.PathLike[str], *, on_note: NoteCallback | None = None) -> ParsedText:
    """Read and parse a file; the suffix determines its format.

    Args:
        path: text, Markdown, HTML or PDF file.
        on_note: called with a message if the encoding had to be guessed.

    Raises:
        DocumentError: the file cannot be read or has no text; the message names the remedy.

    Example:
        >>> from wavrag.demo import DATA
        >>> read(DATA / "corpus" / "documents" / "rye-bread-recipe.md").title
        'Dark rye bread'
    """
    file = Path(path)
    data = _bytes(file)
    # Files without a known suffix, such as README, are plain text unless they turn out binary.
    kind = _KINDS.get(file.suffix.lower(), "txt")
    if kind == "pdf":
        parsed = parse_pdf(data, str(file))
    else:
        fallback = html_encoding(data) if kind == "html" else ""
        text, note = decode(data, str(file), fallback)
        if note and on_note is not None:
            on_note(f"{file}: {note}")
        parsed = _PARSERS[kind](text)
    if on_note is not None:
        for note in parsed.notes:
            on_note(f"{file}: {note}")
    if not parsed.text:
        raise DocumentError(f"{file}: contains no text: add some or leave the file out")
    return parsed if parsed.title else replace(parsed, title=file.stem)


def _bytes(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except FileNotFoundError as error:
        raise DocumentError(f"{file}: no such file: check the path") from error
    except (OSError, ValueError) as error:  # ValueError: null character in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise DocumentError(f"{file}: {reason}: make it readable or leave it out") from error
    if not data:
        raise DocumentError(f"{file}: is empty (0 bytes): replace it or leave it out")
    return data
