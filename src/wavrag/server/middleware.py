"""ASGI middleware for access control, body limits and security headers.

It runs before the application, so a rejected request is neither read nor stored.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from urllib.parse import urlsplit

from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wavrag.access import (
    ANONYMOUS,
    COLLECTION,
    DOCUMENTS,
    LOOPBACK,
    PRINCIPAL,
    AuditLog,
    Principal,
    required_scope,
)
from wavrag.errors import WavRAGError
from wavrag.server import limits
from wavrag.server.authentication import Authenticator
from wavrag.server.errors import RequestError, error_reply, public_message
from wavrag.server.options import ServerOptions
from wavrag.server.queues import CLIENT

CONNECTION = "wavrag.connection"  # key of the ASGI scope; see `wavrag.server.connections`
UPLOAD_PATHS = ("/v1/documents", "/v1/files", "/v1/audio/transcriptions")
_PROTECTED_PATHS = ("/v1/", "/mcp", "/metrics", "/openapi.json", "/asyncapi.json")
_SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
        " media-src 'self' blob:; font-src 'self'; connect-src 'self'; worker-src 'self';"
        " manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class SecurityMiddleware:
    """Checks Host, Origin, token and body size, and adds security headers to replies.

    It passes the sender on in the ASGI scope, and records changes in the audit log.
    """

    def __init__(
        self, app: ASGIApp, options: ServerOptions, authenticator: Authenticator, audit: AuditLog
    ) -> None:
        self._app = app
        self._options = options
        self._authenticator = authenticator
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or reject a request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        CLIENT.set(_client_of(scope, headers))
        error = await self._check_request(scope, headers)
        if scope["type"] == "websocket":
            if error is None:
                await self._app(scope, receive, send)
                return
            # ASGI: the connect event comes first; closing before accepting sends HTTP 403.
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": public_message(error)})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                is_data = scope["path"].startswith(("/v1/", "/mcp"))
                # Browsers revalidate the page's files, so that all come from the same version.
                headers.setdefault("cache-control", "no-store" if is_data else "no-cache")
            await send(message)

        if error is not None:
            await error_reply(error)(scope, receive, send_with_headers)
            return
        body = self._limit_body(receive, self._max_bytes(scope))
        if required_scope(scope["method"], scope["path"]) == "read":
            await self._app(scope, body, send_with_headers)
        else:
            await self._app(scope, body, self._audited(scope, send_with_headers))

    def _audited(self, scope: Scope, send: Send) -> Send:
        """Wrap `send` to record a change before the client hears of it."""

        async def send_audited(message: Message) -> None:
            if message["type"] == "http.response.start":
                principal: Principal = scope.get(PRINCIPAL, ANONYMOUS)
                named = scope.get("path_params", {}).get("document_id")
                documents = scope.get(DOCUMENTS, ()) or ((named,) if named else ())
                action = str(getattr(scope.get("route"), "name", scope["path"][:200]))
                record = partial(
                    self._audit.record, principal.name, action,
                    collection=scope.get(COLLECTION, ""), documents=documents,
                    result=message["status"],
                )  # fmt: skip
                await to_thread.run_sync(record)
            await send(message)

        return send_audited

    async def _check_request(
        self, scope: Scope, headers: Headers
    ) -> WavRAGError | RequestError | None:
        """The reason to reject a request before reading its body; None to accept it."""
        host = headers.get("host", "")
        allowed_hosts = (*LOOPBACK, *self._options.allowed_hosts)
        # Blocks DNS rebinding: a web page whose own name resolves to this machine is same-origin
        # to the browser, but its Host header gives it away. A token blocks it as well, since the
        # browser stores it for another origin.
        if not self._options.needs_token and _host_name(host) not in allowed_hosts:
            return RequestError(
                421, "the Host header is not allowed: allow the name with --allow-host"
            )
        # Blocks CSRF: CORS alone hides replies from other origins, but lets simple POSTs through.
        # Clients other than browsers send no Origin.
        origin = headers.get("origin")
        is_same_origin = origin is None or origin.partition("://")[2].lower() == host.lower()
        if not is_same_origin and origin not in self._options.allowed_origins:
            return RequestError(
                403, "the Origin header is not allowed: allow the web page with --allow-origin"
            )
        if scope["type"] == "websocket":
            # Browsers cannot set headers of a WebSocket, so `/v1/live` reads the token from the
            # first message.
            return None
        return await self._check_token(scope, headers) or self._check_length(scope, headers)

    async def _check_token(
        self, scope: Scope, headers: Headers
    ) -> WavRAGError | RequestError | None:
        path: str = scope["path"]
        # Browsers send CORS preflights without credentials.
        is_preflight = scope["method"] == "OPTIONS" and "origin" in headers
        if not self._options.needs_token or is_preflight or not path.startswith(_PROTECTED_PATHS):
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        try:
            principal = await self._authenticator.identify(token.strip())
        except WavRAGError as error:
            return error
        if scheme.lower() != "bearer" or principal is None:
            return RequestError(
                401,
                "a token is needed: send it as `Authorization: Bearer TOKEN`",
                {"www-authenticate": "Bearer"},
            )
        mark_authenticated(scope)
        scope[PRINCIPAL] = principal
        needed = required_scope(scope["method"], path)
        if principal.may(needed):
            return None
        return RequestError(
            403, f"this token has the scope {principal.scope}, and {needed} is needed: use another"
        )

    def _check_length(self, scope: Scope, headers: Headers) -> RequestError | None:
        length, limit = headers.get("content-length", ""), self._max_bytes(scope)
        return _too_large(limit) if length.isdecimal() and int(length) > limit else None

    def _max_bytes(self, scope: Scope) -> int:
        if scope["path"].rstrip("/") in UPLOAD_PATHS:
            return self._options.max_upload_bytes
        return limits.MAX_REQUEST_BYTES

    def _limit_body(self, receive: Receive, max_bytes: int) -> Receive:
        """Wrap `receive` to reject a large, stalled or slow body."""
        received_bytes, is_complete = 0, False
        waiting = 0.0  # seconds; the server's own work on the body does not count

        async def receive_within_limits() -> Message:
            nonlocal received_bytes, is_complete, waiting
            if is_complete:
                # No timeout any more: the next message is the disconnect, however late.
                return await receive()
            start_time = time.monotonic()
            budget = limits.BODY_GRACE + received_bytes / limits.MIN_BODY_RATE - waiting
            try:
                async with asyncio.timeout(min(limits.BODY_TIMEOUT, max(budget, 0))):
                    message = await receive()
            except TimeoutError:
                raise RequestError(
                    408, "the body stalled or arrived too slowly: send it again"
                ) from None
            waiting += time.monotonic() - start_time
            if message["type"] == "http.request":
                received_bytes += len(message.get("body", b""))
                is_complete = not message.get("more_body", False)
                if received_bytes > max_bytes:
                    raise _too_large(max_bytes)
            return message

        return receive_within_limits


def mark_authenticated(scope: Scope) -> None:
    """Record that the client has a valid token: its connection keeps its room in any case."""
    if CONNECTION in scope:
        scope[CONNECTION].is_authenticated = True


def _client_of(scope: Scope, headers: Headers) -> tuple[str, int]:
    """Who shares a turn in the queues: the requests of a network address with the same token."""
    if CONNECTION in scope:
        address = scope[CONNECTION].address
    else:
        address = (scope.get("client") or ("",))[0]
    return address, hash(headers.get("authorization"))


def _too_large(max_bytes: int) -> RequestError:
    return RequestError(413, f"the body is larger than {max_bytes} bytes: send less at a time")


def _host_name(host: str) -> str:
    """The name in a Host header, without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
