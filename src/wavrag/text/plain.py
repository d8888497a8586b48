"""Decode plain text and split it into paragraphs."""

from __future__ import annotations

import codecs
import re
from contextlib import suppress

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


def decode(data: bytes, name: str, fallback: str = "") -> tuple[str, str | None]:
    """Decode a file; also return a note if the encoding had to be guessed.

    A byte order mark decides, then valid UTF-8, then the fallback, then a guess by the letters.

    Args:
        data: content of the file.
        name: name for messages.
        fallback: name of the declared encoding; empty for none.

    Raises:
        DocumentError: the file is not text.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            try:
                return data.decode(encoding), None
            except UnicodeDecodeError as error:
                raise DocumentError(f"{name}: is not valid {encoding}: save it again") from error
    for guess in (escape_encoding(data), utf16_encoding(data)):
        if guess:
            with suppress(UnicodeDecodeError):
                return data.decode(guess), None
    text, note = _decode(data, name, fallback)
    if len(_CONTROL.findall(text)) > BINARY_SHARE * len(text):
        raise _not_text(name, "it contains control characters")
    return text, note


def _decode(data: bytes, name: str, fallback: str) -> tuple[str, str | None]:
    for encoding in ("utf-8", fallback):
        with suppress(LookupError, UnicodeError):
            return data.decode(encoding), None
    guess = guess_encoding(data)
    if guess is None:
        raise _not_text(name, "its bytes fit no encoding")
    # `replace`: some byte values are undefined in Windows-1252 and occur in damaged files.
    text = data.decode(guess.encoding, "replace")
    label = _LABELS.get(guess.encoding, guess.encoding)
    remedy = "Save it as UTF-8 if letters look wrong"
    if guess.is_clear:
        return text, f"is not UTF-8; read as {label}. {remedy}"
    return text, f"is not UTF-8, and its encoding is unclear; read as {label}. {remedy}"


def _not_text(name: str, reason: str) -> DocumentError:
    return DocumentError(f"{name}: is not text ({reason}): correct its suffix, or save it as text")


def parse_plain(text: str) -> ParsedText:
    """Split a text into paragraphs at empty lines."""
    builder = TextBuilder()
    add_plain(builder, text)
    return builder.build(title="")


def add_plain(builder: TextBuilder, text: str, headings: bool = True) -> None:
    """Append the paragraphs of a text; short lines may be headings."""
    for paragraph in _EMPTY_LINES.split(text.replace("\r\n", "\n").replace("\r", "\n")):
        if headings:
            add_paragraph(builder, paragraph)
        else:
            builder.add(paragraph)
