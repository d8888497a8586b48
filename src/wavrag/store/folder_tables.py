"""Records of a folder in SQLite files: cached transcripts and word times, and corrections."""

from __future__ import annotations

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from wavrag.errors import StoreError

WORDS_FILE = "words.sqlite3"
CORRECTIONS_FILE = "corrections.sqlite3"


class RecordTable(ABC):
    """The records of one kind; see `Records`. Reading does not create the file."""

    def __init__(self, path: Path, columns: str) -> None:
        self._path = path
        self._create = f"CREATE TABLE IF NOT EXISTS {columns} WITHOUT ROWID"

    @abstractmethod
    def get(self, key: str) -> bytes | None:
        """Return a value."""

    @abstractmethod
    def put(self, key: str, value: bytes) -> None:
        """Write a value."""

    @abstractmethod
    def delete(self, key: str) -> bool:
        """Delete a value."""

    @abstractmethod
    def keys(self) -> list[str]:
        """Return all keys."""

    def items(self) -> list[tuple[str, bytes]]:
        """Return all keys and values, ordered by key."""
        return [(key, self.get(key) or b"") for key in sorted(self.keys())]

    def select(self, query: str, *values: object) -> list[Any]:
        """Rows of a query."""
        if not self._path.exists():
            return []
        with self.connect("read") as database:
            return database.execute(query, values).fetchall()

    @contextmanager
    def connect(self, purpose: str) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction, for one call: it must not move between threads."""
        try:
            with closing(sqlite3.connect(self._path, timeout=10.0)) as database, database:
                database.execute(self._create)
                yield database
        except sqlite3.Error as error:
            remedy = "restore it" if purpose == "read" else "free disk space"
            raise StoreError(f"{self._path} cannot be {purpose} ({error}): {remedy}") from error


class CacheTable(RecordTable):
    """Values by several columns, the parts of a key between slashes.

    Args:
        name: the table in `words.sqlite3`.
        columns: `BLOB` or `TEXT` by name; the last column is the value, the others are the key.
        folder: the folder.
    """

    def __init__(self, name: str, columns: dict[str, str], folder: Path) -> None:
        *keys, self._value = columns
        definition = ", ".join(f"{column} {type}" for column, type in columns.items())
        super().__init__(
            folder / WORDS_FILE, f"{name} ({definition} NOT NULL, PRIMARY KEY ({', '.join(keys)}))"
        )
        self._name = name
        self._types = columns
        self._keys = keys
        self._condition = " AND ".join(f"{key} = ?" for key in keys)

    def get(self, key: str) -> bytes | None:
        """Return a value."""
        query = f"SELECT {self._value} FROM {self._name} WHERE {self._condition}"
        rows = self.select(query, *self._key_values(key))
        if not rows:
            return None
        value = rows[0][0]
        return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)

    def put(self, key: str, value: bytes) -> None:
        """Write a value."""
        is_text = self._types[self._value] == "TEXT"
        values = (
            *self._key_values(key),
            value.decode("utf-8", "surrogatepass") if is_text else value,
        )
        marks = ", ".join("?" * len(values))
        with self.connect("written") as database:
            database.execute(f"INSERT OR REPLACE INTO {self._name} VALUES ({marks})", values)

    def delete(self, key: str) -> bool:
        """Delete a value."""
        statement = f"DELETE FROM {self._name} WHERE {self._condition}"
        with self.connect("written") as database:
            return database.execute(statement, self._key_values(key)).rowcount > 0

    def keys(self) -> list[str]:
        """Return all keys."""
        rows = self.select(f"SELECT {', '.join(self._keys)} FROM {self._name}")
        return [
            "/".join(value if isinstance(value, str) else value.hex() for value in row)
            for row in rows
        ]

    def _key_values(self, key: str) -> tuple[str | bytes, ...]:
        texts = key.split("/", len(self._keys) - 1)
        return tuple(
            bytes.fromhex(text) if self._types[column] == "BLOB" else text
            for column, text in zip(self._keys, texts, strict=True)
        )


class CorrectionTable(RecordTable):
    """Corrections of a track and channel of a recording, with the key `TRACK/CHANNEL/DOCUMENT`.

    A value is a list of `[start, end, original, corrected]` as JSON, one row each.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder / CORRECTIONS_FILE,
            "corrections ("
            " document_id TEXT, track INTEGER, channel INTEGER, start REAL, end REAL,"
            " original TEXT NOT NULL, corrected TEXT NOT NULL,"
            " PRIMARY KEY (document_id, track, channel, start, end))",
        )

    def get(self, key: str) -> bytes | None:
        """Return a value."""
        rows = self.select(
            "SELECT start, end, original, corrected FROM corrections WHERE document_id = ?"
            " AND track = ? AND channel = ? ORDER BY start",
            *_voice(key),
        )
        if not rows:
            return None
        return json.dumps(
            [[start, end, *map(json.loads, texts)] for start, end, *texts in rows],
            ensure_ascii=False,
        ).encode()

    def put(self, key: str, value: bytes) -> None:
        """Write a value."""
        rows = [
            (*_voice(key), start, end, *(json.dumps(words, ensure_ascii=False) for words in texts))
            for start, end, *texts in json.loads(value)
        ]
        with self.connect("written") as database:
            self._delete(database, key)
            database.executemany("INSERT INTO corrections VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def delete(self, key: str) -> bool:
        """Delete a value."""
        with self.connect("written") as database:
            return self._delete(database, key)

    def keys(self) -> list[str]:
        """Return all keys."""
        rows = self.select("SELECT DISTINCT track, channel, document_id FROM corrections")
        return ["/".join(map(str, row)) for row in rows]

    def _delete(self, database: sqlite3.Connection, key: str) -> bool:
        statement = "DELETE FROM corrections WHERE document_id = ? AND track = ? AND channel = ?"
        return database.execute(statement, _voice(key)).rowcount > 0


def _voice(key: str) -> tuple[str, int, int]:
    track, channel, document_id = key.split("/", 2)
    return document_id, int(track), int(channel)


_WORDS = {"sound": "BLOB", "recogniser": "TEXT", "text": "TEXT"}
_WORD_TIMES = {"sound": "BLOB", "text": "BLOB", "aligner": "TEXT", "times": "BLOB"}

# By kind: opens the table of a folder.
TABLES: dict[str, Callable[[Path], RecordTable]] = {
    "words": partial(CacheTable, "words", _WORDS),
    "word_times": partial(CacheTable, "word_times", _WORD_TIMES),
    "corrections": CorrectionTable,
}
