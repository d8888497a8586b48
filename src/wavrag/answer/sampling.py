"""Concurrent sampling of several answers to one prompt, until enough of them have finished."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any, Literal, TypeAlias

from wavrag.answer import votes
from wavrag.errors import GenerationError, WavRAGError
from wavrag.generate import AnswerEnd, GenerateOptions, Generator, Message, StopSignal, Stream
from wavrag.types import ReasoningPath

PathCallback: TypeAlias = Callable[[int, ReasoningPath], None]  # index of a path, and its end
SamplingEnd: TypeAlias = Literal["all", "decided", "time"]

STOPPED = "stopped"  # error of a cancelled path
# Streams stop before the next token. A thread that takes longer, because its model evaluates a long
# prompt, is left behind: it is a daemon and ends with the process.
JOIN_SECONDS = 2.0


@dataclass(slots=True)
class _PathState:
    """A path in progress."""

    started: float | None = None  # `time.perf_counter()` at its start
    text: str = ""
    path: ReasoningPath | None = None  # once it has ended


class PathSampler:
    """Samples paths concurrently; a thread reads each request or batch.

    The seed of a path is the seed of `options` plus its index. `parse_answer` extracts the answer
    of a path; empty if it has none.

    Attributes:
        failures: number of paths without an answer.
    """

    def __init__(
        self,
        generator: Generator,
        messages: Sequence[Message],
        options: GenerateOptions,
        paths: int = 1,
        *,
        concurrency: int | None = None,
        adaptive: bool = False,
        parse_answer: Callable[[str], str] = str.strip,
    ) -> None:
        self._generator = generator
        self._messages = messages
        self._options = options
        self._adaptive = adaptive
        self._parse_answer = parse_answer
        self._states = [_PathState() for _ in range(paths)]
        # Index of a path with its output; index -1 ends a batch, None is the stop signal.
        self._events: SimpleQueue[tuple[int, str | AnswerEnd | Exception] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._over = StopSignal()  # starts no more paths, and closes the streams of the others
        concurrency = min(concurrency or paths, paths)
        batch = min(concurrency, generator.spec.parallel)
        self._jobs = [range(start, min(start + batch, paths)) for start in range(0, paths, batch)]
        # A local model computes one batch at a time; requests to a server run concurrently.
        self._threads = 1 if batch > 1 else concurrency
        # The next job waits until the results of the last one are counted: they may decide.
        self._permits = threading.Semaphore(self._threads)
        self.failures = 0

    def run(
        self, deadline: float | None, stop: StopSignal, on_path: PathCallback | None = None
    ) -> SamplingEnd:
        """Sample until all paths have ended, the majority is decided, or the time is up.

        `deadline` is a reading of `time.perf_counter()`; None for no limit.

        Raises:
            GenerationError: `stop` was set.
        """
        threads = [
            threading.Thread(target=self._run_jobs, name=f"wavrag-path-{number}", daemon=True)
            for number in range(self._threads)
        ]
        try:
            with stop.notify(lambda: self._events.put(None)):
                for thread in threads:
                    thread.start()
                return self._process_events(deadline, on_path)
        finally:
            self._over.set()
            self._permits.release(self._threads)
            join_until = time.perf_counter() + JOIN_SECONDS
            for thread in threads:
                if thread.ident is not None:  # it was started
                    thread.join(max(join_until - time.perf_counter(), 0.0))

    def paths(self) -> tuple[ReasoningPath, ...]:
        """All started paths; cancelled ones have the error `STOPPED`."""
        return tuple(
            state.path
            or ReasoningPath(state.text, "", False, STOPPED, milliseconds_since(state.started))
            for state in self._states
            if state.started is not None
        )

    def _process_events(self, deadline: float | None, on_path: PathCallback | None) -> SamplingEnd:
        """Collect the output of the threads until the sampling ends."""
        while any(state.path is None for state in self._states):
            timeout = None if deadline is None else deadline - time.perf_counter()
            if timeout is not None and timeout <= 0:
                return "time"
            try:
                event = self._events.get(timeout=timeout)
            except Empty:
                return "time"
            if event is None:
                raise GenerationError("the answer was stopped before it was complete")
            index, output = event
            if index < 0:
                self._permits.release()
                continue
            state = self._states[index]
            if isinstance(output, str):
                state.text += output
                continue
            # A bug is raised; an error of the generator ends only its own path.
            if isinstance(output, Exception) and not isinstance(output, WavRAGError):
                raise output
            state.path = self._finish_path(state, output)
            self.failures += not state.path.finished
            if on_path is not None:
                on_path(index, state.path)
            if self._adaptive and self._is_decided():
                return "decided"
        return "all"

    def _finish_path(self, state: _PathState, end: AnswerEnd | Exception) -> ReasoningPath:
        milliseconds = milliseconds_since(state.started)
        if isinstance(end, Exception):
            return ReasoningPath(state.text, "", False, str(end), milliseconds)
        answer = self._parse_answer(state.text)
        error = "" if answer else "the model wrote no answer"
        return ReasoningPath(state.text, answer, bool(answer), error, milliseconds, end.usage)

    def _is_decided(self) -> bool:
        """True if paths remain and none of them can change the majority."""
        paths = [state.path for state in self._states]
        answers = [votes.normalise(path.answer) for path in paths if path and path.finished]
        total = len(paths) - self.failures
        return len(answers) < total and votes.is_decided(answers, total)

    def _run_jobs(self) -> None:
        """Generate one batch of paths after another, in a thread."""
        while (job := self._next_job()) is not None:
            finished: set[int] = set()
            try:
                for position, output in self._generate(job):
                    self._events.put((job[position], output))
                    if isinstance(output, AnswerEnd):
                        finished.add(position)
                name = self._generator.spec.name
                error: Exception = GenerationError(f"{name} ended without an answer")
            except Exception as failure:  # noqa: BLE001 - handled by the thread that waits
                error = failure
            for position, index in enumerate(job):
                if position not in finished:
                    self._events.put((index, error))
            self._events.put((-1, AnswerEnd()))

    def _next_job(self) -> range | None:
        self._permits.acquire()
        with self._lock:
            if self._over.is_set or not self._jobs:
                return None
            job = self._jobs.pop(0)
            for index in job:
                self._states[index].started = time.perf_counter()
            return job

    def _generate(self, job: range) -> Iterator[tuple[int, str | AnswerEnd]]:
        """Output of a batch of paths, by position in the batch."""
        options = replace(self._options, seed=(self._options.seed or 0) + job.start)
        stream: Stream[Any]
        if len(job) > 1:
            stream = Stream.of(self._generator.stream_many(self._messages, options, len(job)))
            with self._over.notify(stream.close), closing(stream):
                yield from stream
            return
        stream = Stream.of(self._generator.stream(self._messages, options))
        with self._over.notify(stream.close), closing(stream):
            for text in stream:
                yield 0, text
        yield 0, AnswerEnd(stream.usage)


def milliseconds_since(started: float | None) -> float:
    """Milliseconds since a reading of `time.perf_counter()`; 0 for None."""
    return 0.0 if started is None else 1e3 * (time.perf_counter() - started)
