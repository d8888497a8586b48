"""What comes of turns: their searches reported, one result committed, one answer written.

All of it happens under the lock of the `LiveTurn` whose turns they are, except the retrieval and
the writing themselves.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from wavrag.answer import CANDIDATES
from wavrag.audio import SAMPLE_RATE
from wavrag.live.answering import Answering, Written
from wavrag.live.events import (
    AnswerDelta,
    Answered,
    Cancelled,
    CancelReason,
    EndReason,
    Event,
    Failed,
    Hits,
    PartialHits,
    Span,
    TurnEnded,
)
from wavrag.live.options import LiveOptions
from wavrag.live.scheduler import Scheduler
from wavrag.live.searches import Search, Searches, failure
from wavrag.live.stability import StabilityTrack
from wavrag.live.voice import VoiceTrack
from wavrag.rag import WavRAG
from wavrag.types import Answer, Turn

REMEMBERED = 16  # turns of the conversation; what of them is used, `AnswerOptions.history` says


@dataclass(eq=False)
class TurnState:
    """One turn, from its first voice to the end of its answer.

    Attributes:
        number: from 1.
        start: first sample of the utterance.
        origin: second of its first voiced sample, or of `begin`.
        spoken_at: second of its last voiced sample.
        searches: that it asked for.
        started: a voice has been heard for long enough.
        ended_at: second at which it ended; None while it is spoken.
        committing: the search whose hits will be those of the turn, until they are.
        answering: its answer, from the beginning to the end of the writing.
        early: answers that were begun before its end.
        muted: nobody wants its answer.
    """

    number: int
    start: int
    origin: float
    spoken_at: float
    searches: Searches
    started: bool
    steadiness: StabilityTrack = field(default_factory=StabilityTrack)
    ended_at: float | None = None
    committing: Search | None = None
    answering: Answering | None = None
    early: int = 0
    muted: bool = False


class Outcomes:
    """Of the turns of one speaker.

    Attributes:
        tails: turns that have ended, and of which something is still to come.
        history: the conversation so far.
    """

    def __init__(
        self,
        rag: WavRAG,
        options: LiveOptions,
        scheduler: Scheduler,
        *,
        clock: Callable[[], float],
        lock: threading.Condition,
        tell: Callable[[Event | None], None],
    ) -> None:
        """Report to `tell`: an event, or None when a tail has ended without one."""
        self.tails: list[TurnState] = []
        self.history: list[Turn] = []
        self._rag = rag
        self._options = options
        self._scheduler = scheduler
        self._clock = clock
        self._lock = lock
        self._tell = tell

    def at_ms(self, turn: TurnState) -> float:
        """Milliseconds since the turn started."""
        return 1e3 * (self._clock() - turn.origin)

    # Searching

    def search(self, turn: TurnState, track: VoiceTrack, search: Search) -> None:
        """Retrieve for a search of a turn, on a thread of the scheduler."""
        with self._lock:
            if not turn.searches.begin(search, self._clock(), track.end):
                return
        query = replace(search.query, where=self._options.where)
        try:
            retrieval = self._rag.kb.retrieve(query, max(CANDIDATES, self._options.k))
        except Exception as error:  # noqa: BLE001 - told as an event
            search.error = failure(error)
        else:
            search.retrieval = retrieval
        with self._lock:
            turn.searches.end(search, self._clock())
            if turn.committing is search:
                self._commit(turn)
            elif turn.ended_at is None and search.error is None and not turn.searches.stopped:
                self._report(turn, search, track)
            elif search.error is not None:
                turn.searches.stop()  # the search that is committed will tell why

    def _report(self, turn: TurnState, search: Search, track: VoiceTrack) -> None:
        """Tell what was found for the speech so far."""
        assert search.retrieval is not None
        assert track.last_voiced is not None
        if search is not turn.searches.done:
            return  # a later one was faster
        retrieval = search.retrieval
        settled = search.end == turn.searches.settled_end(track.last_voiced)
        hits = retrieval.hits[: self._options.k]
        steadiness = turn.steadiness.add([hit.passage.id for hit in hits], _ms(search.end))
        if self._options.partials:
            self._tell(
                PartialHits(
                    turn.number,
                    self.at_ms(turn),
                    hits,
                    retrieval.words,
                    span_of(search.start, search.end),
                    settled,
                    steadiness.stability,
                    steadiness.overlap,
                    steadiness.first_ms,
                    search.timings,
                )
            )
        if settled and steadiness.stability >= self._options.early_stability:
            self._answer_early(turn, search)

    # The end

    def end(self, turn: TurnState, end: int, reason: EndReason) -> None:
        """The turn is over: its utterance ends before that sample."""
        now = self._clock()
        turn.ended_at = now
        span = span_of(turn.start, end)
        spoken = 1e3 * (now - turn.spoken_at)
        self.tails.append(turn)
        self._tell(TurnEnded(turn.number, self.at_ms(turn), reason, span, spoken))
        turn.committing = turn.searches.commit(end, now)
        if turn.committing.ended is not None:
            self._commit(turn)

    def cancel(self, turn: TurnState, reason: CancelReason) -> None:
        """Nothing will come of a turn that has no hits yet."""
        turn.searches.stop()
        turn.committing = None
        if turn.answering is not None:
            turn.answering.cancel()
        self._leave(turn)
        self._tell(Cancelled(turn.number, self.at_ms(turn), "turn", reason))

    def mute(self, reason: CancelReason) -> None:
        """Nobody wants the answers of the turns that have ended; their hits still come."""
        for turn in list(self.tails):
            turn.muted = True
            if turn.committing is None and turn.answering is not None:
                turn.answering.cancel()
                self._leave(turn)
                self._tell(Cancelled(turn.number, self.at_ms(turn), "answer", reason))

    def _commit(self, turn: TurnState) -> None:
        """Tell the result of the turn, once, and have it answered."""
        search, turn.committing = turn.committing, None
        assert search is not None
        assert turn.ended_at is not None
        if search.retrieval is None:
            if turn.answering is not None:
                turn.answering.cancel()
            self._leave(turn)
            self._tell(Failed(turn.number, self.at_ms(turn), "hits", search.error or ""))
            return
        now = self._clock()
        self._tell(
            Hits(
                turn.number,
                self.at_ms(turn),
                search.retrieval.hits[: self._options.k],
                search.retrieval.words,
                span_of(search.start, search.end),
                1e3 * (now - turn.spoken_at),
                1e3 * (now - turn.ended_at),
                search.ended is not None and search.ended <= turn.ended_at,
                search.timings,
            )
        )
        self._answer(turn, search)

    # Answering

    def _answer_early(self, turn: TurnState, search: Search) -> None:
        """Begin an answer that is told if the turn ends with the same hits and words."""
        key = _key(search)
        if not self._options.answer or (turn.answering and turn.answering.key == key):
            return
        if turn.early < self._options.early_answers:
            if turn.answering is not None:
                turn.answering.cancel()
            turn.early += 1
            turn.answering = self._begin(turn, search, early=True)

    def _answer(self, turn: TurnState, search: Search) -> None:
        """Tell the early answer if it is of these hits, or begin one."""
        early = turn.answering
        if early is not None and (turn.muted or early.key != _key(search)):
            early.cancel()
            turn.answering = early = None
        if turn.muted or not self._options.answer:
            self._leave(turn)
            self._tell(None)
            return
        if early is None:
            turn.answering = self._begin(turn, search, early=False)
            return
        early.held = False
        for written in early.waiting:
            self._write(turn, early, written)

    def _begin(self, turn: TurnState, search: Search, early: bool) -> Answering:
        stream = self._rag.stream(
            search.query,
            self._options.where,
            options=self._options.generate,
            reasoning=self._options.reasoning,
            history=self.history,
            retrieval=search.retrieval,
        )

        def tell(answering: Answering, written: Written) -> None:
            with self._lock:
                if answering.held:
                    answering.waiting.append(written)
                elif not answering.cancelled:
                    self._write(turn, answering, written)

        return Answering(
            stream, tell, self._scheduler, key=_key(search), early=early, now=self._clock()
        )

    def _write(self, turn: TurnState, answering: Answering, written: Written) -> None:
        at = self.at_ms(turn)
        if isinstance(written, str):
            self._tell(AnswerDelta(turn.number, at, written))
            return
        self._leave(turn)
        if isinstance(written, Answer):
            self.history = [*self.history, written.turn][-REMEMBERED:]
            self._tell(Answered(turn.number, at, written, answering.early))
        else:
            self._tell(Failed(turn.number, at, "answer", failure(written)))

    def _leave(self, turn: TurnState) -> None:
        if turn in self.tails:
            self.tails.remove(turn)


def span_of(start: int, end: int) -> Span:
    """Samples as a span."""
    return Span(_ms(start), _ms(end))


def _ms(samples: int) -> float:
    return 1e3 * samples / SAMPLE_RATE


def _key(search: Search) -> object:
    """What an answer rests on: the hits and the words, or the sound where there are no words."""
    assert search.retrieval is not None
    words = search.retrieval.words
    heard = " ".join(re.findall(r"\w+", words.casefold())) if words else (search.start, search.end)
    return [hit.passage.id for hit in search.retrieval.hits[:CANDIDATES]], heard
