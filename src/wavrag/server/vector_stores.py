"""`/v1/vector_stores` in OpenAI's format: the collections of the server, and searches of them."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from wavrag import types
from wavrag.access import COLLECTION
from wavrag.server.attribute_filters import SizedFilter, to_where
from wavrag.server.collections import NAME_PATTERN
from wavrag.server.errors import COMMON_ERRORS, error_responses
from wavrag.server.files import name_file
from wavrag.server.pages import Order, Page, PageItem, cut_page
from wavrag.server.requests import StrictBody, Text
from wavrag.server.session import Session, check_unlimited, find_sender
from wavrag.server.vector_store_files import TextShape
from wavrag.server.vector_store_state import (
    AddedFile,
    FileCountsShape,
    VectorStore,
    add_files,
    count_files,
    list_file_states,
    open_vector_store,
    public_metadata,
)
from wavrag.types import Hit, Passage, Scalar

MAX_RESULTS = 50  # as in OpenAI's API
# Of a passage, beside its metadata; the keys are those of filters.
ATTRIBUTES = ("start", "end", "page", "section", "speaker", "channel", "track")

router = APIRouter(prefix="/v1/vector_stores", tags=["openai"], responses=COMMON_ERRORS)


class VectorStoreShape(PageItem):
    """A collection; its size in bytes and its times are not known: 0."""

    object: Literal["vector_store"] = "vector_store"
    created_at: Literal[0] = 0
    name: str
    usage_bytes: Literal[0] = 0
    file_counts: FileCountsShape
    status: Literal["completed", "in_progress"]
    metadata: None = None
    expires_after: None = None
    expires_at: None = None
    last_active_at: None = None


class VectorStoreBody(StrictBody):
    """A new vector store."""

    name: str | None = Field(
        None, pattern=f"^{NAME_PATTERN}$", description="lower-case letters, digits, - and _"
    )
    file_ids: list[str] = Field([], max_length=100, description="uploaded files to add")
    chunking_strategy: dict[str, Any] | None = Field(None, description="ignored")


class DeletedVectorStoreShape(BaseModel):
    """The reply to a deletion."""

    id: str
    object: Literal["vector_store.deleted"] = "vector_store.deleted"
    deleted: Literal[True] = True


class RankingOptions(BaseModel):
    """Options of the ranking."""

    # Clients send the name of a ranker; the knowledge base has its own.
    model_config = ConfigDict(extra="ignore")

    score_threshold: float = Field(0.0, ge=0, le=1, description="minimum score of a result")


class VectorStoreSearchBody(BaseModel):
    """Body of a search; parameters without an effect are ignored."""

    query: Text | Annotated[list[Text], Field(min_length=1, max_length=16)]
    filters: SizedFilter | None = None
    max_num_results: int = Field(10, ge=1, le=MAX_RESULTS)
    ranking_options: RankingOptions | None = None


class SearchResultShape(BaseModel):
    """A hit; its attributes are metadata, seconds in a recording, page, section and speaker."""

    file_id: str
    filename: str
    score: float
    attributes: dict[str, Scalar]
    content: list[TextShape]


class SearchResultsShape(BaseModel):
    """The hits of a search, best first."""

    object: Literal["vector_store.search_results.page"] = "vector_store.search_results.page"
    search_query: list[str]
    data: list[SearchResultShape]
    has_more: Literal[False] = False
    next_page: None = None


@router.get("")
async def list_vector_stores(
    request: Request,
    *,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Order = "desc",
    after: str | None = None,
    before: str | None = None,
) -> Page[VectorStoreShape]:
    """List the collections by name; a server of a single knowledge base has one."""
    collections, principal = find_sender(request)
    path_name = request.scope.get(COLLECTION)
    names = [name for name in collections.names(principal) if path_name in (None, name)]
    # Cut before the files are counted, which reads all documents of a collection.
    page = cut_page([PageItem(id=name) for name in names], limit, order, after, before)
    shapes = []
    for item in page.data:
        session = open_vector_store(request, item.id)
        shapes.append(await session.run_in_thread("list", _describe, item.id, session))
    return Page(data=shapes, first_id=page.first_id, last_id=page.last_id, has_more=page.has_more)


@router.post("", responses=error_responses(404, 409))
async def create_vector_store(request: Request, body: VectorStoreBody) -> VectorStoreShape:
    """Create a collection, and add uploaded files to it."""
    collections, principal = find_sender(request)
    check_unlimited(principal)
    files: list[AddedFile] = [
        (await collections.shared.run_in_thread("get", collections.files.get, id, principal), {})
        for id in body.file_ids
    ]
    name = body.name or f"vs-{secrets.token_hex(8)}"
    request.scope[COLLECTION] = name  # for the audit log
    await collections.shared.run_in_thread("take", collections.create, name)
    session = open_vector_store(request, name)
    if files:
        await session.run_in_thread("take", add_files, collections.files, session, files)
    return await session.run_in_thread("list", _describe, name, session)


@router.get("/{vector_store_id}", responses=error_responses(404))
async def get_vector_store(vector_store_id: str, state: VectorStore) -> VectorStoreShape:
    """Get a collection."""
    return await state.run_in_thread("list", _describe, vector_store_id, state)


@router.delete("/{vector_store_id}", responses=error_responses(404, 409))
async def delete_vector_store(
    request: Request, vector_store_id: str, state: VectorStore
) -> DeletedVectorStoreShape:
    """Delete a collection with all its documents."""
    collections, principal = find_sender(request)
    request.scope[COLLECTION] = vector_store_id  # for the audit log
    await state.run_in_thread("take", collections.delete, vector_store_id, principal)
    return DeletedVectorStoreShape(id=vector_store_id)


@router.post("/{vector_store_id}/search", responses=error_responses(404))
async def search_vector_store(
    vector_store_id: str, body: VectorStoreSearchBody, state: VectorStore
) -> SearchResultsShape:
    """Find passages for a query, or for several at once."""
    queries = [body.query] if isinstance(body.query, str) else body.query
    where = to_where(body.filters)
    best: dict[str, Hit] = {}
    for text in queries:
        query = types.Query(text, where=where)
        result = await state.run_in_thread(
            "search", state.rag.kb.retrieve, query, body.max_num_results
        )
        for hit in result.hits:
            id = hit.passage.id
            best[id] = max(hit, best.get(id, hit), key=lambda hit: hit.score)
    hits = sorted(best.values(), key=lambda hit: (-hit.score, hit.passage.id))
    if len(queries) == 1:  # in the order of their ranks
        hits = list(best.values())
    threshold = body.ranking_options.score_threshold if body.ranking_options else 0.0
    results = [describe_hit(hit) for hit in hits if hit.score >= threshold]
    return SearchResultsShape(search_query=queries, data=results[: body.max_num_results])


def describe_hit(hit: Hit) -> SearchResultShape:
    """A hit in OpenAI's format."""
    passage = hit.passage
    return SearchResultShape(
        file_id=passage.document_id,
        filename=name_file(passage.source, passage.metadata)["name"],
        score=round(hit.score, 6),
        attributes=describe_attributes(passage),
        content=[TextShape(text=passage.text or "")],
    )


def describe_attributes(passage: Passage) -> dict[str, Scalar]:
    """Metadata, location and speaker of a passage, by their keys in filters."""
    values = {name: getattr(passage, name) for name in ATTRIBUTES}
    fields = {name: value for name, value in values.items() if value not in (None, "")}
    return public_metadata(passage.metadata) | fields


def _describe(name: str, state: Session) -> VectorStoreShape:
    files = list_file_states(state, name)
    counts = count_files(file.status for file in files)
    return VectorStoreShape(
        id=name,
        name=name,
        file_counts=counts,
        status="in_progress" if counts.in_progress else "completed",
    )
