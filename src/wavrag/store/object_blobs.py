"""`ObjectBlobs`: the files of a knowledge base in object storage."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, cast

from wavrag.errors import StoreError
from wavrag.store.blobs import Blob, checked_name
from wavrag.store.objects import object_errors

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

COPY_BYTES = 4 << 30  # of local copies; the least recently used are deleted first
BLOCK_BYTES = 4 << 20  # fetched at once
READ_BYTES = 256 << 10  # read ahead by `open`: decoders read a few hundred bytes at a time

ReadRange: TypeAlias = Callable[[int, int], bytes]


class ObjectBlobs:
    """Files below a prefix of a bucket; see `Blobs`.

    Args:
        objects: the bucket and its prefix.
        address: its URL.
        copy_bytes: size of all local copies together.
    """

    is_local = False

    def __init__(self, objects: ObjectStore, address: str, copy_bytes: int = COPY_BYTES) -> None:
        self.address = address
        self._objects = objects
        self._copy_bytes = copy_bytes
        self._lock = threading.Lock()
        self._folder: Path | None = None
        # Size and entity tag by name, last used last.
        self._copies: OrderedDict[str, tuple[int, str | None]] = OrderedDict()

    def put(self, name: str, path: Path) -> None:
        """Store a file; see `Blobs.put`. It becomes the local copy, too."""
        with object_errors(self.address):
            tag = self._objects.put(checked_name(name), path)["e_tag"]
        with self._lock:
            target = self._copy_path(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)
            self._keep(name, target.stat().st_size, tag)

    def find(self, name: str) -> Blob | None:
        """Return size and time; see `Blobs.find`."""
        meta = self._head(name)
        return meta and Blob(name, meta["size"], meta["last_modified"].timestamp())

    def open(self, name: str) -> BinaryIO:
        """Open a file; see `Blobs.open`."""
        blob = self.find(name)
        if blob is None:
            raise FileNotFoundError(f"{self.address}/{name}")

        def read_range(start: int, end: int) -> bytes:
            with object_errors(self.address):
                return bytes(self._objects.get_range(name, start=start, end=end))

        return cast("BinaryIO", io.BufferedReader(RangeReader(blob.size, read_range), READ_BYTES))

    def local_path(self, name: str) -> Path | None:
        """Return the path of a copy; see `Blobs.local_path`."""
        meta = self._head(name)
        if meta is None:
            return None
        size, tag = meta["size"], meta["e_tag"]
        with self._lock:
            path = self._copy_path(name)
            if self._copies.get(name) == (size, tag) and path.exists():
                self._copies.move_to_end(name)
                return path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as scratch:
                for start in range(0, size, BLOCK_BYTES):
                    end = min(start + BLOCK_BYTES, size)
                    with object_errors(self.address):
                        scratch.write(self._objects.get_range(name, start=start, end=end))
            os.replace(scratch.name, path)
        except FileNotFoundError:  # deleted meanwhile
            return None
        except OSError as error:
            raise StoreError(f"cannot copy {name}: {error.strerror or error}") from error
        with self._lock:
            self._keep(name, size, tag)
        return path

    def source(self, name: str) -> str:
        """Return the URL; see `Blobs.source`."""
        return f"{self.address}/{name}"

    def delete(self, name: str) -> None:
        """Delete a file; see `Blobs.delete`."""
        try:
            with object_errors(self.address):
                self._objects.delete(checked_name(name))
        except FileNotFoundError:
            pass  # S3 reports nothing, other services do
        with self._lock:
            if self._copies.pop(name, None) is not None:
                self._copy_path(name).unlink(missing_ok=True)

    def list(self, folder: str) -> list[Blob]:
        """Return the files in a folder; see `Blobs.list`."""
        with object_errors(self.address):
            entries = [entry for batch in self._objects.list(folder) for entry in batch]
        blobs = (
            Blob(entry["path"], entry["size"], entry["last_modified"].timestamp())
            for entry in entries
        )
        return sorted(blobs, key=lambda blob: blob.name)

    def close(self) -> None:
        """Delete the local copies."""
        with self._lock:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
            self._copies.clear()

    def _head(self, name: str) -> ObjectMeta | None:
        try:
            with object_errors(self.address):
                return self._objects.head(checked_name(name))
        except FileNotFoundError:
            return None

    def _copy_path(self, name: str) -> Path:
        if self._folder is None:
            # A folder of its own, which other users of the machine cannot read or fill.
            self._folder = Path(tempfile.mkdtemp(prefix="wavrag-files-"))
        return self._folder / name

    def _keep(self, name: str, size: int, tag: str | None) -> None:
        """Note a copy, and delete others if there are too many."""
        self._copies[name] = size, tag
        self._copies.move_to_end(name)
        while (
            len(self._copies) > 1
            and sum(size for size, _ in self._copies.values()) > self._copy_bytes
        ):
            oldest, _ = self._copies.popitem(last=False)
            self._copy_path(oldest).unlink(missing_ok=True)


class RangeReader(io.RawIOBase):
    """A file of which each read fetches the bytes asked for.

    Args:
        size: its size in bytes.
        read_range: returns the bytes from an offset to another one.
    """

    def __init__(self, size: int, read_range: ReadRange) -> None:
        self._size = size
        self._read_range = read_range
        self._offset = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._offset

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position, relative to the start, to the position or to the end."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset, os.SEEK_END: self._size}[whence]
        self._offset = max(0, base + offset)
        return self._offset

    def readinto(self, buffer: Any) -> int:
        """Fetch bytes into a buffer; 0 at the end."""
        view = memoryview(buffer).cast("B")
        end = min(self._offset + len(view), self._size)
        if end <= self._offset:
            return 0
        data = self._read_range(self._offset, end)
        view[: len(data)] = data
        self._offset += len(data)
        return len(data)
