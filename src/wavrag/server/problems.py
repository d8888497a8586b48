"""What a request is answered that cannot be served, in OpenAI's shape of an error."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
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
_STATUS: tuple[tuple[type[WavRAGError], int], ...] = (
    (InputError, 400),
    (SpeechError, 400),
    (MissingExtraError, 404),
    (GenerationError, 502),
    (EmbedderError, 502),
)


class RequestError(HTTPException):
    """A request that is refused, with a message that says what to do."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, message, headers)


def problem(status: int, message: str) -> dict[str, Any]:
    """An error in JSON."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "code": status, "param": None}}


def status_of(error: Exception) -> int:
    """The status that an error is answered with."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def message_of(error: Exception) -> str:
    """What is said of an error; of one that nobody foresaw nothing but that it was one."""
    if isinstance(error, WavRAGError):
        return str(error)
    return "the server failed: its log says why"


def add_handlers(app: FastAPI) -> None:
    """Answer every error of an application in the same shape."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return JSONResponse(
            problem(error.status_code, str(error.detail)), error.status_code, error.headers
        )

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return JSONResponse(problem(422, f"{place}: {first['msg']}"), 422)

    async def failed(request: Request, error: Exception) -> Response:
        status = status_of(error)
        if status >= 500:
            logger.warning("%s %s: %s", request.method, request.url.path, error)
        return JSONResponse(problem(status, message_of(error)), status)

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(WavRAGError, failed)
    app.add_exception_handler(Exception, failed)
