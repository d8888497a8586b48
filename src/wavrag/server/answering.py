"""Answers while they are written: from a thread to the event loop, ended when nobody listens."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from threading import Thread
from typing import Any, TypeAlias, TypeVar

from fastapi import Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from wavrag.answer import AnswerStream, RetrievalResult
from wavrag.errors import GenerationError
from wavrag.server.problems import RequestError
from wavrag.server.room import Room
from wavrag.types import Answer

logger = logging.getLogger(__name__)
T = TypeVar("T")

Event: TypeAlias = RetrievalResult | str | Answer
HEARTBEAT = 15.0  # seconds of silence after which a comment shows that the connection stands
GONE = 499  # status in the log of a request whose client went


async def written(room: Room, begin: Callable[[], AnswerStream]) -> AsyncGenerator[Event, None]:
    """What is found, the pieces of an answer, and the answer.

    Closing the generator stops the writing.

    Args:
        room: whose places for answers are used; the answer waits for one.
        begin: starts the answer.

    Raises:
        WavRAGError: as `WavRAG.stream` does.
        GenerationError: it took too long.
    """
    async with room.answering:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Event | BaseException] = asyncio.Queue()

        def put(item: Event | BaseException) -> None:
            with suppress(RuntimeError):  # the loop has ended, and nobody listens
                loop.call_soon_threadsafe(queue.put_nowait, item)

        stream = begin()

        def work() -> None:
            try:
                put(stream.retrieval)
                for piece in stream:
                    put(piece)
                put(stream.answer)
            except BaseException as error:  # noqa: BLE001 - raised where it is awaited
                put(error)

        started = time.perf_counter()
        deadline = loop.time() + room.options.answer_seconds
        thread = Thread(target=work, name="wavrag-answer", daemon=True)
        room.metrics.answers.inc()
        thread.start()
        try:
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        item = await queue.get()
                except TimeoutError:
                    raise GenerationError(
                        f"the answer was not there after {room.options.answer_seconds:g} s: ask"
                        " for a shorter one, or use a faster model"
                    ) from None
                if isinstance(item, BaseException):
                    raise item
                yield item
                if isinstance(item, Answer):
                    return
        finally:
            stream.close()
            await asyncio.shield(asyncio.to_thread(thread.join))
            room.metrics.answers.dec()
            room.metrics.stage("answer", time.perf_counter() - started)


async def until_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of some work, which is cancelled when the client of the request goes.

    Raises:
        RequestError: it went.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request.receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise RequestError(GONE, "the client went before the end")
    finally:
        for one in (task, gone):
            one.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def whole(events: AsyncGenerator[Event, None]) -> Answer:
    """The answer at the end of its events."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Answer):
                return event
    raise GenerationError("the answer has no end: ask again")


def sse(data: Any, event: str | None = None) -> bytes:
    """One server-sent event; data that is no text goes as JSON."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"{f'event: {event}{chr(10)}' if event else ''}data: {text}\n\n".encode()


class EventStream(Response):
    """Server-sent events, whose source is closed as soon as the client goes."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        self._events = events
        self.status_code = 200
        self.background = None
        self.init_headers({"cache-control": "no-store", "x-accel-buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        sending = asyncio.ensure_future(self._send(send))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for one in (sending, gone):
                one.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with aclosing(self._events) as events, aclosing(_beating(events)) as beating:
            async for data in beating:
                await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _beating(events: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Events, and comments while there are none."""
    following = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            done, _ = await asyncio.wait((following,), timeout=HEARTBEAT)
            if not done:
                yield b": still writing\n\n"
                continue
            data = following.result()
            if data is None:
                return
            yield data
            following = asyncio.ensure_future(anext(events, None))
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await following


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
