"""The files of a knowledge base: uploads, downloads and members of archives.

`FolderBlobs` keeps them in a folder, and `ObjectBlobs` (`object_blobs.py`) in object storage.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

from wavrag.disk import sync_file, sync_folder
from wavrag.errors import StoreError


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored file."""

    name: str
    size: int  # bytes
    modified: float  # seconds since 1970


@runtime_checkable
class Blobs(Protocol):
    """Files by name, such as `uploads/a.wav`; they are replaced as a whole, never changed.

    Attributes:
        address: the folder, or the URL, for messages.
        is_local: True if the files are in a folder, so that `local_path` copies nothing.
    """

    address: str
    is_local: bool

    def put(self, name: str, path: Path) -> None:
        """Store a file in one step; it is moved, and on disk when the call returns.

        Args:
            name: its name, of folders and a file name with `/` between them.
            path: the file, which is gone afterwards.

        Raises:
            StoreError: it cannot be stored; so do the other methods.
        """
        ...

    def find(self, name: str) -> Blob | None:
        """Return the size and the time of a file; None if there is none."""
        ...

    def open(self, name: str) -> BinaryIO:
        """Open a file that can seek, and of which only the bytes asked for are read.

        Raises:
            FileNotFoundError: there is none.
        """
        ...

    def local_path(self, name: str) -> Path | None:
        """Return the path of the file or of a copy, which may be deleted later; None if missing."""
        ...

    def source(self, name: str) -> str:
        """Return the path or the URL of a file, for the source of a document."""
        ...

    def delete(self, name: str) -> None:
        """Delete a file; a missing one is ignored."""
        ...

    def list(self, folder: str) -> list[Blob]:
        """Return the files in a folder, and in those below it, ordered by name."""
        ...

    def close(self) -> None:
        """Release resources, such as local copies."""
        ...


class FolderBlobs:
    """Files below a folder; see `Blobs`."""

    is_local = True

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self.address = str(folder)

    def put(self, name: str, path: Path) -> None:
        """Store a file; see `Blobs.put`."""
        target = self._path(name)
        with write_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            sync_file(path)
            try:
                os.replace(path, target)
            except OSError:  # on another disk
                scratch = target.with_name(f".{target.name}.new")
                shutil.copyfile(path, scratch)
                sync_file(scratch)
                os.replace(scratch, target)
                path.unlink()
            sync_folder(target.parent)

    def find(self, name: str) -> Blob | None:
        """Return size and time; see `Blobs.find`."""
        path = self._path(name)
        with suppress(OSError):
            if path.is_file():
                status = path.stat()
                return Blob(name, status.st_size, status.st_mtime)
        return None

    def open(self, name: str) -> BinaryIO:
        """Open a file; see `Blobs.open`."""
        return self._path(name).open("rb")

    def local_path(self, name: str) -> Path | None:
        """Return the path; see `Blobs.local_path`."""
        path = self._path(name)
        return path.absolute() if path.is_file() else None

    def source(self, name: str) -> str:
        """Return the path; see `Blobs.source`."""
        return str(self._path(name).absolute())

    def delete(self, name: str) -> None:
        """Delete a file; see `Blobs.delete`."""
        path = self._path(name)
        with write_errors(path):
            path.unlink(missing_ok=True)
        if name.count("/") > 1:
            with suppress(OSError):  # it holds more files
                path.parent.rmdir()

    def list(self, folder: str) -> list[Blob]:
        """Return the files in a folder; see `Blobs.list`."""
        root = self._path(folder)
        paths = (path for path in root.rglob("*") if not path.name.startswith("."))
        names = sorted(path.relative_to(self._folder).as_posix() for path in paths)
        return [blob for name in names if (blob := self.find(name)) is not None]

    def close(self) -> None:
        """Does nothing."""

    def _path(self, name: str) -> Path:
        return self._folder / checked_name(name)


def checked_name(name: str) -> str:
    """A name of a file, if it stays in its folder.

    Raises:
        StoreError: it has an empty part, `..` or a backslash.
    """
    names = name.split("/")
    if any(name in ("", ".", "..") or "\\" in name or "\0" in name for name in names):
        raise StoreError(f"{name!r} is no name of a stored file")
    return name


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Raise errors of the operating system as `StoreError`."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
