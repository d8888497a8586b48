"""`/v1/search` and `/v1/ask`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic import BaseModel

from wavrag import types
from wavrag.answer import RetrievalResult
from wavrag.errors import InputError, WavRAGError
from wavrag.server.answer_events import (
    AnswerEvent,
    AnswerEventResponse,
    collect_answer,
    first_event,
    run_while_connected,
    stream_answer,
)
from wavrag.server.errors import COMMON_ERRORS, ErrorShape, error_body, error_responses
from wavrag.server.limits import MAX_HITS, MAX_URL_CHARS
from wavrag.server.requests import (
    AskRequest,
    SearchRequest,
    describe_question_body,
    inline_schema,
    read_question,
)
from wavrag.server.schemas import DeltaShape
from wavrag.server.state import ServerState, State
from wavrag.shapes import AnswerShape, RetrievalShape, SearchShape

router = APIRouter(prefix="/v1", tags=["search"], responses=COMMON_ERRORS)

# Server-sent events of an answer, in their order. The stream and its description both use this.
ANSWER_EVENTS: dict[str, tuple[type[BaseModel], str]] = {
    "hits": (RetrievalShape, "once"),
    "delta": (DeltaShape, "for each part of the text"),
    "answer": (AnswerShape, "once, at the end"),
    "error": (ErrorShape, "instead of the rest, if generation fails"),
}


@router.get("/search", response_model_exclude_unset=True)
async def search_text(
    state: State,
    q: Annotated[str, Query(max_length=MAX_URL_CHARS, description="query text")],
    k: Annotated[int, Query(ge=1, le=MAX_HITS, description="maximum number of hits")] = 10,
    where: Annotated[
        str | None, Query(max_length=MAX_URL_CHARS, description="metadata filter")
    ] = None,
) -> SearchShape:
    """Find passages for a text query."""
    return await _search(state, types.Query(q, None, where), k)


@router.post(
    "/search",
    response_model_exclude_unset=True,
    responses=error_responses(408, 415),
    openapi_extra=describe_question_body(SearchRequest),
)
async def search(request: Request, state: State) -> SearchShape:
    """Find passages for a text, a recording, or both."""
    body, query = await read_question(request, SearchRequest)
    return await _search(state, query, body.k)


async def _search(state: ServerState, query: types.Query, k: int) -> SearchShape:
    result = await state.run_in_thread("search", state.rag.kb.retrieve, query, k)
    return SearchShape.model_validate(result)


def describe_answer_events() -> dict[str, Any]:
    """The event stream of an answer in OpenAPI."""
    names = ", ".join(f"`{name}` ({when})" for name, (_, when) in ANSWER_EVENTS.items())
    events = [
        {
            "type": "object",
            "required": ["event", "data"],
            "properties": {
                "event": {"const": name},
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": inline_schema(shape, "serialization"),
                },
            },
        }
        for name, (shape, _) in ANSWER_EVENTS.items()
    ]
    return {
        "description": f"The answer. With `stream`, server-sent events instead: {names}.",
        "content": {"text/event-stream": {"itemSchema": {"oneOf": events}}},
    }


@router.post(
    "/ask",
    response_model=AnswerShape,
    response_model_exclude_unset=True,
    responses={**error_responses(408, 415, 502), 200: describe_answer_events()},
    openapi_extra=describe_question_body(AskRequest),
)
async def ask(request: Request, state: State) -> Response | AnswerShape:
    """Answer a question with citations; closing the connection cancels generation."""
    body, query = await read_question(request, AskRequest)
    reasoning = body.reasoning_options()
    if reasoning is not None and not state.rag.generator.spec.follows_instructions:
        raise InputError(
            f"the generator {state.rag.generator.spec.name} cannot reason: leave out think and"
            " paths"
        )
    history = [turn.to_turn() for turn in body.history]
    events = stream_answer(state, query, body.generate_options(), history, reasoning)
    if body.stream or "text/event-stream" in request.headers.get("accept", ""):
        first = await run_while_connected(request, first_event(events))
        return AnswerEventResponse(_encode_events(first, events))
    answer = await run_while_connected(request, collect_answer(events))
    return AnswerShape.model_validate(answer)


async def _encode_events(
    first: AnswerEvent, events: AsyncGenerator[AnswerEvent | None, None]
) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        yield _encode_event(first)
        try:
            async for event in events:
                yield KEEPALIVE_COMMENT if event is None else _encode_event(event)
        except WavRAGError as error:
            yield _encode("error", error_body(error))


def _encode_event(event: AnswerEvent) -> bytes:
    match event:
        case RetrievalResult():
            return _encode("hits", event)
        case str():
            return _encode("delta", {"text": event})
        case _:
            return _encode("answer", event)


def _encode(name: str, source: Any) -> bytes:
    shape, _ = ANSWER_EVENTS[name]
    data = shape.model_validate(source).model_dump_json(exclude_unset=True)
    return format_sse_event(data_str=data, event=name)
