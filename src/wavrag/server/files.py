"""The file of a document: its name, folder, kind and time."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any
from urllib.parse import unquote, urlsplit

from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send

from wavrag.kb import OriginalFile
from wavrag.server.session import Session
from wavrag.server.worker import is_generated_name
from wavrag.types import Metadata


def describe_file(state: Session, source: str, metadata: Metadata) -> dict[str, Any]:
    """The fields that `FileShape` adds to a document."""
    return {**name_file(source, metadata), "modified": modification_time(state, source)}


def name_file(source: str, metadata: Metadata) -> dict[str, str]:
    """Name, folder and kind of a file."""
    folder, name = split_source(source)
    if is_generated_name(name):  # an upload
        folder, name = "", str(metadata.get("filename", name))
    return {"name": name, "folder": folder, "kind": PurePath(name).suffix[1:].lower()}


def split_source(source: str) -> tuple[str, str]:
    """Folder and name of a path, archive and name of its member, or host and name of a URL."""
    if source.startswith(("http://", "https://")):
        address = urlsplit(source)
        return address.netloc, unquote(PurePath(address.path).name) or source
    archive, mark, member = source.partition("!/")
    if mark:
        return archive, PurePath(member).name
    path = PurePath(source)
    return (str(path.parent), path.name) if path.is_absolute() else ("", source)


def modification_time(state: Session, source: str) -> str | None:
    """The ISO 8601 time of a file's last change; None if there is none."""
    # A member of an archive is as old as the archive, if it was not kept as a file.
    for path in (state.resolve_source(source), source.partition("!/")[0]):
        with suppress(OSError, ValueError):  # ValueError: a source with a NUL, from `Document`
            time = datetime.fromtimestamp(os.stat(path).st_mtime, UTC)
            return time.isoformat(timespec="seconds")
    return None


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
