"""The searches of a turn: partial ones during speech, and the final one.

All methods are called under the lock of the turn; only retrieval itself runs outside it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from wavrag.audio import SAMPLE_RATE
from wavrag.errors import WavRAGError
from wavrag.kb import Retrieval
from wavrag.live.intake import SampleBuffer
from wavrag.live.options import FIRST_PARTIAL_MS, MAX_SEARCH_RATE, PARTIAL_CPU_SHARE, TAIL_MS
from wavrag.live.scheduler import ScheduledJob, Scheduler
from wavrag.live.voice import FRAME_MS, VoiceTrack
from wavrag.types import Clip, Float32, Query


@dataclass(eq=False)
class Search:
    """A search with the audio from `start` to `end`, in samples of the stream.

    Attributes:
        start: first sample.
        end: position after the last sample; a partial search sets it when it starts.
        request_time: second of the request.
        samples: audio of the query; None until a partial search starts.
        job: its job in the scheduler.
        start_time: second at which a processor was free; None while the search is queued.
        end_time: second at which the search ended; None before.
        retrieval: the result; None before the end and after a failure.
        error: message of the failure.
    """

    start: int
    end: int
    request_time: float
    samples: Float32 | None = None
    job: ScheduledJob | None = None
    start_time: float | None = None
    end_time: float | None = None
    retrieval: Retrieval | None = None
    error: str | None = None

    @property
    def query(self) -> Query:
        """The audio as a query."""
        assert self.samples is not None
        return Query(clip=Clip(self.samples, SAMPLE_RATE))

    @property
    def timings(self) -> dict[str, float]:
        """Milliseconds of each stage."""
        wait = 1e3 * ((self.start_time or self.request_time) - self.request_time)
        return {"wait": wait, **(self.retrieval.timings if self.retrieval else {})}


@dataclass(eq=False)
class Searches:
    """Decides when a turn searches.

    Attributes:
        buffer: samples of the stream.
        scheduler: runs the searches.
        start: first sample of the turn.
        run: retrieves for a search and reports the result, on a thread of the scheduler.
        latest: the successful search with the most audio.
        stopped: no further searches before the end of the turn.
    """

    buffer: SampleBuffer
    scheduler: Scheduler
    start: int
    run: Callable[[Search], None]
    latest: Search | None = None
    stopped: bool = False
    _partial_search: Search | None = None
    _pause_search: Search | None = None
    _request_times: deque[float] = field(default_factory=deque)
    _cost: float = 0.0  # seconds of the previous search

    def schedule(self, track: VoiceTrack, now: float, turn_end: float) -> None:
        """Start a search after a frame, if one is due.

        The turn ends at the second `turn_end` unless speech resumes.
        """
        if self.stopped or track.last_voiced is None:
            return
        if track.pause == 0:
            self._drop_pause_search()
            self._request_partial(track, now)
            return
        # In a pause, search with the utterance so far, because it may be complete.
        end = self.utterance_end(track.last_voiced)
        if track.end < end or self._covers(end) or not self._within_rate(now, reserve=0):
            return
        self._drop_partial_search()
        self._drop_pause_search()
        self._pause_search = self._submit(end, now, turn_end)
        self._request_times.append(now)

    def utterance_end(self, last_voiced: int) -> int:
        """End of an utterance by the position after its last voiced frame."""
        return last_voiced + round(TAIL_MS * SAMPLE_RATE / 1e3)

    def commit(self, end: int, now: float) -> Search:
        """The search with the whole utterance: finished, running, or started now."""
        self.stopped = True
        self._drop_partial_search()
        if self.latest is not None and self.latest.end == end:
            self._drop_pause_search()
            return self.latest
        if self._pause_search is not None and self._pause_search.end == end:
            assert self._pause_search.job is not None
            self.scheduler.reprioritize(self._pause_search.job, now)
            return self._pause_search
        self._drop_pause_search()
        return self._submit(end, now, now)

    def stop(self) -> None:
        """Start no further searches and cancel queued ones."""
        self.stopped = True
        self._drop_partial_search()
        self._drop_pause_search()

    def begin(self, search: Search, now: float, audio_end: int) -> bool:
        """Prepare a search when a processor is free; False if it is no longer needed."""
        if search.samples is None:
            if self.stopped:
                return False
            # A partial search takes the newest audio, not that of the time of its request.
            search.end = audio_end
            search.samples = self.buffer.cut(search.start, audio_end)
        search.start_time = now
        return True

    def end(self, search: Search, now: float) -> None:
        """Record the end of a search."""
        search.end_time = now
        self._cost = now - (search.start_time or now)
        if search is self._partial_search:
            self._partial_search = None
        if search is self._pause_search:
            self._pause_search = None
        if search.error is None and (self.latest is None or search.end >= self.latest.end):
            self.latest = search

    def _request_partial(self, track: VoiceTrack, now: float) -> None:
        if self._partial_search is not None:
            return
        if track.voiced_frames * FRAME_MS < FIRST_PARTIAL_MS:
            return
        # Searches cost more as the utterance grows or the machine is busy, and become rarer then.
        pause = self._cost / PARTIAL_CPU_SHARE
        if self._request_times and now - self._request_times[-1] < pause:
            return
        if self._within_rate(now, reserve=1):
            search = Search(self.start, self.start, now)
            self._partial_search = search
            self._request_times.append(now)
            search.job = self.scheduler.submit(lambda: self.run(search), "back", now)

    def _within_rate(self, now: float, reserve: int) -> bool:
        while self._request_times and now - self._request_times[0] >= 1.0:
            self._request_times.popleft()
        return len(self._request_times) < MAX_SEARCH_RATE - reserve

    def _covers(self, end: int) -> bool:
        """True if a search up to that position is finished or running."""
        searches = (self.latest, self._pause_search)
        return any(search is not None and search.end == end for search in searches)

    def _submit(self, end: int, now: float, due: float) -> Search:
        search = Search(self.start, end, now, self.buffer.cut(self.start, end))
        search.job = self.scheduler.submit(lambda: self.run(search), "front", due)
        return search

    def _drop_partial_search(self) -> None:
        if self._partial_search is not None and self._partial_search.job is not None:
            self.scheduler.cancel(self._partial_search.job)
            self._partial_search = None

    def _drop_pause_search(self) -> None:
        if self._pause_search is not None and self._pause_search.job is not None:
            self.scheduler.cancel(self._pause_search.job)
            self._pause_search = None


def error_message(error: Exception) -> str:
    """Message of an error, with its class unless it is one of WavRAG's."""
    return str(error) if isinstance(error, WavRAGError) else f"{type(error).__name__}: {error}"
