"""Downloaded files, and members of archives, in the folder `originals` of a knowledge base, by URL.

Each URL has a folder, with the file and with `original.json`: the name of the file, and the version
for the next request. Playback, transcripts and the next run find the file by the URL alone.
"""

from __future__ import annotations

import errno
import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from wavrag.disk import dump_json, load_json
from wavrag.errors import DocumentError, StoreError
from wavrag.kb.backend import Backend
from wavrag.web import Download, DownloadCallback, DownloadOptions, download, file_name

KIND = "originals"  # of the records
HEAD_BYTES = 4096
UPLOADS = "uploads"  # folder of the files
UPLOAD_PATTERN = r"[0-9a-f]{32}\.[a-z0-9]{2,5}"
_UPLOAD = re.compile(UPLOAD_PATTERN)


@dataclass(frozen=True, slots=True)
class Original:
    """A downloaded file, and the headers that came with it."""

    url: str
    file: str  # name in the folder of the URL
    headers: Download
    path: Path = Path()


class Originals:
    """The downloaded files of a knowledge base.

    Args:
        backend: keeps the files and a record of each.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def get(self, url: str) -> Original | None:
        """The file of a URL; None if it was not downloaded, or is missing."""
        key = _key(url)
        original = self._read(key)
        if original is None or self._backend.blobs is None:
            return None
        path = self._backend.blobs.local_path(_blob(key, Path(original.file).name))
        return None if path is None else replace(original, path=path)

    def _read(self, key: str) -> Original | None:
        data = self._backend.records.get(KIND, key)
        if data is None:
            return None
        try:
            fields = load_json(data, checked=False)
            return Original(fields["url"], fields["file"], Download(**fields["headers"]))
        except (ValueError, TypeError, KeyError):
            return None  # damaged: the next run downloads it again

    def fetch(self, url: str, options: DownloadOptions, on_progress: DownloadCallback) -> Original:
        """Download a URL, unless the server says that it has not changed.

        Raises:
            DownloadError: see `wavrag.web.download`; an earlier download stays.
            StoreError: the disk is full or not writable, or there is no place for files.
        """
        earlier = self.get(url)
        with self._scratch_file() as scratch:
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

    def save_member(self, source: str, name: str, file: IO[bytes], size: int) -> str:
        """Save a member of an archive; return the path of its file.

        Raises:
            DocumentError: it is larger than its declared size.
            StoreError: the disk is full or not writable, or there is no place for files.
        """
        blob = _blob(_key(source), name)
        with self._scratch_file() as scratch:
            with scratch.open("wb") as target:
                while block := file.read(1 << 20):
                    size -= len(block)
                    if size < 0:
                        raise DocumentError(f"{source}: is larger than declared: leave it out")
                    target.write(block)
            self._backend.files.put(blob, scratch)
        return str(self._backend.files.local_path(blob))

    def blob_name(self, source: str) -> str | None:
        """The name of the stored file of an upload, a URL or a member; None for other sources."""
        if is_url(source):
            original = self._read(_key(source))
            return None if original is None else _blob(_key(source), Path(original.file).name)
        if "!/" in source:
            return _blob(_key(source), Path(source).name)
        # By its name alone: the folder of the uploads may have been moved.
        name = re.split(r"[/\\]", source)[-1]
        return f"{UPLOADS}/{name}" if is_upload_name(name) else None

    def remove(self, urls: Iterable[str]) -> None:
        """Delete the files of URLs; others are ignored."""
        for url in urls:
            if self._backend.blobs is not None and (is_url(url) or "!/" in url):
                key = _key(url)
                self._backend.records.delete(KIND, key)
                for blob in self._backend.blobs.list(f"originals/{key}"):
                    self._backend.blobs.delete(blob.name)

    @contextmanager
    def _scratch_file(self) -> Iterator[Path]:
        """A new file on the disk of the knowledge base, deleted at the end if it is still there."""
        _ = self._backend.files  # before a long download
        scratch = self._backend.scratch / f".new-{secrets.token_hex(8)}"
        try:
            scratch.touch(exist_ok=False)
            yield scratch
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS):
                raise StoreError(f"cannot write {scratch}: {error.strerror}") from error
            raise
        finally:
            scratch.unlink(missing_ok=True)

    def _save(
        self, url: str, scratch: Path, headers: Download, earlier: Original | None
    ) -> Original:
        with scratch.open("rb") as file:
            original = Original(url, file_name(url, headers, file.read(HEAD_BYTES)), headers)
        key, blobs = _key(url), self._backend.files
        blob = _blob(key, original.file)
        fields = asdict(original)
        del fields["path"]
        # Each step is atomic: a killed process leaves the earlier file or the new one.
        blobs.put(blob, scratch)
        self._backend.records.put(KIND, key, dump_json(fields))
        if earlier is not None and earlier.file != original.file:
            blobs.delete(_blob(key, Path(earlier.file).name))
        path = blobs.local_path(blob)
        if path is None:
            raise StoreError(f"{blobs.source(blob)} vanished: download it again")
        return replace(original, path=path)


def is_upload_name(name: str) -> bool:
    """True for the generated name of an uploaded file."""
    return _UPLOAD.fullmatch(name) is not None


def _key(url: str) -> str:
    return hashlib.blake2b(url.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _blob(key: str, name: str) -> str:
    return f"originals/{key}/{name}"


def is_url(source: str) -> bool:
    """True for the source of a downloaded document."""
    return source.startswith(("http://", "https://"))
