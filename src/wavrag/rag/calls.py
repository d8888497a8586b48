"""Awaitable calls of a `WavRAG`: their threads, and an answer as an asynchronous stream."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, Self, TypeAlias, TypeVar

from wavrag import config
from wavrag.answer import AnswerStream, RetrievalResult
from wavrag.closing import Closing
from wavrag.errors import InputError
from wavrag.types import Answer

T = TypeVar("T")
ClosingT = TypeVar("ClosingT", bound=Closing)
Lane: TypeAlias = Literal["search", "answer"]

ANSWERS = 32  # answers in progress at the same time; most of them wait for a server


class CallThreads(Closing):
    """Two bounded pools of threads, which start with the first call.

    Searches have a pool of their own, so that they never wait for answers.
    """

    def __init__(self) -> None:
        self._pools: dict[Lane, ThreadPoolExecutor] = {
            "search": ThreadPoolExecutor(config.threads(), "wavrag-search"),
            "answer": ThreadPoolExecutor(ANSWERS, "wavrag-answer"),
        }

    async def run(self, lane: Lane, function: Callable[[], T]) -> T:
        """Call a function on a thread, with the context variables of the caller.

        If the task is cancelled, a queued call never runs; one in progress goes on, and its result
        is dropped.

        Raises:
            InputError: the threads are closed.
        """
        try:
            future = self._pools[lane].submit(contextvars.copy_context().run, function)
        except RuntimeError as error:
            raise InputError("this WavRAG is closed: open the knowledge base again") from error
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Wait for all calls in progress."""
        for pool in self._pools.values():
            pool.shutdown()


class AsyncAnswerStream:
    """An answer in progress, for one task: iterate over its text, then await `answer()`.

    Cancelling a task that waits for the stream stops the generation, also on a server.

    Example:
        >>> stream = await rag.astream("Are dogs allowed on the ferry?")
        >>> async for text in stream:
        ...     print(text, end="", flush=True)
        >>> print((await stream.answer()).citations)
    """

    def __init__(self, stream: AnswerStream, threads: CallThreads) -> None:
        self._stream = stream
        self._threads = threads

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        text = await self._run(lambda: next(iter(self._stream), None))
        if text is None:
            raise StopAsyncIteration
        return text

    async def retrieval(self) -> RetrievalResult:
        """Return the sources of the answer; see `AnswerStream.retrieval`."""
        return await self._run(lambda: self._stream.retrieval)

    async def answer(self) -> Answer:
        """Return the complete, checked answer; see `AnswerStream.answer`."""
        return await self._run(lambda: self._stream.answer)

    async def aclose(self) -> None:
        """Stop the answer. Leaving an `async with` block or cancelling the task does the same."""
        # On a thread: a generator between two pieces of a server's answer joins its own thread.
        await asyncio.to_thread(self._stream.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    async def _run(self, step: Callable[[], T]) -> T:
        try:
            return await self._threads.run("answer", step)
        except asyncio.CancelledError:
            self._stream.close()  # only signals, because the generator is running on the thread
            raise


async def open_on_thread(open_rag: Callable[[], ClosingT]) -> ClosingT:
    """Call a function that opens something, on a thread; if cancelled, close its result."""
    pool = ThreadPoolExecutor(1, "wavrag-open")
    future = pool.submit(open_rag)
    pool.shutdown(wait=False)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        future.add_done_callback(_close_result)
        raise


def _close_result(future: Future[ClosingT]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().close()
