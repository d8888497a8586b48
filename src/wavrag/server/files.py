"""The file of a document: its name, folder, kind and time."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import PurePath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from anyio import to_thread
from fastapi.responses import FileResponse, Response
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from wavrag.kb import OriginalFile, is_upload_name
from wavrag.server.session import Session
from wavrag.store import OBJECT_SCHEMES, Blob
from wavrag.types import Metadata

_URL_PREFIXES = ("http://", "https://", *(f"{scheme}://" for scheme in OBJECT_SCHEMES))
BLOCK_BYTES = 1 << 20  # of a file in object storage, sent at once


def describe_file(state: Session, source: str, metadata: Metadata) -> dict[str, Any]:
    """The fields that `FileShape` adds to a document."""
    return {**name_file(source, metadata), "modified": modification_time(state, source)}


def name_file(source: str, metadata: Metadata) -> dict[str, str]:
    """Name, folder and kind of a file."""
    folder, name = split_source(source)
    if is_upload_name(name):  # an upload
        folder, name = "", str(metadata.get("filename", name))
    return {"name": name, "folder": folder, "kind": PurePath(name).suffix[1:].lower()}


def split_source(source: str) -> tuple[str, str]:
    """Folder and name of a path, archive and name of its member, or host and name of a URL."""
    if source.startswith(_URL_PREFIXES):
        address = urlsplit(source)
        return address.netloc, unquote(PurePath(address.path).name) or source
    archive, mark, member = source.partition("!/")
    if mark:
        return archive, PurePath(member).name
    path = PurePath(source)
    return (str(path.parent), path.name) if path.is_absolute() else ("", source)


def modification_time(state: Session, source: str) -> str | None:
    """The ISO 8601 time of a file's last change; None if there is none."""
    modified = state.modified(source)
    if modified is None:
        return None
    return datetime.fromtimestamp(modified, UTC).isoformat(timespec="seconds")


class OriginalResponse(FileResponse):
    """Sends an open file, with HTTP ranges, and closes it; options as for `FileResponse`."""

    def __init__(self, original: OriginalFile, **options: Any) -> None:
        self._original = original
        status = os.fstat(original.content.fileno())
        super().__init__(original.handle_path, stat_result=status, **options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the reply."""
        with self._original:
            await super().__call__(scope, receive, send)


class BlobResponse(Response):
    """Sends a file in object storage, or the part of it in a `Range`, without a copy on disk."""

    def __init__(
        self,
        original: OriginalFile,
        blob: Blob,
        media_type: str,
        filename: str | None = None,
        content_disposition_type: str = "attachment",
    ) -> None:
        headers = {
            "accept-ranges": "bytes",
            "last-modified": formatdate(blob.modified, usegmt=True),
        }
        if filename is not None:
            headers["content-disposition"] = (
                f"{content_disposition_type}; filename*=utf-8''{quote(filename, safe='')}"
            )
        super().__init__(headers=headers, media_type=media_type)
        self._original, self._size = original, blob.size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the reply."""
        with self._original:
            start, end = self._choose_range(Headers(scope=scope).get("range", ""))
            self.headers["content-length"] = str(end - start)
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            content = self._original.content
            content.seek(start)
            while start < end and scope["method"] != "HEAD":
                size = min(BLOCK_BYTES, end - start)
                block = await to_thread.run_sync(content.read, size)
                if not block:
                    break  # it was replaced by a shorter file: the client sees that bytes miss
                start += len(block)
                await send({"type": "http.response.body", "body": block, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _choose_range(self, header: str) -> tuple[int, int]:
        """First byte and end of the part to send; sets the status."""
        match = re.fullmatch(r"bytes=(\d{,18})-(\d{,18})", header.replace(" ", ""))
        if match is None or match[0] == "bytes=-":  # several ranges may be answered as a whole
            return 0, self._size
        first, last = match[1], match[2]
        if first:
            start, end = int(first), min(int(last or self._size) + 1, self._size)
        else:
            start, end = max(0, self._size - int(last)), self._size
        if start >= end:
            self.status_code = 416
            self.headers["content-range"] = f"bytes */{self._size}"
            return 0, 0
        self.status_code = 206
        self.headers["content-range"] = f"bytes {start}-{end - 1}/{self._size}"
        return start, end


def original_response(original: OriginalFile, **options: Any) -> Response:
    """A reply that sends an original, with HTTP ranges, and closes it."""
    if original.blob is not None:
        return BlobResponse(original, original.blob, **options)
    return OriginalResponse(original, **options)
