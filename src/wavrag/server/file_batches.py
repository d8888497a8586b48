"""`/v1/vector_stores/ID/file_batches` in OpenAI's format: files that are added by one job.

The id of a batch is that of its job.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from wavrag.server.errors import COMMON_ERRORS, RequestError, error_responses
from wavrag.server.jobs import IndexJob
from wavrag.server.pages import Page
from wavrag.server.requests import StrictBody
from wavrag.server.session import Session
from wavrag.server.vector_store_files import (
    POLL_HEADER,
    AddFileBody,
    Attributes,
    ListOptions,
    submit_files,
)
from wavrag.server.vector_store_state import (
    FileCountsShape,
    FileStatus,
    VectorStore,
    VectorStoreFileShape,
    count_files,
    list_file_states,
    upload_status,
)

CANCEL_SECONDS = 30.0  # to wait for the end of a cancelled batch

router = APIRouter(prefix="/v1/vector_stores", tags=["openai"], responses=COMMON_ERRORS)


class AddBatchBody(StrictBody):
    """Files to add together: ids with the same attributes, or files with their own."""

    file_ids: list[str] = Field([], max_length=100)
    files: list[AddFileBody] = Field([], max_length=100)
    attributes: Attributes | None = Field(None, description="of the files of `file_ids`")
    chunking_strategy: dict[str, Any] | None = Field(None, description="ignored")

    def all(self) -> list[AddFileBody]:
        """All files."""
        same_attributes = [
            AddFileBody.model_validate({"file_id": id, "attributes": self.attributes})
            for id in self.file_ids
        ]
        return [*same_attributes, *self.files]


class FileBatchShape(BaseModel):
    """Files that are added together."""

    id: str
    object: Literal["vector_store.files_batch"] = "vector_store.files_batch"
    created_at: int
    vector_store_id: str
    status: FileStatus
    file_counts: FileCountsShape


@router.post("/{vector_store_id}/file_batches", responses=error_responses(404))
async def add_file_batch(
    request: Request, vector_store_id: str, state: VectorStore, body: AddBatchBody
) -> FileBatchShape:
    """Add several uploaded files to a collection in the background: all or none."""
    files = body.all()
    if not 0 < len(files) <= 100:
        raise RequestError(400, f"there are {len(files)} files: send 1 to 100 in a batch")
    return _describe_batch(vector_store_id, await submit_files(request, state, files))


@router.get("/{vector_store_id}/file_batches/{batch_id}", responses=error_responses(404))
async def get_file_batch(
    vector_store_id: str, batch_id: str, state: VectorStore, response: Response
) -> FileBatchShape:
    """Get the state of a batch."""
    response.headers.update(POLL_HEADER)
    job = await state.run_in_thread("get", _find_batch, state, batch_id)
    return _describe_batch(vector_store_id, job)


@router.post(
    "/{vector_store_id}/file_batches/{batch_id}/cancel", responses=error_responses(404, 409)
)
async def cancel_file_batch(
    vector_store_id: str, batch_id: str, state: VectorStore
) -> FileBatchShape:
    """End a batch; documents that are stored already stay."""
    job = await state.run_in_thread("get", _find_batch, state, batch_id)
    if job.has_ended:
        raise RequestError(409, f"batch {batch_id} is {job.state}: it has ended")
    await state.run_in_thread("take", state.cancel, job)
    await state.wait_for_job(job, CANCEL_SECONDS)
    job = await state.run_in_thread("get", _find_batch, state, batch_id)
    return _describe_batch(vector_store_id, job)


@router.get("/{vector_store_id}/file_batches/{batch_id}/files", responses=error_responses(404))
async def list_file_batch(
    vector_store_id: str,
    batch_id: str,
    state: VectorStore,
    options: Annotated[ListOptions, Query()],
) -> Page[VectorStoreFileShape]:
    """List the files of a batch."""
    ids = set((await state.run_in_thread("get", _find_batch, state, batch_id)).documents)
    shapes = await state.run_in_thread("list", list_file_states, state, vector_store_id)
    return options.cut([shape for shape in shapes if shape.id in ids])


def _find_batch(state: Session, batch_id: str) -> IndexJob:
    job = state.job(batch_id)
    if job is None or not job.uploads:
        raise RequestError(404, f"there is no batch {batch_id[:100]}: old ones are forgotten")
    return job


def _describe_batch(name: str, job: IndexJob) -> FileBatchShape:
    statuses = [upload_status(job, upload)[0] for upload in job.uploads]
    status: FileStatus = "completed"
    if job.state != "done":
        status = statuses[0]
    return FileBatchShape(
        id=job.id,
        created_at=job.created_seconds,
        vector_store_id=name,
        status=status,
        file_counts=count_files(statuses),
    )
