"""Turns from chunks to events, with the fake embedder and a voice that is loudness."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from wavrag import Clip, Document, KnowledgeBase, WavRAG
from wavrag.errors import AudioError, FilterError, InputError
from wavrag.generate import FakeGenerator
from wavrag.live import (
    AnswerDelta,
    Cancelled,
    CompleteAnswer,
    Event,
    Hits,
    LiveOptions,
    LiveTurn,
    PartialHits,
    Scheduler,
    SpeechStarted,
    TurnEnded,
    event_dict,
)
from wavrag.types import Float32

RATE = 16_000


def loudness(frame: Float32) -> float:
    """A voice, for tests: whatever is loud."""
    return float(np.abs(frame).max() > 0.1)


def voice(seconds: float, pitch: float = 200.0) -> Float32:
    at = np.arange(round(seconds * RATE)) / RATE
    return (0.5 * np.sin(2 * np.pi * pitch * at)).astype(np.float32)


def quiet(seconds: float) -> Float32:
    return np.zeros(round(seconds * RATE), np.float32)


@pytest.fixture(scope="module")
def rag(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WavRAG]:
    folder = tmp_path_factory.mktemp("live")
    with KnowledgeBase.open(folder / "kb", embedder="fake") as kb:
        names = ["bees", "bells", "boats", "bread", "birds"]
        kb.add([Document(n, text=f"The {n} are here.", metadata={"name": n}) for n in names])
        yield WavRAG(kb, FakeGenerator())


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    with Scheduler(0) as scheduler:
        yield scheduler


def play(turn: LiveTurn, scheduler: Scheduler, *sounds: Float32, chunk: int = 480) -> list[Event]:
    """Push sound chunk by chunk, with a processor that is always free."""
    sound = np.concatenate(sounds)
    events = []
    for at in range(0, len(sound), chunk):
        turn.push(sound[at : at + chunk])
        while scheduler.step():
            pass
        events += turn.take()
    return events


def kinds(events: list[Event]) -> list[str]:
    return [event_dict(event)["event"] for event in events]


def only(events: list[Event], kind: type) -> Event:
    (event,) = [event for event in events if isinstance(event, kind)]
    return event


def test_a_turn_is_found_searched_and_answered(rag: WavRAG, scheduler: Scheduler) -> None:
    with LiveTurn(rag, scheduler=scheduler, voice=loudness) as turn:
        sound = [quiet(1), voice(2), quiet(1)]
        events = play(turn, scheduler, *sound)
    found = kinds(events)
    assert found[0] == "speech_started"
    assert found.count("hits") == found.count("turn_ended") == found.count("answer") == 1
    assert found[-1] == "answer"
    assert "partial_hits" in found[: found.index("turn_ended")]
    ended, hits, answered = (
        only(events, TurnEnded),
        only(events, Hits),
        only(events, CompleteAnswer),
    )
    assert ended.reason == "silence"
    assert ended.span == hits.span
    assert hits.precomputed
    # Voice from 1.0 to 3.0 s, in frames of 32 ms; 192 ms before it and 128 ms after it are kept.
    assert (hits.span.start_ms, hits.span.end_ms) == (992 - 192, 3008 + 128)
    deltas = [event.text for event in events if isinstance(event, AnswerDelta)]
    assert "".join(deltas) == answered.answer.text
    whole = np.concatenate(sound)
    utterance = Clip(whole[round(0.8 * RATE) : round(3.136 * RATE)], RATE)
    assert list(hits.hits) == rag.search(utterance, 10)
    assert answered.answer.hits == rag.ask(utterance).hits


def test_the_settled_hits_are_those_that_are_committed(rag: WavRAG, scheduler: Scheduler) -> None:
    with LiveTurn(rag, scheduler=scheduler, voice=loudness) as turn:
        events = play(turn, scheduler, voice(1.5), quiet(0.3), voice(1), quiet(1))
    settled = [event for event in events if isinstance(event, PartialHits) and event.settled]
    assert len(settled) == 2
    assert settled[0].span.end_ms < settled[1].span.end_ms
    assert settled[1].hits == only(events, Hits).hits
    assert settled[1].span == only(events, Hits).span


def test_push_to_talk_ends_when_told(rag: WavRAG, scheduler: Scheduler) -> None:
    options = LiveOptions(mode="push-to-talk")
    with LiveTurn(rag, options, scheduler=scheduler, voice=loudness) as turn:
        assert play(turn, scheduler, voice(1)) == []
        turn.begin()
        with pytest.raises(InputError, match="turn 1 is in progress"):
            turn.begin()
        events = play(turn, scheduler, quiet(1), voice(1), quiet(2))
        assert isinstance(events[0], SpeechStarted)
        assert "turn_ended" not in kinds(events)
        turn.end()
        turn.end()
        ended, hits = turn.take()
        assert isinstance(ended, TurnEnded)
        assert isinstance(hits, Hits)
        assert ended.reason == "requested"
        assert hits.precomputed
        assert [kinds([event]) for event in turn.events()][-1] == ["answer"]


def test_sound_without_a_voice_can_be_asked_with(rag: WavRAG, scheduler: Scheduler) -> None:
    options = LiveOptions(mode="push-to-talk", answer=False)
    hum = 0.1 * voice(1)
    with LiveTurn(rag, options, scheduler=scheduler, voice=loudness) as turn:
        turn.begin()
        turn.push(hum)
        turn.end()
        hits = only(list(turn.events()), Hits)
        turn.begin()
        turn.push(quiet(1))
        turn.end()
        (cancelled,) = turn.take()
    assert list(hits.hits) == rag.search(Clip(hum, RATE))
    assert isinstance(cancelled, Cancelled)
    assert (cancelled.stage, cancelled.reason) == ("turn", "nothing heard")


def test_new_speech_cancels_an_answer(rag: WavRAG, scheduler: Scheduler) -> None:
    with LiveTurn(rag, scheduler=scheduler, voice=loudness) as turn:
        turn.push(np.concatenate([voice(1), quiet(1)]))
        seen = turn.take()
        while "hits" not in kinds(seen):
            assert scheduler.step()
            seen += turn.take()
        assert kinds(seen)[-1] == "hits"
        turn.push(voice(0.5))
        cancelled, started = turn.take()
        assert isinstance(cancelled, Cancelled)
        assert (cancelled.turn, cancelled.stage, cancelled.reason) == (1, "answer", "barge-in")
        assert isinstance(started, SpeechStarted)
        while scheduler.step():
            pass
        assert not [event for event in turn.take() if event.turn == 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 3}, "channels is 3"),
        ({"sample_rate": 4_000}, "sample_rate is 4000"),
        ({"sample_rate": 384_000}, "sample_rate is 384000"),
        ({"silence_ms": float("nan")}, "silence_ms is nan"),
        ({"silence_ms": 100.0}, "silence_ms is 100"),
        ({"max_seconds": 0.0}, "max_seconds is 0"),
        ({"mode": "telepathy"}, "mode is 'telepathy'"),
        ({"k": 0}, "k is 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LiveOptions(**options)


def test_a_filter_that_cannot_be_understood_is_refused_at_once() -> None:
    with pytest.raises(FilterError):
        LiveOptions(where="name ==")


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (b"abc", "3 bytes"),
        (np.array([0.0, np.nan], np.float32), "not numbers"),
        (np.array([20_000.0], np.float32), "scale floats"),
        (np.zeros((10, 3), np.float32), r"shape \(10, 3\)"),
        (np.zeros(10, np.int32), "int32"),
    ],
)
def test_odd_chunks_are_refused_and_leave_all_as_it_was(
    rag: WavRAG, scheduler: Scheduler, chunk: object, message: str
) -> None:
    with LiveTurn(rag, scheduler=scheduler, voice=loudness) as turn:
        with pytest.raises(AudioError, match=message):
            turn.push(chunk)  # type: ignore[arg-type]
        turn.push(b"")
        turn.push(np.empty(0, np.float32))
        assert "hits" in kinds(play(turn, scheduler, voice(1), quiet(1)))
