"""`/v1/documents` and `/v1/jobs`: the documents of the knowledge base, and changes to them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from wavrag import audio
from wavrag.access import Principal
from wavrag.audio import encode, media_type
from wavrag.errors import AudioError
from wavrag.kb import digest_file, file_digest_of
from wavrag.server import limits
from wavrag.server.errors import COMMON_ERRORS, RequestError, error_responses
from wavrag.server.file_types import MEDIA_TYPES, check_file
from wavrag.server.files import describe_file, original_response
from wavrag.server.job_runner import blob_name
from wavrag.server.jobs import IndexJob, Upload
from wavrag.server.limits import MAX_CLIP_SECONDS, MAX_LISTED
from wavrag.server.multipart import Form, ReceivedFile, receive_form
from wavrag.server.requests import MetadataValue, StrictBody, Text, describe_body, inline_schema
from wavrag.server.schemas import DocumentTextShape, FileShape, JobShape, JobsShape
from wavrag.server.session import Session, State
from wavrag.server.uploaded_files import check_blobs
from wavrag.server.worker import generate_name
from wavrag.shapes import DocumentShape, PassageShape
from wavrag.store import ACCESS, MAX_LABELS, PUBLIC, Blobs, labels_of, parse_labels, without_labels
from wavrag.types import Clip, Passage, Scalar

T = TypeVar("T")
PLAYBACK_RATE = 24_000  # Hz; keeps speech clear at half the size of 48 kHz

ClipFormat: TypeAlias = Literal["wav", "ogg", "mp3", "flac"]
Wait = Annotated[float, Query(ge=0, le=30, description="seconds to wait for the end of the job")]
Priority = Annotated[
    int, Query(ge=-10, le=10, description="jobs with a higher priority are executed first")
]

_METADATA: TypeAdapter[dict[str, Scalar]] = TypeAdapter(dict[str, MetadataValue])

router = APIRouter(prefix="/v1", tags=["documents"], responses=COMMON_ERRORS)


# Used for the OpenAPI description only: FastAPI would spool the files to disk before any check.
class UploadForm(BaseModel):
    """Files to index."""

    file: list[bytes] = Field(description="files, each in a part of its own")
    title: str = Field("", description="title of a single file")
    metadata: str = Field(
        "",
        description="JSON object of strings, numbers and booleans; `filename` is that of the file",
    )
    access: str = Field(
        "",
        description="access labels, separated by commas, or `public`; without this field those of"
        " an earlier upload, or of the token",
    )


@router.post(
    "/documents",
    status_code=202,
    responses=error_responses(408, 415, 501),
    summary="Upload files to index in the background",
    openapi_extra=describe_body({"multipart/form-data": inline_schema(UploadForm, "validation")}),
)
async def upload_documents(
    request: Request, state: State, wait: Wait = 0, priority: Priority = 0
) -> JobShape:
    """Check files by their content and queue a job to index them: all files or none."""
    async with receive_form(request, state.incoming_folder, limits.MAX_UPLOAD_FILES) as form:
        if not form.files:
            raise RequestError(400, "there is no file: send it in a part with a file name")
        job = await state.run_in_thread("take", accept_upload, state, form, priority)
    return await _describe_job(state, job, wait)


def accept_upload(state: Session, form: Form, priority: int = 0) -> IndexJob:
    """Check the files of a form, move them to the uploads and submit a job.

    Raises:
        RequestError: a file or a field is not accepted.
    """
    metadata = _parse_metadata(form.fields.get("metadata"))
    labels = choose_labels(state.principal, form.fields.get("access"))
    if labels is not None:
        metadata[ACCESS] = labels
    title = " ".join(form.fields.get("title", "").split())
    if title and len(form.files) > 1:
        raise RequestError(400, "a title applies to a single file: upload the files separately")
    file_types = [check_file(file.path, file.name, state.options) for file in form.files]
    blobs = check_blobs(state.blobs)
    with collecting_uploads(blobs) as uploads:
        for file, file_type in zip(form.files, file_types, strict=True):
            document_id = _choose_id(state, file)
            stored_name = generate_name(file_type.suffix)
            document_title = title or file_type.title or PurePosixPath(file.name).stem
            blobs.put(blob_name(stored_name), file.path)
            uploads.append(
                Upload(
                    document_id=document_id,
                    file=stored_name,
                    name=file.name,
                    title=document_title,
                    size=file.size,
                    metadata={**metadata, "filename": file.name},  # the checked name
                    is_titled=bool(title),
                )
            )
        return state.submit(uploads, [], priority)


@contextmanager
def collecting_uploads(blobs: Blobs) -> Iterator[list[Upload]]:
    """A list for the uploads of a job; their files are deleted if the block fails."""
    uploads: list[Upload] = []
    try:
        yield uploads
    except BaseException:
        for upload in uploads:
            blobs.delete(blob_name(upload.file))
        raise


def choose_labels(principal: Principal, field: str | None) -> str | None:
    """The access labels of an upload; None to keep those of an earlier one.

    Args:
        principal: the sender.
        field: the labels that were sent; None if none were.

    Raises:
        RequestError: one of them is not a label of the sender.
        InputError: one of them is no label.
    """
    if principal.sees_all:
        if field is not None:
            parse_labels(field)  # before the reply, not in the job
        return field
    if field is None:
        # Unless told otherwise, an upload is seen by those who share a label with its sender.
        return ",".join(sorted(principal.labels)) or PUBLIC
    foreign = parse_labels(field) - principal.labels
    if foreign:
        names = ", ".join(sorted(foreign))
        raise RequestError(
            403, f"this token does not have the access labels {names}: leave them out"
        )
    return field


def _choose_id(state: Session, file: ReceivedFile) -> str:
    """The id of an upload: that of an earlier one with the same content, which it updates."""
    if state.principal.sees_all:
        return f"upload-{file.digest[:32]}"
    # An id from the content could be that of a hidden document, so only visible ones count.
    digest = digest_file(str(file.path))
    for document in state.rag.kb.documents():
        is_own = labels_of(document.metadata) <= state.principal.labels
        is_same = file_digest_of(document.content_hash) == digest
        if is_own and is_same and document.id.startswith("upload-"):
            return document.id
    return f"upload-{secrets.token_hex(16)}"


def _parse_metadata(field: str | None) -> dict[str, Scalar]:
    try:
        metadata = _METADATA.validate_json(field) if field else {}
    except ValidationError as error:
        first = error.errors()[0]
        key = first["loc"][0] if first["loc"] else None
        # Pydantic lists an error for each type of a value, so no single message describes it.
        message = first["msg"] if key is None else f"the value of {key!r} is not allowed"
        raise RequestError(
            422, f"metadata: {message}: send a flat JSON object of strings, numbers and booleans"
        ) from error
    if len(without_labels(metadata)) < len(metadata):
        raise RequestError(422, "metadata: access labels have a field of their own: access")
    return metadata


async def _describe_job(state: Session, job: IndexJob, wait: float) -> JobShape:
    """A job after waiting for its end."""
    if wait and not job.has_ended:
        job = await state.wait_for_job(job, wait)
    return JobShape.model_validate(job)


@router.get(
    "/documents/{document_id:path}/audio",
    responses={
        **error_responses(404, 416),
        200: {"content": {"audio/*": {"schema": {"type": "string", "format": "binary"}}}},
        206: {"description": "the bytes of a `Range`"},
    },
    response_class=Response,
)
async def get_audio(
    state: State,
    document_id: str,
    *,
    start: Annotated[float | None, Query(ge=0, description="start of a span, seconds")] = None,
    end: Annotated[float | None, Query(ge=0, description="end of a span, seconds")] = None,
    track: Annotated[int | None, Query(ge=1, le=999, description="audio track")] = None,
    channel: Annotated[int | None, Query(ge=1, le=999, description="channel of the track")] = None,
    format: ClipFormat = "wav",
) -> Response:
    """Get the recording of a document or a transcript, with HTTP ranges, or a span of it.

    With a track or a channel, the span begins at 0 unless there is a `start`.
    """
    passage = await read_document(state, state.rag.kb.head, document_id)
    is_span = not start is end is track is channel is None
    start = start or 0.0
    end = end if end is not None else start + MAX_CLIP_SECONDS
    if is_span and not 0 < end - start <= MAX_CLIP_SECONDS:
        raise RequestError(400, f"a span lasts from 0 to {MAX_CLIP_SECONDS:g} s: change its end")
    original = await state.run_in_thread("get", state.open_recording, passage)
    if original is None:
        raise missing_file(document_id, "recording")
    if not is_span:
        content_type = MEDIA_TYPES.get(original.path.suffix.lower(), "application/octet-stream")
        return original_response(original, media_type=content_type)
    load = partial(
        audio.load, original.content, PLAYBACK_RATE, start, end, track=track, channel=channel
    )
    with original:
        data = await state.run_in_thread(
            "cut", _cut_clip, load, str(original.path), format, document_id
        )
    return Response(data, media_type=media_type(format))


def missing_file(document_id: str, kind: str) -> RequestError:
    """The error for a file that is not there, or not with the content that was indexed."""
    return RequestError(
        404,
        f"there is no {kind} of {document_id}: the file is missing, or was changed since it was"
        " indexed: index it again",
    )


def _cut_clip(load: Callable[[], Clip], path: str, format: ClipFormat, document_id: str) -> bytes:
    try:
        return encode(load(), format)
    except AudioError as error:
        raise AudioError(str(error).replace(path, document_id)) from error


@router.get(
    "/documents/{document_id:path}/text",
    response_model_exclude_unset=True,
    responses=error_responses(404),
)
async def get_text(state: State, document_id: str) -> DocumentTextShape:
    """Get the text of a document and its passages; headings are only in their `section`."""
    passages = await read_document(state, state.rag.kb.passages, document_id)
    return DocumentTextShape.model_validate(
        {
            **_summarize(state, passages),
            "text": join_text(passages),
            "contents": [PassageShape.read(passage) for passage in passages],
        }
    )


def join_text(passages: list[Passage]) -> str:
    """The text for the passages' offsets, with gaps filled by line feeds."""
    if passages[0].modality == "audio":
        return "\n".join(passage.text or "" for passage in passages)
    text = ""
    for passage in passages:
        start = passage.char_start or 0
        if start > len(text):
            # Between passages are white space and headings, which the index keeps in `section`.
            text += "\n" * (start - len(text))
        text = text[:start] + (passage.text or "") + text[start + len(passage.text or "") :]
    return text


