"""`LiveTurn`: detect the turns of a speaker, search during speech, answer at the end of a turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from wavrag.arguments import check_type
from wavrag.audio import SAMPLE_RATE, VAD_FRAME, VoiceDetector
from wavrag.closing import Closing
from wavrag.errors import InputError
from wavrag.live.events import CancelReason, EndReason, Event, SpeechStarted
from wavrag.live.intake import Chunk, Intake, SampleBuffer
from wavrag.live.options import LEAD_MS, MIN_SPEECH_MS, ONSET_MS, LiveOptions
from wavrag.live.outcome import Outcomes, TurnState
from wavrag.live.scheduler import Scheduler
from wavrag.live.searches import Search, Searches, error_message
from wavrag.live.voice import VoiceTrack, frames_of
from wavrag.rag import WavRAG
from wavrag.types import Float32, HistoryTurn

SpeechProbability: TypeAlias = Callable[[Float32], float]  # 512 samples at 16 kHz -> P(speech)

LEAD = round(LEAD_MS * SAMPLE_RATE / 1e3)  # samples kept before the first voiced frame
LOOKBACK = LEAD + 2 * VAD_FRAME * frames_of(ONSET_MS)  # samples that the next turn may include
SILENCE_PEAK = 1e-3  # -60 dBFS; a push-to-talk turn with a lower peak is a muted microphone


class LiveTurn(Closing):
    """Listens to a speaker, turn after turn; no call waits for a model.

    Every method may be called from any thread. All callers of `take` see events in the same order.

    Example::

        with LiveTurn(rag) as turn:
            for chunk in microphone:
                turn.push(chunk)
                for event in turn.take():
                    print(event_dict(event))
    """

    def __init__(
        self,
        rag: WavRAG,
        options: LiveOptions | None = None,
        *,
        scheduler: Scheduler | None = None,
        history: Sequence[HistoryTurn] = (),
        on_ready: Callable[[], None] | None = None,
        voice: SpeechProbability | None = None,
        clock: Callable[[], float] = time.perf_counter,
        describe_error: Callable[[Exception], str] = error_message,
    ) -> None:
        """Start listening. `close` leaves the knowledge base and a given scheduler open.

        Args:
            rag: knowledge base and generator.
            options: see `LiveOptions`.
            scheduler: shared by all speakers of the process; None for one of its own.
            history: earlier turns of the conversation.
            on_ready: called when `take` has events, from any thread and under the lock of this
                object: it must return at once.
            voice: speech probability of a frame (default: the packaged detector).
            clock: current time in seconds.
            describe_error: returns the message of a `Failed` event (default: that of the error).
        """
        check_type(rag, WavRAG, "rag")
        check_type(options, LiveOptions | None, "options")
        self.options = options or LiveOptions()
        self._clock = clock
        self._on_ready = on_ready
        self._owns_scheduler = scheduler is None
        self._scheduler = scheduler or Scheduler()
        self._voice = voice or VoiceDetector().probability
        self._changed = threading.Condition(threading.RLock())
        self._outcomes = Outcomes(
            rag, self.options, self._scheduler, clock, self._changed, self._emit, list(history),
            describe_error,
        )  # fmt: skip
        self._intake = Intake(self.options.sample_rate, self.options.channels)
        self._buffer = SampleBuffer()
        self._track = VoiceTrack(self._buffer.end)
        self._free_from = 0  # samples before it belong to earlier turns
        self._count = 0
        self._turn: TurnState | None = None  # the turn in progress
        self._events: list[Event] = []
        self._finished = False
        self._closed = False

    # Input

    def push(self, chunk: Chunk) -> None:
        """Process the next audio.

        Args:
            chunk: 16-bit PCM bytes, or an array of int16 or float samples, with the sample rate
                and channels of the options; see `Intake.push`. It may be empty.

        Raises:
            AudioError: the chunk has another format; it is ignored.
            InputError: the live turn is finished or closed.
        """
        with self._changed:
            self._check_open()
            self._process(self._intake.push(chunk))

    def begin(self) -> None:
        """Begin a turn (push-to-talk) and cancel the previous answer.

        Raises:
            InputError: a turn is in progress, or the mode is hands-free.
        """
        with self._changed:
            self._check_open()
            if self.options.mode != "push-to-talk":
                raise InputError("hands-free turns begin by voice: do not call `begin`")
            if self._turn is not None:
                raise InputError(f"turn {self._count} is in progress: end it first")
            self._track = VoiceTrack(self._buffer.end)
            self._free_from = self._buffer.end
            self._start(self._buffer.end, self._clock(), started=False)

    def end(self) -> None:
        """End the turn in progress, if any."""
        with self._changed:
            self._check_open()
            if self._turn is not None:
                self._end(self._turn, "requested")

    def interrupt(self) -> None:
        """Cancel the turn in progress and all running answers."""
        with self._changed:
            self._check_open()
            if self._turn is not None:
                self._cancel(self._turn, "interrupted")
            self._outcomes.mute("interrupted")

    def drop(self) -> bool:
        """Cancel the turn in progress because its audio stopped; False if there is none."""
        with self._changed:
            self._check_open()
            if self._turn is None:
                return False
            self._cancel(self._turn, "no audio")
            return True

    def finish(self) -> None:
        """Signal the end of the audio and end the turn in progress; its events still come.

        Raises:
            InputError: the live turn is closed.
        """
        with self._changed:
            if self._finished and not self._closed:
                return
            self._check_open()
            self._process(self._intake.finish())
            if self._turn is not None:
                self._end(self._turn, "finished")
            self._finished = True

    def close(self) -> None:
        """Cancel all work and wait for its threads."""
        with self._changed:
            if self._closed:
                return
            turns = [*self._outcomes.open_turns, *([self._turn] if self._turn else [])]
            if self._turn is not None:
                self._cancel(self._turn, "closed")
            self._outcomes.mute("closed")
            for turn in list(self._outcomes.open_turns):
                self._outcomes.cancel(turn, "closed")
            self._closed = True
            self._emit(None)
        # Without the lock, because an answer needs it to end.
        for turn in turns:
            if turn.answer_job is not None:
                turn.answer_job.join()
        if self._owns_scheduler:
            self._scheduler.close()

    # Output

    def take(self) -> list[Event]:
        """Return the events since the last call, in order, without waiting."""
        with self._changed:
            events, self._events = self._events, []
            return events

    @property
    def idle(self) -> bool:
        """True if only further audio can cause events; `take` may still have some."""
        with self._changed:
            return self._turn is None and not self._outcomes.open_turns

    @property
    def history(self) -> list[HistoryTurn]:
        """The conversation so far."""
        with self._changed:
            return list(self._outcomes.history)

    def events(self) -> Iterator[Event]:
        """Yield events, waiting for each, until only further audio can cause more.

        With a scheduler without threads, this call does the work.
        """
        while True:
            with self._changed:
                events = self.take()
                if not events:
                    if not self._outcomes.open_turns:
                        return
                    if self._scheduler.workers:
                        self._changed.wait()
            yield from events
            if not events and not self._scheduler.workers:
                self._scheduler.step()

    # Voice activity

    def _process(self, samples: Float32) -> None:
        """Append samples and process all complete frames."""
        self._buffer.append(samples)
        now = self._clock()
        while self._listens() and self._buffer.end - self._track.end >= VAD_FRAME:
            start = self._track.end
            frame = self._buffer.cut(start, start + VAD_FRAME)
            is_voiced = self._track.add(self._voice(frame))
            if self._turn is not None and is_voiced:
                self._turn.speech_time = self._time_of(self._track.end, now)
            self._after_frame(now)
        if self._turn is not None:
            self._buffer.drop_before(self._turn.start)
        elif self._listens():
            self._buffer.drop_before(self._track.end - LOOKBACK)
        else:
            self._buffer.drop_before(self._buffer.end)

    def _listens(self) -> bool:
        return self._turn is not None or self.options.mode == "hands-free"

    def _after_frame(self, now: float) -> None:
        turn, track = self._turn, self._track
        if turn is None or not turn.started:
            onset = track.onset()
            if onset is not None:
                start = max(self._free_from, onset - LEAD)
                if turn is None:
                    turn = self._start(start, self._time_of(onset, now), started=True)
                turn.speech_time = self._time_of(track.end, now)
                turn.started = True
                turn.start = turn.searches.start = start
                from_ms = 1e3 * onset / SAMPLE_RATE
                self._emit(SpeechStarted(turn.number, self._outcomes.at_ms(turn), from_ms))
        if turn is None:
            return
        if self.options.mode == "hands-free" and track.pause >= frames_of(self.options.silence_ms):
            self._end(turn, "silence")
        # Two frames before the limit, so that the utterance with its last frame stays within it.
        elif track.end - turn.start > self.options.max_seconds * SAMPLE_RATE - 2 * VAD_FRAME:
            self._end(turn, "max duration")
        elif turn.started:
            turn_end = turn.speech_time + self.options.silence_ms / 1e3
            turn.searches.schedule(track, self._clock(), turn_end)

    def _time_of(self, sample: int, now: float) -> float:
        """Second at which a sample was recorded, given that the newest one is from now."""
        return now - (self._buffer.end - sample) / SAMPLE_RATE

    # The turn in progress

    def _start(self, start: int, origin: float, started: bool) -> TurnState:
        if self.options.barge_in or self.options.mode == "push-to-talk":
            self._outcomes.mute("barge-in")
        self._count += 1
        track = self._track
        track.begin()
        turn: TurnState

        def run(search: Search) -> None:
            self._outcomes.search(turn, track, search)

        searches = Searches(self._buffer, self._scheduler, start, run)
        turn = TurnState(self._count, start, origin, origin, searches, started)
        self._turn = turn
        return turn

    def _end(self, turn: TurnState, reason: EndReason) -> None:
        """End the turn in progress: commit its search, or cancel it if it has no speech."""
        track, end = self._track, self._buffer.end
        if track.last_voiced is not None:
            end = min(end, turn.searches.utterance_end(track.last_voiced))
        if self.options.mode == "hands-free":
            if track.voiced_frames < frames_of(MIN_SPEECH_MS):
                self._cancel(turn, "too short")
                return
        elif not track.voiced_frames:
            # With push-to-talk the user decides: audio without detected speech, such as whispering
            # or a hummed tune, is searched too.
            if not np.any(np.abs(self._buffer.cut(turn.start, end)) >= SILENCE_PEAK):
                self._cancel(turn, "nothing heard")
                return
            turn.speech_time = self._clock()
        self._release_turn(end)
        self._outcomes.end(turn, end, reason)

    def _cancel(self, turn: TurnState, reason: CancelReason) -> None:
        self._release_turn(self._track.end)
        self._outcomes.cancel(turn, reason)

    def _release_turn(self, end: int) -> None:
        """Leave the turn in progress; samples after `end` may belong to the next one."""
        self._turn = None
        self._free_from = end
        self._track = VoiceTrack(self._track.end)

    def _emit(self, event: Event | None) -> None:
        """Queue an event, and wake the threads waiting in `events` even if there is none."""
        if event is not None:
            self._events.append(event)
        self._changed.notify_all()
        if self._on_ready is not None:
            self._on_ready()

    def _check_open(self) -> None:
        if self._closed or self._finished:
            state = "closed" if self._closed else "finished"
            raise InputError(f"this live turn is {state}: create another one")
