"""`/v1/documents` and `/v1/jobs`: what the knowledge base holds, and changes to it."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from wavrag import audio
from wavrag.audio import encode, media_type
from wavrag.errors import AudioError
from wavrag.server.jobs import IndexJob, Upload, job_dict, sync_folder
from wavrag.server.kinds import MEDIA_TYPES, check_file
from wavrag.server.problems import RequestError
from wavrag.server.receive import Form, received
from wavrag.server.room import Room, room_of
from wavrag.server.shapes import (
    DocumentsShape,
    DocumentTextShape,
    JobShape,
    JobsShape,
    problems,
)
from wavrag.server.writer import generated_name
from wavrag.shapes import DocumentShape, PassageShape
from wavrag.store import StoredDocument
from wavrag.types import Passage, Scalar

PLAYBACK_RATE = 24_000  # Hz of a span that is cut out
MOST_LISTED = 1000

router = APIRouter(prefix="/v1", tags=["documents"])
Shared = Annotated[Room, Depends(room_of)]
Wait = Annotated[float, Query(ge=0, le=30, description="seconds to wait for the job's end")]


@router.post(
    "/documents",
    status_code=202,
    response_model=JobShape,
    responses=problems(408, 415),
    summary="Upload files; the job that indexes them is promised once they are on disk",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {
                            "file": {
                                "type": "array",
                                "items": {"type": "string", "format": "binary"},
                                "description": "one part for each file",
                            },
                            "title": {"type": "string", "description": "of a single file"},
                            "metadata": {
                                "type": "string",
                                "description": "JSON object of strings, numbers and truth values",
                            },
                        },
                    }
                }
            },
        }
    },
)
async def upload(request: Request, room: Shared, wait: Wait = 0) -> Response:
    """Take files, check them by their content, and promise to index them: all or none."""
    options = room.options
    async with received(
        request, room.incoming, options.max_upload_files, options.free_bytes
    ) as form:
        if not form.files:
            raise RequestError(400, "there is no file: send one in a part with a file name")
        job = await room.compute("take", _take, room, form)
    return JSONResponse(job_dict(await _ended(room, job, wait)), 202)


def _take(room: Room, form: Form) -> IndexJob:
    """Check files, move them to where they are kept, and promise to index them."""
    metadata = _metadata(form.fields.get("metadata"))
    title = " ".join(form.fields.get("title", "").split())
    if title and len(form.files) > 1:
        raise RequestError(400, "a title is for a single file: send files of their own one by one")
    kinds = [check_file(file.path, file.name, room.options) for file in form.files]
    uploads: list[Upload] = []
    try:
        for file, kind in zip(form.files, kinds, strict=True):
            stored = generated_name(kind.suffix)
            name = title or kind.title or PurePosixPath(file.name).stem
            given = {"filename": file.name, **metadata}
            os.link(file.path, room.uploads / stored)
            uploads.append(
                Upload(f"upload-{file.digest[:32]}", stored, file.name, name, file.size, given)
            )
        sync_folder(room.uploads)
        return room.writer.promise("add", uploads)
    except BaseException:
        for one in uploads:
            (room.uploads / one.file).unlink(missing_ok=True)
        raise


def _metadata(field: str | None) -> dict[str, Scalar]:
    if not field:
        return {}
    try:
        values = json.loads(field)
    except (ValueError, RecursionError) as error:
        raise RequestError(422, f"metadata is no JSON ({error}): send an object") from error
    plain = isinstance(values, dict) and all(
        isinstance(value, str | bool)
        or (isinstance(value, int) and -(2**63) <= value < 2**63)
        or (isinstance(value, float) and abs(value) < float("inf"))
        for value in values.values()
    )
    if not plain:
        raise RequestError(
            422, "metadata is no flat object: give strings, numbers and truth values under its keys"
        )
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise RequestError(422, "metadata holds halves of characters: write it anew") from error
    return dict(values)


async def _ended(room: Room, job: IndexJob, seconds: float) -> IndexJob:
    """A job, after its end or so long."""
    if seconds and not job.has_ended:
        await room.wait(job, seconds)
    return job


@router.get("/documents", response_model=DocumentsShape, responses=problems())
async def documents(
    room: Shared,
    q: Annotated[str, Query(max_length=200, description="part of the title or source")] = "",
    modality: Literal["text", "audio"] | None = None,
    offset: Annotated[int, Query(ge=0, lt=2**31)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 100,
) -> Response:
    """The documents, in order of title."""
    wanted = q.casefold()
    found = [
        document
        for document in await room.compute("list", room.rag.kb.documents)
        if (modality is None or document.modality == modality)
        and (wanted in document.title.casefold() or wanted in document.source.casefold())
    ]
    found.sort(key=lambda document: (document.title.casefold(), document.id))
    shown = [DocumentShape.dump(document) for document in found[offset : offset + limit]]
    return JSONResponse({"documents": shown, "total": len(found)})


@router.get(
    "/documents/{document_id:path}/audio",
    responses={
        **problems(404, 416),
        200: {"content": {"audio/*": {"schema": {"type": "string", "format": "binary"}}}},
        206: {"description": "the bytes of a `Range`"},
    },
    response_class=Response,
)
async def recording(
    room: Shared,
    document_id: str,
    start: Annotated[float | None, Query(ge=0, description="second")] = None,
    end: Annotated[float | None, Query(ge=0, description="second")] = None,
    format: Literal["wav", "ogg", "mp3", "flac"] = "wav",
) -> Response:
    """A recording as it was added, with HTTP ranges; or a span of it, cut out."""
    passage = await _head(room, document_id)
    path = room.located(passage.source)
    if passage.modality != "audio" or not path.is_file():
        raise RequestError(404, f"there is no recording of {document_id}: its file is not there")
    if start is None and end is None:
        kind = MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream")
        return FileResponse(path, media_type=kind)
    first = start or 0.0
    last = end if end is not None else first + room.options.max_span_seconds
    if not 0 < last - first <= room.options.max_span_seconds:
        limit = room.options.max_span_seconds
        raise RequestError(400, f"a span has more than 0 and at most {limit:g} s: ask for less")
    data = await room.compute("cut", _cut, path, first, last, format, document_id)
    return Response(data, media_type=media_type(format))


def _cut(
    path: Path,
    start: float,
    end: float,
    format: Literal["wav", "ogg", "mp3", "flac"],
    document_id: str,
) -> bytes:
    try:
        clip = audio.load(path, PLAYBACK_RATE, start, end)
    except AudioError as error:
        raise AudioError(str(error).replace(str(path), document_id)) from error
    return encode(clip, format)


@router.get(
    "/documents/{document_id:path}/text",
    response_model=DocumentTextShape,
    responses=problems(404),
)
async def words(room: Shared, document_id: str) -> Response:
    """The words of a document, and its passages; a heading between passages is not among them."""
    passages = await _passages(room, document_id)
    text = _joined(passages)
    contents = [PassageShape.dump(passage) for passage in passages]
    summary = DocumentShape.dump(_summary(passages))
    return JSONResponse({**summary, "text": text, "contents": contents})


def _joined(passages: list[Passage]) -> str:
    """The text that offsets of passages refer to, as far as passages hold it."""
    if passages[0].modality == "audio":
        return "\n".join(passage.text or "" for passage in passages)
    text = ""
    for passage in passages:
        start = passage.char_start or 0
        if start > len(text):
            # What lies between passages: white space, and headings that stand in `section`.
            text += "\n" * (start - len(text))
        text = text[:start] + (passage.text or "") + text[start + len(passage.text or "") :]
    return text


@router.get("/documents/{document_id:path}", response_model=DocumentShape, responses=problems(404))
async def document(room: Shared, document_id: str) -> Response:
    """A document."""
    return JSONResponse(DocumentShape.dump(_summary(await _passages(room, document_id))))


@router.delete(
    "/documents/{document_id:path}",
    status_code=202,
    response_model=JobShape,
    responses=problems(404),
)
async def remove(room: Shared, document_id: str, wait: Wait = 0) -> Response:
    """Promise to remove a document, and its file if it was uploaded."""
    await _head(room, document_id)
    job = await room.compute("take", room.writer.promise, "remove", None, [document_id])
    return JSONResponse(job_dict(await _ended(room, job, wait)), 202)


@router.get("/jobs", response_model=JobsShape, responses=problems(), tags=["jobs"])
async def jobs(room: Shared, limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 100) -> Response:
    """Jobs, newest first."""
    newest = room.jobs.all()[::-1][:limit]
    return JSONResponse({"jobs": [job_dict(job) for job in newest]})


@router.get("/jobs/{job_id}", response_model=JobShape, responses=problems(404), tags=["jobs"])
async def job(room: Shared, job_id: str, wait: Wait = 0) -> Response:
    """How far a job is."""
    found = room.jobs.get(job_id)
    if found is None:
        raise RequestError(404, f"there is no job {job_id}: it may have ended long ago")
    return JSONResponse(job_dict(await _ended(room, found, wait)))


async def _head(room: Room, document_id: str) -> Passage:
    passage = await room.compute("get", room.rag.kb.head, document_id)
    if passage is None:
        raise RequestError(404, f"there is no document {document_id}: see /v1/documents")
    return passage


async def _passages(room: Room, document_id: str) -> list[Passage]:
    passages = await room.compute("get", room.rag.kb.passages, document_id)
    if not passages:
        raise RequestError(404, f"there is no document {document_id}: see /v1/documents")
    return passages


def _summary(passages: list[Passage]) -> StoredDocument:
    first = passages[0]
    return StoredDocument(
        id=first.document_id,
        content_hash="",
        source=first.source,
        title=first.title,
        modality=first.modality,
        passages=len(passages),
        seconds=max(passage.end or 0.0 for passage in passages),
        metadata=first.metadata,
    )
