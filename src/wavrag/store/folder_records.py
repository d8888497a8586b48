"""`FolderRecords`: the records of a folder, in JSON files and SQLite databases."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wavrag.disk import is_disk_full, sync_folder, write_file
from wavrag.errors import StoreError
from wavrag.store.blobs import write_errors
from wavrag.store.folder_tables import TABLES, RecordTable
from wavrag.store.records import RecordChange

RECORDS_LOCK = "kb.lock"
LOCK_SECONDS = 60.0  # small files are changed in milliseconds
RESERVE_BYTES = 64 << 10  # space for changes of records on a full disk


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of a kind."""

    path: str  # below the folder, with `*` for the key; without it, there is a single record
    copy: str = ""  # path of a second file with the same content
    mode: int = 0o666
    has_reserve: bool = False  # a change of an existing record must not fail on a full disk


FILES = {
    # Without the manifest, nobody knows the embedder of the vectors: hence the copy.
    "manifest": _Files("kb.json", copy="kb.copy.json"),
    "voices": _Files("voices.json", mode=0o600),  # personal data
    "jobs": _Files("jobs/*.json", has_reserve=True),
    "damaged_jobs": _Files("jobs/*.damaged"),
    "originals": _Files("originals/*/original.json"),
    "files": _Files("files/*.json"),
}


class FolderRecords:
    """Records in a folder; see `Records`. Several processes may use one folder.

    The key of a transcript is the hash of its clip and its recogniser, joined by `/`; that of word
    times has the hash of the text between hash and aligner. Other keys are names of files.

    Args:
        folder: the folder; the first record creates it.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self.address = str(folder)

    def get(self, kind: str, key: str) -> bytes | None:
        """Return a value; see `Records.get`."""
        if kind in TABLES:
            return self._table(kind).get(key)
        path = self.path(kind, key)
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror or error}") from error

    def put(self, kind: str, key: str, value: bytes) -> None:
        """Write a value; see `Records.put`."""
        if kind in TABLES:
            self._table(kind).put(key, value)
            return
        try:
            self._write(kind, key, value)
        except StoreError as error:
            if not (FILES[kind].has_reserve and is_disk_full(error)):
                raise
            self._reserve(kind).unlink(missing_ok=True)
            self._write(kind, key, value)
        self._fill_reserve(kind)

    def create(self, kind: str, key: str, value: bytes) -> bool:
        """Write a value unless there is one; see `Records.create`."""
        if kind in TABLES:
            with self._locked():
                is_new = self.get(kind, key) is None
                if is_new:
                    self.put(kind, key, value)
            return is_new
        files, path = FILES[kind], self.path(kind, key)
        scratch = path.with_name(f".{path.stem}-{secrets.token_hex(8)}{path.suffix}")
        with write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                write_file(scratch, value, files.mode)
                is_new = self._publish(scratch, path)
            finally:
                scratch.unlink(missing_ok=True)
            sync_folder(path.parent)
            if files.copy and not (self._folder / files.copy).exists():
                write_file(self._folder / files.copy, path.read_bytes(), files.mode)
        self._fill_reserve(kind)
        return is_new

    def update(self, kind: str, key: str, change: RecordChange) -> bytes | None:
        """Change a value in one step; see `Records.update`."""
        with self._locked():
            value = self.get(kind, key)
            new_value = change(value)
            if new_value is None:
                self.delete(kind, key)
            elif new_value != value:
                self.put(kind, key, new_value)
        return new_value

    def delete(self, kind: str, key: str) -> bool:
        """Delete a value; see `Records.delete`."""
        if kind in TABLES:
            return self._table(kind).delete(key)
        path = self.path(kind, key)
        with write_errors(path):
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return False
        return True

    def items(self, kind: str) -> list[tuple[str, bytes]]:
        """Return all values of a kind; see `Records.items`."""
        if kind in TABLES:
            return self._table(kind).items()
        path = FILES[kind].path
        before, star, after = path.partition("*")
        names = (file.relative_to(self._folder).as_posix() for file in self._folder.glob(path))
        keys = sorted(name[len(before) : len(name) - len(after)] for name in names)
        keys = [key for key in keys if not key.startswith(".")] if star else [Path(path).stem]
        values = ((key, self.get(kind, key)) for key in keys)
        return [(key, value) for key, value in values if value is not None]

    def name(self, kind: str, key: str) -> str:
        """Return the path of a file; see `Records.name`."""
        return str(self.path(kind, key))

    def close(self) -> None:
        """Does nothing: no file stays open."""

    def path(self, kind: str, key: str) -> Path:
        """The file of a record."""
        if not key or Path(key).name != key:
            raise StoreError(f"{key!r} is no name of a record")
        return self._folder / FILES[kind].path.replace("*", key)

    def clean(self, kind: str) -> None:
        """Delete files left by a killed process, and reserve space, if nobody else writes."""
        folder = (self._folder / FILES[kind].path).parent
        with write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for scratch in folder.glob(".*.new"):
                scratch.unlink()
        self._fill_reserve(kind)

    def _table(self, kind: str) -> RecordTable:
        return TABLES[kind](self._folder)

    def _write(self, kind: str, key: str, value: bytes) -> None:
        files, path = FILES[kind], self.path(kind, key)
        with write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, value, files.mode)
            if files.copy:
                write_file(self._folder / files.copy, value, files.mode)

    def _reserve(self, kind: str) -> Path:
        return (self._folder / FILES[kind].path).parent / ".reserve"

    def _fill_reserve(self, kind: str) -> None:
        reserve = self._reserve(kind)
        if FILES[kind].has_reserve:
            with suppress(OSError):  # the disk is full: tried again at the next change
                if not reserve.exists() or reserve.stat().st_size < RESERVE_BYTES:
                    # Not sparse, or it would reserve nothing.
                    reserve.write_bytes(b"\0" * RESERVE_BYTES)

    def _publish(self, scratch: Path, path: Path) -> bool:
        """Give a complete file its name; False if there is a file of that name."""
        try:
            # `link` fails if the target exists; `rename` would replace the other process's file.
            os.link(scratch, path)
            return True
        except FileExistsError:
            return False
        except OSError:
            # FAT, exFAT and some network shares have no hard links. The lock admits one process
            # between the check and the renaming.
            with self._locked():
                if path.exists():
                    return False
                os.rename(scratch, path)
                return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other threads and processes from changing a record between reading and writing."""
        from filelock import FileLock, Timeout

        lock = FileLock(self._folder / RECORDS_LOCK, timeout=LOCK_SECONDS)
        try:
            lock.acquire()
        except (OSError, Timeout) as error:
            reason = getattr(error, "strerror", None) or error
            raise StoreError(f"cannot lock {self._folder}: {reason}: make it writable") from error
        try:
            yield
        finally:
            lock.release()
