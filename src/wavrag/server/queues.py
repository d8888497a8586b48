"""Queues of work by kind: searches come first, and work that would wait too long gets 429.

Within a queue, clients take turns, so that one with many requests does not hold up the others.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from wavrag.server import limits
from wavrag.server.errors import RequestError

T = TypeVar("T")
CLIENT: ContextVar[Hashable] = ContextVar("client", default=None)
"""The client of the present request, set by `SecurityMiddleware`."""
_SMOOTHING = 0.2  # weight of the newest duration in the mean


def busy_error(waiting: int, seconds: float) -> RequestError:
    """The reply to a request that would wait too long."""
    delay = max(1, math.ceil(seconds))
    return RequestError(
        429,
        f"the server is busy, {waiting} requests wait: try again in {delay} s",
        {"retry-after": str(delay)},
    )


class _FairSlots:
    """A limited number of slots, which waiting clients take in turn."""

    def __init__(self, total: int, share: int) -> None:
        self.total = total
        self._share = share  # slots that a client may hold
        self._running: Counter[Hashable] = Counter()  # slots of each client
        # Of each waiting client; the one that has waited longest for its turn is first.
        self._queues: dict[Hashable, deque[asyncio.Future[None]]] = {}

    @property
    def waiting(self) -> int:
        """Number of requests without a slot."""
        return sum(map(len, self._queues.values()))

    @property
    def running(self) -> int:
        """Number of taken slots."""
        return self._running.total()

    async def acquire(self, client: Hashable) -> None:
        """Wait for a slot."""
        if self.running < self.total and self._running[client] < self._share:
            self._running[client] += 1
            return
        ticket = asyncio.get_running_loop().create_future()
        self._queues.setdefault(client, deque()).append(ticket)
        try:
            await ticket
        except BaseException:
            if ticket.done() and not ticket.cancelled() and ticket.exception() is None:
                self.release(client)  # the request was cancelled as its turn came
            else:
                self._remove(client, ticket)
            raise

    def release(self, client: Hashable) -> None:
        """Give a slot back, or to the waiting client with the fewest."""
        self._running[client] -= 1
        self._running += Counter()  # drops zeros
        while self._queues:
            following = min(self._queues, key=lambda key: self._running[key])
            if self._running[following] >= self._share:
                return
            ticket = self._queues[following][0]
            self._remove(following, ticket)
            if following in self._queues:  # to the end of the turns
                self._queues[following] = self._queues.pop(following)
            if not ticket.done():  # it is done if its request was cancelled
                self._running[following] += 1
                ticket.set_result(None)
                return

    def displace(self, client: Hashable, error: Exception) -> bool:
        """Refuse the newest request of the client with most, in favour of one with fewer."""
        greedy = max(self._queues, key=lambda key: len(self._queues[key]), default=client)
        if len(self._queues.get(greedy, ())) < len(self._queues.get(client, ())) + 2:
            return False
        ticket = self._queues[greedy][-1]
        self._remove(greedy, ticket)
        if not ticket.done():
            ticket.set_exception(error)
        return True

    def _remove(self, client: Hashable, ticket: asyncio.Future[None]) -> None:
        queue = self._queues.get(client, deque())
        with suppress(ValueError):  # it was removed before
            queue.remove(ticket)
        if not queue:
            self._queues.pop(client, None)


class WorkQueue:
    """Blocking functions of one kind, on a limited number of threads.

    A queue with a `foreground` lets work of that queue go first: each call waits for it, but at
    most `limits.MAX_YIELD` seconds, so that it makes progress in a stream of searches as well.
    """

    def __init__(
        self,
        slots: int,
        max_waiting: int,
        foreground: WorkQueue | None = None,
        *,
        share: int | None = None,
    ) -> None:
        """Create a queue.

        Args:
            slots: calls at the same time.
            max_waiting: calls that may wait for a slot.
            foreground: a queue whose work goes first.
            share: slots that one client may hold; None for all.
        """
        self._slots = _FairSlots(slots, share or slots)
        self._threads = CapacityLimiter(slots)
        self._max_waiting = max_waiting
        self._foreground = foreground
        self._mean_seconds = 0.1
        self._backlog = 0.0  # estimated seconds of the work that has been accepted

    @property
    def waiting(self) -> int:
        """Number of requests without a slot."""
        return self._slots.waiting

    @property
    def is_busy(self) -> bool:
        """True if a slot is taken."""
        return self._slots.running > 0

    @asynccontextmanager
    async def slot(self, seconds: float | None = None) -> AsyncGenerator[None]:
        """Wait for a slot, and hold it for the block.

        Args:
            seconds: estimated duration of the work; None for that of recent work.

        Raises:
            RequestError: too many requests wait, or for too long (429).
        """
        cost = self._mean_seconds if seconds is None else seconds
        waiting_seconds = self._backlog / self._slots.total
        # A long request is accepted if it comes first: rejecting it would not make it shorter.
        is_late = self._backlog > 0 and waiting_seconds + cost > limits.MAX_BACKLOG
        client = CLIENT.get()
        error = busy_error(self.waiting, waiting_seconds)
        is_full = self.waiting >= self._max_waiting
        if seconds is not None and is_late:
            raise error
        if is_full and not self._slots.displace(client, error):
            raise error
        self._backlog += cost
        try:
            await self._slots.acquire(client)
            try:
                start_time = time.monotonic()
                yield
                duration = time.monotonic() - start_time
                self._mean_seconds += _SMOOTHING * (duration - self._mean_seconds)
            finally:
                self._slots.release(client)
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
