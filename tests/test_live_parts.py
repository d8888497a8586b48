"""The parts of live turns one by one, and turns with the packaged models and recorded questions."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from test_live_turn import loudness, quiet, voice
from wavrag import Clip, Document, KnowledgeBase, WavRAG, audio
from wavrag.demo import DATA
from wavrag.embed import Embedder
from wavrag.errors import InputError
from wavrag.generate import FakeGenerator
from wavrag.kb import find_files
from wavrag.live import (
    CompleteAnswer,
    Hits,
    LiveOptions,
    LiveTurn,
    PartialHits,
    Scheduler,
    TurnEnded,
    event_dict,
)
from wavrag.live.async_turn import AsyncLiveTurn
from wavrag.live.events import Span
from wavrag.live.intake import Intake, SampleBuffer
from wavrag.live.stability import StabilityTrack, rank_biased_overlap
from wavrag.types import Correction, Float32, WeightedWord

RATE = 16_000


@pytest.fixture(scope="module")
def rag(tmp_path_factory: pytest.TempPathFactory, cascade: Embedder) -> Iterator[WavRAG]:
    """The demo corpus with the packaged embedder."""
    folder = tmp_path_factory.mktemp("live")
    with KnowledgeBase.open(folder / "kb", embedder=cascade) as kb:
        kb.add(find_files([DATA / "corpus" / "documents"]).documents)
        kb.add(find_files([DATA / "corpus" / "recordings" / "bridge-meeting.mp3"]).documents)
        yield WavRAG(kb, FakeGenerator())


# Chunks


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_and_stereo_become_the_same_sound(rate: int, channels: int) -> None:
    at = np.arange(rate) / rate
    tone = (0.5 * np.sin(2 * np.pi * 440 * at)).astype(np.float32)
    sound = np.repeat(tone[:, None], channels, 1)
    intake = Intake(rate, channels)
    step = rate // 50  # 20 ms
    pieces = [intake.push(sound[at : at + step]) for at in range(0, rate, step)]
    # What is held back is a filter's length: after a second less than 20 ms are missing.
    assert sum(map(len, pieces)) > RATE - RATE // 50
    heard = np.concatenate([*pieces, intake.finish()])
    assert abs(len(heard) - RATE) <= 2
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(heard)) / RATE)
    middle = slice(1_000, -1_000)
    assert np.abs(heard[middle] - expected[middle]).max() < 0.01


def test_bytes_integers_and_floats_are_the_same_sound() -> None:
    pcm = (voice(0.1) * 32_767).astype("<i2")
    of_bytes = Intake(RATE, 1).push(pcm.tobytes())
    assert np.array_equal(of_bytes, Intake(RATE, 1).push(pcm))
    assert np.array_equal(of_bytes, Intake(RATE, 1).push(pcm.astype(np.float32) / 32_768))
    assert np.array_equal(of_bytes, Intake(RATE, 1).push(memoryview(pcm.tobytes())))


def test_the_buffer_forgets_only_what_it_is_told_to() -> None:
    buffer, sound = SampleBuffer(), np.arange(-32_768, 32_768, dtype=np.float32) / 32_768
    for at in range(0, len(sound), 1_000):
        buffer.append(sound[at : at + 1_000])
        buffer.drop_before(at - 5_000)
    assert buffer.end == len(sound)
    assert np.array_equal(buffer.cut(61_000, 65_000), sound[61_000:65_000])


# Stability


def test_rank_biased_overlap_of_hand_made_lists() -> None:
    assert rank_biased_overlap("abc", "abc") == pytest.approx(1)
    assert rank_biased_overlap("abc", "xyz") == 0
    assert rank_biased_overlap("", "") == 1
    assert rank_biased_overlap("", "ab") == 0
    # p = .5, lists ab and ba: shared at depths 1, 2 are 0 and 2. Sum = 2/2 * .25 = .25, times
    # (1 - p) / p = 1 is .25; the rest is 2/2 * .25 = .25.
    assert rank_biased_overlap("ab", "ba", 0.5) == pytest.approx(0.5)
    # p = .5, lists a and ab: 1 * .5 + (1 + 1 * 1 / 1) / 2 * .25 = .75; the rest is
    # ((1 - 1) / 2 + 1 / 1) * .25 = .25.
    assert rank_biased_overlap("a", "ab", 0.5) == pytest.approx(1)


def test_stability_grows_while_the_first_hit_stands() -> None:
    track = StabilityTrack()
    assert track.add(["a", "b"], 500).stability == 0
    half = track.add(["a", "b"], 900)
    assert (half.overlap, half.top_hit_ms, half.stability) == pytest.approx((1, 400, 0.5))
    assert track.add(["a", "b"], 1_700).stability == pytest.approx(1)
    assert track.add(["b", "a"], 1_800).top_hit_ms == 0


def test_hits_name_the_corrections_of_heard_words() -> None:
    darrow = Correction("dwarrow", (WeightedWord("darrow", 1.0),))
    hits = Hits(1, 900, (), "is darrow open", Span(0, 800), 100, 0, True, {}, (darrow,))
    assert event_dict(hits)["corrections"] == [
        {"word": "dwarrow", "alternatives": [{"text": "darrow", "weight": 1.0}]}
    ]


# The scheduler


def test_the_most_urgent_goes_first_and_what_helps_goes_last() -> None:
    done: list[str] = []
    with Scheduler(0) as scheduler:
        scheduler.submit(lambda: done.append("half a question"), "back", 0)
        late = scheduler.submit(lambda: done.append("late"), "front", 9)
        scheduler.submit(lambda: done.append("soon"), "front", 1)
        stale = scheduler.submit(lambda: done.append("stale"), "front", 2)
        assert scheduler.cancel(stale)
        assert not scheduler.cancel(stale)
        scheduler.reprioritize(late, 0.5)
        while scheduler.step():
            pass
    assert done == ["late", "soon", "half a question"]
    scheduler.submit(lambda: done.append("closed"), "front", 0)
    assert not scheduler.step()
    assert len(done) == 3


def test_the_front_lane_does_not_wait_for_the_back_lane() -> None:
    release, done = threading.Event(), threading.Event()
    with Scheduler(1) as scheduler:
        scheduler.submit(lambda: release.wait(10) and None, "back", 0)
        scheduler.submit(done.set, "front", 0)
        assert done.wait(10)
        release.set()


# With the packaged models


def spoken(name: str) -> Float32:
    question: Float32 = audio.load(DATA / "questions" / name, RATE).samples
    return np.concatenate([question, quiet(1)])


@pytest.mark.parametrize("name", ["bicycle-bridge.opus", "peace-lily.opus"])
def test_committed_hits_are_those_of_the_plain_way(rag: WavRAG, name: str) -> None:
    sound = spoken(name)
    with Scheduler(2) as scheduler, LiveTurn(rag, scheduler=scheduler) as turn:
        for at in range(0, len(sound), 512):
            turn.push(sound[at : at + 512])
        events = list(turn.events())
    (hits,) = [event for event in events if isinstance(event, Hits)]
    start, end = (round(ms * RATE / 1e3) for ms in (hits.span.start_ms, hits.span.end_ms))
    assert list(hits.hits) == rag.search(Clip(sound[start:end], RATE), 10)
    (answered,) = [event for event in events if isinstance(event, CompleteAnswer)]
    assert answered.answer.hits == rag.ask(Clip(sound[start:end], RATE)).hits
    assert json.loads(json.dumps([event_dict(event) for event in events]))


def test_filters_and_k_pass_through(rag: WavRAG) -> None:
    options = LiveOptions(k=2, where="modality = 'text'", answer=False)
    with Scheduler(0) as scheduler, LiveTurn(rag, options, scheduler=scheduler) as turn:
        turn.push(spoken("bicycle-bridge.opus"))
        (hits,) = [event for event in turn.events() if isinstance(event, Hits)]
    assert len(hits.hits) == 2
    assert {hit.passage.modality for hit in hits.hits} == {"text"}


def test_an_early_answer_is_kept_if_the_hits_stay(
    rag: WavRAG, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wavrag.live.outcome.EARLY_STABILITY", 0.0)
    options = LiveOptions(early_answers=1)
    sound = spoken("peace-lily.opus")
    with Scheduler(0) as scheduler, LiveTurn(rag, options, scheduler=scheduler) as turn:
        for at in range(0, len(sound), 512):
            turn.push(sound[at : at + 512])
            scheduler.step()
        events = list(turn.events())
    answered = [event for event in events if isinstance(event, CompleteAnswer)]
    settled = [event for event in events if isinstance(event, PartialHits) and event.settled]
    assert settled
    assert [event.early for event in answered] == [len(settled) == 1]


def test_a_conversation_is_remembered(rag: WavRAG) -> None:
    with Scheduler(0) as scheduler, LiveTurn(rag, scheduler=scheduler) as turn:
        turn.push(spoken("peace-lily.opus"))
        (answered,) = [event for event in turn.events() if isinstance(event, CompleteAnswer)]
        assert turn.history == [answered.answer.history_turn]


# On an event loop


@pytest.fixture
def fake_rag(tmp_path: Path) -> Iterator[WavRAG]:
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
        kb.add([Document("bees", text="The bees are here.")])
        yield WavRAG(kb, FakeGenerator())


@pytest.mark.parametrize("workers", [1, None])
def test_events_are_awaited(fake_rag: WavRAG, workers: int | None) -> None:
    async def converse() -> list[str]:
        # None: the live turn makes a scheduler of its own.
        with Scheduler(workers) if workers else nullcontext() as scheduler:
            async with AsyncLiveTurn(fake_rag, scheduler=scheduler, voice=loudness) as turn:

                async def speak() -> None:
                    for _ in range(2):
                        for sound in (voice(0.5), quiet(0.7)):
                            turn.push(sound)
                            await asyncio.sleep(0.01)
                    turn.finish()

                speaking = asyncio.create_task(speak())
                names = [event_dict(event)["event"] async for event in turn]
                await speaking
        return names

    names = asyncio.run(converse())
    assert names.count("hits") == names.count("turn_ended") == 2
    # Closing the live turn has ended the threads of its scheduler.
    assert not [t for t in threading.enumerate() if t.name.startswith("wavrag-live")]


def test_a_listener_that_leaves_leaves_nothing_behind(fake_rag: WavRAG) -> None:
    before = set(threading.enumerate())

    async def leave(scheduler: Scheduler) -> int:
        async with AsyncLiveTurn(fake_rag, scheduler=scheduler, voice=loudness) as turn:
            turn.push(np.concatenate([voice(0.5), quiet(0.7)]))
            async for event in turn:
                if isinstance(event, TurnEnded):
                    break
        return len(asyncio.all_tasks())

    with Scheduler(1) as scheduler:
        for _ in range(20):
            assert asyncio.run(leave(scheduler)) == 1
    with Scheduler(0) as scheduler, pytest.raises(InputError, match="scheduler with threads"):
        asyncio.run(leave(scheduler))
    assert set(threading.enumerate()) <= before | {
        thread for thread in threading.enumerate() if "Lance" in thread.name
    }
