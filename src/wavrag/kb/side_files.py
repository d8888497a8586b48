"""Find damage in the files of a knowledge base beside its store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from wavrag.disk import load_json
from wavrag.kb import manifest
from wavrag.kb.backend import Backend
from wavrag.store import CORRECTIONS_FILE, WORDS_FILE


def find_side_defects(backend: Backend) -> Iterator[str]:
    """Describe each defect outside the store: manifest, jobs, downloads, caches."""
    remedies = {
        "jobs": "the server repairs it at its next start",
        "originals": "download the document again (`wavrag add-url URL`)",
    }
    for kind, remedy in remedies.items():
        for key, value in backend.records.items(kind):
            try:
                load_json(value, checked=False)
            except ValueError as error:
                yield f"{backend.records.name(kind, key)} is damaged ({error}): {remedy}"
    if backend.folder is None:
        return  # damage in a database or in object storage is noticed there
    yield from manifest.find_defects(backend.folder)
    for name in (WORDS_FILE, CORRECTIONS_FILE):
        if not is_intact(backend.folder / name):
            yield f"{backend.folder / name} is damaged: run `wavrag kb repair`, or restore a backup"


def is_intact(path: Path) -> bool:
    """True if an SQLite file is readable or does not exist."""
    if not path.exists():
        return True
    try:
        with closing(sqlite3.connect(path)) as database:
            return bool(database.execute("PRAGMA integrity_check").fetchone() == ("ok",))
    except sqlite3.Error:
        return False