@router.get("/documents/{document_id:path}", responses=error_responses(404))
async def get_document(state: State, document_id: str) -> FileShape:
    """Get a document."""
    passages = await read_document(state, state.rag.kb.passages, document_id)
    return FileShape.model_validate(_summarize(state, passages))


class AccessBody(StrictBody):
    """Access labels of a document."""

    labels: list[Text] = Field(max_length=MAX_LABELS, description="labels; empty for everybody")


@router.put("/documents/{document_id:path}/access", responses=error_responses(404))
async def set_access(state: State, document_id: str, body: AccessBody) -> FileShape:
    """Give a document other access labels; nothing is indexed again."""
    await read_document(state, state.rag.kb.head, document_id)
    await state.run_in_thread("get", state.rag.kb.set_access, document_id, body.labels)
    return await get_document(state, document_id)


@router.delete("/documents/{document_id:path}", status_code=202, responses=error_responses(404))
async def remove_document(
    state: State, document_id: str, wait: Wait = 0, priority: Priority = 0
) -> JobShape:
    """Queue a job to remove a document, and its file if the file was uploaded."""
    await read_document(state, state.rag.kb.head, document_id)
    job = await state.run_in_thread("take", state.submit, [], [document_id], priority)
    return await _describe_job(state, job, wait)


