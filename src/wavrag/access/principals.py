"""The sender of a request and its rights."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

LOOPBACK = ("127.0.0.1", "localhost", "::1")  # names of this machine
# Keys of the ASGI scope of a request
PRINCIPAL = "wavrag.principal"  # its sender, set by `SecurityMiddleware`
COLLECTION = "wavrag.collection"  # the name in its path, set by `CollectionMiddleware`
DOCUMENTS = "wavrag.documents"  # ids of the documents that it changes, set by a `Session`

Scope: TypeAlias = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)  # each includes those before it

# Requests that read although they have a body. The tool of `/mcp` that writes checks the scope.
READING_POSTS = frozenset({
    "/v1/search", "/v1/ask", "/v1/chat/completions", "/v1/responses", "/v1/embeddings",
    "/v1/audio/transcriptions", "/v1/audio/speech", "/mcp", "/v1/mcp",
})  # fmt: skip
_VECTOR_STORE = re.compile(r"/v1/vector_stores/[^/]+(/search)?/?")
# Their changes concern everybody, whatever the labels of a document.
ADMIN_PATHS = ("/v1/voices", "/v1/collections", "/v1/tokens")


@dataclass(frozen=True, slots=True)
class Principal:
    """A user or a program.

    Attributes:
        id: unique; it owns jobs.
        name: for the audit log.
        scope: `read`: search, ask, read; `write`: also add, correct and remove documents; `admin`:
            everything, whatever the labels of a document.
        labels: access labels; without `admin`, documents with other labels only do not exist.
        collections: names of accessible collections; None for all.
        expires: seconds since the epoch from which it is no longer valid; None for no limit.
    """

    id: str
    name: str
    scope: Scope
    labels: frozenset[str] = frozenset()
    collections: frozenset[str] | None = None
    expires: float | None = None

    @property
    def sees_all(self) -> bool:
        """True if labels hide nothing from it."""
        return self.scope == "admin"

    @property
    def is_unlimited(self) -> bool:
        """True if labels hide nothing from it, in any collection."""
        return self.sees_all and self.collections is None

    def may(self, scope: Scope) -> bool:
        """True if its scope includes another one."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)

    def may_enter(self, collection: str) -> bool:
        """True if it may use a collection."""
        return self.collections is None or collection in self.collections


ANONYMOUS = Principal("", "anonymous", "admin")
"""Anybody, on a server without access control."""

OPERATOR = Principal("operator", "operator", "admin")
"""The owner of a token of `--token`."""


def required_scope(method: str, path: str) -> Scope:
    """The scope that a request needs; a new operation that changes something needs `write`."""
    if path == "/metrics" or method == "PUT":
        return "admin"
    if method in ("GET", "HEAD", "OPTIONS") or path.rstrip("/") in READING_POSTS:
        return "read"
    if path.rstrip("/") == "/v1/vector_stores":  # creates a collection
        return "admin"
    if match := _VECTOR_STORE.fullmatch(path):
        return "read" if match[1] else "admin"
    return "admin" if path.startswith(ADMIN_PATHS) else "write"
