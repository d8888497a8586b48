"""Parse files in this process: the parser of each format."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Literal, TextIO, TypeAlias

from wavrag.errors import DocumentError
from wavrag.text.captions import parse_substation, parse_subtitles
from wavrag.text.data import parse_json, parse_jsonl, parse_notebook
from wavrag.text.document import ParsedText, join_pieces
from wavrag.text.formats import INSTALL_OFFICE, Format, Unread, needs_office
from wavrag.text.html import html_encoding, parse_html
from wavrag.text.mail import parse_eml, parse_mbox, parse_msg
from wavrag.text.markdown import parse_markdown_file
from wavrag.text.markup import parse_org, parse_rst
from wavrag.text.office import parse_docx, parse_pptx, parse_rtf, parse_xlsx
from wavrag.text.open_document import parse_epub, parse_odf
from wavrag.text.pdf import parse_pdf
from wavrag.text.plain import decode, find_encoding, parse_plain
from wavrag.text.sheet import parse_csv
from wavrag.types import NoteCallback

# Parsing takes 7 (JSON) to 17 (HTML) times the size in memory, measured on files of 5 MB.
MAX_TEXT_BYTES = 64 << 20
MAX_BINARY_BYTES = 512 << 20

Kind: TypeAlias = Literal["txt", "md", "html"]

# Parsers of text that is read in pieces, whatever its length.
_STREAM_PARSERS: dict[Format, Callable[[TextIO], Iterator[ParsedText]]] = {
    "txt": parse_plain,
    "md": parse_markdown_file,
    "csv": parse_csv,
    "tsv": partial(parse_csv, delimiter="\t"),
    "jsonl": parse_jsonl,
}
_PARSERS: dict[Format, Callable[[str], ParsedText]] = {
    "html": parse_html,
    "srt": parse_subtitles,
    "vtt": parse_subtitles,
    "ass": parse_substation,
    "json": parse_json,
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
    if kind == "html":
        parsed = parse_html(text)
    else:
        parsed = join_pieces(_STREAM_PARSERS[kind](io.StringIO(text)))
    if not parsed.text:
        raise DocumentError("the text is empty: pass a text with visible characters")
    return parsed


def parse_pieces(
    file: Path, format: Format | Unread, *, name: str, on_note: NoteCallback | None
) -> Iterator[ParsedText]:
    """Parse a file in this process; see `read_pieces`."""
    if isinstance(format, Unread):
        raise DocumentError(f"{name}: is not text but {format.reason}")
    if needs_office(format):
        raise DocumentError(f"{name}: is a file of the kind {format}: {INSTALL_OFFICE}")
    title = ""
    has_text = False
    notes: list[str] = []
    try:
        for parsed in _parse(file, format, name, notes):
            notes += parsed.notes
            if parsed.text:
                title = title if has_text else parsed.title or Path(name).stem
                has_text = True
                yield replace(parsed, title=title, notes=())
    except DocumentError as error:
        reason = str(error).removeprefix(f"{name}: ")
        raise DocumentError(f"{name}: {reason}") from error
    except MemoryError as error:
        raise DocumentError(
            f"{name}: needs too much memory for its size: split it or leave it out"
        ) from error
    except Exception as error:  # a hostile file can make a parser raise any
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise DocumentError(
            f"{name}: cannot be parsed ({reason[:300]}): replace it with an intact copy"
        ) from error
    if on_note is not None:
        for note in notes:
            on_note(f"{name}: {note}")
    if not has_text:
        raise DocumentError(f"{name}: contains no text: add some or leave the file out")


def _parse(file: Path, format: Format, label: str, notes: list[str]) -> Iterator[ParsedText]:
    with file.open("rb") as binary:
        if format == "mbox":
            yield from parse_mbox(binary, label)
            return
        if format in _BINARY_PARSERS:
            yield _BINARY_PARSERS[format](_read_whole(binary, MAX_BINARY_BYTES), label)
            return
        if format in _PARSERS:
            data = _read_whole(binary, MAX_TEXT_BYTES)
            fallback = html_encoding(data) if format == "html" else ""
            text, note = decode(data, label, fallback)
            notes += [note] if note else []
            yield _PARSERS[format](text)
            return
        encoding = find_encoding(binary, label)
        notes += [encoding.note] if encoding.note else []
        binary.seek(0)
        # Without a translation of line ends, which separate cells of tables from rows.
        lines = io.TextIOWrapper(binary, encoding.name, encoding.errors, newline="")
        yield from _STREAM_PARSERS[format](lines)


def _read_whole(file: IO[bytes], limit: int) -> bytes:
    size = file.seek(0, os.SEEK_END)
    if size > limit:
        raise DocumentError(
            f"has {size / 1e6:,.0f} MB, and files of its kind are read at once, up to"
            f" {limit / 1e6:,.0f} MB: split it, or convert it to plain text (.txt)"
        )
    file.seek(0)
    return file.read()