@router.get("/jobs", tags=["jobs"])
async def list_jobs(
    state: State, limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 100
) -> JobsShape:
    """List jobs, newest first."""
    jobs = await state.run_in_thread("get", state.jobs)
    newest = jobs[::-1][:limit]
    return JobsShape(jobs=[JobShape.model_validate(job) for job in newest])


@router.get("/jobs/{job_id}", responses=error_responses(404), tags=["jobs"])
async def get_job(state: State, job_id: str, wait: Wait = 0) -> JobShape:
    """Get a job."""
    job = await state.run_in_thread("get", _find_job, state, job_id)
    return await _describe_job(state, job, wait)


@router.post("/jobs/{job_id}/retry", responses=error_responses(404, 409), tags=["jobs"])
async def retry_job(state: State, job_id: str) -> JobShape:
    """Queue a failed job again; its uploaded files were kept."""
    job = await state.run_in_thread("get", _find_failed_job, state, job_id)
    await state.run_in_thread("take", state.retry, job)
    return JobShape.model_validate(job)


@router.delete(
    "/jobs/{job_id}", status_code=204, responses=error_responses(404, 409), tags=["jobs"]
)
async def discard_job(state: State, job_id: str) -> Response:
    """Delete a failed job, and its uploaded files unless a document was made of them."""
    job = await state.run_in_thread("get", _find_failed_job, state, job_id)
    await state.run_in_thread("take", state.discard, job)
    return Response(status_code=204)


@router.post("/jobs/{job_id}/cancel", responses=error_responses(404, 409), tags=["jobs"])
async def cancel_job(state: State, job_id: str, wait: Wait = 0) -> JobShape:
    """End a job; documents that are stored already stay, and the other files are deleted."""
    job = await state.run_in_thread("get", _find_job, state, job_id)
    if job.has_ended:
        raise RequestError(409, f"job {job_id} is {job.state}: it has ended")
    await state.run_in_thread("take", state.cancel, job)
    job = await state.run_in_thread("get", _find_job, state, job_id)
    return await _describe_job(state, job, wait)


def _find_job(state: Session, job_id: str) -> IndexJob:
    job = state.job(job_id)
    if job is None:
        raise RequestError(404, f"there is no job {job_id}: old jobs are deleted")
    return job


def _find_failed_job(state: Session, job_id: str) -> IndexJob:
    job = _find_job(state, job_id)
    if job.state != "failed":
        raise RequestError(409, f"job {job_id} is {job.state}: only failed jobs can be changed")
    return job


async def read_document(state: Session, read: Callable[[str], T | None], document_id: str) -> T:
    """The passages of a document, or its first one."""
    result = await state.run_in_thread("get", read, document_id)
    if not result:
        raise RequestError(404, f"there is no document {document_id}: see /v1/documents")
    return result


def _summarize(state: Session, passages: list[Passage]) -> dict[str, Any]:
    """The values of `FileShape`."""
    return {
        **DocumentShape.read(passages[0]),
        **describe_file(state, passages[0].source, passages[0].metadata),
        "id": passages[0].document_id,
        "passages": len(passages),
        "seconds": max(passage.end or 0.0 for passage in passages),
    }
