"""Answers as a stream of events, generated on a thread and cancelled with the connection."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial
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
from wavrag.server.errors import CLIENT_CLOSED_REQUEST, RequestError
from wavrag.server.limits import KEEP_ALIVE_SECONDS, MAX_STREAM_EVENTS
from wavrag.server.session import Session
from wavrag.types import Answer, HistoryTurn, Query

T = TypeVar("T")

AnswerEvent: TypeAlias = RetrievalResult | str | Answer
AnswerEvents: TypeAlias = AsyncGenerator[AnswerEvent | None, None]
_EventQueue: TypeAlias = "asyncio.Queue[AnswerEvent | BaseException]"


async def stream_answer(
    state: Session,
    query: Query,
    options: GenerateOptions,
    history: Sequence[HistoryTurn],
    reasoning: ReasoningOptions | None = None,
) -> AnswerEvents:
    """Yield the retrieval result, the text deltas and the answer; None while nothing happens.

    The answer waits for a free slot of the server. Generation does not wait for the reader of the
    events, so that a slow client keeps no slot. Closing the generator cancels generation, in a
    remote model as well.

    Raises:
        WavRAGError: as `WavRAG.stream` does.
        GenerationError: the answer took too long, or the events were not read.
        RequestError: too many answers wait (429).
    """
    queue: _EventQueue = asyncio.Queue()
    start = partial(state.rag.stream, query, options=options, reasoning=reasoning, history=history)
    producer = asyncio.create_task(_produce(state, start, queue))
    try:
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                    event = await queue.get()
            except TimeoutError:
                yield None
                continue
            if isinstance(event, BaseException):
                raise event
            yield event
            if isinstance(event, Answer):
                return
    finally:
        producer.cancel()
        # Shielded: when the client disconnects this task is cancelled, and every await would raise
        # at once, before the thread has ended.
        with anyio.CancelScope(shield=True):
            await asyncio.gather(producer, return_exceptions=True)


_TOO_LATE = (
    "the answer was not finished in time: lower max_tokens, use a faster model, or raise"
    " --answer-timeout"
)


async def _produce(state: Session, start: Callable[[], AnswerStream], queue: _EventQueue) -> None:
    """Generate an answer in a slot of the server; an error ends the queue."""
    try:
        async with state.answers.slot():
            with (
                state.metrics.answers.track_inprogress(),
                state.metrics.stages.labels("answer").time(),
            ):
                stream, ended = start(), asyncio.Event()
                thread = _start_thread(stream, queue, ended)
                try:
                    async with asyncio.timeout(state.options.answer_timeout):
                        await ended.wait()
                except TimeoutError:
                    # First in the queue, before the error of the stream that is being closed.
                    queue.put_nowait(GenerationError(_TOO_LATE))
                finally:
                    stream.close()
                    with anyio.CancelScope(shield=True):
                        await anyio.to_thread.run_sync(thread.join)
    except Exception as error:  # noqa: BLE001 - raised by the reader of the queue
        queue.put_nowait(error)


def _start_thread(stream: AnswerStream, queue: _EventQueue, ended: asyncio.Event) -> Thread:
    """Start generation on a thread, which puts its events or its error into the queue.

    Sets `ended` afterwards.
    """
    loop = asyncio.get_running_loop()

    def deliver(event: AnswerEvent | BaseException) -> None:
        if queue.qsize() < MAX_STREAM_EVENTS:
            queue.put_nowait(event)
        elif queue.qsize() == MAX_STREAM_EVENTS:
            stream.close()
            queue.put_nowait(GenerationError("the client reads the answer too slowly: ask again"))

    def put(event: AnswerEvent | BaseException) -> None:
        call(deliver, event)

    def call(function: Callable[..., object], *arguments: object) -> None:
        # RuntimeError: the event loop has stopped, so nobody reads the queue.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(function, *arguments)

    def generate() -> None:
        try:
            put(stream.retrieval)
            for delta in stream:
                put(delta)
            put(stream.answer)
        except BaseException as error:  # noqa: BLE001 - raised by the reader of the queue
            put(error)
        finally:
            call(ended.set)

    # Not from the thread pool: an answer may take minutes, and searches need the pool's threads.
    # In the context of the request, so that its logs and spans belong together.
    run = partial(contextvars.copy_context().run, generate)
    thread = Thread(target=run, name="wavrag-answer", daemon=True)
    thread.start()
    return thread


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
