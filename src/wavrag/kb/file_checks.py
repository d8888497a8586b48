"""Serve original files only with the content that was indexed.

A file may since have been replaced, also by a link to a file that nobody may read, and even between
its check and its reading. So it is opened once, and checked and read by that handle.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

from wavrag.closing import Closing
from wavrag.kb.kinds import is_recording
from wavrag.kb.passages import digest_content
from wavrag.store import Blob, Blobs

CACHED_FILES = 1_000  # whose digests are kept; a recording of 1 GB takes a second to read
# Windows has neither flag, but keeps the paths of open files from being replaced.
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def _open_unlinked(path: str, flags: int) -> int:
    return os.open(path, flags | _FLAGS)


class OriginalFile(Closing):
    """An open original file.

    Attributes:
        path: its path; another file may have taken it meanwhile. In object storage, its name.
        content: the file, open for reading.
        blob: size and time of a file in object storage; None for one on this machine.
    """

    def __init__(self, path: Path, content: BinaryIO, blob: Blob | None = None) -> None:
        self.path = path
        self.content = content
        self.blob = blob

    @classmethod
    def open(cls, path: Path) -> OriginalFile | None:
        """Open a regular file; None for a link, another kind of file, or none at all."""
        try:
            # Closed by its owner.
            content = open(path, "rb", opener=_open_unlinked)  # noqa: SIM115
        except (OSError, ValueError):  # ValueError: a source with a NUL, from `Document`
            return None
        if not stat.S_ISREG(os.fstat(content.fileno()).st_mode):
            content.close()
            return None
        return cls(path, content)

    @property
    def handle_path(self) -> str:
        """A path of the open file itself, for code that opens paths."""
        path = f"/dev/fd/{self.content.fileno()}"
        return path if os.path.exists(path) else str(self.path)

    def close(self) -> None:
        """Close the file."""
        self.content.close()


class FileChecks:
    """Checks files against the digests of their content when they were indexed."""

    def __init__(self) -> None:
        self._digests: OrderedDict[tuple[int, ...], str] = OrderedDict()

    def open(self, path: str, digest: str) -> OriginalFile | None:
        """Open a file, or the target of a link, if it has this digest; None otherwise.

        Its content is read once for each change of it.
        """
        try:
            original = OriginalFile.open(Path(path).resolve())
        except (OSError, ValueError, RuntimeError):  # a loop of links, or a path with a NUL
            return None
        if original is None:
            return None
        try:
            if self._digest(cast("BufferedReader", original.content)) == digest:
                return original
        except OSError:
            pass  # a broken disk
        except BaseException:
            original.close()
            raise
        original.close()
        return None

    def _digest(self, content: BufferedReader) -> str:
        status = os.fstat(content.fileno())
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        digest = self._digests.pop(key, None) or digest_content(content)
        self._digests[key] = digest
        if len(self._digests) > CACHED_FILES:
            self._digests.popitem(last=False)
        content.seek(0)
        return digest


def open_blob(blobs: Blobs, name: str) -> OriginalFile | None:
    """Open a file in object storage, of which only the parts that are read are fetched.

    It is not compared with the content that was indexed, which would fetch all of it: nobody but
    WavRAG writes there.
    """
    blob = blobs.find(name)
    try:
        return None if blob is None else OriginalFile(Path(name), blobs.open(name), blob)
    except FileNotFoundError:  # deleted meanwhile
        return None


def open_beside(recording: str, transcript: str) -> OriginalFile | None:
    """Open a recording in the folder of its transcript, but not by a link to another folder."""
    path = Path(recording).resolve()
    folder = Path(transcript).resolve().parent
    if path.is_file() and path.is_relative_to(folder) and is_recording(str(path)):
        return OriginalFile.open(path)
    return None
