"""One answer that is written while others speak, and that may be thrown away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

from wavrag.answer import AnswerStream
from wavrag.live.scheduler import Scheduler
from wavrag.types import Answer

Written: TypeAlias = str | Answer | Exception


class Answering:
    """Reads a stream to its end on a thread of the scheduler.

    Attributes:
        key: of what is answered; an early answer is kept if the committed hits have the same.
        early: it was begun before its turn ended.
        held: pieces wait until the turn has ended.
        waiting: these pieces.
        cancelled: nothing of it is wanted any more.
        ended: all of it has been written.
    """

    def __init__(
        self,
        stream: AnswerStream,
        tell: Callable[[Answering, Written], None],
        scheduler: Scheduler,
        *,
        key: object,
        early: bool,
        now: float,
    ) -> None:
        self.key = key
        self.early = early
        self.held = early
        self.waiting: list[Written] = []
        self.cancelled = False
        self.ended = False
        self._stream = stream
        self._tell = tell
        self._scheduler = scheduler
        self._left = threading.Event()
        self._job = scheduler.submit(self._run, "answer", now)

    def cancel(self) -> None:
        """Stop it, from any thread; what it still writes is not told."""
        self.cancelled = True
        if self._scheduler.cancel(self._job):
            self._left.set()
        self._stream.close()

    def join(self) -> None:
        """Wait until no thread is in it."""
        if self._scheduler.workers:
            self._left.wait()

    def _run(self) -> None:
        try:
            for piece in self._stream:
                if self.cancelled:
                    return
                self._tell(self, piece)
            if not self.cancelled:
                self._tell(self, self._stream.answer)
        except Exception as error:  # noqa: BLE001 - told as an event
            if not self.cancelled:
                self._tell(self, error)
        finally:
            self._left.set()
