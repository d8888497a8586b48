"""Detection of uploaded files by content; a file's name does not decide whether it is accepted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from wavrag import audio, text
from wavrag.errors import AudioError, DocumentError
from wavrag.server import limits
from wavrag.server.errors import RequestError
from wavrag.server.options import ServerOptions
from wavrag.text import decode, html_encoding

HEAD_BYTES = 4096  # that are searched for signatures
_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body)[\s>]", re.IGNORECASE)
_MARKDOWN_SUFFIXES = (".md", ".markdown")
_ACCEPTED = "text, Markdown, HTML, PDF, wav, mp3, flac, ogg, opus, m4a, mp4, aac, aiff and webm"

MEDIA_TYPES = {
    ".aac": "audio/aac",
    ".aif": "audio/aiff",
    ".aiff": "audio/aiff",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".m4b": "audio/mp4",
    ".mka": "audio/x-matroska",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".wav": "audio/wav",
    ".webm": "audio/webm",
}
"""Media types of recordings by suffix; `mimetypes` differs between operating systems."""


@dataclass(frozen=True, slots=True)
class FileType:
    """The detected type of a file."""

    suffix: str  # of the stored file; selects its reader
    title: str = ""  # in the content; empty if there is none, or if finding it takes long (PDF)


def recording_suffix(head: bytes) -> str | None:
    """The suffix of a recording by its first bytes; None for other files."""
    match head[:4]:
        case b"RIFF" | b"RF64" if head[8:12] == b"WAVE":
            return ".wav"
        case b"OggS":
            return ".ogg"
        case b"fLaC":
            return ".flac"
        case b"FORM" if head[8:12] in (b"AIFF", b"AIFC"):
            return ".aiff"
        case b"\x1aE\xdf\xa3":  # EBML: WebM names its document type near the start
            return ".webm" if b"webm" in head[:64] else ".mka"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return ".mov" if brand == b"qt  " else ".m4a" if brand.startswith(b"M4") else ".mp4"
    if head[:3] == b"ID3":
        return ".mp3"
    # MPEG audio begins with eleven set bits; the layer bits are 0 in ADTS AAC only.
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return ".aac" if head[1] & 0xF6 == 0xF0 else ".mp3"
    return None


def check_file(path: Path, name: str, options: ServerOptions) -> FileType:
    """Detect the type of a file, and check that it can be indexed.

    The client's name of the file only distinguishes Markdown from plain text.

    Raises:
        RequestError: the file cannot be indexed, or is too long.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise RequestError(400, f"{name}: the file is empty: send one with content")
    suffix = recording_suffix(head)
    if suffix is not None:
        return _check_recording(path, name, suffix, options)
    if path.stat().st_size > limits.MAX_TEXT_BYTES:
        raise RequestError(
            413, f"{name}: a text is limited to {limits.MAX_TEXT_BYTES} bytes: split the file"
        )
    # PDF readers accept the signature anywhere in the first 1,024 bytes.
    if b"%PDF-" in head[:1024]:
        return FileType(".pdf")
    if _HTML.search(head):
        return _check_text(path, name, "html")
    is_markdown = PurePosixPath(name).suffix.lower() in _MARKDOWN_SUFFIXES
    return _check_text(path, name, "md" if is_markdown else "txt")


def _check_recording(path: Path, name: str, suffix: str, options: ServerOptions) -> FileType:
    try:
        recording = audio.inspect_recording(path)
        next(audio.stream(path))  # a header may be well-formed although nothing decodes
    except AudioError as error:
        raise RequestError(415, str(error).replace(str(path), name)) from error
    seconds = recording.tracks[0].seconds
    if seconds > options.max_recording_seconds:
        limit = options.max_recording_seconds / 3600
        raise RequestError(
            413, f"{name}: {seconds / 3600:.1f} h exceed the limit of {limit:g} h: split the file"
        )
    return FileType(suffix, recording.tags.title)


def _check_text(path: Path, name: str, kind: Literal["txt", "md", "html"]) -> FileType:
    data = path.read_bytes()
    try:
        characters, _ = decode(data, name, html_encoding(data) if kind == "html" else "")
        return FileType(f".{kind}", text.parse(characters, kind).title)
    except DocumentError as error:
        raise RequestError(
            415, f"{name}: cannot be indexed ({error}); accepted are {_ACCEPTED}"
        ) from error
