"""Read files into `ParsedText`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from wavrag.errors import DocumentError
from wavrag.text.captions import parse_substation, parse_subtitles
from wavrag.text.data import parse_json, parse_jsonl, parse_notebook
from wavrag.text.document import ParsedText
from wavrag.text.formats import INSTALL_OFFICE, Format, Unread, detect_format, needs_office
from wavrag.text.html import html_encoding, parse_html
from wavrag.text.mail import parse_eml, parse_mbox, parse_msg
from wavrag.text.markdown import parse_markdown
from wavrag.text.markup import parse_org, parse_rst
from wavrag.text.office import parse_docx, parse_pptx, parse_rtf, parse_xlsx
from wavrag.text.open_document import parse_epub, parse_odf
from wavrag.text.pdf import parse_pdf
from wavrag.text.plain import decode, parse_plain
from wavrag.text.sheet import parse_csv
from wavrag.types import NoteCallback

Kind: TypeAlias = Literal["txt", "md", "html"]

_PARSERS: dict[Format, Callable[[str], ParsedText]] = {
    "txt": parse_plain,
    "md": parse_markdown,
    "html": parse_html,
    "csv": parse_csv,
    "tsv": partial(parse_csv, delimiter="\t"),
    "srt": parse_subtitles,
    "vtt": parse_subtitles,
    "ass": parse_substation,
    "json": parse_json,
    "jsonl": parse_jsonl,
    "ipynb": parse_notebook,
    "rst": parse_rst,
    "org": parse_org,
}
_BINARY_PARSERS: dict[Format, Callable[[bytes, str], ParsedText]] = {
    "pdf": parse_pdf,
    "docx": parse_docx,
    "pptx": parse_pptx,
    "xlsx": parse_xlsx,
    "rtf": parse_rtf,
    "odf": parse_odf,
    "epub": parse_epub,
    "eml": parse_eml,
    "msg": parse_msg,
}


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


def read(
    path: str | os.PathLike[str], *, name: str = "", on_note: NoteCallback | None = None
) -> ParsedText:
    """Read and parse a file; its content determines the format, and its suffix that of text.

    Args:
        path: a document; text of an unknown kind is read as plain text.
        name: name for messages and of the format, if the path has another one.
        on_note: called with a message if the encoding had to be guessed.

    Raises:
        DocumentError: the file cannot be read or has no text; the message names the remedy.

    Example:
        >>> from wavrag.demo import DATA
        >>> read(DATA / "corpus" / "documents" / "rye-bread-recipe.md").title
        'Dark rye bread'
    """
    file = Path(path)
    label = name or str(file)
    _check_file(file)
    format = detect_format(file, label, as_text=True)
    if isinstance(format, Unread):
        raise DocumentError(f"{label}: is not text but {format.reason}")
    if needs_office(format):
        raise DocumentError(f"{label}: is a file of the kind {format}: {INSTALL_OFFICE}")
    notes: list[str] = []
    try:
        parsed = _parse(file, format, label, notes)
    except DocumentError as error:
        reason = str(error).removeprefix(f"{label}: ")
        raise DocumentError(f"{label}: {reason}") from error
    except Exception as error:  # a hostile file can make a parser raise any
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise DocumentError(
            f"{label}: cannot be parsed ({reason[:300]}): replace it with an intact copy"
        ) from error
    if on_note is not None:
        for note in (*notes, *parsed.notes):
            on_note(f"{label}: {note}")
    if not parsed.text:
        raise DocumentError(f"{label}: contains no text: add some or leave the file out")
    return parsed if parsed.title else replace(parsed, title=Path(label).stem)


def _parse(file: Path, format: Format, label: str, notes: list[str]) -> ParsedText:
    if format == "mbox":
        with file.open("rb") as mailbox:
            return parse_mbox(mailbox, label)
    data = file.read_bytes()
    if format in _BINARY_PARSERS:
        return _BINARY_PARSERS[format](data, label)
    fallback = html_encoding(data) if format == "html" else ""
    text, note = decode(data, label, fallback)
    notes += [note] if note else []
    return _PARSERS[format](text)


def _check_file(file: Path) -> None:
    try:
        with file.open("rb") as binary:
            head = binary.read(1)
    except FileNotFoundError as error:
        raise DocumentError(f"{file}: no such file: check the path") from error
    except (OSError, ValueError) as error:  # ValueError: null character in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise DocumentError(f"{file}: {reason}: make it readable or leave it out") from error
    if not head:
        raise DocumentError(f"{file}: is empty (0 bytes): replace it or leave it out")
