"""What every request passes first: who asks, from which page, how much is sent, how slowly.

A layer around the application, so that nothing of a request that is refused is read or kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wavrag.server.options import LOOPBACK, ServerOptions
from wavrag.server.problems import RequestError, problem

UPLOADS = "/v1/documents"
_PROTECTED = ("/v1/", "/metrics", "/openapi.json")
_SAFE_HEADERS = {
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


class Tokens:
    """The bearer tokens that are accepted; false if there are none, and none is asked for."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._digests = [hashlib.sha256(token.encode()).digest() for token in tokens]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def accept(self, token: str) -> bool:
        """Whether a token is one of them; it is compared with all, each in constant time."""
        given = hashlib.sha256(token.encode(errors="replace")).digest()
        return sum(hmac.compare_digest(given, digest) for digest in self._digests) > 0


class Guard:
    """Refuses what may not come in, and puts security headers on what goes out."""

    def __init__(self, app: ASGIApp, options: ServerOptions) -> None:
        self._app = app
        self._options = options
        self._tokens = Tokens(options.tokens)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        reason = self._refusal(scope, headers)
        if scope["type"] == "websocket":
            if reason is not None:
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": str(reason.detail)})
                return
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                outgoing = MutableHeaders(scope=message)
                for name, value in _SAFE_HEADERS.items():
                    outgoing.setdefault(name, value)
                is_data = scope["path"].startswith("/v1/")
                # The page is asked for anew, so that its parts are of one version.
                outgoing.setdefault("cache-control", "no-store" if is_data else "no-cache")
            await send(message)

        if reason is not None:
            response = JSONResponse(
                problem(reason.status_code, str(reason.detail)), reason.status_code, reason.headers
            )
            await response(scope, receive, send_safely)
            return
        await self._app(scope, self._measured(receive, self._limit(scope)), send_safely)

    def _refusal(self, scope: Scope, headers: Headers) -> RequestError | None:
        """Why a request is refused before anything of it is read; None if it is not."""
        host = headers.get("host", "")
        if not self._options.tokens and _name(host) not in (*LOOPBACK, *self._options.hosts):
            return RequestError(
                421, "this server is not known by that name: allow the name with --allow-host"
            )
        origin = headers.get("origin")
        if origin is not None and not self._is_ours(origin, host):
            return RequestError(
                403, "web pages of other servers may not call this one: allow one with"
                " --allow-origin"
            )  # fmt: skip
        if scope["type"] == "websocket":
            return None  # a browser cannot set its headers: the endpoint asks for the token
        path: str = scope["path"]
        preflight = scope["method"] == "OPTIONS" and origin is not None
        if self._tokens and path.startswith(_PROTECTED) and not preflight:
            kind, _, token = headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or not self._tokens.accept(token.strip()):
                return RequestError(
                    401,
                    "a token is needed: send it as `Authorization: Bearer TOKEN`",
                    {"www-authenticate": "Bearer"},
                )
        declared = headers.get("content-length", "")
        limit = self._limit(scope)
        if declared.isdecimal() and int(declared) > limit:
            return RequestError(413, f"the body is larger than {limit} bytes: send less at a time")
        return None

    def _is_ours(self, origin: str, host: str) -> bool:
        """Whether a page is of this server, or of one that is allowed."""
        return origin in self._options.origins or urlsplit(origin).netloc.lower() == host.lower()

    def _limit(self, scope: Scope) -> int:
        if scope["path"].rstrip("/") == UPLOADS:
            return self._options.max_upload_bytes
        return self._options.max_request_bytes

    def _measured(self, receive: Receive, limit: int) -> Receive:
        """The body as it comes, refused once it is too large or pauses too long."""
        seconds = self._options.body_seconds
        read, whole = 0, False

        async def receive_measured() -> Message:
            nonlocal read, whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout(seconds):
                    message = await receive()
            except TimeoutError:
                raise RequestError(
                    408, f"nothing of the body came for {seconds:g} s: send it again"
                ) from None
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                whole = not message.get("more_body", False)
                if read > limit:
                    raise RequestError(
                        413, f"the body is larger than {limit} bytes: send less at a time"
                    )
            return message

        return receive_measured


def _name(host: str) -> str:
    """The name in a `Host` header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
