"""Uploaded files that wait to be added to collections."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, TypeAlias

from pydantic import StringConstraints, TypeAdapter

from wavrag.access import Principal
from wavrag.disk import dump_json, load_json
from wavrag.server.errors import RequestError
from wavrag.server.file_types import FileType
from wavrag.server.limits import ORPHAN_SECONDS
from wavrag.server.multipart import ReceivedFile
from wavrag.store import Blobs, Records

# Also the id of the document that is made of the file.
FILE_ID = r"upload-[0-9a-f]{32}"

KIND = "files"  # of the records, and folder of the content

Purpose: TypeAlias = Literal["assistants", "user_data"]


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """An uploaded file."""

    id: Annotated[str, StringConstraints(pattern=f"^{FILE_ID}$")]
    name: str  # the client's name of the file
    size: int  # bytes
    created: int  # seconds since the epoch
    purpose: Purpose
    owner: str  # id of the user
    # As in `FileType`.
    suffix: Annotated[str, StringConstraints(pattern=r"^\.[a-z0-9]{2,5}$")]
    title: str


_FILE: TypeAdapter[UploadedFile] = TypeAdapter(UploadedFile)


class UploadedFiles:
    """The uploaded files of a server, each visible to its owner.

    Args:
        records: keep the descriptions.
        blobs: keep the content; None if there is no place for it.
    """

    def __init__(self, records: Records, blobs: Blobs | None) -> None:
        self.incoming_folder: Path  # of files being received, set by start()
        self._records, self._blobs = records, blobs

    def start(self, incoming_folder: Path) -> None:
        """Delete content whose description a killed process did not write.

        Args:
            incoming_folder: for files that are being received.
        """
        self.incoming_folder = incoming_folder
        if (blobs := self._blobs) is None:
            return
        latest = time.time() - ORPHAN_SECONDS  # another server may just be receiving one
        for blob in blobs.list(KIND):
            id = blob.name.removeprefix(f"{KIND}/").removesuffix(".data")
            is_content = blob.name == _blob_name(id) and blob.modified < latest
            if is_content and self._records.get(KIND, id) is None:
                blobs.delete(blob.name)

    def add(
        self, received: ReceivedFile, kind: FileType, purpose: Purpose, principal: Principal
    ) -> UploadedFile:
        """Keep a received file; it is stored when the call returns.

        Raises:
            RequestError: there is no place for files.
            StoreError: the file cannot be stored.
        """
        file = UploadedFile(
            # At random: an id from the content would reveal whether others have the same file.
            f"upload-{secrets.token_hex(16)}", received.name, received.size, int(time.time()),
            purpose, principal.id, kind.suffix, kind.title,
        )  # fmt: skip
        check_blobs(self._blobs).put(_blob_name(file.id), received.path)
        self._records.put(KIND, file.id, dump_json(_FILE.dump_python(file)))
        return file

    def all(self, principal: Principal) -> list[UploadedFile]:
        """The files that a user may see, oldest first."""
        files = [_read(value) for _, value in self._records.items(KIND)]
        visible = [file for file in files if file is not None and _sees(principal, file)]
        return sorted(visible, key=lambda file: (file.created, file.id))

    def get(self, id: str, principal: Principal) -> UploadedFile:
        """A file.

        Raises:
            RequestError: there is none, or it belongs to somebody else.
        """
        value = self._records.get(KIND, id) if re.fullmatch(FILE_ID, id) else None
        file = None if value is None else _read(value)
        if file is None or not _sees(principal, file):
            raise RequestError(404, f"there is no file {id[:100]}: see /v1/files")
        return file

    def open(self, file: UploadedFile) -> BinaryIO:
        """Open the content of a file.

        Raises:
            RequestError: it has just been deleted.
        """
        try:
            return check_blobs(self._blobs).open(_blob_name(file.id))
        except FileNotFoundError as error:
            raise RequestError(404, f"there is no file {file.id}: see /v1/files") from error

    def delete(self, id: str, principal: Principal) -> None:
        """Delete a file; documents that were made of it stay.

        Raises:
            RequestError: as `get` does.
        """
        file = self.get(id, principal)
        self._records.delete(KIND, file.id)
        check_blobs(self._blobs).delete(_blob_name(file.id))


def check_blobs(blobs: Blobs | None) -> Blobs:
    """The place of the files of a knowledge base.

    Raises:
        RequestError: there is none.
    """
    if blobs is None:
        raise RequestError(
            501,
            "this server has no place for uploaded files: its operator names one (WAVRAG_BLOBS)",
        )
    return blobs


def _blob_name(id: str) -> str:
    return f"{KIND}/{id}.data"


def _read(value: bytes) -> UploadedFile | None:
    try:
        return _FILE.validate_python(load_json(value))
    except ValueError:  # damaged
        return None


def _sees(principal: Principal, file: UploadedFile) -> bool:
    # An administrator of some collections is not one of files, which may be meant for others.
    return principal.is_unlimited or file.owner == principal.id
