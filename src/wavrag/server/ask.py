"""`/v1/search` and `/v1/ask`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from wavrag.answer import RetrievalResult
from wavrag.errors import InputError, WavRAGError
from wavrag.server.answering import Event, EventStream, sse, until_gone, whole, written
from wavrag.server.bodies import (
    LONGEST_IN_URL,
    MOST_HITS,
    AskRequest,
    SearchRequest,
    question_body,
    read_question,
)
from wavrag.server.problems import message_of, problem, status_of
from wavrag.server.room import Room, room_of
from wavrag.server.shapes import problems
from wavrag.shapes import AnswerShape, RetrievalShape, SearchShape
from wavrag.types import Answer
from wavrag.types import Query as Asked

router = APIRouter(prefix="/v1", tags=["search"])
Shared = Annotated[Room, Depends(room_of)]


@router.get("/search", response_model=SearchShape, responses=problems())
async def search_words(
    room: Shared,
    q: Annotated[str, Query(max_length=LONGEST_IN_URL, description="the question in words")],
    k: Annotated[int, Query(ge=1, le=MOST_HITS, description="most hits")] = 10,
    where: Annotated[str | None, Query(max_length=LONGEST_IN_URL, description="filter")] = None,
) -> Response:
    """Passages for words."""
    return await _searched(room, Asked(q, None, where), k)


@router.post(
    "/search",
    response_model=SearchShape,
    responses=problems(408, 415),
    openapi_extra=question_body(SearchRequest),
)
async def search(request: Request, room: Shared) -> Response:
    """Passages for words, a recording, or both."""
    asked, query = await read_question(request, SearchRequest)
    return await _searched(room, query, asked.k)


async def _searched(room: Room, query: Asked, k: int) -> Response:
    found = await room.compute("search", room.rag.kb.retrieve, query, k)
    return JSONResponse(SearchShape.dump(found))


@router.post(
    "/ask",
    response_model=AnswerShape,
    responses={
        **problems(408, 415, 502),
        200: {
            "description": "The answer; with `stream`, the events `found`, `delta` (often),"
            " `answer`, or `error`",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
    },
    openapi_extra=question_body(AskRequest),
)
async def ask(request: Request, room: Shared) -> Response:
    """An answer with citations; closing the connection ends the writing."""
    asked, query = await read_question(request, AskRequest)
    reasoning = asked.reasoning()
    if reasoning is not None and not room.rag.generator.spec.follows_instructions:
        raise InputError(
            f"the generator {room.rag.generator.spec.name} does not reason: leave think and paths"
            " out"
        )
    begin = partial(
        room.rag.stream,
        query,
        options=asked.generation(),
        reasoning=reasoning,
        history=[said.turn() for said in asked.history],
    )
    events = written(room, begin)
    if asked.stream or "text/event-stream" in request.headers.get("accept", ""):
        first = await until_gone(request, anext(events))
        return EventStream(_told(first, events))
    return JSONResponse(AnswerShape.dump(await until_gone(request, whole(events))))


async def _told(first: Event, events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
    """An answer as server-sent events."""
    async with aclosing(events):
        yield _event(first)
        try:
            async for event in events:
                yield _event(event)
        except WavRAGError as error:
            yield sse(problem(status_of(error), message_of(error)), "error")


def _event(event: Event) -> bytes:
    match event:
        case RetrievalResult():
            return sse(RetrievalShape.dump(event), "hits")
        case Answer():
            return sse(AnswerShape.dump(event), "answer")
        case _:
            return sse({"text": event}, "delta")
