"""The outcome of turns: partial hits, one committed result, one answer.

All methods run under the lock of the `LiveTurn`; only retrieval and generation run outside it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from wavrag.answer import CANDIDATES
from wavrag.audio import SAMPLE_RATE
from wavrag.live.answer_job import AnswerJob, AnswerOutput
from wavrag.live.events import (
    AnswerDelta,
    Cancelled,
    CancelReason,
    CompleteAnswer,
    EndReason,
    Event,
    Failed,
    Hits,
    PartialHits,
    Span,
    TurnEnded,
)
from wavrag.live.options import EARLY_STABILITY, LiveOptions
from wavrag.live.scheduler import Scheduler
from wavrag.live.searches import Search, Searches
from wavrag.live.stability import StabilityTrack
from wavrag.live.voice import VoiceTrack
from wavrag.rag import WavRAG
from wavrag.types import Answer, HistoryTurn

HISTORY_TURNS = 16  # memory bound; `AnswerOptions.history` decides how many a prompt uses


@dataclass(eq=False)
class TurnState:
    """State of a turn, from its first voiced sample to the end of its answer.

    Attributes:
        number: from 1.
        start: first sample of the utterance.
        origin: second of its first voiced sample, or of `begin`.
        speech_time: second of its last voiced sample.
        searches: its searches.
        started: True after enough voice for `speech_started`.
        stability_track: stability of its partial hits.
        end_time: second at which it ended; None during speech.
        final_search: the search to commit; None before the end and after the commit.
        answer_job: its answer; None before it starts.
        early_count: answers started before the end of the turn.
        muted: its answer is no longer needed.
    """

    number: int
    start: int
    origin: float
    speech_time: float
    searches: Searches
    started: bool
    stability_track: StabilityTrack = field(default_factory=StabilityTrack)
    end_time: float | None = None
    final_search: Search | None = None
    answer_job: AnswerJob | None = None
    early_count: int = 0
    muted: bool = False


@dataclass(eq=False)
class Outcomes:
    """Searches, commits and answers the turns of a speaker.

    Attributes:
        rag: knowledge base and generator.
        options: options of the speaker's turns.
        scheduler: runs searches and answers.
        clock: current time in seconds.
        lock: the lock of the `LiveTurn`.
        emit: called with each event, and with None if a turn is over without a last event.
        history: the conversation so far.
        describe_error: returns the message of an error for the speaker.
        open_turns: turns after their end, with events still to come.
    """

    rag: WavRAG
    options: LiveOptions
    scheduler: Scheduler
    clock: Callable[[], float]
    lock: threading.Condition
    emit: Callable[[Event | None], None]
    history: list[HistoryTurn]
    describe_error: Callable[[Exception], str]
    open_turns: list[TurnState] = field(default_factory=list)

    def at_ms(self, turn: TurnState) -> float:
        """Milliseconds since the turn started."""
        return 1e3 * (self.clock() - turn.origin)

    # Searching

    def search(self, turn: TurnState, track: VoiceTrack, search: Search) -> None:
        """Retrieve for a search of a turn, on a thread of the scheduler."""
        with self.lock:
            if not turn.searches.begin(search, self.clock(), track.end):
                return
        query = replace(search.query, where=self.options.where)
        # Outside the lock: `push` must not wait for a model.
        try:
            retrieval = self.rag.kb.retrieve(query, max(CANDIDATES, self.options.k))
        except Exception as error:  # noqa: BLE001 - reported as an event
            search.error = self.describe_error(error)
        else:
            search.retrieval = retrieval
        with self.lock:
            turn.searches.end(search, self.clock())
            if turn.final_search is search:
                self._commit(turn)
            elif turn.end_time is None and search.error is None and not turn.searches.stopped:
                self._report(turn, search, track)
            elif search.error is not None:
                # The final search reports the error, so that the turn fails exactly once.
                turn.searches.stop()

    def _report(self, turn: TurnState, search: Search, track: VoiceTrack) -> None:
        """Emit the hits for the speech so far."""
        assert search.retrieval is not None
        assert track.last_voiced is not None
        if search is not turn.searches.latest:
            return  # a search with more audio was faster
        retrieval = search.retrieval
        settled = search.end == turn.searches.utterance_end(track.last_voiced)
        hits = retrieval.hits[: self.options.k]
        stability = turn.stability_track.add([hit.passage.id for hit in hits], _ms(search.end))
        self.emit(
            PartialHits(
                turn.number,
                self.at_ms(turn),
                hits,
                retrieval.words,
                span_of(search.start, search.end),
                settled,
                *stability,
                search.timings,
            )
        )
        if settled and stability.stability >= EARLY_STABILITY:
            self._answer_early(turn, search)

    # The end

    def end(self, turn: TurnState, end: int, reason: EndReason) -> None:
        """End a turn at a sample position and commit its search."""
        now = self.clock()
        turn.end_time = now
        span = span_of(turn.start, end)
        after_speech_ms = 1e3 * (now - turn.speech_time)
        self.open_turns.append(turn)
        self.emit(TurnEnded(turn.number, self.at_ms(turn), reason, span, after_speech_ms))
        turn.final_search = turn.searches.commit(end, now)
        if turn.final_search.end_time is not None:
            self._commit(turn)

    def cancel(self, turn: TurnState, reason: CancelReason) -> None:
        """Cancel a turn before its hits."""
        turn.searches.stop()
        turn.final_search = None
        if turn.answer_job is not None:
            turn.answer_job.cancel()
        self._close_turn(turn)
        self.emit(Cancelled(turn.number, self.at_ms(turn), "turn", reason))

    def mute(self, reason: CancelReason) -> None:
        """Cancel the answers of all turns after their end; their hits still come."""
        for turn in list(self.open_turns):
            turn.muted = True
            if turn.final_search is None and turn.answer_job is not None:
                turn.answer_job.cancel()
                self._close_turn(turn)
                self.emit(Cancelled(turn.number, self.at_ms(turn), "answer", reason))

    def _commit(self, turn: TurnState) -> None:
        """Emit the result of the turn, once, and start its answer."""
        search, turn.final_search = turn.final_search, None
        assert search is not None
        assert turn.end_time is not None
        if search.retrieval is None:
            if turn.answer_job is not None:
                turn.answer_job.cancel()
            self._close_turn(turn)
            self.emit(Failed(turn.number, self.at_ms(turn), "hits", search.error or ""))
            return
        now = self.clock()
        self.emit(
            Hits(
                turn.number,
                self.at_ms(turn),
                search.retrieval.hits[: self.options.k],
                search.retrieval.words,
                span_of(search.start, search.end),
                1e3 * (now - turn.speech_time),
                1e3 * (now - turn.end_time),
                search.end_time is not None and search.end_time <= turn.end_time,
                search.timings,
                search.retrieval.corrections,
            )
        )
        self._answer(turn, search)

    # Answering

    def _answer_early(self, turn: TurnState, search: Search) -> None:
        """Start an answer on hold, for the case that the turn ends with these hits."""
        key = _answer_key(search)
        if not self.options.answer or (turn.answer_job and turn.answer_job.key == key):
            return
        if turn.early_count < self.options.early_answers:
            if turn.answer_job is not None:
                turn.answer_job.cancel()
            turn.early_count += 1
            turn.answer_job = self._start_answer(turn, search, early=True)

    def _answer(self, turn: TurnState, search: Search) -> None:
        """Release the early answer if its hits were committed; otherwise start an answer."""
        early = turn.answer_job
        if early is not None and (turn.muted or early.key != _answer_key(search)):
            early.cancel()
            turn.answer_job = early = None
        # Muted: barge-in or `interrupt` came between the end of the turn and its result.
        if turn.muted or not self.options.answer:
            self._close_turn(turn)
            self.emit(None)
            return
        if early is None:
            turn.answer_job = self._start_answer(turn, search, early=False)
            return
        early.on_hold = False
        for output in early.buffer:
            self._emit_answer(turn, early, output)

    def _start_answer(self, turn: TurnState, search: Search, early: bool) -> AnswerJob:
        stream = self.rag.stream(
            search.query,
            self.options.where,
            options=self.options.generate,
            history=self.history,
            retrieval=search.retrieval,
        )

        def emit(job: AnswerJob, output: AnswerOutput) -> None:
            with self.lock:
                if job.on_hold:
                    job.buffer.append(output)
                elif not job.cancelled:
                    self._emit_answer(turn, job, output)

        key, now = _answer_key(search), self.clock()
        return AnswerJob(stream, emit, self.scheduler, key=key, early=early, now=now)

    def _emit_answer(self, turn: TurnState, job: AnswerJob, output: AnswerOutput) -> None:
        at_ms = self.at_ms(turn)
        if isinstance(output, str):
            self.emit(AnswerDelta(turn.number, at_ms, output))
            return
        self._close_turn(turn)
        if isinstance(output, Answer):
            self.history = [*self.history, output.history_turn][-HISTORY_TURNS:]
            self.emit(CompleteAnswer(turn.number, at_ms, output, job.early))
        else:
            self.emit(Failed(turn.number, at_ms, "answer", self.describe_error(output)))

    def _close_turn(self, turn: TurnState) -> None:
        if turn in self.open_turns:
            self.open_turns.remove(turn)


def span_of(start: int, end: int) -> Span:
    """Sample positions as a span."""
    return Span(_ms(start), _ms(end))


def _ms(samples: int) -> float:
    return 1e3 * samples / SAMPLE_RATE


def _answer_key(search: Search) -> object:
    """The input of an answer: hits and transcript, or the span where there is no transcript."""
    assert search.retrieval is not None
    words = search.retrieval.words
    question = re.findall(r"\w+", words.casefold()) if words else (search.start, search.end)
    return [hit.passage.id for hit in search.retrieval.hits[:CANDIDATES]], question
