"""Map on a thread pool with a bounded number of pending results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from itertools import islice
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def prefetch_map(
    pool: Executor, function: Callable[[A], B], items: Iterable[A], limit: int
) -> Iterator[B]:
    """Yield the results in order, as `pool.map` does, with at most `limit` of them pending.

    `pool.map` submits all items at once, so results pile up in memory if the consumer is slower
    than the pool.
    """
    source = iter(items)
    futures = deque(pool.submit(function, item) for item in islice(source, limit))
    while futures:
        yield futures.popleft().result()
        futures.extend(pool.submit(function, item) for item in islice(source, 1))
