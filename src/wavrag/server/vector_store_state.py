"""Collections as OpenAI's vector stores: their sessions, and the state of their files.

The id of a file is that of its document. A batch of files is a job, with the job's id.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Literal, TypeAlias

from fastapi import Depends, Request
from pydantic import BaseModel

from wavrag.access import COLLECTION
from wavrag.server.documents import choose_labels, collecting_uploads
from wavrag.server.errors import RequestError
from wavrag.server.job_runner import blob_name
from wavrag.server.jobs import IndexJob, Upload
from wavrag.server.pages import PageItem
from wavrag.server.session import Session, find_sender
from wavrag.server.uploaded_files import UploadedFile, UploadedFiles, check_blobs
from wavrag.server.worker import generate_name
from wavrag.store import ACCESS, StoredDocument, without_labels
from wavrag.types import Metadata, Passage, Scalar

FileStatus: TypeAlias = Literal["in_progress", "completed", "failed", "cancelled"]
AddedFile: TypeAlias = tuple[UploadedFile, Mapping[str, Scalar]]  # with its attributes


class FileErrorShape(BaseModel):
    """Why a file could not be added."""

    code: Literal["unsupported_file", "server_error"]
    message: str


class VectorStoreFileShape(PageItem):
    """A document, or a file that is being added; bytes and old times are not known: 0."""

    object: Literal["vector_store.file"] = "vector_store.file"
    created_at: int
    usage_bytes: Literal[0] = 0
    vector_store_id: str
    status: FileStatus
    last_error: FileErrorShape | None = None
    attributes: dict[str, Scalar]


class FileCountsShape(BaseModel):
    """Numbers of files by status."""

    in_progress: int
    completed: int
    failed: int
    cancelled: int
    total: int


def open_vector_store(request: Request, vector_store_id: str) -> Session:
    """The session of a request to a vector store.

    Raises:
        RequestError: there is none with this id, or it is hidden from the sender.
    """
    collections, principal = find_sender(request)
    # With the address of a collection, its vector store is the only one.
    is_other = request.scope.get(COLLECTION, vector_store_id) != vector_store_id
    if is_other or vector_store_id not in collections.names(principal):
        raise RequestError(
            404, f"there is no vector store {vector_store_id[:80]}: see /v1/vector_stores"
        )
    # Without one in the path, a server of a single knowledge base has its only one.
    name = vector_store_id if collections.has_folder else None
    return Session(collections.get(name, principal), principal, request.scope)


def _open_path_store(request: Request, vector_store_id: str) -> Session:
    session = open_vector_store(request, vector_store_id)
    request.scope[COLLECTION] = vector_store_id  # for the audit log
    return session


VectorStore: TypeAlias = Annotated[Session, Depends(_open_path_store)]


def add_files(uploaded: UploadedFiles, state: Session, files: Sequence[AddedFile]) -> IndexJob:
    """Submit a job to add uploaded files to a collection.

    Raises:
        RequestError: an access label is not one of the sender's, or there is no place for files.
        StoreError: a file cannot be stored.
    """
    blobs = check_blobs(state.blobs)
    with collecting_uploads(blobs) as uploads:
        for file, attributes in files:
            access = attributes.get(ACCESS)
            labels = choose_labels(state.principal, None if access is None else str(access))
            metadata = {**without_labels(attributes), "filename": file.name}
            if labels is not None:
                metadata[ACCESS] = labels
            upload = Upload(
                document_id=file.id,
                file=generate_name(file.suffix),
                name=file.name,
                title=file.title or PurePosixPath(file.name).stem,
                size=file.size,
                metadata=metadata,
                # A document of its own, even if another one has the same content.
                is_titled=True,
            )
            uploads.append(upload)
            scratch = state.incoming_folder / upload.file
            try:
                with uploaded.open(file) as content, scratch.open("xb") as copy:
                    shutil.copyfileobj(content, copy)
                blobs.put(blob_name(upload.file), scratch)
            finally:
                scratch.unlink(missing_ok=True)
        return state.submit(uploads, [])


def list_file_states(state: Session, name: str) -> list[VectorStoreFileShape]:
    """The documents of a collection and the files that are being added, ordered by id."""
    uploads = _latest_uploads(state.jobs())
    documents = {document.id: document for document in state.rag.kb.documents()}
    shapes = (
        _describe(name, id, uploads.get(id), documents.get(id))
        for id in sorted({*documents, *uploads})
    )
    return [shape for shape in shapes if shape is not None]


def get_file_state(state: Session, name: str, id: str) -> VectorStoreFileShape:
    """A document, or a file that is being added.

    Raises:
        RequestError: there is neither.
    """
    upload = _latest_uploads(state.jobs()).get(id)
    shape = _describe(name, id, upload, state.rag.kb.head(id))
    if shape is None:
        raise RequestError(404, f"there is no file {id[:100]} in the vector store {name}")
    return shape


def count_files(statuses: Iterable[FileStatus]) -> FileCountsShape:
    """Count files by status."""
    counts = Counter(statuses)
    return FileCountsShape(
        in_progress=counts["in_progress"],
        completed=counts["completed"],
        failed=counts["failed"],
        cancelled=counts["cancelled"],
        total=counts.total(),
    )


def upload_status(job: IndexJob, upload: Upload) -> tuple[FileStatus, FileErrorShape | None]:
    """The state of a file of a job."""
    if not job.has_ended:
        return "in_progress", None
    if job.state == "cancelled":
        return "cancelled", None
    if job.state != "done":
        message = job.error or f"the job is {job.state}"
        return "failed", FileErrorShape(code="server_error", message=message)
    for skipped in (job.report or {}).get("skipped", ()):
        if skipped["source"] == upload.name:
            error = FileErrorShape(code="unsupported_file", message=skipped["reason"])
            return "failed", error
    return "completed", None


def _latest_uploads(jobs: Iterable[IndexJob]) -> dict[str, tuple[IndexJob, Upload]]:
    """The latest upload of each document that has not been removed since."""
    latest: dict[str, tuple[IndexJob, Upload]] = {}
    for job in jobs:
        latest |= {upload.document_id: (job, upload) for upload in job.uploads}
        for id in job.document_ids:
            latest.pop(id, None)
    return latest


def _describe(
    name: str,
    id: str,
    job_upload: tuple[IndexJob, Upload] | None,
    stored: StoredDocument | Passage | None,
) -> VectorStoreFileShape | None:
    """The state of a file; None if it is neither stored nor being added."""
    status: FileStatus = "completed"
    error, created = None, 0
    metadata: Metadata = {}
    if job_upload is not None:
        job, upload = job_upload
        status, error = upload_status(job, upload)
        created = job.created_seconds
        metadata = upload.metadata
    if stored is None and status == "completed":
        return None  # it was removed by other means, such as `wavrag kb remove`
    if stored is not None:
        metadata = stored.metadata
        if status in ("failed", "cancelled"):  # it, or the earlier version, is there
            status, error = "completed", None
    return VectorStoreFileShape(
        id=id,
        created_at=created,
        vector_store_id=name,
        status=status,
        last_error=error,
        attributes=public_metadata(metadata),
    )


def public_metadata(metadata: Metadata) -> dict[str, Scalar]:
    """Metadata without the keys of single access labels, which `access` lists."""
    return {key: value for key, value in metadata.items() if not key.startswith(f"{ACCESS}.")}
