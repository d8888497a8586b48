"""Multipart bodies: files streamed to disk, fields kept in memory, both within limits."""

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

from wavrag.server.problems import RequestError

MAX_FIELD = 1 << 16  # bytes of all fields together
MAX_PARTS = 1000
LONGEST_NAME = 255  # bytes of a file's name


@dataclass(slots=True)
class ReceivedFile:
    """A file of a body.

    Attributes:
        path: where it lies until the request ends.
        name: as its sender calls it.
        part: name of the form's field.
        size: bytes.
        digest: SHA-256 of its content, in hexadecimal digits.
    """

    path: Path
    name: str
    part: str
    size: int = 0
    digest: str = ""


@dataclass(slots=True)
class Form:
    """What a multipart body held."""

    files: list[ReceivedFile] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def received(
    request: Request, folder: Path, max_files: int, free_bytes: int
) -> AsyncIterator[Form]:
    """The files and fields of a request's multipart body, as long as the block runs.

    What is left of its files at the end of the block is removed, whatever ended it.

    Args:
        request: whose body is read.
        folder: where files are written, under generated names.
        max_files: most files.
        free_bytes: of disk that must stay free.

    Raises:
        RequestError: the body is no such form, has too much of something, or a name that no file
            may have.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise RequestError(415, "the body is no form: send it as multipart/form-data")
    declared = request.headers.get("content-length", "")
    _check_disk(folder, int(declared) if declared.isdecimal() else 0, free_bytes)
    reader = _Reader(folder, max_files)
    try:
        unchecked = 0
        try:
            parser = MultipartParser(boundary, reader.callbacks())
            async for chunk in request.stream():
                unchecked += len(chunk)
                if unchecked > free_bytes // 4:
                    _check_disk(folder, 0, free_bytes)
                    unchecked = 0
                await to_thread.run_sync(parser.write, chunk)
            parser.finalize()
        except FormParserError as error:
            raise RequestError(400, f"the form is damaged ({error}): send it again") from error
        if not reader.ended:
            raise RequestError(400, "the form has no end: send it again")
        yield reader.form
    finally:
        reader.clear()


def _check_disk(folder: Path, size: int, free_bytes: int) -> None:
    if shutil.disk_usage(folder).free - size < free_bytes:
        raise RequestError(413, "the server's disk has no room for it: remove something first")


class _Reader:
    """Takes what the parser finds, part by part."""

    def __init__(self, folder: Path, max_files: int) -> None:
        self.form = Form()
        self.ended = False
        self._folder = folder
        self._max_files = max_files
        self._header = [b"", b""]
        self._headers: dict[bytes, bytes] = {}
        self._file: IO[bytes] | None = None
        self._hash = hashlib.sha256()
        self._field: tuple[str, list[bytes]] | None = None
        self._field_bytes = 0
        self._parts = 0

    def callbacks(self) -> Any:
        """As the parser takes them."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._grow(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._grow(1, data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": lambda data, start, end: self._data(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def clear(self) -> None:
        """Remove what was written and not taken away."""
        if self._file is not None:
            self._file.close()
        for file in self.form.files:
            file.path.unlink(missing_ok=True)

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise RequestError(413, f"the form has more than {MAX_PARTS} parts: send fewer")
        self._headers = {}
        self._header = [b"", b""]

    def _grow(self, at: int, data: bytes) -> None:
        self._header[at] += data

    def _end_header(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = [b"", b""]

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        part = options.get(b"name", b"").decode(errors="replace")
        if b"filename" not in options:
            self._field = (part, [])
            return
        name = checked_name(options[b"filename"])
        if len(self.form.files) == self._max_files:
            raise RequestError(413, f"more than {self._max_files} files: send fewer at a time")
        file = ReceivedFile(self._folder / secrets.token_hex(16), name, part)
        self._file = file.path.open("xb")
        self._hash = hashlib.sha256()
        self.form.files.append(file)

    def _data(self, data: bytes) -> None:
        if self._file is not None:
            self._file.write(data)
            self._hash.update(data)
            self.form.files[-1].size += len(data)
        elif self._field is not None:
            self._field_bytes += len(data)
            if self._field_bytes > MAX_FIELD:
                raise RequestError(413, f"the fields hold more than {MAX_FIELD} bytes: send less")
            self._field[1].append(data)

    def _end(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
            self.form.files[-1].digest = self._hash.hexdigest()
        elif self._field is not None:
            part, data = self._field
            try:
                self.form.fields[part] = b"".join(data).decode()
            except UnicodeDecodeError as error:
                raise RequestError(400, f"the field {part} is not UTF-8: encode it so") from error
            self._field = None

    def _finish(self) -> None:
        self.ended = True


def checked_name(raw: bytes) -> str:
    """The name of a file as its sender gave it.

    Raises:
        RequestError: it is none that a file has: empty, a path, too long, or not to be shown.
    """
    try:
        name = raw.decode()
    except UnicodeDecodeError as error:
        raise RequestError(400, "a file's name is not UTF-8: encode it so") from error
    if not name.strip() or name in (".", "..") or "/" in name or "\\" in name:
        raise RequestError(400, f"{name[:60]!r} is no name of a file: send a name without a path")
    if len(raw) > LONGEST_NAME:
        raise RequestError(400, f"a file's name has more than {LONGEST_NAME} bytes: shorten it")
    if not name.isprintable():
        raise RequestError(400, f"{name!r} holds characters that no name has: rename the file")
    return name
