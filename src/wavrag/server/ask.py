"""`/v1/search` and `/v1/ask`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from fastapi.sse import format_sse_event
from pydantic import BaseModel

from wavrag import types
from wavrag.answer import RetrievalResult
from wavrag.errors import InputError, WavRAGError
from wavrag.server.answer_events import (
    AnswerEvent,
    collect_answer,
    reply_with_events,
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
from wavrag.server.session import Session, State
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
    spelling: Annotated[
        bool, Query(description="search also for words that resemble misspelled ones")
    ] = True,
) -> SearchShape:
    """Find passages for a text query."""
    return await _search(state, types.Query(q, None, where, spelling), k)


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


async def _search(state: Session, query: types.Query, k: int) -> SearchShape:
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
        return await reply_with_events(request, events, _encode_event)
    return AnswerShape.model_validate(await collect_answer(request, events))


def _encode_event(event: AnswerEvent | WavRAGError) -> bytes:
    source: Any = event
    match event:
        case RetrievalResult():
            name = "hits"
        case str():
            name, source = "delta", {"text": event}
        case WavRAGError():
            name, source = "error", error_body(event)
        case _:
            name = "answer"
    shape, _ = ANSWER_EVENTS[name]
    data = shape.model_validate(source).model_dump_json(exclude_unset=True)
    return format_sse_event(data_str=data, event=name)
