"""Queues of work by kind: searches come first, and work that would wait too long gets 429."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from wavrag.server import limits
from wavrag.server.errors import RequestError

T = TypeVar("T")
_SMOOTHING = 0.2  # weight of the newest duration in the mean


def busy_error(waiting: int, seconds: float) -> RequestError:
    """The reply to a request that would wait too long."""
    delay = max(1, math.ceil(seconds))
    return RequestError(
        429,
        f"the server is busy, {waiting} requests wait: try again in {delay} s",
        {"retry-after": str(delay)},
    )


class WorkQueue:
    """Blocking functions of one kind, on a limited number of threads.

    A queue with a `foreground` lets work of that queue go first: each call waits for it, but at
    most `limits.MAX_YIELD` seconds, so that it makes progress in a stream of searches as well.
    """

    def __init__(self, slots: int, max_waiting: int, foreground: WorkQueue | None = None) -> None:
        self._slots = CapacityLimiter(slots)
        self._threads = CapacityLimiter(slots)
        self._max_waiting = max_waiting
        self._foreground = foreground
        self._mean_seconds = 0.1
        self._backlog = 0.0  # estimated seconds of the work that has been accepted

    @property
    def waiting(self) -> int:
        """Number of requests without a slot."""
        return self._slots.statistics().tasks_waiting

    @property
    def is_busy(self) -> bool:
        """True if a slot is taken."""
        return self._slots.borrowed_tokens > 0

    @asynccontextmanager
    async def slot(self, seconds: float | None = None) -> AsyncGenerator[None]:
        """Wait for a slot, and hold it for the block.

        Args:
            seconds: estimated duration of the work; None for that of recent work.

        Raises:
            RequestError: too many requests wait, or for too long (429).
        """
        cost = self._mean_seconds if seconds is None else seconds
        waiting_seconds = self._backlog / self._slots.total_tokens
        # A long request is accepted if it comes first: rejecting it would not make it shorter.
        is_late = self._backlog > 0 and waiting_seconds + cost > limits.MAX_BACKLOG
        if self.waiting >= self._max_waiting or (seconds is not None and is_late):
            raise busy_error(self.waiting, waiting_seconds)
        self._backlog += cost
        try:
            async with self._slots:
                start_time = time.monotonic()
                yield
                duration = time.monotonic() - start_time
                self._mean_seconds += _SMOOTHING * (duration - self._mean_seconds)
        finally:
            self._backlog = max(0.0, self._backlog - cost)

    async def run(self, function: Callable[[], T]) -> T:
        """Run a function on a thread, in a slot of its own.

        Raises:
            RequestError: too many requests wait (429).
        """
        async with self.slot():
            return await self.run_step(function)

    async def run_step(self, function: Callable[[], T]) -> T:
        """Run a step of longer work on a thread; the caller has a `slot`."""
        deadline = time.monotonic() + limits.MAX_YIELD
        while self._foreground is not None and self._foreground.is_busy:
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.01)
        return await to_thread.run_sync(function, limiter=self._threads)
