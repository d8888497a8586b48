"""Background jobs: a record each, on disk before the request is acknowledged."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import StringConstraints, TypeAdapter

from wavrag.disk import dump_json, load_json
from wavrag.kb import UPLOAD_PATTERN
from wavrag.server.limits import MAX_ENDED_JOBS
from wavrag.store import Records
from wavrag.types import Scalar

ID_PATTERN = r"[0-9]{10,}-[0-9a-f]{16}"
JobKind: TypeAlias = Literal["add", "remove"]
JobState: TypeAlias = Literal["queued", "running", "done", "failed", "cancelled"]
LARGE_BYTES = 4 << 20  # of the files of a job that must not hold up small ones


@dataclass(slots=True)
class Upload:
    """An uploaded file to index."""

    document_id: str
    # Generated name in the uploads folder. The job file of a received knowledge base must not make
    # the server read or delete other files.
    file: Annotated[str, StringConstraints(pattern=f"^{UPLOAD_PATTERN}$")]
    name: str  # the client's name of the file
    title: str
    size: int  # bytes
    metadata: dict[str, Scalar]
    is_titled: bool = False  # the client gave the title


@dataclass(frozen=True, slots=True)
class JobOptions:
    """Who submits a job, and its priority; fields as in `IndexJob`."""

    owner: str = ""
    user: str = ""
    labels: list[str] | None = None
    priority: int = 0


@dataclass(slots=True)
class IndexJob:
    """Files to index, or documents to remove."""

    # Sorts by time of submission.
    id: Annotated[str, StringConstraints(pattern=f"^{ID_PATTERN}$")]
    kind: JobKind
    created: str  # this and `ended`: ISO 8601 time
    uploads: list[Upload] = field(default_factory=list)  # files to index
    document_ids: list[str] = field(default_factory=list)  # documents to remove
    state: JobState = "queued"
    attempts: int = 0  # without those interrupted by a shutdown
    runs: int = 0  # starts by any worker; tells the latest one
    priority: int = 0  # of the jobs that may run, those with the highest one run first
    is_cancelled: bool = False  # to be ended soon
    progress: dict[str, Any] = field(default_factory=dict)  # counts, as in `ProgressShape`
    report: dict[str, Any] | None = None  # outcome for each document, once the job is done
    error: str | None = None  # reason of the failure, or of the next attempt
    ended: str | None = None
    owner: str = ""  # id of the user who submitted it; empty for anybody
    user: str = ""  # name of the owner, for the audit log
    labels: list[str] | None = None  # access labels of the owner; None for all documents

    @property
    def documents(self) -> list[str]:
        """Ids of its documents."""
        return [*(upload.document_id for upload in self.uploads), *self.document_ids]

    @property
    def created_seconds(self) -> int:
        """Time of submission in seconds since the epoch."""
        return int(datetime.fromisoformat(self.created).timestamp())

    @property
    def is_large(self) -> bool:
        """True if its files must not hold up smaller ones."""
        return sum(upload.size for upload in self.uploads) > LARGE_BYTES

    @property
    def has_ended(self) -> bool:
        """True once the job is done, was cancelled, or has failed for good."""
        return self.state in ("done", "failed", "cancelled")

    @property
    def is_disposable(self) -> bool:
        """True once the job has ended, unless it has failed and its files are kept."""
        return self.has_ended and not (self.state == "failed" and self.uploads)

    def requeue(self) -> None:
        """Set a failed job back to its first attempt."""
        self.state, self.attempts, self.error, self.ended = "queued", 0, None, None


_JOB: TypeAdapter[IndexJob] = TypeAdapter(IndexJob)
SHARE_SECONDS = 1.0  # between updates of a running job's progress


class LostJobError(Exception):
    """Another process has ended or started the job in the meantime."""


def now() -> str:
    """The current time in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class JobBook:
    """Jobs by id, in memory and in the records of a knowledge base.

    Attributes:
        is_shared: True if other processes change the jobs, too.

    Args:
        records: the records of the knowledge base.

    Raises:
        StoreError: the records are not usable.
    """

    is_shared = False

    def __init__(self, records: Records) -> None:
        self._records = records
        self._lock = threading.Lock()
        records.clean("jobs")
        self._jobs: dict[str, IndexJob] = {}
        for job in self._read_all():
            self._remember(job)
        self._number = int(next(reversed(self._jobs), "0").partition("-")[0])

    def create(
        self, uploads: list[Upload], document_ids: list[str], options: JobOptions | None = None
    ) -> IndexJob:
        """Create a job; it survives a killed process when the call returns."""
        kind: JobKind = "add" if uploads else "remove"
        with self._lock:
            # Consecutive numbers would tell how many documents others add.
            self._number = max(self._number + 1, time.time_ns() // 1000)
            # The random suffix keeps other clients from guessing the id.
            id = f"{self._number:010d}-{secrets.token_hex(8)}"
            job = IndexJob(
                id, kind, now(), uploads, document_ids, **asdict(options or JobOptions())
            )
            self._records.create("jobs", id, dump_job(job))
            self._remember(job)
        return job

    def save(self, job: IndexJob) -> None:
        """Keep a job's state, on a full disk with reserved space.

        Deletes the oldest ended jobs, but none that failed with uploads: their files are kept, and
        the job can be repeated.
        """
        with self._lock:
            self._records.put("jobs", job.id, dump_job(job))
            self._delete_oldest(self._jobs.values())

    def restart(self, job: IndexJob) -> bool:
        """Set a failed job back to its first attempt; False if another client was faster."""
        if job.state != "failed":
            return False
        queued = replace(job)
        queued.requeue()
        self.save(queued)
        job.requeue()
        return True

    def share(self, job: IndexJob) -> None:
        """Show the progress of a running job to other processes, and learn if it was cancelled.

        Raises:
            LostJobError: another process has started the job in the meantime.
        """

    def find_damaged(self) -> list[str]:
        """Ids of jobs that were not readable; their uploads have no job."""
        return [id for id, _ in self._records.items("damaged_jobs")]

    def delete_damaged(self, id: str) -> None:
        """Forget a job that was not readable."""
        self._records.delete("damaged_jobs", id)

    def delete(self, id: str) -> None:
        """Forget a job."""
        with self._lock:
            self._delete(id)

    def get(self, id: str) -> IndexJob | None:
        """A job; None if the id is unknown or the job was deleted."""
        return self._jobs.get(id)

    def all(self) -> list[IndexJob]:
        """All jobs, oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def _remember(self, job: IndexJob) -> None:
        self._jobs[job.id] = job

    def _read_all(self) -> list[IndexJob]:
        jobs = [
            self._read(id, value)
            for id, value in self._records.items("jobs")
            if re.fullmatch(ID_PATTERN, id)
        ]
        return [job for job in jobs if job is not None]

    def _delete_oldest(self, jobs: Iterable[IndexJob]) -> None:
        old_ids = [job.id for job in jobs if job.is_disposable]
        for id in old_ids[: max(0, len(old_ids) - MAX_ENDED_JOBS)]:
            self._delete(id)

    def _delete(self, id: str) -> None:
        self._jobs.pop(id, None)
        self._records.delete("jobs", id)

    def _read(self, id: str, value: bytes) -> IndexJob | None:
        """The job of a record; None if it is damaged, which is then set aside."""
        try:
            return load_job(value)
        except ValueError:
            self._records.put("damaged_jobs", id, value)
            self._records.delete("jobs", id)
            return None


def dump_job(job: IndexJob) -> bytes:
    """The record of a job."""
    return dump_json(_JOB.dump_python(job, mode="json"))


def load_job(value: bytes) -> IndexJob:
    """The job of a record.

    Raises:
        ValueError: the record is damaged.
    """
    return _JOB.validate_python(load_json(value, checked=False))
