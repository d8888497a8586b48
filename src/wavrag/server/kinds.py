"""What an uploaded file is, told by its content; its name has no say in whether it is taken."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from wavrag import audio, text
from wavrag.audio import open_audio
from wavrag.errors import AudioError, DocumentError
from wavrag.server.options import ServerOptions
from wavrag.server.problems import RequestError
from wavrag.text import declared_encoding, decode

HEAD = 4096  # bytes that tell
_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body)[\s>]", re.IGNORECASE)
_MARKDOWN = (".md", ".markdown")
_ACCEPTED = "text, Markdown, HTML, PDF, wav, mp3, flac, ogg, opus, m4a, mp4, aac, aiff or webm"

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
"""Of recordings, by suffix."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is.

    Attributes:
        suffix: under which it is kept, so that it is read as what it is.
        title: what it calls itself; empty if it does not, or if telling would take long.
    """

    suffix: str
    title: str = ""


def recording_suffix(head: bytes) -> str | None:
    """The suffix of a recording by its first bytes; None if they are of no recording."""
    match head[:4]:
        case b"RIFF" | b"RF64" if head[8:12] == b"WAVE":
            return ".wav"
        case b"OggS":
            return ".ogg"
        case b"fLaC":
            return ".flac"
        case b"FORM" if head[8:12] in (b"AIFF", b"AIFC"):
            return ".aiff"
        case b"\x1aE\xdf\xa3":
            return ".webm" if b"webm" in head[:64] else ".mka"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return ".mov" if brand == b"qt  " else ".m4a" if brand.startswith(b"M4") else ".mp4"
    if head[:3] == b"ID3":
        return ".mp3"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return ".aac" if head[1] & 0xF6 == 0xF0 else ".mp3"
    return None


def check_file(path: Path, name: str, options: ServerOptions) -> Kind:
    """What a file is, after its content was looked at.

    Args:
        path: of the file as it was received.
        name: as its sender calls it, for messages; tells Markdown from other text.
        options: limits.

    Raises:
        RequestError: it is nothing that can be indexed, or too long.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        raise RequestError(400, f"{name}: is empty (0 bytes): send a file with content")
    suffix = recording_suffix(head)
    if suffix is not None:
        return _recording(path, name, suffix, options)
    size = path.stat().st_size
    if size > options.max_text_bytes:
        limit = options.max_text_bytes
        raise RequestError(
            413, f"{name}: is no recording, and larger than {limit} bytes: send it in parts"
        )
    if b"%PDF-" in head[:1024]:
        return Kind(".pdf")
    if _HTML.search(head):
        return _text(path, name, "html")
    return _text(path, name, "md" if PurePosixPath(name).suffix.lower() in _MARKDOWN else "txt")


def _recording(path: Path, name: str, suffix: str, options: ServerOptions) -> Kind:
    try:
        with open_audio(path) as source:
            seconds = source.duration or 0.0
        next(audio.stream(path))
    except AudioError as error:
        raise RequestError(415, _named(error, path, name)) from error
    if seconds > options.max_recording_seconds:
        limit = options.max_recording_seconds / 3600
        raise RequestError(
            413, f"{name}: lasts {seconds / 3600:.1f} h, and {limit:g} h is the limit: cut it"
        )
    return Kind(suffix)


def _text(path: Path, name: str, kind: Literal["txt", "md", "html"]) -> Kind:
    data = path.read_bytes()
    try:
        characters, _ = decode(data, name, declared_encoding(data) if kind == "html" else "")
        return Kind(f".{kind}", text.parse(characters, kind).title)
    except DocumentError as error:
        raise RequestError(
            415, f"{name}: cannot be indexed ({error}); taken are {_ACCEPTED}"
        ) from error


def _named(error: Exception, path: Path, name: str) -> str:
    """A message in which a file has the name that its sender knows."""
    return str(error).replace(str(path), name)
