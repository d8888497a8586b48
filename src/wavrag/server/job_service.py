"""The jobs of a collection, for the endpoints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, TypeAlias

from wavrag.server.jobs import IndexJob, JobOptions, Upload

WriterCondition: TypeAlias = Literal["running", "waiting for disk space", "retrying", "stopped"]


@dataclass(frozen=True, slots=True)
class WorkerTimes:
    """Times of the workers of a queue; the same for all of them.

    Attributes:
        heartbeat: seconds between signs of life of a worker.
        stalled: seconds without a sign of life, after which the jobs of a worker are restarted.
        rescue: when workers look for such jobs, as in cron with a sixth field for seconds.
    """

    heartbeat: float = 10.0
    stalled: float = 30.0
    rescue: str = "* * * * * */15"


class JobService(ABC):
    """Takes jobs, and executes them or leaves them to the workers of a queue.

    Attributes:
        poll_seconds: time between two looks at the state of a job.
    """

    poll_seconds: float

    @abstractmethod
    def start(self) -> None:
        """Delete orphaned uploads and resume the unfinished jobs."""

    @abstractmethod
    def stop(self) -> None:
        """Stop after the current document; unfinished jobs resume later."""

    @property
    @abstractmethod
    def is_alive(self) -> bool:
        """True while jobs are executed."""

    @property
    @abstractmethod
    def condition(self) -> WriterCondition:
        """The worker's condition for `/healthz`."""

    @abstractmethod
    def submit(
        self, uploads: list[Upload], document_ids: list[str], options: JobOptions | None = None
    ) -> IndexJob:
        """Submit a job, either to add uploads or to remove documents.

        It survives a killed process or a power loss when the call returns.

        Args:
            uploads: files to index.
            document_ids: documents to remove.
            options: its user and priority; by default anybody's.
        """

    @abstractmethod
    def retry(self, job: IndexJob) -> None:
        """Queue a failed job again."""

    @abstractmethod
    def cancel(self, job: IndexJob) -> None:
        """End a job: at once if it waits, otherwise after the current step."""

    @abstractmethod
    def discard(self, job: IndexJob) -> None:
        """Delete a failed job and its files."""

    @abstractmethod
    def count_pending(self) -> int:
        """Number of unfinished jobs."""
