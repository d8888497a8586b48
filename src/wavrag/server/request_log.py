"""Request ids, a span for each request, and logs as JSON lines."""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wavrag import telemetry
from wavrag.server.metrics import METHODS, route_of

ID_HEADER = "x-request-id"
# Ids of clients are logged, so they must not hold line breaks, and not fill the log.
_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
request_id: ContextVar[str | None] = ContextVar("wavrag_request_id", default=None)
logger = logging.getLogger("wavrag.requests")


class RequestLogMiddleware:
    """ASGI middleware that gives each request an id, a span and a line in the log.

    The id is that of the header `x-request-id`, if a proxy sends one, and is part of the reply. The
    line has method, route, status and time, and neither the query string nor any content.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a WebSocket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given_id = headers.get(ID_HEADER, "")
        id = given_id if _ID.fullmatch(given_id) else secrets.token_hex(8)
        token = request_id.set(id)
        start_time = time.perf_counter()
        status: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.accept"):
                status = message.get("status", 101)
                MutableHeaders(scope=message)[ID_HEADER] = id
            await send(message)

        method = "WEBSOCKET" if scope["type"] == "websocket" else scope["method"]
        try:
            with _request_span(method, headers) as span:
                try:
                    await self._app(scope, receive, send_with_id)
                finally:
                    route = route_of(scope)
                    _finish_span(span, method, route, status)
                    milliseconds = round(1e3 * (time.perf_counter() - start_time), 1)
                    logger.info(
                        "%s %s", method if method in METHODS else "other", route,
                        extra={"fields": {"status": status, "ms": milliseconds}},
                    )  # fmt: skip
        finally:
            request_id.reset(token)


def _request_span(method: str, headers: Headers) -> AbstractContextManager[Any]:
    """The span of a request, below that of the client if it sends `traceparent`."""
    tracer = telemetry.current_tracer()
    if tracer is None:
        return nullcontext()
    from opentelemetry import propagate, trace

    return tracer.start_as_current_span(
        method,
        context=propagate.extract(dict(headers)),
        kind=trace.SpanKind.SERVER,
        record_exception=False,
        set_status_on_exception=False,
    )


def _finish_span(span: Any, method: str, route: str, status: int | None) -> None:
    if span is None:
        return
    from opentelemetry.trace import Status, StatusCode

    span.update_name(f"{method} {route}")
    span.set_attributes({"http.request.method": method, "http.route": route})
    span.set_attribute("wavrag.request.id", request_id.get() or "")
    if status is not None:
        span.set_attribute("http.response.status_code", status)
    if status is None or status >= 500:
        span.set_status(Status(StatusCode.ERROR))


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON, with the ids of its request and trace."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if (id := request_id.get()) is not None:
            line["request"] = id
        if telemetry.current_tracer() is not None:
            from opentelemetry import trace

            context = trace.get_current_span().get_span_context()
            if context.is_valid:
                line["trace"] = f"{context.trace_id:032x}"
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_json() -> None:
    """Write the logs of this process to standard error as JSON lines, with one for each request."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("wavrag").setLevel(logging.INFO)
