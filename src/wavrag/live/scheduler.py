"""Run searches and answers of several speakers on a few threads, most urgent first.

Three lanes. The front lane runs searches with a deadline: the final search of a turn, which the
user waits for. The back lane runs partial searches on threads of low priority, so they never delay
the front lane and use idle processor time only. The answer lane runs generation, because an answer
may wait for a server for a long time.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeAlias

from wavrag import config
from wavrag.closing import Closing

Lane: TypeAlias = Literal["front", "back", "answer"]

BACK_NICENESS = 10  # Linux: about a tenth of the processor time of a competing thread at 0
MAX_ANSWERS = 32  # answers generated at the same time


@dataclass(eq=False)
class ScheduledJob:
    """A queued search or answer.

    Attributes:
        work: function to call; it must not raise.
        lane: see `Scheduler`.
        due: deadline in seconds by the caller's clock; the earliest runs first.
        order: number of the job, which breaks ties.
    """

    work: Callable[[], None]
    lane: Lane
    due: float
    order: int


class Scheduler(Closing):
    """Runs jobs on a few threads, most urgent first. Share one in a process.

    Threads start with the first job. With `workers=0` there are no threads, and `step` runs a job
    on the caller's thread.
    """

    def __init__(self, workers: int | None = None, answers: int = MAX_ANSWERS) -> None:
        """Create the pools.

        Args:
            workers: threads of the front lane (default: number of processors). The back lane has
                one less, but at least one.
            answers: answers generated at the same time.
        """
        self.workers = config.threads() if workers is None else workers
        self._lock = threading.Lock()
        self._queue: list[ScheduledJob] = []
        self._order = 0
        self._closed = False
        self._pools: dict[Lane, ThreadPoolExecutor] = {}
        if self.workers:
            self._pools = {
                "front": ThreadPoolExecutor(self.workers, "wavrag-live"),
                "back": ThreadPoolExecutor(
                    max(1, self.workers - 1), "wavrag-live-back", initializer=_lower_priority
                ),
                "answer": ThreadPoolExecutor(answers, "wavrag-live-answer"),
            }

    def submit(self, work: Callable[[], None], lane: Lane, due: float) -> ScheduledJob:
        """Queue a job, described in `ScheduledJob`; after `close` it never runs."""
        with self._lock:
            self._order += 1
            job = ScheduledJob(work, lane, due, self._order)
            if not self._closed:
                self._queue.append(job)
                if self._pools:
                    # The pool's own queue is first in, first out. It only gets a token, and the
                    # thread then picks the most urgent job, so `reprioritize` works on queued jobs.
                    self._pools[lane].submit(self._run_next, lane)
        return job

    def reprioritize(self, job: ScheduledJob, due: float) -> None:
        """Give a queued job an earlier deadline."""
        job.due = due

    def cancel(self, job: ScheduledJob) -> bool:
        """Remove a job from the queue; False if it is running or done."""
        with self._lock:
            if job in self._queue:
                self._queue.remove(job)
                return True
            return False

    def step(self) -> bool:
        """Run the most urgent job on this thread; False if there was none."""
        return any(self._run_next(lane) for lane in ("front", "back", "answer"))

    def close(self) -> None:
        """Clear the queue and wait for running jobs."""
        with self._lock:
            self._closed = True
            self._queue.clear()
        for pool in self._pools.values():
            pool.shutdown()

    def _run_next(self, lane: Lane) -> bool:
        with self._lock:
            jobs = [job for job in self._queue if job.lane == lane]
            if not jobs:
                return False
            job = min(jobs, key=lambda job: (job.due, job.order))
            self._queue.remove(job)
        job.work()
        return True


def _lower_priority() -> None:
    """Lower the priority of this thread, on systems with priorities for threads."""
    # On Linux a nice value belongs to a thread; elsewhere this would slow down the whole process.
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACK_NICENESS)
