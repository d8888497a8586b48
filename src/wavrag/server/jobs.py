"""Work on the knowledge base that was promised: one file a job, on disk before the promise."""

from __future__ import annotations

import json
import os
import secrets
import threading
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from wavrag.errors import StoreError
from wavrag.types import Scalar

State: TypeAlias = Literal["queued", "running", "done", "failed"]
ENDED: tuple[State, ...] = ("done", "failed")


@dataclass(slots=True)
class Upload:
    """A file that waits to be indexed.

    Attributes:
        document_id: of the document that it becomes.
        file: its name in the folder of uploads.
        name: as its sender calls it.
        title: of the document.
        size: bytes.
        metadata: of the document.
    """

    document_id: str
    file: str
    name: str
    title: str
    size: int
    metadata: dict[str, Scalar]


@dataclass(slots=True)
class IndexJob:
    """Files to index, or documents to remove.

    Attributes:
        id: in the order of the promises.
        kind: what is done.
        created: ISO 8601 time of the promise.
        uploads: files to index.
        document_ids: documents to remove.
        state: how far it is.
        attempts: that were begun and not ended on purpose.
        progress: counts while it runs, as `wavrag.kb.Progress` has them.
        report: what became of each document, when it is done.
        error: why it failed, or why it waits for another attempt.
        ended: ISO 8601 time of its end.
    """

    id: str
    kind: Literal["add", "remove"]
    created: str
    uploads: list[Upload] = field(default_factory=list)
    document_ids: list[str] = field(default_factory=list)
    state: State = "queued"
    attempts: int = 0
    progress: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] | None = None
    error: str | None = None
    ended: str | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in ENDED


def job_dict(job: IndexJob) -> dict[str, Any]:
    """A job in JSON."""
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "created": job.created,
        "ended": job.ended,
        "documents": [
            {"id": upload.document_id, "name": upload.name, "title": upload.title}
            for upload in job.uploads
        ]
        or [{"id": document_id, "name": None, "title": None} for document_id in job.document_ids],
        "progress": job.progress,
        "report": job.report,
        "error": job.error,
    }


def now() -> str:
    """ISO 8601 time."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class JobFolder:
    """Jobs by id, in memory and on disk.

    Raises:
        StoreError: the folder cannot be used, or a job in it cannot be read.
    """

    def __init__(self, folder: Path, kept: int) -> None:
        self._folder = folder
        self._kept = kept
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        for scratch in folder.glob(".*.new"):
            scratch.unlink()
        self._jobs = {path.stem: _read(path) for path in sorted(folder.glob("*.json"))}
        last = next(reversed(self._jobs), "0")
        self._number = int(last.partition("-")[0])

    def create(
        self,
        kind: Literal["add", "remove"],
        uploads: list[Upload] | None = None,
        document_ids: list[str] | None = None,
    ) -> IndexJob:
        """A new job; on disk when the call returns."""
        with self._lock:
            self._number += 1
            # What cannot be guessed keeps others from asking for it.
            id = f"{self._number:010d}-{secrets.token_hex(8)}"
            job = IndexJob(id, kind, now(), uploads or [], document_ids or [])
            self._write(job)
            self._jobs[id] = job
        return job

    def save(self, job: IndexJob) -> None:
        """Write a job's state down, and forget the oldest that ended."""
        with self._lock:
            self._write(job)
            ended = [other.id for other in self._jobs.values() if other.has_ended]
            for id in ended[: max(0, len(ended) - self._kept)]:
                del self._jobs[id]
                self._path(id).unlink(missing_ok=True)

    def get(self, id: str) -> IndexJob | None:
        """A job; None if there is none of that id, or no more."""
        return self._jobs.get(id)

    def all(self) -> list[IndexJob]:
        """Every job, oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def _path(self, id: str) -> Path:
        return self._folder / f"{id}.json"

    def _write(self, job: IndexJob) -> None:
        path = self._path(job.id)
        scratch = path.with_name(f".{path.name}.new")
        try:
            with scratch.open("w", encoding="utf-8") as file:
                json.dump(asdict(job), file)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(path)
            sync_folder(self._folder)
        except OSError as error:
            scratch.unlink(missing_ok=True)
            raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path) -> IndexJob:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        values["uploads"] = [Upload(**upload) for upload in values["uploads"]]
        return IndexJob(**values)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"the job {path} cannot be read ({error}): move it away, and upload its documents again"
        ) from error
