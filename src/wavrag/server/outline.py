"""`/v1/documents/ID/chapters` and `/v1/documents/ID/summary`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from wavrag.errors import AudioError, GenerationError
from wavrag.generate import StopSignal
from wavrag.outline import SENTENCES, ChapterFormat, SummaryFormat, format_chapters, format_summary
from wavrag.server.answer_events import run_while_connected
from wavrag.server.documents import read_document
from wavrag.server.errors import COMMON_ERRORS, RequestError, error_responses
from wavrag.server.requests import inline_schema
from wavrag.server.session import Session, State
from wavrag.server.transcripts import MEDIA_TYPES
from wavrag.shapes import ChaptersShape, Shape, SummaryShape

T = TypeVar("T")
MAX_SENTENCES = 50

router = APIRouter(prefix="/v1", tags=["documents"], responses=COMMON_ERRORS)

Quotes = Annotated[
    bool, Query(description="quote the recording, also if the server's generator could write")
]


def _describe(shape: type[Shape], *formats: str) -> dict[int | str, dict[str, object]]:
    content: dict[str, object] = {name: {"schema": {"type": "string"}} for name in formats}
    schema = inline_schema(shape, "serialization")
    return {
        **error_responses(404, 408, 502),
        200: {"content": {**content, "application/json": {"schema": schema}}},
    }


@router.get(
    "/documents/{document_id:path}/chapters",
    response_model=ChaptersShape,
    responses=_describe(ChaptersShape, "text/plain", "text/vtt", "text/markdown"),
)
async def get_chapters(
    request: Request,
    state: State,
    document_id: str,
    format: Annotated[ChapterFormat, Query(description="format of the reply")] = "json",
    quotes: Quotes = False,
) -> Response:
    """Get the chapters of a recording; closing the connection cancels the generator."""
    chapters = await _compute(
        request,
        state,
        document_id,
        lambda stop: state.rag.chapters(document_id, quotes=quotes, stop=stop),
    )
    return Response(format_chapters(chapters, format), media_type=MEDIA_TYPES[format])


@router.get(
    "/documents/{document_id:path}/summary",
    response_model=SummaryShape,
    responses=_describe(SummaryShape, "text/plain", "text/markdown"),
)
async def get_summary(
    *,
    request: Request,
    state: State,
    document_id: str,
    format: Annotated[SummaryFormat, Query(description="format of the reply")] = "json",
    sentences: Annotated[
        int, Query(ge=1, le=MAX_SENTENCES, description="maximum number of sentences")
    ] = SENTENCES,
    quotes: Quotes = False,
) -> Response:
    """Get the summary of a recording; closing the connection cancels the generator."""
    summary = await _compute(
        request,
        state,
        document_id,
        lambda stop: state.rag.summary(document_id, sentences, quotes=quotes, stop=stop),
    )
    return Response(format_summary(summary, format), media_type=MEDIA_TYPES[format])


async def _compute(
    request: Request, state: Session, document_id: str, work: Callable[[StopSignal], T]
) -> T:
    """Run work in a slot for answers; a disconnect or their time limit stops its generator."""
    await read_document(state, state.rag.kb.head, document_id)
    stop = StopSignal()

    async def wait() -> T:
        task = asyncio.ensure_future(state.answers.run(partial(work, stop)))
        try:
            # Shielded: a cancelled wait for a thread would last until the thread ends by itself.
            return await asyncio.shield(task)
        finally:
            stop.set()

    try:
        async with asyncio.timeout(state.options.answer_timeout):
            return await run_while_connected(request, wait())
    except TimeoutError:
        raise GenerationError(
            "the generator was not finished in time: use a faster model, raise --answer-timeout, or"
            " ask for quotes"
        ) from None
    except AudioError as error:
        message = f"there is no recording of {document_id}: its file is missing or damaged"
        raise RequestError(404, message) from error
