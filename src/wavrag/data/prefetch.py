"""Work done on threads a little ahead of who takes its results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from itertools import islice
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def prefetch_map(
    pool: Executor, function: Callable[[A], B], items: Iterable[A], most: int
) -> Iterator[B]:
    """Like `pool.map`, in order, but at most `most` results wait to be taken."""
    rest = iter(items)
    waiting = deque(pool.submit(function, item) for item in islice(rest, most))
    while waiting:
        yield waiting.popleft().result()
        waiting.extend(pool.submit(function, item) for item in islice(rest, 1))
