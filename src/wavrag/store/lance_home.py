"""Where a LanceDB table lives: how it is opened, and how a change of it becomes durable.

`LanceFolder` keeps it in a folder, and `LanceObjects` in object storage.
"""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from wavrag.errors import StoreError
from wavrag.store.base import StoredPassage
from wavrag.store.checks import is_unicode
from wavrag.store.lance_documents import DocumentTallies
from wavrag.store.lance_errors import LANCE_ERRORS, is_conflict, translate_errors
from wavrag.store.lance_filter import in_sql
from wavrag.store.lance_legs import create_indexes, missing_indexes
from wavrag.store.lance_rows import KEY, UNREAD_COLUMNS, schema, to_records

TABLE = "passages"

# Rows in memory during `scan`.
SCAN_ROWS = 1024

# LanceDB itself repeats a merge for 30 s. Each attempt of ours waits longer, at random, so that
# many writers do not meet again.
ATTEMPTS = 20
PAUSE_SECONDS = 2.0

Result = TypeVar("Result")


@dataclass(slots=True)
class Changes:
    """A change of the table, as recorded with its commit."""

    tallies: DocumentTallies = field(default_factory=DocumentTallies)  # of changed documents
    removed: list[str] = field(default_factory=list)  # ids of documents
    new_log: bool = False  # write the log of documents anew
    is_cleaning: bool = False  # deletes old files


class LanceHome(ABC):
    """A table and its address.

    Attributes:
        address: the folder or URL, for messages.
        table: the table; it follows the commits of all processes.
        remedy: what a user can do about damage.
        is_exclusive: True if a lock admits one writer at a time.
    """

    remedy: str
    is_exclusive: bool
    table: Any

    def __init__(self, address: str, dim: int, guard: Callable[[], object]) -> None:
        """Prepare; see `LanceStore` for the guard."""
        self.address = address
        self.dim = dim
        self._guard = guard
        self._database: Any = None

    @abstractmethod
    def connect(self, **options: Any) -> Any:
        """Connect to the database with options of LanceDB."""

    @abstractmethod
    def locked(self) -> AbstractContextManager[object]:
        """Keep other writers away, if the home is exclusive; else do nothing."""

    @abstractmethod
    def writing(self, changes: Changes) -> AbstractContextManager[Changes]:
        """Make the commits of a `with` block durable; the change is completed in the block."""

    @abstractmethod
    def recover(self) -> None:
        """Undo what a killed process has left, if necessary."""

    @abstractmethod
    def check_creation(self) -> None:
        """Raise an error if no table can be created here."""

    @abstractmethod
    def stamp(self) -> tuple[int, ...] | None:
        """A value that changes with each commit; None before the first one."""

    @abstractmethod
    def has_versions_older_than(self, seconds: float) -> bool:
        """True if a version before the newest one is older."""

    @abstractmethod
    def needs_new_log(self) -> bool:
        """True if most lines of the log are outdated."""

    @abstractmethod
    def damaged_files(self, share: float) -> list[str]:
        """Addresses of files that differ from their checksums; see `Store.verify`."""

    @abstractmethod
    def log(self) -> tuple[int, DocumentTallies] | None:
        """A version and its documents; None without a log."""

    @abstractmethod
    def side_file(self, name: str, publish: Path | None = None) -> Path:
        """A local copy of a file beside the table, which may be missing.

        Args:
            name: name of the file.
            publish: a local copy that has changed: make it the file.
        """

    def open(self) -> None:
        """Connect, recover, and open the table; create it if necessary."""
        # With an interval of 0, every read looks for the latest commit first.
        self._database = self.connect(read_consistency_interval=timedelta(0))
        self.recover()
        try:
            self.table = self._database.open_table(TABLE)
        except ValueError:  # the table does not exist
            self.check_creation()
            with self.locked():
                self._create_table()
        # Also after a crash between the creation of the table and that of its indexes.
        if missing_indexes(self.table):
            with self.writing(Changes()):
                self.commit(lambda: create_indexes(self.table))

    def _create_table(self) -> None:
        try:
            self._database.create_table(TABLE, schema=schema(self.dim), exist_ok=True)
        except LANCE_ERRORS as error:
            try:  # another process may have created it at the same time
                self.table = self._database.open_table(TABLE)
            except LANCE_ERRORS:
                raise error from None
        self.table = self._database.open_table(TABLE)

    def snapshot(self) -> Any:
        """The current version of the table, unaffected by later commits."""
        # A connection without a consistency interval never looks for later commits.
        return self.connect().open_table(TABLE)

    def scan(
        self, document_ids: Sequence[str] | None = None, snapshot: Any = None
    ) -> Iterator[StoredPassage]:
        """Yield the passages of a snapshot, by default a new one; see `Store.scan`."""
        with self.translate_errors():
            snapshot = snapshot or self.snapshot()
            query = snapshot.search().select(["document_id", "ordinal"]).with_row_id(True)
            if document_ids is not None:
                ids = [id for id in document_ids if is_unicode(id)]
                query = query.where(in_sql("document_id", ids) if ids else "false")
            keys = query.to_arrow()
        keys = keys.sort_by([("document_id", "ascending"), ("ordinal", "ascending")])
        return self._read(snapshot, keys["_rowid"].to_pylist())

    def _read(self, snapshot: Any, row_ids: list[int]) -> Iterator[StoredPassage]:
        columns = [name for name in snapshot.schema.names if name not in UNREAD_COLUMNS]
        for first in range(0, len(row_ids), SCAN_ROWS):
            with self.translate_errors():
                batch = row_ids[first : first + SCAN_ROWS]
                rows = snapshot.take_row_ids(batch).select(columns).with_row_id().to_arrow()
            # LanceDB returns rows in the order of the files, not of the ids.
            order = {row_id: index for index, row_id in enumerate(rows["_rowid"].to_pylist())}
            yield from to_records(rows.take([order[row_id] for row_id in batch]))

    def commit(self, write: Callable[[], Result]) -> Result:
        """Run an operation of LanceDB, again if it conflicts with that of another writer."""
        for attempt in range(ATTEMPTS):
            try:
                return write()
            except Exception as error:
                if not is_conflict(error) or attempt == ATTEMPTS - 1:
                    raise
            time.sleep(random.uniform(0, min(PAUSE_SECONDS, 0.02 * 2**attempt)))
        raise AssertionError  # the last attempt returns or raises

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Raise errors as `StoreError`, or that of the guard, if it explains them."""
        try:
            with translate_errors(self.address, self.remedy):
                yield
        except StoreError:
            self._guard()
            raise

    def close(self) -> None:
        """Release the table."""
        self.table = self._database = None

    def has_key(self) -> bool:
        """True if the table declares its key; without one, concurrent merges insert rows twice."""
        return any((field.metadata or {}).get(KEY) for field in self.table.schema)
