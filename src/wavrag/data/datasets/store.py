"""Audio in memory to files, so that a file of records can refer to it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from wavrag.data.records import Content, TrainingRecord, map_contents
from wavrag.errors import InputError

_SIGNATURES = {b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3"}


def store_sounds(
    records: Iterable[TrainingRecord], folder: str | os.PathLike[str]
) -> Iterator[TrainingRecord]:
    """Yield the records with all audio in memory written to files in the folder.

    A file is named by its content: a passage with several questions is stored once, and files of
    earlier runs are reused.

    Raises:
        InputError: a file cannot be written.
    """
    folder = Path(folder)

    def store(content: Content) -> Content:
        if not isinstance(content.audio, bytes):
            return content
        return replace(content, audio=str(store_sound(content.audio, folder)))

    return (map_contents(record, store) for record in records)


def store_sound(sound: bytes, folder: Path) -> Path:
    """Write an audio file, unless it exists, and return its path.

    Raises:
        InputError: the file cannot be written.
    """
    name = hashlib.sha256(sound).hexdigest()[:32]
    suffix = next((suffix for magic, suffix in _SIGNATURES.items() if sound.startswith(magic)), "")
    # A level of folders, since file systems slow down with 100,000s of files in one.
    path = folder / name[:2] / f"{name}{suffix}"
    if not path.exists():
        partial = path.with_name(path.name + ".partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(sound)
            os.replace(partial, path)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error}") from error
    return path
