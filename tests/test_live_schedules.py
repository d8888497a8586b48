"""Whatever happens in whatever order: one result for a turn, and nothing left behind."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test_live_turn import loudness, quiet, voice
from wavrag import Document, KnowledgeBase, WavRAG
from wavrag.embed import FakeEmbedder
from wavrag.errors import InputError
from wavrag.generate import FakeGenerator
from wavrag.live import (
    AnswerDelta,
    Cancelled,
    CompleteAnswer,
    Event,
    Failed,
    Hits,
    LiveOptions,
    LiveTurn,
    PartialHits,
    Scheduler,
    SpeechStarted,
    TurnEnded,
)
from wavrag.store import MemoryStore

SCHEDULES = 300


class FakeClock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class CountingGenerator(FakeGenerator):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def stream(self, messages, options):  # type: ignore[no-untyped-def]
        self.asked += 1
        return super().stream(messages, options)


@pytest.fixture(scope="module", autouse=True)
def early_answers_at_any_stability() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wavrag.live.outcome.EARLY_STABILITY", 0.0)
        yield


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    """The knowledge base itself, over the store in memory."""
    embedder = FakeEmbedder()
    store = MemoryStore(embedder.spec.dim)
    folder = tmp_path_factory.mktemp("live")
    with KnowledgeBase(folder, embedder, store) as kb:
        names = ["bees", "bells", "boats", "bread", "birds"]
        kb.add([Document(n, text=f"The {n} are here.") for n in names])
        yield kb


STEPS = st.one_of(
    st.tuples(st.just("voice"), st.floats(0.01, 1.2)),
    st.tuples(st.just("quiet"), st.floats(0.01, 1.2)),
    st.tuples(st.just("work"), st.integers(1, 6)),
    st.tuples(st.just("late"), st.floats(0.0, 3.0)),
    st.tuples(st.sampled_from(["begin", "end", "interrupt"]), st.just(0)),
)
ENDINGS = st.sampled_from(["finish", "close", "finish, then close"])


def act(turn: LiveTurn, scheduler: Scheduler, clock: FakeClock, step: tuple) -> None:
    """One thing that a speaker, a processor or a network does."""
    what, much = step
    match what:
        case "voice" | "quiet":
            sound = voice(much) if what == "voice" else quiet(much)
            for at in range(0, len(sound), 1_600):
                clock.now += 0.1
                turn.push(sound[at : at + 1_600])
        case "work":
            for _ in range(much):
                scheduler.step()
        case "late":
            clock.now += much
        case "begin":
            try:
                turn.begin()
            except InputError:
                assert turn.options.mode == "hands-free" or not turn.idle
        case "end":
            turn.end()
        case "interrupt":
            turn.interrupt()


def check(events: list[Event], closed: bool) -> Counter[str]:
    """What must hold of the events of every turn, in whatever order things happened."""
    tally: Counter[str] = Counter()
    for number in {event.turn for event in events}:
        mine = [event for event in events if event.turn == number]
        kinds = Counter(type(event) for event in mine)
        assert kinds[Failed] == 0
        assert kinds[SpeechStarted] <= 1
        assert kinds[TurnEnded] <= 1
        assert kinds[Hits] <= 1
        cancelled = [event.stage for event in mine if isinstance(event, Cancelled)]
        assert len(cancelled) <= 1
        # Every turn has one result, or was given up before it had one.
        given_up = "turn" in cancelled
        assert kinds[Hits] == (0 if given_up else 1)
        if kinds[TurnEnded]:
            assert not given_up or closed
        # The answer comes once after the hits, whole or cancelled, and nothing after it.
        assert kinds[CompleteAnswer] + len(cancelled) <= 1
        order = [type(event) for event in mine]
        if Hits in order:
            after = order[order.index(Hits) + 1 :]
            assert not {PartialHits, TurnEnded, SpeechStarted} & set(after)
            assert AnswerDelta not in order[: order.index(Hits)]
            assert order.index(TurnEnded) < order.index(Hits)
        if CompleteAnswer in order or Cancelled in order:
            assert order[-1] in (CompleteAnswer, Cancelled)
        tally.update(kind.__name__ for kind in kinds.elements())
    return tally


@settings(max_examples=SCHEDULES, deadline=None)
@given(
    steps=st.lists(STEPS, max_size=12),
    ending=ENDINGS,
    mode=st.sampled_from(["hands-free", "push-to-talk"]),
    early=st.integers(0, 1),
    barge_in=st.booleans(),
)
def test_every_turn_has_exactly_one_result(
    kb: KnowledgeBase, steps: list, ending: str, mode: str, early: int, barge_in: bool
) -> None:
    generator, clock = CountingGenerator(), FakeClock()
    options = LiveOptions(
        mode=mode,  # type: ignore[arg-type]
        early_answers=early,
        barge_in=barge_in,
    )
    with Scheduler(0) as scheduler:
        turn = LiveTurn(
            WavRAG(kb, generator), options, scheduler=scheduler, voice=loudness, clock=clock
        )
        for step in steps:
            act(turn, scheduler, clock, step)
        events: list[Event] = []
        if ending != "close":
            turn.finish()
            if ending == "finish":
                events += list(turn.events())
                assert turn.idle
        turn.close()
        events += turn.take()
        while scheduler.step():
            pass
        assert turn.take() == []
        with pytest.raises(InputError, match="closed"):
            turn.push(quiet(0.1))
    check(events, closed=ending != "finish")
    committed = sum(isinstance(event, Hits) for event in events)
    turns = len({event.turn for event in events})
    assert generator.asked <= (turns + committed if early else committed)


@settings(max_examples=50, deadline=None)
@given(cuts=st.lists(st.integers(0, 3 * 16_000), max_size=40))
def test_how_sound_is_cut_into_chunks_changes_nothing(kb: KnowledgeBase, cuts: list[int]) -> None:
    sound = np.concatenate([quiet(0.5), voice(0.7), quiet(0.3), voice(0.5), quiet(1)])
    places = [0, *sorted(cuts), len(sound)]
    rag, options = WavRAG(kb, FakeGenerator()), LiveOptions(answer=False)
    with (
        Scheduler(0) as scheduler,
        LiveTurn(rag, options, scheduler=scheduler, voice=loudness, clock=FakeClock()) as turn,
    ):
        for start, end in pairwise(places):
            turn.push(sound[start:end])
        events = list(turn.events())
    (hits,) = [event for event in events if isinstance(event, Hits)]
    # Voice from 0.5 to 1.5 + 0.5 s, in frames of 32 ms.
    assert (hits.span.start_ms, hits.span.end_ms) == (480 - 192, 2016 + 128)


def test_hundreds_of_turns_leave_nothing_behind(kb: KnowledgeBase) -> None:
    rag = WavRAG(kb, FakeGenerator())
    sound = np.concatenate([voice(0.4), quiet(0.7)])

    def converse(turns: int) -> int:
        done = 0
        with Scheduler(2) as scheduler:
            for _ in range(turns // 10):
                with LiveTurn(rag, scheduler=scheduler, voice=loudness) as turn:
                    for _ in range(10):
                        turn.push(sound)
                        done += sum(isinstance(event, CompleteAnswer) for event in turn.events())
        return done

    threads = set(threading.enumerate())
    converse(50)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    assert converse(200) == 200
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 100_000  # 500 bytes for each turn
    # Threads of earlier tests may end meanwhile.
    assert set(threading.enumerate()) <= threads


def test_two_speakers_at_once_and_closing_at_any_moment(kb: KnowledgeBase) -> None:
    rag = WavRAG(kb, FakeGenerator())
    results: dict[int, list[Event]] = {}

    def speak(index: int, scheduler: Scheduler) -> None:
        with LiveTurn(rag, scheduler=scheduler, voice=loudness) as turn:
            for number in range(20):
                turn.push(np.concatenate([voice(0.4, 150 + 40 * index), quiet(0.7)]))
                if index and number == 10:
                    turn.close()
                    break
            else:
                turn.finish()
            results[index] = list(turn.events()) + turn.take()

    with Scheduler(2) as scheduler:
        threads = [threading.Thread(target=speak, args=(n, scheduler)) for n in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    check(results[0], closed=False)
    check(results[1], closed=True)
    assert sum(isinstance(event, Hits) for event in results[0]) == 20
