"""Downloaded files, and members of archives, in the folder `originals` of a knowledge base, by URL.

Each URL has a folder, with the file and with `original.json`: the name of the file, and the version
for the next request. Playback, transcripts and the next run find the file by the URL alone.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from wavrag.disk import read_json, sync_file, write_json
from wavrag.errors import DocumentError, StoreError
from wavrag.kb.backend import Backend
from wavrag.web import Download, DownloadCallback, DownloadOptions, download, file_name

RECORD = "original.json"
HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Original:
    """A downloaded file, and the headers that came with it."""

    url: str
    file: str  # name in the folder of the URL
    headers: Download
    path: Path = Path()


class Originals:
    """The downloaded files of a knowledge base."""

    def __init__(self, backend: Backend) -> None:
        self._folder = (backend.folder or backend.scratch) / "originals"

    def get(self, url: str) -> Original | None:
        """The file of a URL; None if it was not downloaded, or is missing."""
        folder = self._url_folder(url)
        try:
            fields = read_json(folder / RECORD, checked=False)
            original = Original(fields["url"], fields["file"], Download(**fields["headers"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None  # missing or damaged: the next run downloads it again
        path = folder / Path(original.file).name
        return replace(original, path=path.absolute()) if path.is_file() else None

    def fetch(self, url: str, options: DownloadOptions, on_progress: DownloadCallback) -> Original:
        """Download a URL, unless the server says that it has not changed.

        Raises:
            DownloadError: see `wavrag.web.download`; an earlier download stays.
            StoreError: the disk is full or not writable.
        """
        earlier = self.get(url)
        folder = self._url_folder(url)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=folder, prefix=".new-")
            os.close(handle)
        except OSError as error:
            raise StoreError(f"cannot write {folder}: {error.strerror or error}") from error
        scratch = Path(name)
        try:
            headers = download(
                url, scratch, options,
                etag=earlier.headers.etag if earlier else "",
                last_modified=earlier.headers.last_modified if earlier else "",
                on_progress=on_progress,
            )  # fmt: skip
            if headers is None:
                assert earlier is not None
                return earlier
            return self._save(url, scratch, headers, earlier)
        finally:
            scratch.unlink(missing_ok=True)
            if earlier is None and not (folder / RECORD).exists():
                shutil.rmtree(folder, ignore_errors=True)

    def save_member(self, source: str, name: str, file: IO[bytes], size: int) -> str:
        """Save a member of an archive; return the path of its file.

        Raises:
            DocumentError: it is larger than its declared size.
            StoreError: the disk is full or not writable.
        """
        path = self._url_folder(source) / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as target:
                while block := file.read(1 << 20):
                    size -= len(block)
                    if size < 0:
                        raise DocumentError(f"{source}: is larger than declared: leave it out")
                    target.write(block)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS):
                raise StoreError(f"cannot write {path}: {error.strerror}") from error
            raise
        return str(path.absolute())

    def member_path(self, source: str) -> str | None:
        """The path of the file of a member; None if there is none."""
        path = self._url_folder(source) / Path(source).name
        return str(path.absolute()) if path.is_file() else None

    def remove(self, urls: Iterable[str]) -> None:
        """Delete the files of URLs; others are ignored."""
        for url in urls:
            if is_url(url) or "!/" in url:
                shutil.rmtree(self._url_folder(url), ignore_errors=True)

    def _save(
        self, url: str, scratch: Path, headers: Download, earlier: Original | None
    ) -> Original:
        folder = scratch.parent
        with scratch.open("rb") as file:
            original = Original(url, file_name(url, headers, file.read(HEAD_BYTES)), headers)
        path = folder / original.file
        fields = asdict(original)
        del fields["path"]
        try:
            # Renaming is atomic: a killed process leaves the earlier file or the new one.
            sync_file(scratch)
            scratch.replace(path)
            write_json(folder / RECORD, fields)
        except OSError as error:
            raise StoreError(f"cannot write {folder}: {error.strerror or error}") from error
        if earlier is not None and earlier.path != path.absolute():
            earlier.path.unlink(missing_ok=True)
        return replace(original, path=path.absolute())

    def _url_folder(self, url: str) -> Path:
        digest = hashlib.blake2b(url.encode("utf-8", "surrogatepass"), digest_size=16)
        return self._folder / digest.hexdigest()


def is_url(source: str) -> bool:
    """True for the source of a downloaded document."""
    return source.startswith(("http://", "https://"))
