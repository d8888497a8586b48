"""`LanceFolder`: a table in a folder. Writers wait for each other, and each commit is synced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from wavrag.errors import StoreError
from wavrag.store.lance_commits import CommitFolder
from wavrag.store.lance_documents import DocumentTallies
from wavrag.store.lance_errors import LANCE_ERRORS, is_lance_error
from wavrag.store.lance_home import TABLE, Changes, LanceHome
from wavrag.store.lance_import import import_lancedb
from wavrag.store.lance_links import database_uri

# Time that a writer waits for others: building the vector index of a large table takes minutes.
LOCK_SECONDS = 600.0


class LanceFolder(LanceHome):
    """A table in a folder; see `LanceHome`."""

    remedy = "run `wavrag kb repair`"
    is_exclusive = True

    def __init__(self, path: Path, dim: int, guard: Callable[[], object]) -> None:
        """Prepare; nothing is read yet."""
        from filelock import FileLock

        super().__init__(str(path), dim, guard)
        self._path = path
        self._uri: str | None = None
        self._lock = FileLock(path / "write.lock", timeout=LOCK_SECONDS, poll_interval=0.01)
        self._commits = CommitFolder(path, TABLE)

    def connect(self, **options: Any) -> Any:
        """Connect; see `LanceHome.connect`."""
        if self._uri is None:
            self._uri = database_uri(self._path)
        return import_lancedb().connect(self._uri, **options)

    def locked(self) -> AbstractContextManager[object]:
        """Wait for other writers, and keep them away."""
        return self._lock

    def check_creation(self) -> None:
        """Raise an error if there has been a table."""
        if self._commits.read() is not None:
            raise StoreError(f"the passages of {self.address} are missing: {self.remedy}")

    @contextmanager
    def writing(self, changes: Changes) -> Iterator[Changes]:
        """Lock the table; afterwards make its newest version durable, or undo it."""
        with self.translate_errors(), self._lock:
            self._guard()
            self.recover()
            if changes.is_cleaning:
                self._acknowledge(Changes(is_cleaning=True))
            try:
                yield changes
                self._acknowledge(replace(changes, is_cleaning=False))
            except BaseException:
                with suppress(*LANCE_ERRORS):  # the next writer tries it again
                    self.recover()
                raise

    def _acknowledge(self, changes: Changes) -> None:
        """Sync and record the newest version, if it is new."""
        record, version = self._commits.read(), self.table.version
        new_log = changes.new_log or record is None  # a new table, or one of an earlier version
        recorded = record and (record.version, record.is_cleaning)
        if not new_log and recorded == (version, changes.is_cleaning):
            return
        tallies = changes.tallies
        if new_log:
            tallies = DocumentTallies()
            for row in self.scan():
                tallies.add(row)
        self._commits.acknowledge(
            version, tallies, changes.removed, new_log=new_log, is_cleaning=changes.is_cleaning
        )

    def recover(self) -> None:
        """Undo commits of a killed process: after a power loss, their files may be incomplete.

        Does nothing while another process writes, or on a read-only disk.
        """
        from filelock import Timeout

        if not self._needs_undoing():
            return
        try:
            self._lock.acquire(timeout=0)
        except (Timeout, OSError):
            return
        try:
            record = self._commits.read()
            if record is not None and self._commits.latest_version() > record.version:
                self.table = self._restore(record.version)
            elif self._commits.has_wrong_hint():
                self._commits.drop_versions(after=self._commits.latest_version())
        finally:
            self._lock.release()

    def _needs_undoing(self) -> bool:
        record, latest = self._commits.read(), self._commits.latest_version()
        return record is not None and (latest > record.version or self._commits.has_wrong_hint())

    def _restore(self, version: int) -> Any:
        """Make an acknowledged version the newest one again; return the table."""
        self._commits.drop_incomplete_versions(after=version)
        if self._commits.latest_version() == version:
            return self._database.open_table(TABLE)
        try:
            table = self._database.open_table(TABLE)
            table.checkout(version)
            table.restore()
            # A new version number, because other processes may have read the undone ones.
            self._commits.drop_versions(after=version, before=table.version)
            self._commits.acknowledge(table.version)
        except Exception as error:
            if not is_lance_error(error):
                raise
            # An undone version is unreadable, or the disk is full.
            self._commits.drop_versions(after=version)
            table = self._database.open_table(TABLE)
        return table

    def stamp(self) -> tuple[int, ...] | None:
        """That of the record: LanceDB takes milliseconds to look for its newest version."""
        return self._commits.stamp()

    def has_versions_older_than(self, seconds: float) -> bool:
        """True if a version before the newest one is older."""
        return self._commits.has_versions_older_than(seconds)

    def needs_new_log(self) -> bool:
        """True if most lines of the log are outdated."""
        return self._commits.needs_new_log()

    def damaged_files(self, share: float) -> list[str]:
        """Paths of damaged files; see `LanceHome.damaged_files`."""
        return [str(self._path / name) for name in self._commits.damaged_files(share)]

    def log(self) -> tuple[int, DocumentTallies] | None:
        """The log of documents; None for a table of an earlier version."""
        record = self._commits.read()
        return None if record is None else (record.version, self._commits.documents())

    def side_file(self, name: str, publish: Path | None = None) -> Path:
        """The file itself; see `LanceHome.side_file`."""
        return publish or self._path / name
