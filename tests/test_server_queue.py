"""Servers and workers on one PostgreSQL database: jobs survive the processes that execute them."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import prometheus_client
import pytest

from serving import client, serving
from waiting import wait_for
from wavrag import KnowledgeBase, WavRAG
from wavrag.embed import FakeEmbedder
from wavrag.errors import InputError
from wavrag.generate import FakeGenerator
from wavrag.kb import Progress, tenant_address
from wavrag.server import ServerOptions, WorkerTimes, run_worker
from wavrag.server.job_queue import JobQueue
from wavrag.server.job_runner import JobRunner, blob_name
from wavrag.server.jobs import IndexJob, JobOptions, LostJobError, Upload
from wavrag.server.queue_worker import QueueWorker, Workplace
from wavrag.server.queued_jobs import QueuedJobBook, QueuedJobs
from wavrag.server.worker import generate_name

tenants = itertools.count()
TIMES = WorkerTimes(heartbeat=0.2, stalled=1.0, rescue="* * * * * *")
OPTIONS = ServerOptions(voice="fake", workers=0)
FILES = 24
WORKER = """
import sys, time
from wavrag.embed import FakeEmbedder
from wavrag.kb import indexing
from wavrag.server import ServerOptions, WorkerTimes, run_worker

indexing.BATCH, indexing.COMMIT_SECONDS = 1, 0.0  # a commit for each document
embed = FakeEmbedder.embed

def embed_slowly(self, inputs, role):
    time.sleep(float(sys.argv[2]))
    return embed(self, inputs, role)

