"""Who computes next, when several speakers share a few processors.

What a listener waits for, or will wait for when the silence has passed, goes through
the front lane, earliest need first. Searches with half a question go through the back lane, on
threads of low priority, so that they never hold up the front lane and take what it leaves. Answers
have a lane of their own: one may wait long for a server.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from wavrag import config
from wavrag.closing import Closing

Lane: TypeAlias = Literal["front", "back", "answer"]

BACK_NICENESS = 10  # Linux: about a tenth of the processor time of a thread at 0 beside it
ANSWERS = 32  # that are written at a time; the others wait


@dataclass(eq=False)
class SearchJob:
    """A piece of work that waits or runs.

    Attributes:
        work: what to do; it must not raise.
        lane: see `Scheduler`.
        due: second at which it is needed, by the clock of those who submit; smaller comes first.
    """

    work: Callable[[], None]
    lane: Lane
    due: float
    order: int = field(default=0, repr=False)


class Scheduler(Closing):
    """Runs jobs on a few threads, the most urgent first. One serves a whole process.

    Threads start with the first job. With `workers=0` there are none, and `step` runs a job on the
    caller's thread.
    """

    def __init__(self, workers: int | None = None) -> None:
        """Make one.

        Args:
            workers: threads of the front lane; the processors there are by default. The back lane
                has one less, and at least one.
        """
        self.workers = config.threads() if workers is None else workers
        self._lock = threading.Lock()
        self._waiting: list[SearchJob] = []
        self._order = 0
        self._closed = False
        self._pools: dict[Lane, ThreadPoolExecutor] = {}
        if self.workers:
            self._pools = {
                "front": ThreadPoolExecutor(self.workers, "wavrag-live"),
                "back": ThreadPoolExecutor(
                    max(1, self.workers - 1), "wavrag-live-back", initializer=_step_back
                ),
                "answer": ThreadPoolExecutor(ANSWERS, "wavrag-live-answer"),
            }

    def submit(self, work: Callable[[], None], lane: Lane, due: float) -> SearchJob:
        """Have work done; after `close` it never is.

        Args:
            work: what to do; it must not raise.
            lane: `front` for what is waited for, `back` for what may help, `answer` for answers.
            due: second at which it is needed; smaller comes first in its lane.
        """
        with self._lock:
            self._order += 1
            job = SearchJob(work, lane, due, self._order)
            if not self._closed:
                self._waiting.append(job)
                if self._pools:
                    self._pools[lane].submit(self._run_next, lane)
        return job

    def hasten(self, job: SearchJob, due: float) -> None:
        """Let a job of the front lane that waits be needed earlier."""
        job.due = due

    def cancel(self, job: SearchJob) -> bool:
        """Take back a job; False if it runs already or is done."""
        with self._lock:
            if job in self._waiting:
                self._waiting.remove(job)
                return True
            return False

    def step(self) -> bool:
        """Run the most urgent job on this thread; False if there was none."""
        return any(self._run_next(lane) for lane in ("front", "back", "answer"))

    def close(self) -> None:
        """Take back what waits, and wait for what runs."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
        for pool in self._pools.values():
            pool.shutdown()

    def _run_next(self, lane: Lane) -> bool:
        with self._lock:
            mine = [job for job in self._waiting if job.lane == lane]
            if not mine:
                return False
            job = min(mine, key=lambda job: (job.due, job.order))
            self._waiting.remove(job)
        job.work()
        return True


def _step_back() -> None:
    """Let the system prefer other threads to this one, where it can tell threads apart."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACK_NICENESS)
