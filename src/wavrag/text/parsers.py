"""Parse files in this process: the parser of each format."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Literal, TextIO, TypeAlias

from wavrag.errors import DocumentError
from wavrag.text.document import ParsedText, join_pieces
from wavrag.text.formats import INSTALL_OFFICE, Format, Unread, needs_office
from wavrag.text.plain import decode, find_encoding
from wavrag.types import NoteCallback

# Parsing takes 7 (JSON) to 17 (HTML) times the size in memory, measured on files of 5 MB.
MAX_TEXT_BYTES = 64 << 20
MAX_BINARY_BYTES = 512 << 20

Kind: TypeAlias = Literal["txt", "md", "html"]


def _parser(name: str, **options: str) -> Callable[..., Any]:
    """A function of a module of this room, which is imported at the first call.

    All of them together take as long to import as the interpreter takes to start.
    """
    module, function = name.split(".")

    def parse(*arguments: Any) -> Any:
        return getattr(import_module(f"wavrag.text.{module}"), function)(*arguments, **options)

    return parse


# Parsers of text that is read in pieces, whatever its length.
_STREAM_PARSERS: dict[Format, Callable[[TextIO], Iterator[ParsedText]]] = {
    "txt": _parser("plain.parse_plain"),
    "md": _parser("markdown.parse_markdown_file"),
    "csv": _parser("sheet.parse_csv"),
    "tsv": _parser("sheet.parse_csv", delimiter="\t"),
    "jsonl": _parser("data.parse_jsonl"),
}
_PARSERS: dict[Format, Callable[[str], ParsedText]] = {
    "html": _parser("html.parse_html"),
    "srt": _parser("captions.parse_subtitles"),
    "vtt": _parser("captions.parse_subtitles"),
    "ass": _parser("captions.parse_substation"),
    "json": _parser("data.parse_json"),
    "ipynb": _parser("data.parse_notebook"),
    "rst": _parser("markup.parse_rst"),
    "org": _parser("markup.parse_org"),
}
_BINARY_PARSERS: dict[Format, Callable[[bytes, str], ParsedText]] = {
    "pdf": _parser("pdf.parse_pdf"),
    "docx": _parser("office.parse_docx"),
    "pptx": _parser("office.parse_pptx"),
    "xlsx": _parser("office.parse_xlsx"),
    "rtf": _parser("office.parse_rtf"),
    "odf": _parser("open_document.parse_odf"),
    "epub": _parser("open_document.parse_epub"),
    "eml": _parser("mail.parse_eml"),
    "msg": _parser("mail.parse_msg"),
}
_parse_mbox = _parser("mail.parse_mbox")
_html_encoding = _parser("html.html_encoding")


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
        parsed = _PARSERS[kind](text)
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
            yield from _parse_mbox(binary, label)
            return
        if format in _BINARY_PARSERS:
            yield _BINARY_PARSERS[format](_read_whole(binary, MAX_BINARY_BYTES), label)
            return
        if format in _PARSERS:
            data = _read_whole(binary, MAX_TEXT_BYTES)
            fallback = _html_encoding(data) if format == "html" else ""
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
