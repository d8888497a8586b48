"""`/v1/files` in OpenAI's format: uploads to add to vector stores."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.background import BackgroundTask

from wavrag.server.errors import COMMON_ERRORS, RequestError, error_responses
from wavrag.server.file_types import check_file
from wavrag.server.files import BLOCK_BYTES
from wavrag.server.multipart import ReceivedFile, receive_form
from wavrag.server.pages import Order, Page, PageItem, cut_page
from wavrag.server.requests import describe_body, inline_schema
from wavrag.server.session import find_sender
from wavrag.server.uploaded_files import Purpose, UploadedFile

MAX_FILES_LISTED = 10_000  # as in OpenAI's API

router = APIRouter(prefix="/v1/files", tags=["openai"], responses=COMMON_ERRORS)


class FileForm(BaseModel):
    """Form of `POST /v1/files`; parameters without an effect are ignored."""

    file: bytes = Field(b"", description="the file")
    purpose: Purpose = Field("assistants", description="no other purposes are known here")


class OpenAIFileShape(PageItem):
    """An uploaded file; `created_at` in seconds since the epoch."""

    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: Purpose
    status: Literal["processed"] = "processed"


class DeletedFileShape(BaseModel):
    """The reply to a deletion."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


def _describe(file: UploadedFile) -> OpenAIFileShape:
    return OpenAIFileShape(
        id=file.id, bytes=file.size, created_at=file.created, filename=file.name,
        purpose=file.purpose,
    )  # fmt: skip


@router.post(
    "",
    responses=error_responses(408, 415, 501),
    openapi_extra=describe_body({"multipart/form-data": inline_schema(FileForm, "validation")}),
)
async def upload_file(request: Request) -> OpenAIFileShape:
    """Upload a file; it is searched once it is added to a vector store."""
    collections, principal = find_sender(request)
    files, shared = collections.files, collections.shared
    async with receive_form(request, files.incoming_folder, max_files=1) as form:
        try:
            body = FileForm.model_validate(form.fields)
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from error
        if not form.files:
            raise RequestError(400, "there is no file: send it as the file `file`")

        def keep(received: ReceivedFile) -> UploadedFile:
            kind = check_file(received.path, received.name, shared.options)
            return files.add(received, kind, body.purpose, principal)

        return _describe(await shared.run_in_thread("take", keep, form.files[0]))


@router.get("")
async def list_files(
    request: Request,
    *,
    purpose: Purpose | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_FILES_LISTED)] = MAX_FILES_LISTED,
    order: Order = "desc",
    after: str | None = None,
) -> Page[OpenAIFileShape]:
    """List your uploaded files by time."""
    collections, principal = find_sender(request)
    files = await collections.shared.run_in_thread("list", collections.files.all, principal)
    shapes = [_describe(file) for file in files if purpose in (None, file.purpose)]
    return cut_page(shapes, limit, order, after)


@router.get(
    "/{file_id}/content",
    response_class=Response,
    responses={
        **error_responses(404),
        200: {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}},
    },
)
async def get_file_content(request: Request, file_id: str) -> Response:
    """Get the content of an uploaded file."""
    collections, _ = find_sender(request)
    files = collections.files
    file = await _get(request, file_id)
    content = await collections.shared.run_in_thread("get", files.open, file)
    # Starlette reads the blocks on threads.
    blocks = iter(partial(content.read, BLOCK_BYTES), b"")
    return StreamingResponse(
        blocks,
        media_type="application/octet-stream",
        headers={"content-length": str(file.size)},
        background=BackgroundTask(content.close),
    )


@router.get("/{file_id}", responses=error_responses(404))
async def get_file(request: Request, file_id: str) -> OpenAIFileShape:
    """Get an uploaded file."""
    return _describe(await _get(request, file_id))


async def _get(request: Request, file_id: str) -> UploadedFile:
    collections, principal = find_sender(request)
    get = collections.files.get
    return await collections.shared.run_in_thread("get", get, file_id, principal)


@router.delete("/{file_id}", responses=error_responses(404))
async def delete_file(request: Request, file_id: str) -> DeletedFileShape:
    """Delete an uploaded file; documents made of it stay."""
    collections, principal = find_sender(request)
    await collections.shared.run_in_thread("take", collections.files.delete, file_id, principal)
    return DeletedFileShape(id=file_id)
