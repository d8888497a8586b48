"""Answers as a stream of events, generated on a thread and cancelled with the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from threading import Thread
from typing import TypeAlias, TypeVar

import anyio
from fastapi import Request
from fastapi.responses import Response
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse
from starlette.types import Receive, Scope, Send

from wavrag.answer import AnswerStream, ReasoningOptions, RetrievalResult
from wavrag.errors import GenerationError, WavRAGError
from wavrag.generate import GenerateOptions
from wavrag.server.errors import RequestError
from wavrag.server.limits import KEEP_ALIVE_SECONDS
from wavrag.server.state import ServerState
from wavrag.types import Answer, HistoryTurn, Query

T = TypeVar("T")

AnswerEvent: TypeAlias = RetrievalResult | str | Answer
AnswerEvents: TypeAlias = AsyncGenerator[AnswerEvent | None, None]
_EventQueue: TypeAlias = "asyncio.Queue[AnswerEvent | BaseException]"
CLIENT_CLOSED_REQUEST = 499  # nginx's status for it; shows in the metrics only


async def stream_answer(
    state: ServerState,
    query: Query,
    options: GenerateOptions,
    history: Sequence[HistoryTurn],
    reasoning: ReasoningOptions | None = None,
) -> AnswerEvents:
    """Yield the retrieval result, the text deltas and the answer; None while nothing happens.

    The answer waits for a free slot of the server. Closing the generator cancels generation, in a
    remote model as well.

    Raises:
        WavRAGError: as `WavRAG.stream` does.
        GenerationError: the answer took too long.
    """
    async with state.answer_slots:
        stream = state.rag.stream(query, options=options, reasoning=reasoning, history=history)
        queue, thread = _start_thread(stream)
        deadline = asyncio.get_running_loop().time() + state.options.answer_timeout
        with state.metrics.answers.track_inprogress(), state.metrics.stages.labels("answer").time():
            try:
                while True:
                    event = await _next_event(queue, deadline)
                    if isinstance(event, BaseException):
                        raise event
                    yield event
                    if isinstance(event, Answer):
                        return
            finally:
                stream.close()
                # Shielded: when the client disconnects this task is cancelled, and every await
                # would raise at once, before the thread has ended.
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(thread.join)


def _start_thread(stream: AnswerStream) -> tuple[_EventQueue, Thread]:
    """Start generation on a thread, with a queue for its events or its error."""
    loop = asyncio.get_running_loop()
    queue: _EventQueue = asyncio.Queue()

    def put(event: AnswerEvent | BaseException) -> None:
        # RuntimeError: the event loop has stopped, so nobody reads the queue.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(queue.put_nowait, event)

    def generate() -> None:
        try:
            put(stream.retrieval)
            for delta in stream:
                put(delta)
            put(stream.answer)
        except BaseException as error:  # noqa: BLE001 - raised by the reader of the queue
            put(error)

    # Not from the thread pool: an answer may take minutes, and searches need the pool's threads.
    thread = Thread(target=generate, name="wavrag-answer", daemon=True)
    thread.start()
    return queue, thread


async def _next_event(queue: _EventQueue, deadline: float) -> AnswerEvent | BaseException | None:
    """The next event; None if none comes within the keep-alive interval."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout_at(min(deadline, loop.time() + KEEP_ALIVE_SECONDS)):
            return await queue.get()
    except TimeoutError:
        if loop.time() < deadline:
            return None
        raise GenerationError(
            "the answer was not finished in time: lower max_tokens, use a faster model, or raise"
            " --answer-timeout"
        ) from None


async def collect_answer(request: Request, events: AnswerEvents) -> Answer:
    """The answer at the end of its events."""

    async def collect() -> Answer:
        async with aclosing(events):
            while not isinstance(event := await anext(events), Answer):
                pass
            return event

    return await run_while_connected(request, collect())


async def reply_with_events(
    request: Request, events: AnswerEvents, encode: Callable[[AnswerEvent | WavRAGError], bytes]
) -> Response:
    """Reply with server-sent events: those of the answer, or the error that ends them."""

    async def wait_for_first() -> AnswerEvent:
        while (event := await anext(events)) is None:
            pass
        return event

    async def encode_all(first: AnswerEvent) -> AsyncGenerator[bytes, None]:
        async with aclosing(events):
            yield encode(first)
            try:
                async for event in events:
                    yield KEEPALIVE_COMMENT if event is None else encode(event)
            except WavRAGError as error:
                yield encode(error)

    # The reply starts with the first event, so that an early error still has its own HTTP status.
    first = await run_while_connected(request, wait_for_first())
    return EventResponse(encode_all(first))


async def run_while_connected(request: Request, work: Awaitable[T]) -> T:
    """Await work; cancel it and raise `RequestError` if the client disconnects."""
    task = asyncio.ensure_future(work)
    disconnect = asyncio.ensure_future(_wait_for_disconnect(request.receive))
    try:
        await asyncio.wait((task, disconnect), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise RequestError(CLIENT_CLOSED_REQUEST, "the client disconnected")
    finally:
        task.cancel()
        disconnect.cancel()
        await asyncio.gather(task, disconnect, return_exceptions=True)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventResponse(EventSourceResponse):
    """Server-sent events; a disconnect of the client stops their source.

    Starlette cancels the stream on a disconnect, but leaves a generator suspended between two
    events to the garbage collector; generation would go on until then.
    """

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        self._events = events
        # With buffering, nginx would hold events back until its buffer is full.
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(events, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        async with aclosing(self._events):
            await super().__call__(scope, receive, send)
