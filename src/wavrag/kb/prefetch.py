"""Run an iterator on a second thread, so that files are decoded while models compute."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")


class _EndOfStream:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def prefetch(source: Iterator[T], size: int) -> Generator[T, None, None]:
    """Yield the items of an iterator, produced on a second thread into a queue of `size` items.

    The thread closes the iterator if the consumer stops early.
    """
    items: queue.Queue[T | _EndOfStream] = queue.Queue(maxsize=size)
    stop = threading.Event()

    def put(item: T | _EndOfStream) -> bool:
        # The timeout makes a producer with a full queue notice that its consumer has stopped.
        while not stop.is_set():
            try:
                items.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def produce() -> None:
        failure: BaseException | None = None
        try:
            for item in source:
                if not put(item):
                    break
        except BaseException as error:  # noqa: BLE001 - raised again on the consumer's thread
            failure = error
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()
        put(_EndOfStream(failure))

    thread = threading.Thread(target=produce, name="wavrag-read", daemon=True)
    thread.start()
    try:
        while not isinstance(item := items.get(), _EndOfStream):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        thread.join()
