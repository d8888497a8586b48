"""Find damage in the files of a knowledge base beside its store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from wavrag.disk import read_json
from wavrag.kb import manifest
from wavrag.kb.originals import RECORD
from wavrag.kb.transcript_corrections import FILE as CORRECTIONS_FILE
from wavrag.kb.transcripts import FILE as WORDS_FILE


def find_side_defects(directory: Path) -> Iterator[str]:
    """Describe each defect outside the store: manifest, jobs, downloads, caches."""
    yield from manifest.find_defects(directory)
    for path in (*directory.glob("jobs/*.json"), *directory.glob(f"originals/*/{RECORD}")):
        try:
            read_json(path, checked=False)
        except (OSError, ValueError) as error:
            remedy = "the server repairs it at its next start"
            if path.name == RECORD:
                remedy = "download the document again (`wavrag add-url URL`)"
            yield f"{path} is damaged ({error}): {remedy}"
    for name in (WORDS_FILE, CORRECTIONS_FILE):
        if not is_intact(directory / name):
            yield f"{directory / name} is damaged: run `wavrag kb repair`, or restore a backup"


def is_intact(path: Path) -> bool:
    """True if an SQLite file is readable or does not exist."""
    if not path.exists():
        return True
    try:
        with closing(sqlite3.connect(path)) as database:
            return bool(database.execute("PRAGMA integrity_check").fetchone() == ("ok",))
    except sqlite3.Error:
        return False
