"""HTTP status and JSON body of every error, in the format of OpenAI's API."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from wavrag.errors import (
    EmbedderError,
    GenerationError,
    InputError,
    MissingExtraError,
    SpeechError,
    WavRAGError,
)

logger = logging.getLogger(__name__)

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "too_large_error",
    415: "unsupported_type_error",
    421: "misdirected_request_error",
    422: "invalid_request_error",
}
_STATUS_CODES: tuple[tuple[type[WavRAGError], int], ...] = (
    (InputError, 400),
    (SpeechError, 400),
    (MissingExtraError, 404),
    # Both may come from a remote model, so the fault lies behind this server.
    (GenerationError, 502),
    (EmbedderError, 502),
)


class RequestError(HTTPException):
    """A rejected request; the message names the input and the remedy."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, message, headers)


class ErrorDetail(BaseModel):
    """The cause of an error and its remedy."""

    message: str
    type: str
    code: int
    param: str | None


class ErrorShape(BaseModel):
    """An error."""

    error: ErrorDetail


def error_body(status: int, message: str) -> dict[str, Any]:
    """The JSON body of an error."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    detail = ErrorDetail(message=message, type=kind, code=status, param=None)
    return ErrorShape(error=detail).model_dump()


def exception_body(error: Exception) -> dict[str, Any]:
    """The JSON body for an exception."""
    return error_body(status_code(error), error_message(error))


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI descriptions of error replies: the given statuses and those of every request."""
    common = (400, 401, 403, 413, 421, 422)
    return {status: {"model": ErrorShape} for status in sorted({*common, *statuses})}


def status_code(error: Exception) -> int:
    """The HTTP status of an exception."""
    return next((status for kind, status in _STATUS_CODES if isinstance(error, kind)), 500)


def error_message(error: Exception) -> str:
    """The text shown to the client; an unexpected error reveals nothing but that it happened."""
    if isinstance(error, WavRAGError):
        return str(error)
    return "internal server error: see the log of the server"


def validation_message(errors: Sequence[Mapping[str, Any]], root: str = "the body") -> str:
    """The first of pydantic's errors as `path.to.field: reason`."""
    first = errors[0]
    location = ".".join(str(key) for key in first["loc"])
    return f"{location or root}: {first['msg']}"


def add_error_handlers(app: FastAPI) -> None:
    """Give all errors of an application the same JSON body."""

    async def handle_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        body = error_body(error.status_code, str(error.detail))
        return JSONResponse(body, error.status_code, error.headers)

    async def handle_invalid_request(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return JSONResponse(error_body(422, validation_message(error.errors())), 422)

    async def handle_exception(request: Request, error: Exception) -> Response:
        status = status_code(error)
        if status >= 500:
            logger.warning("%s %s: %s", request.method, request.url.path, error)
        return JSONResponse(exception_body(error), status)

    app.add_exception_handler(HTTPException, handle_http_error)
    app.add_exception_handler(RequestValidationError, handle_invalid_request)
    app.add_exception_handler(WavRAGError, handle_exception)
    app.add_exception_handler(Exception, handle_exception)
