"""Multipart forms: files streamed to disk, fields kept in memory, both within limits.

Starlette's own parser accepts file names and sizes without a limit of disk space.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from anyio import to_thread
from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from wavrag.server.errors import RequestError
from wavrag.server.limits import MIN_FREE_BYTES

MAX_FIELD_BYTES = 1 << 16  # of all fields together
MAX_FORM_PARTS = 1000
MAX_NAME_BYTES = 255  # of a file name, as in ext4, XFS, APFS and NTFS


@dataclass(slots=True)
class ReceivedFile:
    """A file of a form."""

    path: Path  # exists until the request ends
    name: str  # the client's name of the file
    size: int = 0  # bytes
    digest: str = ""  # SHA-256 of the content in hexadecimal digits


@dataclass(slots=True)
class Form:
    """The files and fields of a form; values of a repeated field `name[]` are joined by commas."""

    files: list[ReceivedFile] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def receive_form(request: Request, folder: Path, max_files: int) -> AsyncIterator[Form]:
    """Receive a multipart body; its files are in the folder until the end of the block.

    Raises:
        RequestError: the body is not a multipart form, exceeds a limit, or has an invalid file
            name.
    """
    content_type, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if content_type != b"multipart/form-data" or not boundary:
        raise RequestError(415, "the body is not a form: send it as multipart/form-data")
    length = request.headers.get("content-length", "")
    check_disk(folder, int(length) if length.isdecimal() else 0)
    reader = _FormReader(folder, max_files)
    try:
        try:
            parser = MultipartParser(boundary, reader.callbacks())
            async for chunk in request.stream():
                # A chunked body has no declared length, so the disk is checked on the way (2 µs).
                check_disk(folder, len(chunk))
                await to_thread.run_sync(parser.write, chunk)
            parser.finalize()
        except FormParserError as error:
            raise RequestError(400, f"the form is malformed ({error}): send it again") from error
        if not reader.is_complete:
            raise RequestError(400, "the form has no closing boundary: send it again")
        yield reader.form
    finally:
        reader.clear()


def check_disk(folder: Path, size: int) -> None:
    """Refuse so many bytes if the disk is nearly full.

    Raises:
        RequestError: it is (413).
    """
    if shutil.disk_usage(folder).free - size < MIN_FREE_BYTES:
        raise RequestError(413, "the disk of the server is full: remove documents first")


class _FormReader:
    """Collects a form from the callbacks of the parser."""

    def __init__(self, folder: Path, max_files: int) -> None:
        self.form = Form()
        self.is_complete = False
        self._folder = folder
        self._max_files = max_files
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._file: IO[bytes] | None = None
        self._hash = hashlib.sha256()
        self._field: tuple[str, list[bytes]] | None = None
        self._field_bytes = 0
        self._part_count = 0

    def callbacks(self) -> Any:
        """The callbacks by the parser's names."""
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": lambda data, start, end: self._header_name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header_value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": lambda data, start, end: self._write(data[start:end]),
            "on_part_end": self._end_part,
            "on_end": self._end_form,
        }

    def clear(self) -> None:
        """Delete the files."""
        if self._file is not None:
            self._file.close()
        for file in self.form.files:
            file.path.unlink(missing_ok=True)

    def _begin_part(self) -> None:
        self._part_count += 1
        if self._part_count > MAX_FORM_PARTS:
            raise RequestError(413, f"the form has more than {MAX_FORM_PARTS} parts: send fewer")
        self._headers = {}

    def _end_header(self) -> None:
        self._headers[bytes(self._header_name).lower()] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if b"filename" not in options:
            self._field = (options.get(b"name", b"").decode(errors="replace"), [])
            return
        name = check_file_name(options[b"filename"])
        if len(self.form.files) == self._max_files:
            raise RequestError(413, f"there are more than {self._max_files} files: send fewer")
        file = ReceivedFile(self._folder / secrets.token_hex(16), name)
        self._file = file.path.open("xb")
        self._hash = hashlib.sha256()
        self.form.files.append(file)

    def _write(self, data: bytes) -> None:
        if self._file is not None:
            self._file.write(data)
            self._hash.update(data)
            self.form.files[-1].size += len(data)
        elif self._field is not None:
            self._field_bytes += len(data)
            if self._field_bytes > MAX_FIELD_BYTES:
                raise RequestError(
                    413, f"the fields are larger than {MAX_FIELD_BYTES} bytes: send less"
                )
            self._field[1].append(data)

    def _end_part(self) -> None:
        if self._file is not None:
            # Synced before the upload is acknowledged, so that a power cut loses nothing.
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
            self.form.files[-1].digest = self._hash.hexdigest()
        elif self._field is not None:
            name, chunks = self._field
            try:
                value = b"".join(chunks).decode()
                earlier = self.form.fields.get(name) if name.endswith("[]") else None
                self.form.fields[name] = value if earlier is None else f"{earlier},{value}"
            except UnicodeDecodeError as error:
                raise RequestError(400, f"the field {name} is not UTF-8: encode it") from error
            self._field = None

    def _end_form(self) -> None:
        self.is_complete = True


def check_file_name(raw: bytes) -> str:
    """Decode and check the client's name of a file.

    Raises:
        RequestError: the name is empty, a path, too long, or not printable.
    """
    try:
        name = raw.decode()
    except UnicodeDecodeError as error:
        raise RequestError(400, "a file name is not UTF-8: encode it") from error
    if not name.strip() or name in (".", "..") or "/" in name or "\\" in name:
        raise RequestError(400, f"{name[:60]!r} is not a file name: send a name without a path")
    if len(raw) > MAX_NAME_BYTES:
        raise RequestError(400, f"a file name is longer than {MAX_NAME_BYTES} bytes: shorten it")
    # Control characters could forge lines of a log; direction overrides disguise the suffix.
    if not name.isprintable():
        raise RequestError(400, f"{name!r} has unprintable characters: rename the file")
    return name
