"""`/v1/collections`: list, create and delete collections."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from wavrag.access import ANONYMOUS, COLLECTION, PRINCIPAL, Principal
from wavrag.server.collections import NAME_PATTERN, Collections
from wavrag.server.errors import COMMON_ERRORS, RequestError, error_responses
from wavrag.server.requests import StrictBody

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


def _open(request: Request) -> tuple[Collections, Principal]:
    collections: Collections = request.app.state.collections
    return collections, request.scope.get(PRINCIPAL, ANONYMOUS)


@router.get("")
async def list_collections(request: Request) -> CollectionsShape:
    """List the collections; a server of a single knowledge base has one, `default`."""
    collections, principal = _open(request)
    return CollectionsShape(
        collections=[CollectionShape(name=name) for name in collections.names(principal)],
        can_create=collections.has_folder and _may_create(principal),
    )


@router.post("", status_code=201, responses=error_responses(409))
async def create_collection(request: Request, body: CollectionBody) -> CollectionShape:
    """Create a collection."""
    collections, principal = _open(request)
    if not _may_create(principal):
        raise RequestError(403, "this token is limited to some collections: use another")
    request.scope[COLLECTION] = body.name  # for the audit log
    await collections.shared.run_in_thread("take", collections.create, body.name)
    return CollectionShape(name=body.name)


@router.delete("/{name}", status_code=204, responses=error_responses(404, 409))
async def delete_collection(request: Request, name: str) -> Response:
    """Delete a collection with all its documents."""
    collections, principal = _open(request)
    request.scope[COLLECTION] = name  # for the audit log
    await collections.shared.run_in_thread("take", collections.delete, name, principal)
    return Response(status_code=204)


def _may_create(principal: Principal) -> bool:
    return principal.sees_all and principal.collections is None
