"""Background jobs on a full disk and with defects: an acknowledged upload is never lost."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from waiting import wait_for
from wavrag import KnowledgeBase
from wavrag.errors import StoreError
from wavrag.kb import AddReport
from wavrag.server import ServerOptions, job_runner
from wavrag.server.job_runner import JobRunner
from wavrag.server.jobs import LARGE_BYTES, IndexJob, JobBook, JobOptions, Upload
from wavrag.server.worker import JobWorker, generate_name
from wavrag.store import FolderRecords, folder_records
from wavrag.types import Document


class Disk:
    """A disk that is full on request."""

    def __init__(self) -> None:
        self.full = False
        self.refusals = 0

    def check(self) -> None:
        if self.full:
            self.refusals += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    write_file = folder_records.write_file

    def write(path: Path, data: bytes, mode: int) -> None:
        if path.parent.name == "jobs":
            disk.check()
        write_file(path, data, mode)

    monkeypatch.setattr(folder_records, "write_file", write)
    for name in ("FIRST_RETRY_DELAY", "FULL_DISK_DELAY"):
        monkeypatch.setattr(job_runner, name, 0.01)
    return disk


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[KnowledgeBase]:
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
        (kb.directory / "uploads").mkdir()
        yield kb


def create_worker(kb: KnowledgeBase) -> JobWorker:
    counter = Counter("jobs", "", ["kind", "state"], registry=CollectorRegistry())
    folder = JobBook(FolderRecords(kb.directory))
    return JobWorker(folder, JobRunner(kb, folder, ServerOptions(), counter))


@contextmanager
def running(worker: JobWorker) -> Iterator[JobWorker]:
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


def upload(kb: KnowledgeBase, text: str, suffix: str = ".txt") -> Upload:
    name = generate_name(suffix)
    (kb.directory / "uploads" / name).write_text(text)
    return Upload(f"upload-{name[:8]}", name, "a.txt", "A", len(text), {})


def files(kb: KnowledgeBase) -> list[str]:
    return [path.name for path in (kb.directory / "uploads").iterdir()]


def test_a_full_disk_delays_a_job(
    kb: KnowledgeBase, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the documents nor the state of the job can be written."""
    add = kb.add

    def add_if_space(*arguments: object, **options: object) -> object:
        try:
            disk.check()
        except OSError as error:
            raise StoreError("cannot write") from error
        return add(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(kb, "add", add_if_space)
    worker = create_worker(kb)
    job = worker.submit([upload(kb, "The ferry leaves at nine.")], [])
    disk.full = True
    with running(worker):
        # More than the attempts after which other failures count for good.
        wait_for(lambda: disk.refusals > 30)
        assert worker.condition == "waiting for disk space"
        assert len(files(kb)) == 1
        disk.full = False
        wait_for(lambda: job.has_ended)
        assert (job.state, job.attempts, kb.count()) == ("done", 1, 1)
        wait_for(lambda: worker.condition == "running")


def test_a_defect_of_the_program_ends_the_job_but_keeps_its_file(
    kb: KnowledgeBase, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError

    with running(create_worker(kb)) as worker:
        with monkeypatch.context() as patch:
            patch.setattr(kb, "add", fail)
            job = worker.submit([upload(kb, "The ferry leaves at nine.")], [])
            wait_for(lambda: job.has_ended)
        assert (job.state, len(files(kb))) == ("failed", 1)
    with running(create_worker(kb)) as worker:  # a new process
        (job,) = worker._jobs.all()
        assert (job.state, len(files(kb))) == ("failed", 1)
        worker.retry(job)
        wait_for(lambda: job.has_ended)
        assert (job.state, kb.count()) == ("done", 1)


def test_a_failed_job_is_discarded_with_its_file(kb: KnowledgeBase) -> None:
    worker = create_worker(kb)
    job = worker.submit([upload(kb, "The ferry leaves at nine.")], [])
    job.state = "failed"
    worker.discard(job)
    assert (files(kb), worker._jobs.all()) == ([], [])


def test_the_files_of_a_damaged_job_are_indexed(kb: KnowledgeBase) -> None:
    job = create_worker(kb).submit([upload(kb, "The ferry leaves at nine.")], [])
    path = kb.directory / "jobs" / f"{job.id}.json"
    path.write_bytes(path.read_bytes().replace(b"queued", b"quened"))
    assert path.name in kb.verify()[0]
    with running(create_worker(kb)) as worker:
        (job,) = worker._jobs.all()
        wait_for(lambda: job.has_ended)
    assert (job.state, kb.count(), kb.verify()) == ("done", 1, [])


def test_states_of_jobs_have_reserved_space(small_disk: Path) -> None:
    folder = JobBook(FolderRecords(small_disk))
    job = folder.create([], ["a"])
    free = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(bytes(free.f_bavail * free.f_frsize))
    with pytest.raises(StoreError, match="No space left"):
        folder.create([], ["b"])
    job.state = "done"
    folder.save(job)
    folder.save(job)
    stored: list[IndexJob] = JobBook(FolderRecords(small_disk)).all()
    assert [(job.id, job.state) for job in stored] == [(job.id, "done")]


def test_small_jobs_pass_a_large_one_but_those_of_a_document_keep_their_order(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, release = kb.add, threading.Event()

    def add_when_released(documents: Iterable[Document], **options: Any) -> AddReport:
        listed = list(documents)
        if listed[0].metadata:
            release.wait(30)
        return add(listed, **options)

    monkeypatch.setattr(kb, "add", add_when_released)
    large = replace(upload(kb, "A long text."), size=LARGE_BYTES + 1, metadata={"large": True})
    with running(create_worker(kb)) as jobs:
        blocked = [jobs.submit([replace(large)], []) for _ in range(2)]
        removal = jobs.submit([], [large.document_id])
        small = [jobs.submit([upload(kb, f"Ferry {n} leaves at nine.")], []) for n in range(3)]
        wait_for(lambda: all(job.has_ended for job in small))
        assert not any(job.has_ended for job in (*blocked, removal))
        assert kb.count() == 3
        release.set()
        wait_for(lambda: removal.has_ended)
        assert all(job.state == "done" for job in blocked)
        assert kb.count() == 3


def test_jobs_are_cancelled_and_ordered_by_priority(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, started, release = kb.add, threading.Event(), threading.Event()
    order: list[str] = []

    def add_when_released(documents: Iterable[Document], **options: Any) -> AddReport:
        listed = list(documents)
        order.append(listed[0].title)
        started.set()
        release.wait(30)
        return add(listed, **options)

    monkeypatch.setattr(kb, "add", add_when_released)
    monkeypatch.setattr("wavrag.server.jobs.LARGE_BYTES", 0)  # one job at a time
    jobs = create_worker(kb)
    first = jobs.submit([upload(kb, "The ferry leaves at nine.")], [])
    with running(jobs):
        started.wait(30)
        names = ("late", "urgent", "cancelled")
        late, urgent, waiting = (
            jobs.submit(
                [replace(upload(kb, name), title=name)],
                [],
                JobOptions(priority=2 * (name == "urgent")),
            )
            for name in names
        )
        jobs.cancel(waiting)
        assert waiting.state == "cancelled"
        jobs.cancel(first)
        assert first.state == "running"
        release.set()
        wait_for(lambda: late.has_ended and urgent.has_ended)
    assert [job.state for job in (first, late, urgent)] == ["cancelled", "done", "done"]
    assert order == ["A", "urgent", "late"]
    assert (kb.count(), len(files(kb)), jobs.count_pending()) == (2, 2, 0)
