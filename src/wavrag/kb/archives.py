"""Read the members of archives (zip, tar) on request, with limits against hostile files.

A member has the id and the source `ARCHIVE!/MEMBER`. Its file is kept in the knowledge base, so
that recordings can be played and decoded again.
"""

from __future__ import annotations

import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO, Any

from wavrag.errors import DocumentError
from wavrag.kb.files import FileScan
from wavrag.kb.kinds import detect_kind, suffix
from wavrag.kb.originals import Originals
from wavrag.kb.report import UnreadFiles
from wavrag.text import Unread, is_archive
from wavrag.types import Channels, Document, Metadata

MARK = "!/"
MAX_MEMBERS = 10_000  # of an archive
MAX_BYTES = 4 << 30  # of the members of an archive, unpacked
MAX_RATIO = 300  # unpacked size by packed size, above `SMALL_BYTES`
SMALL_BYTES = 64 << 20
MAX_NESTING = 2  # archives in archives
BLOCK_BYTES = 1 << 20
_ERRORS = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError,
    RuntimeError, NotImplementedError, ValueError,
)  # fmt: skip


def read_archives(
    archives: Sequence[str],
    originals: Originals,
    metadata: Metadata | None = None,
    channels: Channels = "auto",
) -> FileScan:
    """Unpack archives, and return their documents and the members that are not read.

    Hidden members are ignored. An archive that exceeds a limit is skipped from there on.

    Args:
        archives: paths of zip and tar files, also compressed ones.
        originals: where the files of members are kept.
        metadata: assigned to every document.
        channels: of every recording; see `Document`.
    """
    reader = _Reader(originals, metadata or {}, channels)
    for path in archives:
        reader.read(path, path, 1)
    groups = [UnreadFiles(*key, tuple(paths)) for key, paths in sorted(reader.unread.items())]
    return FileScan(tuple(reader.documents), tuple(reader.skipped), tuple(groups))


class _Reader:
    def __init__(self, originals: Originals, metadata: Metadata, channels: Channels) -> None:
        self.documents: list[Document] = []
        self.skipped: list[tuple[str, str]] = []
        self.unread: dict[tuple[str, str], list[str]] = {}
        self._originals = originals
        self._metadata = metadata
        self._channels = channels

    def read(self, path: str, source: str, depth: int) -> None:
        """Read the members of the archive in a file."""
        limit = MAX_BYTES
        try:
            packed = os.path.getsize(path)
            limit = min(limit, max(SMALL_BYTES, MAX_RATIO * packed))
            for count, (name, size, open_member) in enumerate(_members(path), 1):
                if count > MAX_MEMBERS or size > limit:
                    raise DocumentError(
                        f"has more than {MAX_MEMBERS:,} members, or unpacks to more than"
                        f" {MAX_BYTES >> 30} GB or {MAX_RATIO} times its size: unpack it, and name"
                        " the files to read"
                    )
                limit -= size
                member = f"{source}{MARK}{name}"
                with open_member() as file:
                    saved = self._originals.save_member(
                        member, PurePosixPath(name).name, file, size
                    )
                self._add(saved, member, depth)
        except _ERRORS as error:
            self.skipped.append((source, f"is not a readable archive ({error}): unpack it"))
        except DocumentError as error:
            self.skipped.append((source, str(error)))

    def _add(self, path: str, source: str, depth: int) -> None:
        kind = detect_kind(path)
        if not isinstance(kind, Unread):
            document = Document(
                source, path=path, source=source, metadata=self._metadata, channels=self._channels
            )
            self.documents.append(document)
            return
        if is_archive(kind) and depth <= MAX_NESTING:
            self.read(path, source, depth + 1)
        else:
            self.unread.setdefault((suffix(source), kind.reason), []).append(source)
        self._originals.remove([source])


@contextmanager
def _opened(file: IO[bytes] | None) -> Iterator[IO[bytes]]:
    if file is None:
        raise ValueError("a member has no content")
    with file:
        yield file


def _members(path: str) -> Iterator[tuple[str, int, Any]]:
    """Yield name, declared size and an opener of each visible file."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir() and _is_visible(info.filename):
                    yield info.filename, info.file_size, lambda info=info: archive.open(info)
        return
    with tarfile.open(path, "r:*") as tar:
        for entry in tar:
            # Links and devices are no files, whatever they point at.
            if entry.isreg() and _is_visible(entry.name):
                yield entry.name, entry.size, lambda entry=entry: _opened(tar.extractfile(entry))


def _is_visible(name: str) -> bool:
    levels = PurePosixPath(name.replace("\\", "/")).parts
    hidden = (level.startswith((".", "__MACOSX")) and level != ".." for level in levels)
    return bool(levels) and not any(hidden)
