"""Plain text: bytes to characters, and paragraphs."""

from __future__ import annotations

import codecs
import re

from wavrag.errors import DocumentError
from wavrag.text.document import ParsedText, TextBuilder, add_unmarked

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")
BINARY_SHARE = 0.002  # of control characters, from which bytes are no text
_EMPTY_LINES = re.compile(r"\n[^\S\n]*\n\s*")


def decode(data: bytes, name: str, declared: str = "") -> tuple[str, str | None]:
    """Characters of a file, and a remark if its encoding had to be guessed.

    A byte order mark decides; otherwise it is UTF-8. What is not valid UTF-8 is in the encoding
    that it declares, or else in Windows-1252.

    Args:
        data: the file.
        name: for messages.
        declared: name of an encoding; empty if there is none.

    Raises:
        DocumentError: it is not text.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            try:
                return data.decode(encoding), None
            except UnicodeDecodeError as error:
                raise DocumentError(f"{name}: is damaged {encoding}: save it again") from error
    remark = None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        try:
            text = data.decode(declared)
        except (LookupError, UnicodeError):
            text = data.decode("cp1252", "replace")
            remark = "is not UTF-8; read as Windows-1252. Save it as UTF-8 if letters look wrong"
    if len(_CONTROL.findall(text)) > BINARY_SHARE * len(text):
        raise DocumentError(
            f"{name}: is not text (it holds control characters): give its suffix the right name,"
            " or save it as text"
        )
    return text, remark


def parse_plain(text: str) -> ParsedText:
    """Paragraphs are what empty lines separate."""
    builder = TextBuilder()
    for paragraph in _EMPTY_LINES.split(text.replace("\r\n", "\n").replace("\r", "\n")):
        add_unmarked(builder, paragraph)
    return builder.build(title="")