FakeEmbedder.embed = embed_slowly
run_worker(
    sys.argv[1], ServerOptions(workers=2),
    times=WorkerTimes(heartbeat=0.2, stalled=1.0, rescue="* * * * * *"),
)
"""


@pytest.fixture
def address(postgres_url: str) -> str:
    return f"{postgres_url}&tenant=queue-{next(tenants)}"


@contextmanager
def killed_at_end(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A Python process."""
    environment = {**os.environ, "WAVRAG_TOKEN": ""}
    with subprocess.Popen(
        [sys.executable, *command], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def upload_all(http: httpx.Client, count: int = FILES, **options: int) -> dict[str, str]:
    texts = [("file", (f"{n}.txt", f"Ferry {n} leaves at nine.".encode())) for n in range(count)]
    reply: dict[str, str] = http.post("/v1/documents", files=texts, params=options).json()
    return reply


@pytest.fixture
def server(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[httpx.Client, WavRAG]]:
    """A server without workers."""
    monkeypatch.setenv("WAVRAG_BLOBS", str(tmp_path / "files"))
    with (
        WavRAG.open(address, embedder=FakeEmbedder(), generator=FakeGenerator()) as rag,
        serving(rag, OPTIONS) as url,
        client(url) as http,
    ):
        yield http, rag


def test_a_killed_worker_and_a_killed_server(
    server: tuple[httpx.Client, WavRAG], address: str
) -> None:
    http, rag = server
    serve = ["-m", "wavrag", "serve", "--port", "0", "--workers", "0", "--kb", address]
    with (
        killed_at_end(serve) as other_server,
        killed_at_end(["-c", WORKER, address, "0.2"]) as worker,
    ):
        line = other_server.stderr.readline()
        assert "s3cret" not in line
        with client(re.search(r"http://[\d.:]+", line)[0]) as other_http:
            job = upload_all(other_http)
        path = f"/v1/jobs/{job['id']}"
        wait_for(lambda: http.get(path).json()["progress"].get("passages", 0) > 0, 60)
        worker.kill()
        other_server.kill()
        worker.wait()
        assert 0 < rag.kb.count() < FILES
    with killed_at_end(["-c", WORKER, address, "0"]) as worker:
        while http.get(path).json()["state"] != "done":
            hits = http.get("/v1/search", params={"q": "ferry 1", "k": 3}).json()["hits"]
            assert hits
        report = http.get(path).json()["report"]
        # The documents of the killed worker are not indexed again.
        assert len(report["added"]) + len(report["unchanged"]) == FILES
        assert report["unchanged"]
        assert not report["updated"] + report["skipped"]
        assert len(rag.kb.documents()) == rag.kb.count() == FILES
        assert rag.kb.verify() == []
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0


def test_cancelled_jobs_end(server: tuple[httpx.Client, WavRAG], address: str) -> None:
    http, rag = server
    job, waiting = upload_all(http), upload_all(http, 1, priority=3)
    path = f"/v1/jobs/{job['id']}"
    assert "wavrag_jobs_waiting 2.0" in http.get("/metrics").text
    reply = http.post(f"/v1/jobs/{waiting['id']}/cancel").json()
    assert (reply["state"], http.get(path).json()["state"]) == ("cancelled", "queued")
    with killed_at_end(["-c", WORKER, address, "0.1"]):
        wait_for(lambda: http.get(path).json()["state"] == "running", 60)
        reply = http.post(f"{path}/cancel?wait=30").json()
        assert (reply["state"], reply["report"]) == ("cancelled", None)
        stored = len(rag.kb.documents())
        assert stored < FILES
        wait_for(lambda: len(rag.kb.backend.files.list("uploads")) == stored)
    assert http.post(f"{path}/cancel").status_code == 409


class Station:
    """A knowledge base of a tenant with its jobs, whose texts are noted in a list."""

    def __init__(self, url: str, tenant: str, order: list[str], stack: ExitStack) -> None:
        address = tenant_address(url, tenant)
        self.kb = stack.enter_context(KnowledgeBase.open(address, embedder="fake"))
        assert self.kb.backend.pool is not None
        self.jobs = QueuedJobBook(self.kb.backend.records)
        self.queue = JobQueue(self.kb.backend.pool)
        registry = prometheus_client.CollectorRegistry()
        counter = prometheus_client.Counter("jobs", "", ["kind", "state"], registry=registry)
        self.runner = JobRunner(self.kb, self.jobs, ServerOptions(), counter)
        self.service = QueuedJobs(self.jobs, self.queue, self.runner, None)
        attempt = self.runner.attempt

        def attempt_noted(job: IndexJob, is_stopping: object) -> float | None:
            order.append(f"{tenant} {job.uploads[0].name}")
            return attempt(job, is_stopping)  # type: ignore[arg-type]

        self.runner.attempt = attempt_noted  # type: ignore[method-assign]

    def upload(self, name: str, priority: int = 0) -> IndexJob:
        file = generate_name(".txt")
        scratch = Path(self.kb.backend.scratch) / file
        scratch.write_text(f"Text {name}.")
        self.kb.backend.files.put(blob_name(file), scratch)
        return self.service.submit(
            [Upload(f"upload-{name}", file, name, name, 9, {})], [], JobOptions(priority=priority)
        )


@pytest.fixture
def stations(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[list[Station], list[str]]]:
    monkeypatch.setenv("WAVRAG_BLOBS", str(tmp_path / "files"))
    order: list[str] = []
    with ExitStack() as stack:
        names = (f"fair-{next(tenants)}" for _ in range(2))
        yield [Station(postgres_url, name, order, stack) for name in names], order


def run_all(stations: Sequence[Station], jobs: Sequence[IndexJob]) -> list[IndexJob]:
    """Execute jobs one after the other."""
    places = {
        station.kb.backend.pool.tenant: Workplace(station.jobs, station.queue, station.runner)
        for station in stations
    }
    pool = stations[0].kb.backend.pool
    worker = QueueWorker(pool, places.__getitem__, slots=1, times=TIMES)
    books = {job.id: station.jobs for station in stations for job in station.jobs.all()}
    worker.start()
    try:
        wait_for(lambda: all(books[job.id].get(job.id).has_ended for job in jobs))
    finally:
        worker.stop()
    return [books[job.id].get(job.id) for job in jobs]


def test_tenants_take_turns_and_priorities_count(stations: tuple[list[Station], list[str]]) -> None:
    (first, second), order = stations
    jobs = [first.upload(str(n)) for n in range(3)]
    jobs += [first.upload("urgent", priority=5), second.upload("a"), second.upload("b")]
    ended = run_all([first, second], jobs)
    assert [job.state for job in ended] == ["done"] * 6
    names = [entry.split() for entry in order]
    assert [name for _, name in names if name not in "ab"] == ["urgent", "0", "1", "2"]
    assert [tenant for tenant, _ in names[:4]] == [names[0][0], names[1][0]] * 2
    assert first.queue.count() == second.queue.count() == 0


def test_failed_jobs_are_repeated_and_lost_ones_left_alone(
    stations: tuple[list[Station], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (station, _), order = stations
    add = station.kb.add
    monkeypatch.setattr(station.kb, "add", lambda *_, **__: 1 / 0)
    job = station.upload("a")
    (failed,) = run_all([station], [job])
    assert failed.state == "failed"
    monkeypatch.setattr(station.kb, "add", add)
    station.service.retry(failed)
    station.service.retry(failed)  # no second time
    (done,) = run_all([station], [job])
    assert (done.state, len(order)) == ("done", 2)
    # A worker that was taken for dead finds that another one has started its job.
    job = station.upload("b")
    station.queue.remove(job)
    slow = station.jobs.get(job.id)
    other = station.jobs.get(job.id)
    assert slow is not None
    assert other is not None

    def start_other(progress: Progress) -> None:
        if other.runs == 0:
            other.runs = 2
            station.jobs.save(other)

    monkeypatch.setattr(
        station.kb, "add", lambda items, on_progress: (start_other(None), add(items))[1]
    )
    assert station.runner.attempt(slow, lambda: False) is None
    assert station.jobs.get(job.id).runs == 2
    assert station.jobs.get(job.id).state == "queued"
    with pytest.raises(LostJobError):
        station.runner.cancel(slow)


def test_workers_are_for_databases(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no queue of jobs"):
        run_worker(tmp_path, ServerOptions())
