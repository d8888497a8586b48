"""Write files so that they survive a power loss, and recognise a full disk."""

from __future__ import annotations

import errno
import os
import re
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
# LanceDB and SQLite raise errors of their own, with the number or the message of the system.
_FULL_MESSAGE = re.compile(r"\(os error (28|122)\)|disk is full|No space left on device")


def sync_file(path: str | os.PathLike[str]) -> None:
    """Sync the content of a file to disk.

    Raises:
        OSError: the file cannot be read, or the disk reports an error.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        _sync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Sync a folder's entries to disk; syncing a file alone does not save its name."""
    if os.name != "nt":  # Windows opens no folders, and saves names with the files
        sync_file(folder)


def write_file(path: Path, data: bytes) -> None:
    """Write a file in one step: after a crash or a power loss, it is the old or the new one.

    Raises:
        OSError: the disk is full or not writable; the old file is unchanged.
    """
    # A name of its own, because several processes may write at once.
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=".new")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            _sync(file.fileno())
        os.replace(scratch, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(scratch)
        raise
    sync_folder(path.parent)


def is_disk_full(error: BaseException) -> bool:
    """True if an error, or one that caused it, reports a full disk or an exhausted quota."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return True
        if _FULL_MESSAGE.search(str(cause)):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _sync(handle: int) -> None:
    if sys.platform == "darwin":
        import fcntl

        # On macOS, fsync leaves the data in the cache of the drive.
        with suppress(OSError):  # network shares do not support it
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
            return
    os.fsync(handle)
