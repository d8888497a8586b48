"""Several answers to one prompt, written side by side, until enough of them are there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any, Literal, TypeAlias

from wavrag.answer import votes
from wavrag.errors import GenerationError, WavRAGError
from wavrag.generate import AnswerEnd, GenerateOptions, Generator, Message, StopSignal, Stream
from wavrag.types import ReasoningPath

PathSink = Callable[[int, ReasoningPath], None]  # told of each path, by its index, when it ends
End: TypeAlias = Literal["all", "decided", "time"]  # why a sampling ended

STOPPED = "stopped"  # the error of a path that was cancelled
PATIENCE = 2.0  # seconds in which what was told to stop should have stopped


@dataclass(slots=True)
class _Draft:
    """A path while it is written."""

    started: float | None = None  # when it was begun
    text: str = ""
    path: ReasoningPath | None = None  # once it has ended


class Sampling:
    """Paths that are written at a time, each batch of them read by a thread.

    Args:
        generator: what writes; the paths are written in batches if it has `stream_many`.
        messages: what is asked, the same for all paths.
        options: how to write; the seed of a path is this one's plus its index.
        paths: how many.
        at_once: how many are written at a time, at most; None for all.
        adaptive: stop when the paths to come cannot change which answer most give.
        answer_of: the answer in what was written; empty if it has none.

    Attributes:
        failed: paths that ended without an answer.
    """

    def __init__(
        self,
        generator: Generator,
        messages: Sequence[Message],
        options: GenerateOptions,
        paths: int = 1,
        *,
        at_once: int | None = None,
        adaptive: bool = False,
        answer_of: Callable[[str], str] = str.strip,
    ) -> None:
        self._generator = generator
        self._messages = messages
        self._options = options
        self._adaptive = adaptive
        self._answer_of = answer_of
        self._drafts = [_Draft() for _ in range(paths)]
        self._events: SimpleQueue[tuple[int, str | AnswerEnd | Exception] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._open: list[Stream[Any]] = []
        self._over = False
        at_once = min(at_once or paths, paths)
        size = min(at_once, generator.spec.parallel)
        starts = range(0, paths, size)
        self._jobs = [range(start, min(start + size, paths)) for start in starts]
        # Batches of one prompt follow each other; requests to a server run side by side.
        self._threads = 1 if size > 1 else at_once
        # A batch begins when the end of the one before it has been weighed.
        self._permits = threading.Semaphore(self._threads)
        self.failed = 0

    def run(self, deadline: float | None, stop: StopSignal, on_path: PathSink | None = None) -> End:
        """Sample until all paths have ended (`all`), or are `decided`, or `time` is up.

        Raises:
            GenerationError: somebody asked to stop.
        """
        threads = [
            threading.Thread(target=self._work, name=f"wavrag-path-{number}", daemon=True)
            for number in range(self._threads)
        ]
        try:
            with stop.notify(lambda: self._events.put(None)):
                for thread in threads:
                    thread.start()
                return self._read(deadline, on_path)
        finally:
            self._end()
            patience = time.perf_counter() + PATIENCE
            for thread in threads:
                if thread.ident is not None:
                    thread.join(max(patience - time.perf_counter(), 0.0))

    def paths(self) -> tuple[ReasoningPath, ...]:
        """The paths that were begun."""
        return tuple(
            draft.path
            or ReasoningPath(draft.text, "", False, STOPPED, milliseconds_since(draft.started))
            for draft in self._drafts
            if draft.started is not None
        )

    def _read(self, deadline: float | None, on_path: PathSink | None) -> End:
        """Take what the threads hand over, until the sampling ends."""
        while any(draft.path is None for draft in self._drafts):
            wait = None if deadline is None else deadline - time.perf_counter()
            if wait is not None and wait <= 0:
                return "time"
            try:
                event = self._events.get(timeout=wait)
            except Empty:
                return "time"
            if event is None:
                raise GenerationError("the answer was stopped before it was there")
            index, piece = event
            if index < 0:
                self._permits.release()
                continue
            draft = self._drafts[index]
            if isinstance(piece, str):
                draft.text += piece
                continue
            if isinstance(piece, Exception) and not isinstance(piece, WavRAGError):
                raise piece
            draft.path = self._ended(draft, piece)
            self.failed += not draft.path.finished
            if on_path is not None:
                on_path(index, draft.path)
            if self._adaptive and self._decided():
                return "decided"
        return "all"

    def _ended(self, draft: _Draft, end: AnswerEnd | Exception) -> ReasoningPath:
        took = milliseconds_since(draft.started)
        if isinstance(end, Exception):
            return ReasoningPath(draft.text, "", False, str(end), took)
        answer = self._answer_of(draft.text)
        error = "" if answer else "the model wrote no answer"
        return ReasoningPath(draft.text, answer, bool(answer), error, took, end.usage)

    def _decided(self) -> bool:
        """Whether paths are left, and none of them matters."""
        paths = [draft.path for draft in self._drafts]
        answers = [votes.normalise(path.answer) for path in paths if path and path.finished]
        total = len(paths) - self.failed
        return len(answers) < total and votes.decided(answers, total)

    def _work(self) -> None:
        """Write one batch of paths after another."""
        while (job := self._next()) is not None:
            ended: set[int] = set()
            try:
                for at, piece in self._pieces(job):
                    self._events.put((job[at], piece))
                    if isinstance(piece, AnswerEnd):
                        ended.add(at)
                lost: Exception = GenerationError(f"{self._generator.spec.name} broke off")
            except Exception as error:  # noqa: BLE001 - raised, or kept, by the thread that waits
                lost = error
            for at, index in enumerate(job):
                if at not in ended:
                    self._events.put((index, lost))
            self._events.put((-1, AnswerEnd()))

    def _next(self) -> range | None:
        self._permits.acquire()
        with self._lock:
            if self._over or not self._jobs:
                return None
            job = self._jobs.pop(0)
            for index in job:
                self._drafts[index].started = time.perf_counter()
            return job

    def _pieces(self, job: range) -> Iterator[tuple[int, str | AnswerEnd]]:
        """What is written for a batch of paths, by their position in it."""
        seed = (self._options.seed or 0) + job.start
        options = replace(self._options, seed=seed)
        if len(job) > 1:
            with self._opened(
                self._generator.stream_many(self._messages, options, len(job))
            ) as batch:
                yield from batch
            return
        with self._opened(self._generator.stream(self._messages, options)) as pieces:
            for piece in pieces:
                yield 0, piece
                if self._over:
                    return
            yield 0, AnswerEnd(pieces.usage)

    @contextmanager
    def _opened(self, pieces: Iterator[Any]) -> Iterator[Stream[Any]]:
        """A stream that `_end` closes, if it is not closed before."""
        stream = Stream.of(pieces)
        with self._lock:
            self._open.append(stream)
            over = self._over
        if over:
            stream.close()
        try:
            yield stream
        finally:
            stream.close()
            with self._lock:
                self._open.remove(stream)

    def _end(self) -> None:
        """Begin no more paths, and close those that are written."""
        with self._lock:
            self._over = True
            streams = list(self._open)
        self._permits.release(self._threads)
        for stream in streams:
            stream.close()


def milliseconds_since(started: float | None) -> float:
    """Milliseconds since a reading of `time.perf_counter`; 0 where there is none."""
    return 0.0 if started is None else 1e3 * (time.perf_counter() - started)
