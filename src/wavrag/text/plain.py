"""Decode plain text and split it into paragraphs."""

from __future__ import annotations

import codecs
import re

from wavrag.errors import DocumentError
from wavrag.text.document import ParsedText, TextBuilder, add_paragraph

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
_EMPTY_LINES = re.compile(r"\n[^\S\n]*\n\s*")


def decode(data: bytes, name: str, fallback: str = "") -> tuple[str, str | None]:
    """Decode a file; also return a note if the encoding had to be guessed.

    A byte order mark decides, then valid UTF-8, then the fallback, then Windows-1252.

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
    note = None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        try:
            text = data.decode(fallback)
        except (LookupError, UnicodeError):
            # `replace`: five byte values are undefined in Windows-1252.
            text = data.decode("cp1252", "replace")
            note = "is not UTF-8; read as Windows-1252. Save it as UTF-8 if letters look wrong"
    if len(_CONTROL.findall(text)) > BINARY_SHARE * len(text):
        raise DocumentError(
            f"{name}: is not text (it contains control characters): correct its suffix, or save it"
            " as text"
        )
    return text, note


def parse_plain(text: str) -> ParsedText:
    """Split a text into paragraphs at empty lines."""
    builder = TextBuilder()
    for paragraph in _EMPTY_LINES.split(text.replace("\r\n", "\n").replace("\r", "\n")):
        add_paragraph(builder, paragraph)
    return builder.build(title="")
