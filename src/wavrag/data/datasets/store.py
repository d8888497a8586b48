"""Sound in memory to files, so that records that hold it can be written to a file of records."""

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
    """The same records, with every sound in memory as a file of the folder.

    A file is named by its content, so a passage that many questions share is stored once, and what
    was stored by an earlier run is found again.

    Raises:
        InputError: a file cannot be written.
    """
    folder = Path(folder)

    def stored(entry: Content) -> Content:
        if not isinstance(entry.audio, bytes):
            return entry
        return replace(entry, audio=str(store_sound(entry.audio, folder)))

    return (map_contents(record, stored) for record in records)


def store_sound(sound: bytes, folder: Path) -> Path:
    """The file of a folder that holds this sound, named by its content.

    Raises:
        InputError: it cannot be written.
    """
    name = hashlib.sha256(sound).hexdigest()[:32]
    suffix = next((each for start, each in _SIGNATURES.items() if sound.startswith(start)), "")
    path = folder / name[:2] / f"{name}{suffix}"
    if not path.exists():
        unfinished = path.with_name(path.name + ".partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(sound)
            os.replace(unfinished, path)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error}") from error
    return path
