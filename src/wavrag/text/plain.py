"""Decode plain text and split it into paragraphs, without reading long files at once."""

from __future__ import annotations

import codecs
import io
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, NamedTuple, TextIO

from wavrag.errors import DocumentError
from wavrag.text.document import ParsedText, TextBuilder, add_paragraph
from wavrag.text.encoding import escape_encoding, guess_encoding, utf16_encoding

# Byte order marks. UTF-32 comes before UTF-16, whose little-endian mark is a prefix of its own.
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")
BINARY_SHARE = 0.002  # a larger share of control characters means binary data
BLOCK_BYTES = 1 << 20  # of a file in memory at once
READ_CHARS = 1 << 18
# Longest paragraph: files without empty lines, such as logs, are one paragraph of any length.
PARAGRAPH_CHARS = 1 << 18
_LABELS = {
    "cp1250": "Windows-1250",
    "cp1251": "Windows-1251",
    "cp1252": "Windows-1252",
    "cp1253": "Windows-1253",
    "cp1254": "Windows-1254",
    "cp1255": "Windows-1255",
    "cp1256": "Windows-1256",
    "koi8_r": "KOI8-R",
    "koi8_u": "KOI8-U",
    "shift_jis": "Shift-JIS",
    "gb18030": "GB 18030 (GBK)",
}
_EMPTY_LINES = re.compile(r"\n[^\S\n]*\n\s*")


class TextEncoding(NamedTuple):
    """How to decode a file, and a note if that had to be guessed."""

    name: str
    errors: str = "strict"
    note: str | None = None


def decode(data: bytes, name: str, fallback: str = "") -> tuple[str, str | None]:
    """Decode a file in memory; see `find_encoding`. Also return its note."""
    encoding = find_encoding(io.BytesIO(data), name, fallback)
    return data.decode(encoding.name, encoding.errors), encoding.note


def find_encoding(file: IO[bytes], name: str, fallback: str = "") -> TextEncoding:
    """Find the encoding of a file of any size, which is read block by block.

    A byte order mark decides, then valid UTF-8, then the fallback, then a guess by the letters.

    Args:
        file: a file that can be read from the start again.
        name: name for messages.
        fallback: name of the declared encoding; empty for none.

    Raises:
        DocumentError: the file is not text.
    """
    file.seek(0)
    head = file.read(1 << 16)
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            try:
                _check_text(file, encoding)
            except UnicodeDecodeError as error:
                raise DocumentError(f"{name}: is not valid {encoding}: save it again") from error
            return TextEncoding(encoding)
    is_even = file.seek(0, os.SEEK_END) % 2 == 0
    for guess in (escape_encoding(head), utf16_encoding(head) if is_even else None):
        if guess:
            with suppress(UnicodeDecodeError):
                _check_text(file, guess)
                return TextEncoding(guess)
    is_text = None
    for encoding in ("utf-8", fallback):
        with suppress(LookupError, UnicodeError):
            " ".encode(encoding)  # `hex` and the like are codecs, but no encodings
            is_text = _check_text(file, encoding)
            result = TextEncoding(encoding)
            break
    if is_text is None:
        result = _guess(file, name)
        is_text = _check_text(file, result.name, result.errors)
    if not is_text:
        raise _not_text(name, "it contains control characters")
    return result


def _check_text(file: IO[bytes], encoding: str, errors: str = "strict") -> bool:
    """False if a file has more control characters than text.

    Raises:
        UnicodeDecodeError: the file is not valid in an encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    file.seek(0)
    length = controls = 0
    while block := file.read(BLOCK_BYTES):
        text = decoder.decode(block)
        length += len(text)
        controls += len(_CONTROL.findall(text))
    text = decoder.decode(b"", True)
    return controls <= BINARY_SHARE * (length + len(text))


def _guess(file: IO[bytes], name: str) -> TextEncoding:
    file.seek(0)
    guess = guess_encoding(file)
    if guess is None:
        raise _not_text(name, "its bytes fit no encoding")
    label = _LABELS.get(guess.encoding, guess.encoding)
    unclear = "" if guess.is_clear else ", and its encoding is unclear"
    note = f"is not UTF-8{unclear}; read as {label}. Save it as UTF-8 if letters look wrong"
    # `replace`: some byte values are undefined in Windows-1252 and occur in damaged files.
    return TextEncoding(guess.encoding, "replace", note)


def _not_text(name: str, reason: str) -> DocumentError:
    return DocumentError(f"{name}: is not text ({reason}): correct its suffix, or save it as text")


def parse_plain(file: TextIO) -> Iterator[ParsedText]:
    """Split a text into paragraphs at empty lines, and yield it in pieces."""
    builder = TextBuilder()
    for paragraph in read_paragraphs(file):
        add_paragraph(builder, paragraph)
        if builder.is_full:
            yield builder.take()
    yield builder.take()


def read_paragraphs(file: TextIO) -> Iterator[str]:
    """Yield the paragraphs of a text with any line ends; longer ones are cut, at lines if any."""
    remainder = ""
    while block := file.read(READ_CHARS):
        # The last character decides whether a carriage return ends a line alone.
        block += file.read(1) if block.endswith("\r") else ""
        *paragraphs, remainder = _EMPTY_LINES.split(remainder + _line_feeds(block))
        yield from paragraphs
        while len(remainder) > PARAGRAPH_CHARS:
            cut = max(remainder.rfind("\n", 0, PARAGRAPH_CHARS), 0)
            cut = cut or max(remainder.rfind(" ", 0, PARAGRAPH_CHARS), 0) or PARAGRAPH_CHARS
            yield remainder[:cut]
            remainder = remainder[cut:]
    yield remainder


def add_plain(builder: TextBuilder, text: str, headings: bool = True) -> None:
    """Append the paragraphs of a text; short lines may be headings."""
    for paragraph in _EMPTY_LINES.split(_line_feeds(text)):
        if headings:
            add_paragraph(builder, paragraph)
        else:
            builder.add(paragraph)


def _line_feeds(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
