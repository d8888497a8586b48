"""HTTP status and JSON body of every error, in the format of OpenAI's API."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from wavrag.disk import is_disk_full
from wavrag.errors import (
    EmbedderError,
    GenerationError,
    InputError,
    MissingExtraError,
    SpeechError,
    StoreError,
    WavRAGError,
)
from wavrag.shapes import validation_message

logger = logging.getLogger(__name__)

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "too_large_error",
    415: "unsupported_type_error",
    421: "misdirected_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    507: "server_error",
}
CLIENT_CLOSED_REQUEST = 499  # nginx's status for it; shows in the metrics only
INSUFFICIENT_STORAGE = 507
_STATUS_CODES: tuple[tuple[type[Exception], int], ...] = (
    (ClientDisconnect, CLIENT_CLOSED_REQUEST),
    (RequestValidationError, 422),
    (InputError, 400),
    (SpeechError, 400),
    (MissingExtraError, 404),
    # Both may come from a remote model, so the fault lies behind this server.
    (GenerationError, 502),
    (EmbedderError, 502),
)


class RequestError(HTTPException):
    """A rejected request; the message names the input and the remedy."""


class ErrorDetail(BaseModel):
    """The cause of an error and its remedy."""

    message: str
    type: str
    code: int
    param: str | None


class ErrorShape(BaseModel):
    """An error."""

    error: ErrorDetail


def error_body(error: Exception) -> dict[str, Any]:
    """The JSON body for an exception; an unexpected one reveals nothing but that it happened."""
    status = _status_code(error)
    message = public_message(error)
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    detail = ErrorDetail(message=message, type=kind, code=status, param=None)
    return ErrorShape(error=detail).model_dump()


def public_message(error: Exception) -> str:
    """The message of an exception for clients, without paths of the server's folders."""
    match error:
        case HTTPException():
            return str(error.detail)
        case RequestValidationError():
            return validation_message(error.errors())
        case StoreError() if is_disk_full(error):
            return "the disk of the server is full: try again when its operator has freed space"
        case StoreError():
            return "the server cannot read or write its knowledge base: see the log of the server"
        case WavRAGError():
            return str(error)
    return "internal server error: see the log of the server"


def error_reply(error: Exception) -> JSONResponse:
    """The reply to a request that ended in an exception."""
    return JSONResponse(error_body(error), _status_code(error), getattr(error, "headers", None))


def _status_code(error: Exception) -> int:
    if isinstance(error, HTTPException):
        return error.status_code
    if isinstance(error, StoreError) and is_disk_full(error):
        return INSUFFICIENT_STORAGE
    return next((status for kind, status in _STATUS_CODES if isinstance(error, kind)), 500)


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI descriptions of error replies."""
    return {status: {"model": ErrorShape} for status in statuses}


COMMON_ERRORS = error_responses(400, 401, 403, 413, 421, 422, 429)
"""OpenAPI descriptions of the error replies to any request."""


def add_error_handlers(app: FastAPI) -> None:
    """Give all errors of an application the same JSON body."""

    async def handle(request: Request, error: Exception) -> Response:
        reply = error_reply(error)
        if reply.status_code >= 500:
            logger.warning("%s %s: %s", request.method, request.url.path, error)
        return reply

    kinds = (HTTPException, RequestValidationError, ClientDisconnect, WavRAGError, Exception)
    for kind in kinds:
        app.add_exception_handler(kind, handle)
