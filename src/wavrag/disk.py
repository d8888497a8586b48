"""Write files that survive a power loss, with checksums, and recognise a full disk."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import sys
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

BLOCK_BYTES = 16 << 20  # of a file, with a checksum of its own, so that large files can be sampled
CHECKSUM = "checksum"

_FULL = (errno.ENOSPC, errno.EDQUOT)
# LanceDB and SQLite raise errors of their own, with the number or the message of the system.
_FULL_MESSAGE = re.compile(r"\(os error (28|122)\)|disk is full|No space left on device")


def sync_file(path: str | os.PathLike[str]) -> None:
    """Sync the content of a file to disk.

    Raises:
        OSError: the file cannot be read, or the disk reports an error.
    """
    # Windows syncs only files that are open for writing.
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        _sync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Sync a folder's entries to disk; syncing a file alone does not save its name."""
    if os.name != "nt":  # Windows opens no folders, and saves names with the files
        sync_file(folder)


def sync_paths(paths: Iterable[Path]) -> None:
    """Sync files and folders at the same time: a disk then needs few steps for all of them.

    Raises:
        OSError: see `sync_file`.
    """
    with ThreadPoolExecutor(16) as pool:
        for result in [pool.submit(_sync_path, path) for path in paths]:
            result.result()


def _sync_path(path: Path) -> None:
    if path.is_dir():
        sync_folder(path)
    else:
        sync_file(path)


def write_file(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file in one step: after a crash or a power loss, it is the old or the new one.

    Args:
        path: the file.
        data: its content.
        mode: permissions, without those of the umask.

    Raises:
        OSError: the disk is full or not writable; the old file is unchanged.
    """
    # A name of its own, because several processes may write at once. Not `mkstemp`: its files are
    # for one user, and several may share a knowledge base, as the umask allows.
    scratch = path.with_name(f".{path.name}-{secrets.token_hex(8)}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(scratch, flags, mode)
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


def write_json(path: Path, fields: Mapping[str, Any], indent: int | None = None) -> None:
    """Write an object as JSON with a checksum, in one step.

    Raises:
        OSError: see `write_file`.
    """
    write_file(path, dump_json(fields, indent))


def read_json(path: Path, indent: int | None = None, *, checked: bool = True) -> dict[str, Any]:
    """Read an object that `write_json` wrote; any other byte is noticed.

    Args:
        path: the file.
        indent: as given to `write_json`.
        checked: False to accept a file without a checksum, written by an earlier version.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged.
    """
    return load_json(path.read_bytes(), indent, checked=checked)


def load_json(data: bytes, indent: int | None = None, *, checked: bool = True) -> dict[str, Any]:
    """Read the content of a file of `write_json`; see `read_json`.

    Raises:
        ValueError: it is damaged.
    """
    fields = json.loads(data)
    if not isinstance(fields, dict):
        raise ValueError("it is no JSON object")
    if (checked or CHECKSUM in fields) and dump_json(fields, indent) != data:
        raise ValueError("its checksum does not match")
    fields.pop(CHECKSUM, None)
    return fields


def dump_json(fields: Mapping[str, Any], indent: int | None = None) -> bytes:
    """The content of a file of `write_json`."""
    content = {name: value for name, value in fields.items() if name != CHECKSUM}
    checksum = zlib.crc32(json.dumps(content).encode())
    return json.dumps({**content, CHECKSUM: checksum}, indent=indent).encode()


def block_sums(path: str | os.PathLike[str], blocks: Iterable[int] | None = None) -> dict[int, int]:
    """CRC-32 of blocks of a file by number; it notices every change of a single byte.

    Args:
        path: the file.
        blocks: numbers of blocks of `BLOCK_BYTES`; None for all.
    """
    if blocks is None:
        blocks = range(-(-os.path.getsize(path) // BLOCK_BYTES))
    sums = {}
    with open(path, "rb") as file:
        for number in blocks:
            file.seek(number * BLOCK_BYTES)
            sums[number] = zlib.crc32(file.read(BLOCK_BYTES))
    return sums


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
