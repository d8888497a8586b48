"""`/v1/collections`: list, create and delete collections."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from wavrag.access import COLLECTION
from wavrag.server.collections import NAME_PATTERN
from wavrag.server.errors import COMMON_ERRORS, error_responses
from wavrag.server.requests import StrictBody
from wavrag.server.session import check_unlimited, find_sender

router = APIRouter(prefix="/v1/collections", tags=["collections"], responses=COMMON_ERRORS)


class CollectionBody(StrictBody):
    """A new collection."""

    name: str = Field(pattern=f"^{NAME_PATTERN}$", description="lower-case letters, digits, - _")


class CollectionShape(BaseModel):
    """A collection."""

    name: str


class CollectionsShape(BaseModel):
    """The collections that the user may enter, ordered by name."""

    collections: list[CollectionShape]
    can_create: bool  # whether the user may create and delete some


@router.get("")
async def list_collections(request: Request) -> CollectionsShape:
    """List the collections; a server of a single knowledge base has one, `default`."""
    collections, principal = find_sender(request)
    return CollectionsShape(
        collections=[CollectionShape(name=name) for name in collections.names(principal)],
        can_create=collections.has_folder and principal.is_unlimited,
    )


@router.post("", status_code=201, responses=error_responses(409))
async def create_collection(request: Request, body: CollectionBody) -> CollectionShape:
    """Create a collection."""
    collections, principal = find_sender(request)
    check_unlimited(principal)
    request.scope[COLLECTION] = body.name  # for the audit log
    await collections.shared.run_in_thread("take", collections.create, body.name)
    return CollectionShape(name=body.name)


@router.delete("/{name}", status_code=204, responses=error_responses(404, 409))
async def delete_collection(request: Request, name: str) -> Response:
    """Delete a collection with all its documents."""
    collections, principal = find_sender(request)
    request.scope[COLLECTION] = name  # for the audit log
    await collections.shared.run_in_thread("take", collections.delete, name, principal)
    return Response(status_code=204)
