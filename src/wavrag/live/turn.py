"""`LiveTurn`: one speaker's turns, searched while they are spoken and answered when they end.

with LiveTurn(rag) as turn:
    for chunk in microphone:
        turn.push(chunk)
        for event in turn.take():
            print(event_dict(event))
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TypeAlias

import numpy as np

from wavrag.audio import SAMPLE_RATE, VAD_FRAME, voice_detector
from wavrag.closing import Closing
from wavrag.errors import InputError
from wavrag.live.events import CancelReason, EndReason, Event, SpeechStarted
from wavrag.live.intake import Chunk, Intake, SampleBuffer
from wavrag.live.options import LiveOptions
from wavrag.live.outcome import Outcomes, TurnState
from wavrag.live.scheduler import Scheduler
from wavrag.live.searches import Search, Searches
from wavrag.live.voice import VoiceTrack, frames_of
from wavrag.rag import WavRAG
from wavrag.types import Float32, Turn

Voice: TypeAlias = Callable[[Float32], float]  # 512 samples at 16 kHz to the probability of a voice

HUSH = 1e-3  # full scale 1; a turn without a voice whose samples all are below was not sound


class LiveTurn(Closing):
    """Listens to one speaker, turn after turn; no call of it waits for a model.

    Every method may be called from any thread. Events come in one order, whoever takes them.
    """

    def __init__(
        self,
        rag: WavRAG,
        options: LiveOptions | None = None,
        *,
        scheduler: Scheduler | None = None,
        history: Sequence[Turn] = (),
        on_ready: Callable[[], None] | None = None,
        voice: Voice | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Listen with a knowledge base; it and the scheduler stay open when this is closed.

        Args:
            rag: what is searched and asked.
            options: see `LiveOptions`.
            scheduler: of all speakers of this process; None makes one for this speaker.
            history: earlier turns of the conversation.
            on_ready: called when there is something to take, from any thread and while this object
                is locked: it must only pass the news on.
            voice: judges voice activity; None for the packaged model.
            clock: seconds.
        """
        self.options = options or LiveOptions()
        self._clock = clock
        self._on_ready = on_ready
        self._own = scheduler is None
        self._scheduler = scheduler or Scheduler()
        self._held = ExitStack()
        self._voice = voice or self._held.enter_context(voice_detector()).probability
        self._changed = threading.Condition(threading.RLock())
        self._outcomes = Outcomes(
            rag,
            self.options,
            self._scheduler,
            clock=clock,
            lock=self._changed,
            tell=self._tell,
        )
        self._outcomes.history = list(history)
        self._intake = Intake(self.options.sample_rate, self.options.channels)
        self._buffer = SampleBuffer()
        self._track = self._new_track()
        self._free_from = 0  # first sample that belongs to no turn yet
        self._count = 0
        self._turn: TurnState | None = None  # that is spoken
        self._events: list[Event] = []
        self._finished = False
        self._closed = False

    # What a speaker does

    def push(self, chunk: Chunk) -> None:
        """Take in the next sound; an empty chunk is none.

        Args:
            chunk: 16-bit PCM bytes, or an array of int16 or float samples, at the rate and in the
                channels of the options; see `Intake.push`.

        Raises:
            AudioError: it is not such a chunk; nothing of it is taken in.
            InputError: this has been finished or closed.
        """
        with self._changed:
            self._check_open()
            self._hear(self._intake.push(chunk))

    def begin(self) -> None:
        """Begin a turn (push-to-talk); it cancels the answer before it.

        Raises:
            InputError: a turn is being spoken, or voices begin turns here.
        """
        with self._changed:
            self._check_open()
            if self.options.mode != "push-to-talk":
                raise InputError("turns begin by themselves hands-free: leave out `begin`")
            if self._turn is not None:
                raise InputError(f"turn {self._count} is being spoken: end it first")
            self._track = self._new_track()
            self._free_from = self._buffer.end
            self._start(self._buffer.end, self._clock(), started=False)

    def end(self) -> None:
        """End the turn that is being spoken now; nothing if there is none."""
        with self._changed:
            self._check_open()
            if self._turn is not None:
                self._end(self._turn, "asked")

    def interrupt(self) -> None:
        """Cancel the turn that is being spoken and every answer that is being written."""
        with self._changed:
            self._check_open()
            if self._turn is not None:
                self._cancel(self._turn, "interrupted")
            self._outcomes.mute("interrupted")

    def finish(self) -> None:
        """There is no more sound: end the turn that is being spoken; its events still come.

        Raises:
            InputError: this has been closed.
        """
        with self._changed:
            if self._finished and not self._closed:
                return
            self._check_open()
            self._hear(self._intake.finish())
            if self._turn is not None:
                self._end(self._turn, "finished")
            self._finished = True

    def close(self) -> None:
        """Cancel all there is and release what is held; returns when no thread works for it."""
        with self._changed:
            if self._closed:
                return
            turns = [*self._outcomes.tails, *([self._turn] if self._turn else [])]
            if self._turn is not None:
                self._cancel(self._turn, "closed")
            self._outcomes.mute("closed")
            for turn in list(self._outcomes.tails):
                self._outcomes.cancel(turn, "closed")
            self._closed = True
            self._tell(None)
        for turn in turns:
            if turn.answering is not None:
                turn.answering.join()
        if self._own:
            self._scheduler.close()
        self._held.close()

    # What comes of it

    def take(self) -> list[Event]:
        """The events since the last call, in order; does not wait."""
        with self._changed:
            events, self._events = self._events, []
            return events

    @property
    def idle(self) -> bool:
        """Whether nothing will come without more sound; there may be events to take."""
        with self._changed:
            return self._turn is None and not self._outcomes.tails

    @property
    def history(self) -> list[Turn]:
        """The conversation so far."""
        with self._changed:
            return list(self._outcomes.history)

    def events(self) -> Iterator[Event]:
        """The events until nothing will come without more sound, waiting for each.

        With a scheduler without threads, the work is done here.
        """
        while True:
            with self._changed:
                events = self.take()
                if not events:
                    if not self._outcomes.tails:
                        return
                    if self._scheduler.workers:
                        self._changed.wait()
            yield from events
            if not events and not self._scheduler.workers:
                self._scheduler.step()

    # Hearing

    def _hear(self, samples: Float32) -> None:
        """Go through the frames that samples complete."""
        self._buffer.append(samples)
        now = self._clock()
        while self._listens() and self._buffer.end - self._track.end >= VAD_FRAME:
            at = self._track.end
            voiced = self._track.hear(self._voice(self._buffer.cut(at, at + VAD_FRAME)))
            if self._turn is not None and voiced:
                self._turn.spoken_at = self._second_of(self._track.end, now)
            self._after_frame(now)
        if self._turn is not None:
            self._buffer.drop_before(self._turn.start)
        elif self._listens():
            self._buffer.drop_before(self._track.end - self._needed)
        else:
            self._buffer.drop_before(self._buffer.end)

    def _listens(self) -> bool:
        return self._turn is not None or self.options.mode == "hands-free"

    def _after_frame(self, now: float) -> None:
        turn, track = self._turn, self._track
        if turn is None or not turn.started:
            voiced_from = track.onset()
            if voiced_from is not None:
                start = max(self._free_from, voiced_from - self._lead)
                if turn is None:
                    turn = self._start(start, self._second_of(voiced_from, now), started=True)
                turn.spoken_at = self._second_of(track.end, now)
                turn.started = True
                turn.start = turn.searches.start = start
                from_ms = 1e3 * voiced_from / SAMPLE_RATE
                self._tell(SpeechStarted(turn.number, self._outcomes.at_ms(turn), from_ms))
        if turn is None:
            return
        if self.options.mode == "hands-free" and track.pause >= frames_of(self.options.silence_ms):
            self._end(turn, "silence")
        elif track.end - turn.start > self.options.max_seconds * SAMPLE_RATE - 2 * VAD_FRAME:
            self._end(turn, "longest")
        elif turn.started:
            due = turn.spoken_at + self.options.silence_ms / 1e3
            turn.searches.listen(track, self._clock(), due)

    def _second_of(self, sample: int, now: float) -> float:
        """When a sample was spoken, if the newest one was just now."""
        return now - (self._buffer.end - sample) / SAMPLE_RATE

    def _new_track(self) -> VoiceTrack:
        return VoiceTrack(self.options.threshold, self.options.onset_ms, self._buffer.end)

    @property
    def _lead(self) -> int:
        """Samples kept before the first voice."""
        return round(self.options.lead_ms * SAMPLE_RATE / 1e3)

    @property
    def _needed(self) -> int:
        """Samples of the past that a turn may begin with."""
        return self._lead + 2 * VAD_FRAME * frames_of(self.options.onset_ms)

    # The turn that is being spoken

    def _start(self, start: int, origin: float, started: bool) -> TurnState:
        if self.options.barge_in or self.options.mode == "push-to-talk":
            self._outcomes.mute("barge-in")
        self._count += 1
        track = self._track
        track.begin()
        turn: TurnState

        def run(search: Search) -> None:
            self._outcomes.search(turn, track, search)

        searches = Searches(self._buffer, self._scheduler, self.options, start, run)
        turn = TurnState(self._count, start, origin, origin, searches, started)
        self._turn = turn
        return turn

    def _end(self, turn: TurnState, reason: EndReason) -> None:
        """End the turn that is being spoken, and have its search committed or cancel it."""
        track, end = self._track, self._buffer.end
        if track.last_voiced is not None:
            end = min(end, turn.searches.settled_end(track.last_voiced))
        voiced = track.voiced_frames
        if self.options.mode == "hands-free":
            if voiced < frames_of(self.options.min_speech_ms):
                self._cancel(turn, "too short")
                return
        elif not voiced:
            if not np.any(np.abs(self._buffer.cut(turn.start, end)) >= HUSH):
                self._cancel(turn, "nothing heard")
                return
            turn.spoken_at = self._clock()
        self._leave(end)
        self._outcomes.end(turn, end, reason)

    def _cancel(self, turn: TurnState, reason: CancelReason) -> None:
        self._leave(self._track.end)
        self._outcomes.cancel(turn, reason)

    def _leave(self, end: int) -> None:
        """The turn is no longer spoken; samples from there on may belong to the next."""
        self._turn = None
        self._free_from = end
        self._track = VoiceTrack(self.options.threshold, self.options.onset_ms, self._track.end)

    def _tell(self, event: Event | None) -> None:
        """Have an event taken, or just have looked whether there is more to come."""
        if event is not None:
            self._events.append(event)
        self._changed.notify_all()
        if self._on_ready is not None:
            self._on_ready()

    def _check_open(self) -> None:
        if self._closed or self._finished:
            state = "closed" if self._closed else "finished"
            raise InputError(f"this live turn has been {state}: make another one")
