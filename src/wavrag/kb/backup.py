"""Copy a knowledge base while it is in use, and check and restore the copy."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from wavrag.disk import block_sums, read_json, sync_folder, sync_paths, write_json
from wavrag.errors import StoreError
from wavrag.kb.closest import read_manifest
from wavrag.kb.manifest import LOCK
from wavrag.store import LanceStore

CONTENTS = "backup.json"  # checksums of all files of a backup
_SKIPPED = ("incoming", "server.lock", LOCK)


def backup_kb(directory: str | os.PathLike[str], target: str | os.PathLike[str]) -> int:
    """Copy a knowledge base to a new folder; return the number of copied bytes.

    Searches go on meanwhile, and changes wait. The copy holds everything in the folder: passages,
    uploads and downloads, but no files that were indexed in place.

    Args:
        directory: the folder.
        target: the folder of the backup, which must not exist.

    Raises:
        StoreError: there is no knowledge base, the target exists, or the disk is full.
    """
    folder, target = Path(directory), Path(target)
    contents = read_manifest(folder)
    # Not inside it, where the next backup would copy this one.
    if target.exists() or folder.resolve() in (target.resolve(), *target.resolve().parents):
        raise StoreError(f"{target} exists or is in {folder}: name a new folder elsewhere")
    with LanceStore(folder / contents.store, contents.embedder["dim"]).locked():
        return _copy(folder, target)


def restore_kb(backup: str | os.PathLike[str], target: str | os.PathLike[str]) -> int:
    """Check a backup and copy it to a new folder; return the number of copied bytes.

    Args:
        backup: the folder of the backup.
        target: the folder of the knowledge base, which must not exist or be empty.

    Raises:
        StoreError: the backup is damaged or incomplete, or the target is in use.
    """
    backup, target = Path(backup), Path(target)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StoreError(f"{target} exists: name a new folder with --kb")
    check_backup(backup)
    size = _copy(backup, target, checked=True)
    contents = read_manifest(target)
    with closing(LanceStore(target / contents.store, contents.embedder["dim"])) as store:
        defects = store.verify()
    if defects:
        raise StoreError(f"the restored {target} has a defect: {defects[0]}")
    return size


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


def _copy(source: Path, target: Path, *, checked: bool = False) -> int:
    """Copy a folder under a temporary name, sync it and rename it."""
    # A killed call leaves it behind, and the next one replaces it.
    scratch = target.with_name(f".{target.name}.wavrag-part")
    sums: dict[str, list[int]] = {}
    size = 0
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        for path in _files(source):
            copy = scratch / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                _copy_file(path, copy)
            except FileNotFoundError:
                continue  # the upload of a job that has ended meanwhile
            if not checked:  # at once, while the copy is in memory
                sums[copy.relative_to(scratch).as_posix()] = list(block_sums(copy).values())
            size += copy.stat().st_size
        if not checked:
            write_json(scratch / CONTENTS, sums)
        sync_paths([scratch, *scratch.rglob("*")])
        if target.is_dir():
            target.rmdir()
        scratch.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return size


def _files(folder: Path) -> Iterator[Path]:
    """The files to copy: jobs first, because their uploads are older than they are."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    for path in sorted(paths, key=lambda path: path.parent.name != "jobs"):
        if not _is_temporary(path.relative_to(folder).parts):
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
    if source.suffix == ".sqlite3":
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
