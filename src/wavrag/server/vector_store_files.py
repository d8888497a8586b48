"""`/v1/vector_stores/ID/files` in OpenAI's format: the documents of a collection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, Field

from wavrag.server.documents import join_text, read_document
from wavrag.server.errors import COMMON_ERRORS, RequestError, error_responses
from wavrag.server.jobs import IndexJob
from wavrag.server.multipart import MAX_FIELD_BYTES
from wavrag.server.pages import Order, Page, cut_page
from wavrag.server.requests import MetadataValue, StrictBody
from wavrag.server.session import Session, find_sender
from wavrag.server.vector_store_state import (
    FileStatus,
    VectorStore,
    VectorStoreFileShape,
    add_files,
    get_file_state,
    list_file_states,
)
from wavrag.types import Scalar

DELETE_SECONDS = 30.0  # to wait for the end of a removal
# Milliseconds between the requests of OpenAI's clients that wait for a file.
POLL_HEADER = {"openai-poll-after-ms": "200"}


def _check_attributes(attributes: dict[str, Scalar]) -> dict[str, Scalar]:
    # Every passage keeps them.
    if sum(len(key) + len(str(value)) for key, value in attributes.items()) > MAX_FIELD_BYTES:
        raise ValueError(
            f"the attributes have more than {MAX_FIELD_BYTES} characters: shorten them"
        )
    return attributes


Attributes: TypeAlias = Annotated[
    dict[str, MetadataValue], Field(max_length=64), AfterValidator(_check_attributes)
]

router = APIRouter(prefix="/v1/vector_stores", tags=["openai"], responses=COMMON_ERRORS)


class AddFileBody(StrictBody):
    """An uploaded file to add to a vector store."""

    file_id: str = Field(description="id of a file of /v1/files")
    attributes: Attributes | None = Field(
        None, description="metadata; `access` has access labels, separated by commas"
    )
    chunking_strategy: dict[str, Any] | None = Field(None, description="ignored")


class RemovedFileShape(BaseModel):
    """The reply to a removal."""

    id: str
    object: Literal["vector_store.file.deleted"] = "vector_store.file.deleted"
    deleted: Literal[True] = True


class TextShape(BaseModel):
    """Text of a document or a passage."""

    type: Literal["text"] = "text"
    text: str


class FileContentShape(BaseModel):
    """The text of a document."""

    object: Literal["vector_store.file_content.page"] = "vector_store.file_content.page"
    data: list[TextShape]
    has_more: Literal[False] = False
    next_page: None = None


class ListOptions(BaseModel):
    """A page of a list of files."""

    limit: int = Field(20, ge=1, le=100)
    order: Order = Field("desc", description="by id")
    after: str | None = None
    before: str | None = None
    filter: FileStatus | None = None

    def cut(self, shapes: Sequence[VectorStoreFileShape]) -> Page[VectorStoreFileShape]:
        """The page of the files with the status."""
        matches = [shape for shape in shapes if self.filter in (None, shape.status)]
        return cut_page(matches, self.limit, self.order, self.after, self.before)


@router.get("/{vector_store_id}/files", responses=error_responses(404))
async def list_vector_store_files(
    vector_store_id: str, state: VectorStore, options: Annotated[ListOptions, Query()]
) -> Page[VectorStoreFileShape]:
    """List the documents of a collection, and the files that are being added."""
    shapes = await state.run_in_thread("list", list_file_states, state, vector_store_id)
    return options.cut(shapes)


@router.post("/{vector_store_id}/files", responses=error_responses(404))
async def add_vector_store_file(
    request: Request, vector_store_id: str, state: VectorStore, body: AddFileBody
) -> VectorStoreFileShape:
    """Add an uploaded file to a collection in the background."""
    await submit_files(request, state, [body])
    return await state.run_in_thread("get", get_file_state, state, vector_store_id, body.file_id)


async def submit_files(request: Request, state: Session, bodies: Sequence[AddFileBody]) -> IndexJob:
    """Submit a job to add uploaded files of the sender.

    Raises:
        RequestError: one of them does not exist, or is listed twice.
    """
    collections, principal = find_sender(request)
    uploaded = collections.files
    if len({body.file_id for body in bodies}) < len(bodies):
        raise RequestError(400, "a file is listed twice: list it once")

    def submit() -> IndexJob:
        files = [(uploaded.get(body.file_id, principal), body.attributes or {}) for body in bodies]
        return add_files(uploaded, state, files)

    return await state.run_in_thread("take", submit)


@router.get("/{vector_store_id}/files/{file_id:path}/content", responses=error_responses(404))
async def get_vector_store_file_content(file_id: str, state: VectorStore) -> FileContentShape:
    """Get the text of a document, or the transcript of a recording."""
    passages = await read_document(state, state.rag.kb.passages, file_id)
    return FileContentShape(data=[TextShape(text=join_text(passages))])


@router.get("/{vector_store_id}/files/{file_id:path}", responses=error_responses(404))
async def get_vector_store_file(
    vector_store_id: str, file_id: str, state: VectorStore, response: Response
) -> VectorStoreFileShape:
    """Get a document, or the state of a file that is being added."""
    response.headers.update(POLL_HEADER)
    return await state.run_in_thread("get", get_file_state, state, vector_store_id, file_id)


@router.delete("/{vector_store_id}/files/{file_id:path}", responses=error_responses(404))
async def remove_vector_store_file(
    vector_store_id: str, file_id: str, state: VectorStore
) -> RemovedFileShape:
    """Remove a document from a collection; the uploaded file of /v1/files stays."""
    await state.run_in_thread("get", get_file_state, state, vector_store_id, file_id)
    job = await state.run_in_thread("take", state.submit, [], [file_id])
    await state.wait_for_job(job, DELETE_SECONDS)
    return RemovedFileShape(id=file_id)
