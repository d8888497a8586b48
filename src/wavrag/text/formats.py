"""Detect the format of a document by its content, and by its suffix where content cannot tell."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from typing import IO, Literal, NamedTuple, TypeAlias

from wavrag.text.encoding import utf16_encoding

Format: TypeAlias = Literal[
    "txt", "md", "html", "pdf", "csv", "tsv", "docx", "pptx", "xlsx", "odf", "epub", "rtf", "eml",
    "msg", "mbox", "ipynb", "json", "jsonl", "rst", "org", "srt", "vtt", "ass",
]  # fmt: skip

SUFFIXES: dict[str, Format] = {
    ".txt": "txt", ".text": "txt", ".log": "txt", ".adoc": "txt", ".asciidoc": "txt",
    ".textile": "txt", ".wiki": "txt", ".tex": "txt", ".md": "md", ".markdown": "md",
    ".mdown": "md", ".html": "html", ".htm": "html", ".xhtml": "html", ".xht": "html",
    ".pdf": "pdf", ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".docx": "docx", ".docm": "docx",
    ".pptx": "pptx", ".pptm": "pptx", ".ppsx": "pptx", ".xlsx": "xlsx", ".xlsm": "xlsx",
    ".odt": "odf", ".ods": "odf", ".odp": "odf", ".ott": "odf", ".epub": "epub", ".rtf": "rtf",
    ".eml": "eml", ".msg": "msg", ".mbox": "mbox", ".ipynb": "ipynb", ".json": "json",
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".rst": "rst", ".rest": "rst", ".org": "org",
    ".srt": "srt", ".vtt": "vtt", ".ass": "ass", ".ssa": "ass",
}  # fmt: skip
TEXT_SUFFIXES = frozenset(SUFFIXES)

# Formats that need packages of the extra `office`, with the module of each.
OFFICE_MODULES: dict[Format, str] = {
    "docx": "docx",
    "pptx": "pptx",
    "xlsx": "openpyxl",
    "rtf": "striprtf",
    "msg": "olefile",
}
_BINARY_FORMATS = {*OFFICE_MODULES, "odf", "epub"}
INSTALL_OFFICE = "install wavrag[office] (pip install 'wavrag[office]')"
HEAD_BYTES = 4096
CONTROL_SHARE = 0.02  # of the head; text in an encoding with escapes has a few
_CONTROL = bytes([*range(8), 0x0E, 0x0F, *range(0x10, 0x1B), *range(0x1C, 0x20), 0x7F])
_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body)[\s>]", re.IGNORECASE)
_SRT = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*\d+[ \t]*\r?\n\d\d?:\d\d:\d\d[,.]\d+[ \t]*-->")
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_PICTURE = "a picture: run OCR, e.g. with `tesseract IN.png OUT`, or describe it in a text file"
_ARCHIVE = "an archive: unpack it, or give --archives"
_OTHER_ARCHIVE = "an archive: unpack it"
_BINARY = "binary data without text"
_LEGACY = (
    "an older office format: save it in a current one, e.g. with"
    " `soffice --headless --convert-to {} FILE`"
)
_EXPORT = "a format of Apple iWork: export it as docx, xlsx, pptx or PDF"
_EBOOK = "an e-book: convert it to EPUB, e.g. with `ebook-convert IN OUT.epub`"
_SIGNATURES: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), remedy)
    for pattern, remedy in (
        (
            rb"\x89PNG|GIF8[79]a|\xff\xd8\xff|II\*\0|MM\0\*|RIFF....WEBP|8BPS|\0\0\x01\0.\0",
            _PICTURE,
        ),
        (rb"....ftyp(?:heic|heix|hevc|mif1|msf1|avif|avis|jxl )|\xff\x0a|\0\0\0\x0cJXL ", _PICTURE),
        (rb"BM....\0\0\0\0|AT&TFORM|\x76\x2f\x31\x01|\0\0\0\x0cjP  ", _PICTURE),
        (rb"PK\x03\x04|PK\x05\x06|\x1f\x8b|BZh\d|\xfd7zXZ", _ARCHIVE),
        (rb"7z\xbc\xaf|Rar!|\x28\xb5\x2f\xfd", _OTHER_ARCHIVE),
        (rb".{257}ustar", _ARCHIVE),
        (
            rb"\x7fELF|MZ.{58}|\xca\xfe\xba\xbe|[\xce\xcf]\xfa\xed\xfe|\0asm|SQLite format 3",
            _BINARY,
        ),
        (rb"wOF[F2]|OTTO|\0\x01\0\0\0|PAR1|glTF|\x80\x04\x95|\x93NUMPY|\x89HDF", _BINARY),
        (rb".{60}(?:BOOKMOBI|TEXtREAd)", _EBOOK),
    )
)
_REMEDIES = {
    **dict.fromkeys((".doc", ".dot", ".wps", ".pages", ".wpd"), _LEGACY.format("docx")),
    **dict.fromkeys((".xls", ".xlt", ".xlsb", ".wk1"), _LEGACY.format("xlsx")),
    **dict.fromkeys((".ppt", ".pps", ".pot"), _LEGACY.format("pptx")),
    **dict.fromkeys((".key", ".numbers", ".pages"), _EXPORT),
    **dict.fromkeys((".mobi", ".azw", ".azw3", ".fb2"), _EBOOK),
    **dict.fromkeys((".svg", ".svgz"), _PICTURE),
}
TEXT_REMEDY = "text of an unknown kind: name the files, or give --glob, to read it as plain text"
UNKNOWN = "an unknown kind of binary data: convert it to PDF, text or wav"


class Unread(NamedTuple):
    """The reason why a file is not read, with the remedy."""

    reason: str


def detect_format(
    path: str | os.PathLike[str], name: str = "", as_text: bool = False
) -> Format | Unread:
    """Detect the format of a document; recordings are detected by `wavrag.audio.is_recording`.

    Args:
        path: the file.
        name: its name, if the path has another one, such as that of an upload.
        as_text: read text of an unknown kind as plain text.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        return detect_open_format(file, file.read(HEAD_BYTES), name or os.fspath(path), as_text)


