"""Decide by content whether a file is a recording, a document, or neither."""

from __future__ import annotations

import os

from wavrag import audio, text
from wavrag.text import INSTALL_OFFICE, Format, Unread, needs_office


def detect_kind(path: str, name: str = "", as_text: bool = False) -> Format | Unread | None:
    """Detect the kind of a file: the format of a document, None for a recording.

    Args:
        path: the file.
        name: its name, if the path has another one.
        as_text: read text of an unknown kind as plain text.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(text.HEAD_BYTES)
        if _is_recording(path, name, head):
            return None
        kind = text.detect_open_format(file, head, name or path, as_text)
    return Unread(INSTALL_OFFICE) if not isinstance(kind, Unread) and needs_office(kind) else kind


def is_recording(path: str, name: str = "") -> bool:
    """True for a recording by its content; a damaged one is recognised by its suffix.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        return _is_recording(path, name, file.read(text.HEAD_BYTES))


def _is_recording(path: str, name: str, head: bytes) -> bool:
    if text.has_signature(head) or head.startswith(b"%PDF-"):
        return False
    if suffix(name or path) in audio.AUDIO_SUFFIXES:
        return True
    return not text.seems_text(head) and audio.is_recording(path)


def find_recording(path: str) -> str | None:
    """Return the recording beside a transcript, with the same name up to its suffixes.

    `talk.srt`, `talk.en.vtt` and `talk.mp3.json` belong to `talk.mp3`.
    """
    folder, name = os.path.split(path)
    stem = os.path.splitext(name)[0]
    try:
        entries = sorted(os.listdir(folder or "."))
    except OSError:
        return None
    for candidate in (stem, os.path.splitext(stem)[0]):
        for entry in entries:
            start, end = os.path.splitext(entry)
            if candidate in (start, entry) and end.lower() in audio.AUDIO_SUFFIXES:
                return os.path.join(folder, entry)
    return None


def suffix(path: str) -> str:
    """Lower-case suffix with its dot."""
    return os.path.splitext(path)[1].lower()
