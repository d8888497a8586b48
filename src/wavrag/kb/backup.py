"""Copy a knowledge base while it is in use, and check and restore the copy."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from wavrag.disk import block_sums, read_json, sync_folder, sync_paths, write_json
from wavrag.errors import StoreError
from wavrag.kb.backend import FolderBackend, local_folder
from wavrag.kb.closest import read_manifest
from wavrag.store import RECORDS_LOCK, LanceStore

CONTENTS = "backup.json"  # checksums of all files of a backup
DATABASE = ".sqlite3"
SETTLED_SECONDS = 1.0  # since the last change of a file that nobody is writing any more
_SKIPPED = ("incoming", "server.lock", RECORDS_LOCK)


def backup_kb(directory: str | os.PathLike[str], target: str | os.PathLike[str]) -> int:
    """Copy a knowledge base to a new folder; return the number of copied bytes.

    Searches and changes go on meanwhile; changes wait only for the copy of what has changed since
    the call. The copy holds everything in the folder: passages, uploads and downloads, but no files
    that were indexed in place.

    Args:
        directory: the folder.
        target: the folder of the backup, which must not exist.

    Raises:
        StoreError: there is no knowledge base, the target exists, or the disk is full.
    """
    remedy = "use pg_dump for a database, and the copies or versions of the bucket"
    folder, target = local_folder(directory, "backup", remedy), Path(target)
    contents = read_manifest(FolderBackend(folder))
    # Not inside it, where the next backup would copy this one.
    if target.exists() or folder.resolve() in (target.resolve(), *target.resolve().parents):
        raise StoreError(f"{target} exists or is in {folder}: name a new folder elsewhere")
    with _new_folder(target) as scratch:
        copy = _Copy(folder, scratch)
        copy.update(settled_only=True)
        with (
            closing(LanceStore(folder / contents.store, contents.embedder["dim"])) as store,
            store.locked(),
        ):
            copy.update()
        write_json(scratch / CONTENTS, copy.sums)
    return copy.size


def restore_kb(backup: str | os.PathLike[str], target: str | os.PathLike[str]) -> int:
    """Check a backup and copy it to a new folder; return the number of copied bytes.

    Args:
        backup: the folder of the backup.
        target: the folder of the knowledge base, which must not exist or be empty.

    Raises:
        StoreError: the backup is damaged or incomplete, or the target is in use.
    """
    remedy = "use pg_restore for a database, and the copies or versions of the bucket"
    backup, target = Path(backup), local_folder(target, "restore", remedy)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StoreError(f"{target} exists: name a new folder with --kb")
    check_backup(backup)
    with _new_folder(target) as scratch:
        copy = _Copy(backup, scratch)
        copy.update()
        contents = read_manifest(FolderBackend(scratch))
        with closing(LanceStore(scratch / contents.store, contents.embedder["dim"])) as store:
            defects = store.verify()
        if defects:
            defect = defects[0].replace(str(scratch), str(backup))
            raise StoreError(f"{backup} has a defect, so {target} was not made: {defect}")
    return copy.size


def check_backup(backup: Path) -> None:
    """Compare the files of a backup with their checksums.

    Raises:
        StoreError: a file is damaged or missing.
    """
    try:
        files = read_json(backup / CONTENTS)
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{backup} is no backup, or {CONTENTS} is damaged ({error}): name a folder of"
            " `wavrag kb backup`"
        ) from error
    for name, sums in files.items():
        path = backup / name
        if not path.is_file() or list(block_sums(path).values()) != sums:
            raise StoreError(f"{path} is damaged or missing: take another backup")


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A folder that a `with` block fills under a temporary name; then it is synced and renamed."""
    # A killed call leaves it behind, and the next one replaces it.
    scratch = target.with_name(f".{target.name}.wavrag-part")
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        yield scratch
        sync_paths([scratch, *scratch.rglob("*")])
        if target.is_dir():
            target.rmdir()
        scratch.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _Copy:
    """A copy of a folder that can be brought up to date.

    Attributes:
        sums: checksums of the blocks of each file, by its path in the folder.
    """

    def __init__(self, source: Path, target: Path) -> None:
        self.sums: dict[str, list[int]] = {}
        self._source = source
        self._target = target
        self._states: dict[str, tuple[int, ...]] = {}  # of the copied files

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for _, size, _ in self._states.values())

    def update(self, *, settled_only: bool = False) -> None:
        """Copy the files that are new or have changed, and delete others.

        Args:
            settled_only: leave out files that may be changing now.

        Raises:
            OSError: the disk is full or not writable.
        """
        present: set[str] = set()
        for path in _files(self._source):
            name = path.relative_to(self._source).as_posix()
            with suppress(FileNotFoundError):  # the upload of a job that has ended meanwhile
                status = path.stat()
                state = status.st_ino, status.st_size, status.st_mtime_ns
                is_new = time.time() - status.st_mtime < SETTLED_SECONDS
                if settled_only and (is_new or path.suffix == DATABASE):
                    continue
                if self._states.get(name) != state:
                    self._copy(path, name)
                    self._states[name] = state
                present.add(name)
        for name in self._states.keys() - present:
            (self._target / name).unlink(missing_ok=True)
            del self._states[name], self.sums[name]

    def _copy(self, path: Path, name: str) -> None:
        copy = self._target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        _copy_file(path, copy)
        # At once, while the copy is in memory.
        self.sums[name] = list(block_sums(copy).values())


def _files(folder: Path) -> Iterator[Path]:
    """The files to copy: jobs first, because their uploads are older than they are."""
    jobs = list((folder / "jobs").glob("*"))
    others = [path for path in folder.rglob("*") if path.parent != folder / "jobs"]
    for path in (*jobs, *others):
        if path.is_file() and not _is_temporary(path.relative_to(folder).parts):
            yield path


def _is_temporary(names: tuple[str, ...]) -> bool:
    """True for locks and for files that are being written, by the parts of their path."""
    is_store = names[0].startswith("store")  # elsewhere, names are those of members and downloads
    return (
        names[0] in (*_SKIPPED, CONTENTS)
        or names[-1].startswith(".")
        or (is_store and (names[-1] == "write.lock" or "#" in names[-1]))
    )


def _copy_file(source: Path, target: Path) -> None:
    if source.suffix == DATABASE:
        # Copied by SQLite, because another process may be in the middle of a change.
        try:
            with (
                closing(sqlite3.connect(source)) as database,
                closing(sqlite3.connect(target)) as copy,
            ):
                database.backup(copy)
        except sqlite3.Error as error:
            raise StoreError(
                f"cannot copy {source} ({error}): if it is damaged, run `wavrag kb repair`"
            ) from error
    else:
        shutil.copyfile(source, target)
