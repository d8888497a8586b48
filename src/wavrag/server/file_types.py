"""Detection of uploaded files by content; a file's name does not decide whether it is accepted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wavrag import audio, text
from wavrag.errors import AudioError, DocumentError
from wavrag.kb import detect_kind
from wavrag.server import limits
from wavrag.server.errors import RequestError
from wavrag.server.options import ServerOptions
from wavrag.text import Unread, format_suffix

HEAD_BYTES = 4096  # that are searched for signatures
# Formats that are read before the upload is accepted: quick, and errors reach the client at once.
_TITLED = ("txt", "md", "html", "csv", "tsv", "srt", "vtt", "ass")

MEDIA_TYPES = {
    ".3gp": "audio/3gpp",
    ".aac": "audio/aac",
    ".aif": "audio/aiff",
    ".aiff": "audio/aiff",
    ".amr": "audio/amr",
    ".au": "audio/basic",
    ".avi": "video/x-msvideo",
    ".caf": "audio/x-caf",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".m4b": "audio/mp4",
    ".m4v": "video/mp4",
    ".mka": "audio/x-matroska",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".wav": "audio/wav",
    ".weba": "audio/webm",
    ".webm": "audio/webm",
    ".wma": "audio/x-ms-wma",
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

    The content decides; the suffix of the client's name distinguishes formats of text.

    Raises:
        RequestError: the file cannot be indexed, or is too long.
    """
    if not path.stat().st_size:
        raise RequestError(400, f"{name}: the file is empty: send one with content")
    kind = detect_kind(str(path), name, as_text=True)
    if kind is None:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        suffix = recording_suffix(head) or PurePosixPath(name).suffix.lower()
        suffix = suffix if suffix in audio.AUDIO_SUFFIXES else ".mka"
        return _check_recording(path, name, suffix, options)
    if isinstance(kind, Unread) and text.is_archive(kind):
        raise RequestError(
            415,
            f"{name}: is an archive: unpack it and upload its files, or index it with"
            " `wavrag index --archives`",
        )
    if isinstance(kind, Unread):
        raise RequestError(415, f"{name}: cannot be indexed, it is not read: {kind.reason}")
    if path.stat().st_size > limits.MAX_TEXT_BYTES:
        raise RequestError(
            413, f"{name}: a text is limited to {limits.MAX_TEXT_BYTES} bytes: split the file"
        )
    suffix = format_suffix(kind)
    if kind not in _TITLED:
        return FileType(suffix)
    try:
        return FileType(suffix, text.read(path, name=name).title)
    except DocumentError as error:
        raise RequestError(415, f"{name}: cannot be indexed ({error})") from error


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
