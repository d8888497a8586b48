"""The error for a folder without a knowledge base, which names the closest one that there is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path

from wavrag import config
from wavrag.errors import StoreError
from wavrag.kb import manifest
from wavrag.kb.backend import Backend

MAX_ENTRIES = 1000  # of a folder, so that an error in a folder of a million files is quick


def read_manifest(backend: Backend) -> manifest.Manifest:
    """Read the manifest of a knowledge base that must exist.

    Raises:
        StoreError: there is none, or see `manifest.read`.
    """
    contents = manifest.read(backend)
    if contents is None:
        raise missing_kb(backend)
    return contents


def missing_kb(backend: Backend) -> StoreError:
    """Return the error for a place that has no knowledge base."""
    closest = None if backend.folder is None else find_closest(backend.folder)
    hint = "name another one with --kb" if closest is None else "name it with --kb"
    state = "" if closest is None else f"; the closest one is {closest}"
    return StoreError(
        f"there is no knowledge base in {backend.address}{state}: {hint}, or make one with"
        " `wavrag index PATH` or `wavrag serve --create`"
    )


def find_closest(directory: Path) -> Path | None:
    """Return the knowledge base that a wrong path may mean; None if there is none near it.

    A folder above or directly below the path comes first. Then that with the most similar name
    among the folders beside it, the folders in the working directory and the default.
    """
    related = [*directory.parents, *_folders(directory)]
    neighbours = [*_folders(directory.parent), *_folders(Path()), Path(config.kb_address())]
    # `max` takes the first of several: those beside the path come before the working directory.
    return next(filter(_is_kb, related), None) or max(
        filter(_is_kb, neighbours), key=lambda path: _similarity(path, directory), default=None
    )


def _is_kb(path: Path) -> bool:
    return os.path.isfile(path / manifest.FILE)  # False without permission; Path.is_file raises


def _folders(directory: Path) -> Iterator[Path]:
    try:
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in islice(entries, MAX_ENTRIES) if entry.is_dir())
    except OSError:
        return
    yield from (directory / name for name in names)


def _similarity(path: Path, other: Path) -> float:
    return SequenceMatcher(None, path.name.casefold(), other.name.casefold()).ratio()
