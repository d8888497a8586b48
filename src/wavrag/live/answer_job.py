"""Generate an answer in the background; it can be held back and discarded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

from wavrag.answer import AnswerStream
from wavrag.live.scheduler import Scheduler
from wavrag.types import Answer

# A text delta, the complete answer at the end, or the error instead of it.
AnswerOutput: TypeAlias = str | Answer | Exception


class AnswerJob:
    """Reads an answer stream to its end on a thread of the scheduler.

    Attributes:
        key: identifies hits and question; an early answer is valid if the committed result has
            the same key.
        early: started before the end of the turn.
        on_hold: output is buffered until the turn has ended.
        buffer: output so far, while on hold.
        cancelled: further output is discarded.
    """

    def __init__(
        self,
        stream: AnswerStream,
        emit: Callable[[AnswerJob, AnswerOutput], None],
        scheduler: Scheduler,
        *,
        key: object,
        early: bool,
        now: float,
    ) -> None:
        self.key = key
        self.early = early
        self.on_hold = early
        self.buffer: list[AnswerOutput] = []
        self.cancelled = False
        self._stream = stream
        self._emit = emit
        self._scheduler = scheduler
        self._exited = threading.Event()
        self._job = scheduler.submit(self._run, "answer", now)

    def cancel(self) -> None:
        """Stop generation and discard further output; callable from any thread."""
        self.cancelled = True
        # A job that never started does not reach the `finally` of `_run`.
        if self._scheduler.cancel(self._job):
            self._exited.set()
        self._stream.close()

    def join(self) -> None:
        """Wait until no thread runs this job."""
        if self._scheduler.workers:
            self._exited.wait()

    def _run(self) -> None:
        try:
            for delta in self._stream:
                if self.cancelled:
                    return
                self._emit(self, delta)
            if not self.cancelled:
                self._emit(self, self._stream.answer)
        except Exception as error:  # noqa: BLE001 - reported as an event
            if not self.cancelled:
                self._emit(self, error)
        finally:
            self._exited.set()
