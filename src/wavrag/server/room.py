"""What the requests of one server share: the knowledge base, its files, its jobs, its limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
from anyio import to_thread
from fastapi import Request
from filelock import FileLock, Timeout

from wavrag.errors import SpeechError, StoreError
from wavrag.live import Scheduler
from wavrag.rag import WavRAG
from wavrag.server.jobs import IndexJob, JobFolder
from wavrag.server.metrics import Metrics
from wavrag.server.options import ServerOptions
from wavrag.server.writer import Writer, is_generated
from wavrag.speech import Engine, best_engine
from wavrag.types import Query

T = TypeVar("T")


class Room:
    """A `WavRAG` that is served.

    Args:
        rag: what answers; it stays open when the server ends.
        options: limits and permissions.
    """

    def __init__(self, rag: WavRAG, options: ServerOptions) -> None:
        self.rag = rag
        self.options = options
        self.metrics = Metrics()
        self.is_ready = False
        self.voice: Engine | None = None  # what speaks, if anything does
        home = rag.kb.directory.absolute()
        self.incoming = home / "incoming"
        self.uploads = home / "uploads"
        self._home = home
        self._lock = FileLock(home / "server.lock", timeout=0, thread_local=False)
        self._writer: Writer | None = None
        self._jobs: JobFolder | None = None
        self._searching = anyio.CapacityLimiter(options.searches)
        self._speaking = anyio.CapacityLimiter(options.speeches)
        self.scheduler = Scheduler()  # of all who speak
        self.answering = asyncio.Semaphore(options.answers)  # a place for each answer

    # Beginning and end

    def take(self) -> None:
        """Take the knowledge base, load the models, go on with the jobs that were promised.

        Does nothing if that was done.

        Raises:
            StoreError: another server has the knowledge base.
        """
        if self.is_ready:
            return
        try:
            self._lock.acquire()
        except Timeout as error:
            raise StoreError(
                f"another server serves {self._home}: end it first, or serve another folder (--kb)"
            ) from error
        try:
            self.uploads.mkdir(exist_ok=True)
            self.incoming.mkdir(exist_ok=True)
            for path in self.incoming.iterdir():
                path.unlink()
            self.voice = _voice(self.options.voice)
            jobs = JobFolder(self._home / "jobs", self.options.kept_jobs)
            writer = Writer(self.rag.kb, jobs, self.uploads, self.options, self.metrics.job_ended)
            self.rag.kb.retrieve(Query(text="warm"), 1)
            self.rag.kb.embedder.load()
            writer.start()
        except BaseException:
            self._lock.release()
            raise
        self._jobs, self._writer = jobs, writer
        self.is_ready = True

    def release(self) -> None:
        """End the writing, and let go of the knowledge base."""
        if self.is_ready:
            self.is_ready = False
            self.scheduler.close()
            self.writer.stop()
            self._lock.release()

    # What requests use

    @property
    def jobs(self) -> JobFolder:
        """The promises."""
        assert self._jobs is not None, "the application was not started"
        return self._jobs

    @property
    def writer(self) -> Writer:
        """What keeps them."""
        assert self._writer is not None, "the application was not started"
        return self._writer

    async def compute(self, stage: str, function: Callable[..., T], *arguments: object) -> T:
        """Call a function that computes, on a thread, when there is a place."""
        started = time.perf_counter()
        places = self._speaking if stage == "speak" else self._searching
        result = await to_thread.run_sync(partial(function, *arguments), limiter=places)
        self.metrics.stage(stage, time.perf_counter() - started)
        return result

    async def wait(self, job: IndexJob, seconds: float) -> None:
        """Wait for a job's end, at most so long, without taking a thread."""
        deadline = time.monotonic() + seconds
        while not job.has_ended and self.writer.is_working and time.monotonic() < deadline:
            await asyncio.sleep(0.02)

    def located(self, source: str) -> Path:
        """The file of a document's source, also where the knowledge base was moved."""
        name = Path(source).name
        if is_generated(name) and (self.uploads / name).is_file():
            return self.uploads / name
        return Path(source)


def _voice(name: str | None) -> Engine | None:
    """The engine of that name, or the best that is here, if one is."""
    try:
        return best_engine(name)
    except SpeechError:
        return None


def room_of(request: Request) -> Room:
    """The room of the application that serves a request."""
    room: Room = request.app.state.room
    return room
