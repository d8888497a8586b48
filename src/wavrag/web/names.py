"""Names of downloaded files."""

from __future__ import annotations

import mimetypes
import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from wavrag.web.fetch import Download

MAX_STEM = 80  # characters; file systems allow 255 bytes
# Types that say nothing: servers send them for files of any kind.
_VAGUE_TYPES = frozenset({"", "application/octet-stream", "binary/octet-stream", "text/plain"})
# `mimetypes` differs between systems, and gives .mp2 for MPEG audio.
_SUFFIXES = {
    "application/pdf": ".pdf",
    "application/rss+xml": ".xml",
    "application/atom+xml": ".xml",
    "application/xml": ".xml",
    "text/xml": ".xml",
    "application/xhtml+xml": ".html",
    "text/html": ".html",
    "text/markdown": ".md",
    "audio/aac": ".aac",
    "audio/flac": ".flac",
    "audio/mp4": ".m4a",
    "audio/x-m4a": ".m4a",
    "audio/mpeg": ".mp3",
    "audio/mp3": ".mp3",
    "audio/ogg": ".ogg",
    "audio/opus": ".opus",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/webm": ".weba",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
}
_HTML = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)[\s>]", re.I | re.S
)


def file_name(url: str, download: Download, head: bytes) -> str:
    """A file name for a download: the stem for people, the suffix for the reader of its kind.

    Args:
        url: URL that the user gave.
        download: headers.
        head: first bytes, which decide if the headers say nothing.

    Example:
        >>> file_name("https://example.org/talks/ferry?id=7", Download("", "audio/mpeg"), b"ID3")
        'ferry.mp3'
    """
    path = PurePosixPath(unquote(urlsplit(url).path, errors="replace"))
    header_name = PurePosixPath(download.file_name.replace("\\", "/"))
    source = header_name if header_name.name else path
    suffix = source.suffix.lower() or path.suffix.lower()
    if _HTML.match(head):
        suffix = ".html"  # an error page or a login in place of a recording, too
    elif head[:1024].lstrip().startswith(b"%PDF-"):
        suffix = ".pdf"
    elif download.content_type not in _VAGUE_TYPES:
        usual = _SUFFIXES.get(download.content_type)
        guesses = {usual, *mimetypes.guess_all_extensions(download.content_type)}
        # .m4b and .m4a have the same type: a suffix that fits the type is more precise.
        if suffix not in guesses:
            suffix = usual or mimetypes.guess_extension(download.content_type) or suffix
    elif download.content_type == "text/plain" and not suffix:
        suffix = ".txt"
    if not re.fullmatch(r"\.[a-z0-9]{1,8}", suffix):
        suffix = ""
    stem = source.name.removesuffix(source.suffix)
    # Windows forbids these; a leading dot would hide the file.
    stem = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*\ud800-\udfff]+', "-", stem).strip(". -")
    return f"{stem[:MAX_STEM] or urlsplit(url).hostname or 'index'}{suffix}"
