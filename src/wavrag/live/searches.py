"""The searches of one turn: ahead of its end while that pays, and the one that is committed.

Everything here happens under the lock of the turn that owns it, except the retrieval itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from wavrag.audio import SAMPLE_RATE
from wavrag.errors import WavRAGError
from wavrag.kb import Retrieval
from wavrag.live.intake import SampleBuffer
from wavrag.live.options import LiveOptions
from wavrag.live.scheduler import Scheduler, SearchJob
from wavrag.live.voice import FRAME_MS, VoiceTrack
from wavrag.types import Clip, Float32, Query


@dataclass(eq=False)
class Search:
    """One search with the sound from `start` to `end`, in samples of the stream.

    Attributes:
        start: first sample.
        end: after the last sample; a partial search takes what there is when it begins.
        asked: second at which it was asked for.
        samples: what is searched with; None until a partial search begins.
        job: in the scheduler.
        began: second at which a processor was free for it; None while it waits.
        ended: second at which it was done; None before.
        retrieval: what it found; None before and if it failed.
        error: why it failed.
    """

    start: int
    end: int
    asked: float
    samples: Float32 | None = None
    job: SearchJob | None = None
    began: float | None = None
    ended: float | None = None
    retrieval: Retrieval | None = None
    error: str | None = None

    @property
    def query(self) -> Query:
        """What is searched with."""
        assert self.samples is not None
        return Query(clip=Clip(self.samples, SAMPLE_RATE))

    @property
    def timings(self) -> dict[str, float]:
        """Milliseconds of each stage."""
        wait = 1e3 * ((self.began or self.asked) - self.asked)
        return {"wait": wait, **(self.retrieval.timings if self.retrieval else {})}


@dataclass(eq=False)
class Searches:
    """What a turn has asked for so far.

    Attributes:
        buffer: the stream.
        scheduler: that runs searches.
        options: how often.
        start: first sample of the turn.
        run: retrieves for a search and reports it; called on a thread of the scheduler.
        done: the last search that ended well.
        stopped: nothing more is searched ahead of the end.
    """

    buffer: SampleBuffer
    scheduler: Scheduler
    options: LiveOptions
    start: int
    run: Callable[[Search], None]
    done: Search | None = None
    stopped: bool = False
    _partial: Search | None = None
    _settled: Search | None = None
    _asked: deque[float] = field(default_factory=deque)
    _cost: float = 0.0  # seconds that the last search took

    def listen(self, track: VoiceTrack, now: float, end_due: float) -> None:
        """Ask for what pays after another frame.

        Args:
            track: of the voice up to now.
            now: second.
            end_due: second at which the turn will end if nobody speaks on.
        """
        if self.stopped or track.last_voiced is None:
            return
        if track.pause == 0:
            self._drop_settled()
            if self.options.partials:
                self._ask_partial(track, now)
            return
        end = self.settled_end(track.last_voiced)
        if track.end < end or self._has(end) or not self._within_rate(now, spare=0):
            return
        self._drop_partial()
        self._drop_settled()
        self._settled = self._submit(end, now, end_due)
        self._asked.append(now)

    def settled_end(self, last_voiced: int) -> int:
        """Where an utterance ends whose last voiced sample is before that one."""
        return last_voiced + round(self.options.tail_ms * SAMPLE_RATE / 1e3)

    def commit(self, end: int, now: float) -> Search:
        """The search of the whole utterance: done, under way, or asked for now."""
        self.stopped = True
        self._drop_partial()
        if self.done is not None and self.done.end == end:
            self._drop_settled()
            return self.done
        if self._settled is not None and self._settled.end == end:
            assert self._settled.job is not None
            self.scheduler.hasten(self._settled.job, now)
            return self._settled
        self._drop_settled()
        return self._submit(end, now, now)

    def stop(self) -> None:
        """Ask for nothing more, and take back what has not begun."""
        self.stopped = True
        self._drop_partial()
        self._drop_settled()

    def begin(self, search: Search, now: float, heard: int) -> bool:
        """A processor is free for a search; False if it is not wanted any more."""
        if search.samples is None:
            if self.stopped:
                return False
            search.end = heard
            search.samples = self.buffer.cut(search.start, heard)
        search.began = now
        return True

    def end(self, search: Search, now: float) -> None:
        """A search is done."""
        search.ended = now
        self._cost = now - (search.began or now)
        if search is self._partial:
            self._partial = None
        if search is self._settled:
            self._settled = None
        if search.error is None and (self.done is None or search.end >= self.done.end):
            self.done = search

    def _ask_partial(self, track: VoiceTrack, now: float) -> None:
        if self._partial is not None:
            return
        if track.voiced_frames * FRAME_MS < self.options.first_partial_ms:
            return
        if self._asked and now - self._asked[-1] < self._cost / self.options.share:
            return
        if self._within_rate(now, spare=1):
            search = Search(self.start, self.start, now)
            self._partial = search
            self._asked.append(now)
            search.job = self.scheduler.submit(lambda: self.run(search), "back", now)

    def _within_rate(self, now: float, spare: int) -> bool:
        while self._asked and now - self._asked[0] >= 1.0:
            self._asked.popleft()
        return len(self._asked) < max(1, self.options.max_rate - spare)

    def _has(self, end: int) -> bool:
        """Whether a search up to there is done or under way."""
        return any(one is not None and one.end == end for one in (self.done, self._settled))

    def _submit(self, end: int, now: float, due: float) -> Search:
        search = Search(self.start, end, now, self.buffer.cut(self.start, end))
        search.job = self.scheduler.submit(lambda: self.run(search), "front", due)
        return search

    def _drop_partial(self) -> None:
        if self._partial is not None and self._partial.job is not None:
            self.scheduler.cancel(self._partial.job)
            self._partial = None

    def _drop_settled(self) -> None:
        if self._settled is not None and self._settled.job is not None:
            self.scheduler.cancel(self._settled.job)
            self._settled = None


def failure(error: Exception) -> str:
    """What to tell of an error: its message, with its kind if it is none of ours."""
    return str(error) if isinstance(error, WavRAGError) else f"{type(error).__name__}: {error}"
