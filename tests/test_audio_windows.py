import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from wavrag import audio
from wavrag.audio.windows import level_db
from wavrag.types import Clip, Float32

RATE = 16_000


def noise(seconds: float, level: float = 0.1) -> Float32:
    generator = np.random.default_rng(0)
    return (level * generator.standard_normal(round(seconds * RATE))).astype(np.float32)


def silence(seconds: float) -> Float32:
    return np.zeros(round(seconds * RATE), np.float32)


def cut(*parts: Float32) -> list[Clip]:
    return list(audio.windows(parts))


@pytest.fixture(scope="module")
def speech(human_reading: Path) -> Float32:
    """44 s of a person reading, who pauses between clauses."""
    return audio.load(human_reading, RATE).samples


def test_speech_is_cut_at_pauses_into_passages_of_5_to_24_s(speech: Float32) -> None:
    clips = cut(speech)
    assert len(clips) >= 2
    for clip in clips:
        assert clip.speech
        assert 5 <= clip.duration <= 24
        np.testing.assert_array_equal(
            clip.samples, speech[round(clip.start * RATE) : round(clip.end * RATE)]
        )
        # The edges are quiet: no word was cut.
        for edge in (clip.samples[:800], clip.samples[-800:]):
            assert level_db(edge) < level_db(clip.samples) - 10


def test_all_speech_is_in_some_passage(speech: Float32) -> None:
    clips = cut(speech)
    outside = speech.copy()
    for clip in clips:
        outside[round(clip.start * RATE) : round(clip.end * RATE)] = 0
    assert level_db(outside) < level_db(speech) - 30


def test_passages_do_not_overlap_where_there_are_pauses(speech: Float32) -> None:
    clips = cut(speech)
    assert all(a.end <= b.start + 1e-6 for a, b in itertools.pairwise(clips))


def test_speech_without_a_pause_is_cut_with_overlap(
    speech: Float32, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Pauses shorter than any real one would have to be 30 s long to count here.
    for name, seconds in (
        ("MAX_SECONDS", 8),
        ("TARGET_SECONDS", 8),
        ("PAUSE_SECONDS", 30),
        ("CLEAR_PAUSE_SECONDS", 30),
    ):
        monkeypatch.setattr(sys.modules["wavrag.audio.windows"], name, seconds)
    clips = cut(speech)
    inner = [b for a, b in itertools.pairwise(clips) if b.start < a.end - 0.5]
    assert inner
    assert all(clip.duration <= 8.1 for clip in clips)


@pytest.mark.parametrize("size", [1, 100, 512, 5_000, 1_000_000])
def test_the_size_of_blocks_does_not_matter(speech: Float32, size: int) -> None:
    sound = np.concatenate([speech[: 8 * RATE], silence(3), noise(5), speech[: 3 * RATE]])

    def blocks() -> Iterator[Float32]:
        for at in range(0, len(sound), size):
            yield sound[at : at + size]

    if size == 1:
        sound = sound[: 2 * RATE]
    whole, cut_up = cut(sound), list(audio.windows(blocks()))
    assert [(c.start, c.end, c.speech) for c in whole] == [
        (c.start, c.end, c.speech) for c in cut_up
    ]


def test_sound_without_a_voice_is_windowed(speech: Float32) -> None:
    clips = cut(noise(34))
    assert [round(clip.start) for clip in clips] == [0, 10, 20, 30]
    assert not any(clip.speech for clip in clips)
    assert clips[-1].end == pytest.approx(34)


def test_a_sound_between_speech_is_kept_and_silence_is_not(speech: Float32) -> None:
    words = speech[: 6 * RATE]
    clips = cut(words, silence(20), noise(6), silence(20), words)
    first, *sounds, last = clips
    assert first.speech
    assert last.speech
    assert not any(clip.speech for clip in sounds)
    assert 16 < sounds[0].start < 26
    assert 32 < sounds[-1].end < 42
    assert last.start == pytest.approx(52 + first.start, abs=0.1)


def test_a_short_call_in_a_quiet_recording_is_not_lost() -> None:
    quiet = noise(60, 1e-3)
    assert level_db(quiet) == pytest.approx(-60, abs=0.1)
    clips = cut(quiet)
    assert (clips[0].start, clips[-1].end) == (0, pytest.approx(60))
    call = noise(0.3, 0.03)
    clips = cut(silence(20), call, silence(40))
    assert len(clips) == 1
    assert clips[0].start <= 20 < clips[0].end


def test_room_tone_around_speech_is_left_out_and_a_call_is_not(speech: Float32) -> None:
    words, tone = speech[: 6 * RATE], noise(30, 1e-3)
    assert all(clip.speech for clip in cut(tone[: 9 * RATE], words, tone))
    tone[15 * RATE : 15 * RATE + 4_000] *= 100
    sounds = [clip for clip in cut(words, tone) if not clip.speech]
    assert len(sounds) == 1
    assert sounds[0].start < 21 < sounds[0].end


def test_long_silence_is_left_out(speech: Float32) -> None:
    clips = cut(silence(300), speech[: 6 * RATE], silence(300))
    assert len(clips) == 1
    assert 299 < clips[0].start < 301.5
    assert clips[0].duration < 8


@pytest.mark.parametrize("samples", [silence(60), silence(0.2), noise(0.2), silence(0.001)])
def test_any_recording_gives_a_passage(samples: Float32) -> None:
    clips = cut(samples)
    assert len(clips) == 1
    assert clips[0].start == 0
    assert not clips[0].speech


def test_no_samples_give_no_passage() -> None:
    assert cut(silence(0)) == []


def test_short_remarks_wait_for_each_other(speech: Float32) -> None:
    remark = speech[round(1.2 * RATE) : round(2.2 * RATE)]
    clips = cut(remark, silence(2.5), remark, silence(2.5), remark)
    assert len(clips) == 1
    far = cut(remark, silence(30), remark)
    assert len(far) == 2


def test_the_source_and_times_are_given(speech: Float32) -> None:
    clips = list(audio.windows([speech], source="talk.wav"))
    assert {clip.source for clip in clips} == {"talk.wav"}
    assert clips[0].start > 0


def test_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="16000 Hz"):
        list(audio.windows([noise(1)], 8_000))


def test_memory_does_not_grow_with_the_recording() -> None:
    held: list[int] = []

    def blocks() -> Iterator[Float32]:
        for _ in range(60):
            held.append(cutter_samples())
            yield noise(10)

    clips = audio.windows(blocks())

    def cutter_samples() -> int:
        frame = clips.gi_frame
        cutter = frame.f_locals.get("cutter") if frame else None
        return sum(map(len, cutter._frames)) if cutter else 0

    for _ in clips:
        pass
    assert 0 < max(held) < 30 * RATE


def test_speech_after_a_minute_of_digital_silence_is_found(speech: Float32) -> None:
    clips = cut(silence(60), speech[: 12 * RATE])
    assert clips[0].speech
    assert 59 < clips[0].start < 62
