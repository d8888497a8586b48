"""Text, Markdown, HTML and PDF files to a text with its structure."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

from wavrag.errors import DocumentError
from wavrag.text.document import ParsedText
from wavrag.text.html import declared_encoding, parse_html
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
    """The structure of a text in memory.

    Args:
        text: its characters.
        kind: `txt`, `md` or `html`.

    Raises:
        DocumentError: it has no visible characters.
    """
    parsed = _PARSERS[kind](text)
    if not parsed.text:
        raise DocumentError("the text is empty: give it words")
    return parsed


def read(path: str | os.PathLike[str], *, on_note: NoteCallback | None = None) -> ParsedText:
    """The structure of a file; its suffix says which kind it is.

    Args:
        path: text, Markdown, HTML or PDF.
        on_note: told of an encoding that had to be guessed.

    Raises:
        DocumentError: it cannot be read, or has no text; the message names the file and the
            remedy.
    """
    file = Path(path)
    data = _bytes(file)
    kind = _KINDS.get(file.suffix.lower(), "txt")
    if kind == "pdf":
        parsed = parse_pdf(data, str(file))
    else:
        declared = declared_encoding(data) if kind == "html" else ""
        text, remark = decode(data, str(file), declared)
        if remark and on_note is not None:
            on_note(f"{file}: {remark}")
        parsed = _PARSERS[kind](text)
    if not parsed.text:
        raise DocumentError(f"{file}: has no text in it: fill it or leave it out")
    return parsed if parsed.title else replace(parsed, title=file.stem)


def _bytes(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except FileNotFoundError as error:
        raise DocumentError(f"{file}: no such file: check the path") from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or str(error)
        raise DocumentError(f"{file}: {reason}: make it readable or leave it out") from error
    if not data:
        raise DocumentError(f"{file}: is empty (0 bytes): fill it or leave it out")
    return data