def detect_open_format(
    file: IO[bytes], head: bytes, name: str, as_text: bool = False
) -> Format | Unread:
    """Detect the format of an open file with these first bytes; see `detect_format`."""
    suffix = os.path.splitext(name)[1].lower()
    by_content = _by_content(file, head, suffix)
    if by_content is not None:
        return by_content
    if head and not seems_text(head):
        return Unread(_REMEDIES.get(suffix, UNKNOWN))
    format = SUFFIXES.get(suffix)
    if format in _BINARY_FORMATS and head:
        return Unread(f"not a readable {suffix[1:]} file, whatever its suffix says: replace it")
    if format is not None:
        return format
    if not head:
        return Unread("empty (0 bytes)")
    if suffix in _REMEDIES:
        return Unread(_REMEDIES[suffix])
    # Without a suffix: README, LICENSE, notes.
    return "txt" if as_text or not suffix else Unread(TEXT_REMEDY)


def format_suffix(format: Format) -> str:
    """Return the usual suffix of a format, with its dot."""
    return next(suffix for suffix, value in SUFFIXES.items() if value == format)


def needs_office(format: Format) -> bool:
    """True if a format needs the extra `office`, and it is not installed."""
    return format in OFFICE_MODULES and find_spec(OFFICE_MODULES[format]) is None


def is_archive(kind: Unread) -> bool:
    """True for archives that can be read on request: zip and tar, also compressed."""
    return kind.reason == _ARCHIVE


def has_signature(head: bytes) -> bool:
    """True for pictures, archives and other data that is neither text nor a recording."""
    return any(pattern.match(head) for pattern, _ in _SIGNATURES)


def seems_text(head: bytes) -> bool:
    """Guess from the first bytes whether a file is text in any encoding."""
    if head.startswith(_BOMS) or utf16_encoding(head[: len(head) & ~1]):
        return True
    control = len(head) - len(head.translate(None, _CONTROL))
    return control <= CONTROL_SHARE * len(head)


def _by_content(file: IO[bytes], head: bytes, suffix: str) -> Format | Unread | None:
    format = SUFFIXES.get(suffix)
    # PDF readers accept the signature anywhere in the first 1,024 bytes.
    if format == "pdf" or head.startswith(b"%PDF-") or b"\n%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_format(file, suffix)
    if head.startswith(_OLE):
        file.seek(0)
        # Names of the streams of a message; office files of before 2007 have the same container.
        is_message = "__substg1.0".encode("utf-16-le") in file.read(1 << 20)
        return "msg" if is_message else Unread(_REMEDIES.get(suffix, _LEGACY.format("docx")))
    if head.startswith(b"{\\rtf"):
        return "rtf"
    remedy = next((text for pattern, text in _SIGNATURES if pattern.match(head)), None)
    if remedy is not None:
        return Unread(_REMEDIES.get(suffix, remedy))
    if head.lstrip(b"\xef\xbb\xbf").startswith(b"WEBVTT"):
        return "vtt"
    if _SRT.match(head):
        return "srt"
    if head.lstrip(b"\xef\xbb\xbf").startswith(b"[Script Info]"):
        return "ass"
    if format in (None, "txt") and _HTML.search(head[:1024]) and suffix not in _REMEDIES:
        return "html"
    if format is None and suffix == "" and re.match(rb"From \S+.*\n[\w-]+: ", head):
        return "mbox"
    return None


def _zip_format(file: IO[bytes], suffix: str) -> Format | Unread:
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
            kind = b""
            if "mimetype" in names:
                with archive.open("mimetype") as member:
                    kind = member.read(80)  # all of it may be gigabytes
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, ValueError, EOFError):
        return SUFFIXES.get(suffix, Unread(_ARCHIVE))
    if kind.startswith(b"application/epub"):
        return "epub"
    if kind.startswith(b"application/vnd.oasis.opendocument."):
        return "odf"
    members: dict[str, Format] = {
        "word/document.xml": "docx",
        "ppt/presentation.xml": "pptx",
        "xl/workbook.xml": "xlsx",
    }
    for name, format in members.items():
        if name in names:
            return format
    if "META-INF/container.xml" in names and suffix == ".epub":
        return "epub"
    return Unread(_REMEDIES.get(suffix, _ARCHIVE))
