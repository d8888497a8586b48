import math

import numpy as np
import pytest

from audio_files import tone
from wavrag.audio import describe_clip, load, mean_level
from wavrag.audio.prosody import HOP, f0_track, loudness, measure_prosody, rms_dbfs
from wavrag.demo import DATA
from wavrag.types import Clip, Float32

RATE = 16_000


def pulses(hertz: float, seconds: float, rate: int = RATE, formant: float = 600.0) -> Float32:
    """A pulse train through one resonance, a vowel: every harmonic below half the rate."""
    time = np.arange(round(seconds * rate)) / rate
    width = 80.0  # Hz, of the resonance
    harmonics = np.arange(1, int(0.45 * rate / hertz) + 1) * hertz
    gains = 1 / np.hypot(1, (harmonics - formant) / width)
    wave = sum(g * np.cos(2 * np.pi * f * time) for g, f in zip(gains, harmonics, strict=True))
    return (0.1 * np.asarray(wave)).astype(np.float32)


def f0(samples: Float32, rate: int = RATE) -> float:
    found = measure_prosody(Clip(samples, rate)).f0
    assert found is not None
    return found


@pytest.mark.parametrize("hertz", [65, 80, 110, 160, 220, 300, 390])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_pitch_of_tones_and_pulse_trains(hertz: float, rate: int) -> None:
    assert f0(tone(hertz, 0.5, rate), rate) == pytest.approx(hertz, rel=0.01)
    assert f0(pulses(hertz, 0.5, rate), rate) == pytest.approx(hertz, rel=0.02)


def test_no_octave_errors() -> None:
    time = np.arange(RATE) / RATE
    # The second harmonic is 20 dB above the first; the period is still that of 120 Hz.
    second = 0.02 * np.sin(2 * np.pi * 120 * time) + 0.2 * np.sin(2 * np.pi * 240 * time)
    third = 0.1 * np.sin(2 * np.pi * 360 * time)
    assert f0((second + third).astype(np.float32)) == pytest.approx(120, rel=0.01)
    # The first harmonic is missing altogether, as on a telephone.
    missing = sum(0.1 * np.sin(2 * np.pi * 150 * n * time) for n in (2, 3, 4, 5))
    assert f0(np.asarray(missing, np.float32)) == pytest.approx(150, rel=0.01)
    # A resonance on the second harmonic.
    track = f0_track(pulses(200, 1.0, formant=400.0), RATE)
    assert np.mean(np.abs(track[5:-5] - 200) < 10) > 0.95


@pytest.mark.parametrize("hertz", [30, 45, 500, 800])
def test_a_pitch_beside_the_range_is_none(hertz: float) -> None:
    # 500 Hz repeats 250 times a second as well, but that is not its pitch.
    assert measure_prosody(Clip(tone(hertz, 0.5, RATE), RATE)).f0 is None


def test_the_range_of_a_glide() -> None:
    # From 100 to 200 Hz in equal semitones, an octave; 10th to 90th percentile: 0.8 of it.
    seconds = 2.0
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * 100 * seconds / np.log(2) * (2 ** (time / seconds) - 1)
    found = measure_prosody(Clip((0.2 * np.sin(phase)).astype(np.float32), RATE))
    assert found.f0_range == pytest.approx(0.8 * 12, abs=0.2)
    assert found.f0 == pytest.approx(100 * np.sqrt(2), rel=0.01)
    assert measure_prosody(Clip(tone(150, 1.0, RATE), RATE)).f0_range == pytest.approx(0, abs=0.05)


def test_pitch_in_noise() -> None:
    voice = pulses(130, 1.0)
    rng = np.random.default_rng(0)
    level = np.sqrt(np.mean(voice**2))
    noisy = voice + (rng.standard_normal(len(voice)) * level / 10).astype(np.float32)  # 20 dB SNR
    assert f0(noisy) == pytest.approx(130, rel=0.02)


def test_noise_has_no_voice() -> None:
    noise = (0.1 * np.random.default_rng(1).standard_normal(2 * RATE)).astype(np.float32)
    found = measure_prosody(Clip(noise, RATE))
    assert found.voiced_share < 0.05
    assert found.rate is None
    assert found.rms == pytest.approx(-20, abs=0.2)


def test_silence_tells_nothing() -> None:
    found = measure_prosody(Clip(np.zeros(RATE, np.float32), RATE))
    assert (found.f0, found.f0_range, found.rate, found.rms, found.loudness) == (None,) * 5
    assert (found.voiced_share, found.pauses, found.pause_seconds) == (0, 0, 0)


@pytest.mark.parametrize("count", [0, 1, 7, 159, 161, 500])
def test_clips_that_are_too_short_tell_nothing_of_a_voice(count: int) -> None:
    found = measure_prosody(Clip(tone(150, count / RATE, RATE), RATE))
    assert (found.f0, found.rate, found.loudness, found.pauses) == (None, None, None, 0)
    assert found.duration == count / RATE


def test_there_is_a_frame_every_ten_milliseconds() -> None:
    assert HOP == 0.01
    for count in (0, 1, 160, 161, 16_001):
        assert len(f0_track(np.zeros(count, np.float32), RATE)) == -(-count // 160)
    # Frames of a long clip are measured in blocks, which leave no seam.
    track = f0_track(tone(140, 45.0, RATE), RATE)
    assert np.abs(track[:-5] - 140).max() < 1.5


def babble(rate: float, count: int, gap: float = 0.0, after: int = 0) -> Float32:
    """Syllables, so many a second; a gap of so many seconds after some of them."""
    length = round(RATE / rate)
    vowel = pulses(120, 0.7 / rate) * np.hanning(round(0.7 * RATE / rate))
    one = np.pad(vowel, (0, length - len(vowel)))
    parts = []
    for number in range(1, count + 1):
        parts.append(one)
        if after and number % after == 0 and number < count:
            parts.append(np.zeros(round(gap * RATE)))
    return np.concatenate(parts).astype(np.float32)


@pytest.mark.parametrize("rate", [2.5, 4.0, 5.5, 7.0])
def test_pace_counts_syllables(rate: float) -> None:
    found = measure_prosody(Clip(babble(rate, 20), RATE))
    assert found.rate == pytest.approx(rate, rel=0.12)


def test_pace_leaves_pauses_out_and_pauses_are_counted() -> None:
    found = measure_prosody(Clip(babble(5.0, 20, gap=0.6, after=5), RATE))
    assert found.pauses == 3
    # A syllable of 0.2 s sounds for 0.14 s: 0.66 s lie between two groups, and its ends are soft.
    assert found.pause_seconds == pytest.approx(3 * 0.66, abs=0.15)
    assert found.rate == pytest.approx(5.0, rel=0.15)
    around = np.pad(babble(5.0, 10), (RATE, RATE))
    assert measure_prosody(Clip(around, RATE)).pauses == 0, "silence around it is no pause"


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_loudness_is_that_of_the_recommendation(rate: int) -> None:
    # BS.1770-4: a full-scale sine of 997 Hz in one channel is at -3.01 LUFS.
    assert loudness(tone(997, 3.0, rate, level=1.0), rate) == pytest.approx(-3.01, abs=0.05)
    # 20 dB less is 20 LU less, and silence beside it is gated away: -23.01 stays to a tenth or so.
    quiet = np.concatenate([tone(997, 8.0, rate, level=0.1), np.zeros(8 * rate, np.float32)])
    assert loudness(quiet, rate) == pytest.approx(-23.01, abs=0.2)
    # Low frequencies count for less.
    low = loudness(tone(40, 3.0, rate, level=1.0), rate)
    assert low is not None
    assert low < -6


def test_level_of_a_sine() -> None:
    # The mean square of a sine of amplitude 0.5 is 1/8: -9.03 dB.
    assert rms_dbfs(tone(250, 1.0, RATE, level=0.5)) == pytest.approx(-9.03, abs=0.01)
    assert rms_dbfs(np.zeros(0, np.float32)) is None


def test_the_voices_of_the_demo_questions() -> None:
    found = {}
    for path in sorted((DATA / "questions").iterdir()):
        if path.suffix != ".json":
            found[path.stem] = measure_prosody(load(path))
    for name in ("spare-key", "late-tide", "rye-loaf", "peace-lily"):  # af_kore
        assert 130 < (found[name].f0 or 0) < 170
    for name in ("storm-wind", "booming-bird", "great-fire", "worn-chain"):  # bm_lewis
        assert 70 < (found[name].f0 or 0) < 95
    assert all(2.0 < (prosody.rate or 0) < 6.0 for prosody in found.values())


@pytest.mark.parametrize(
    ("speech", "level", "said"),
    [
        (False, 0.018, "sound without speech, 12.4 s, quiet (-38 dBFS)"),
        (True, 0.2, "speech, 12.4 s, of usual level (-17 dBFS)"),
        (None, 0.9, "sound, 12.4 s, loud (-4 dBFS)"),
        (None, 0.0005, "sound, 12.4 s, hardly audible (-69 dBFS)"),
        (True, 0.0, "silence, 12.4 s"),
    ],
)
def test_describe_clip(speech: bool | None, level: float, said: str) -> None:
    clip = Clip(tone(300, 12.4, RATE, level=level), RATE, speech=speech)
    assert describe_clip(clip) == said


@pytest.mark.parametrize(
    ("levels", "seconds", "expected"),
    [
        ((-20.0, -20.0), (1.0, 5.0), -20.0),
        # (1 * 0.01 + 1 * 0.0001) / 2 = 0.00505, which is -22.97 dB.
        ((-20.0, -40.0), (1.0, 1.0), -22.97),
        ((-20.0, -math.inf), (1.0, 1.0), -23.01),
        ((-math.inf, -math.inf), (1.0, 1.0), -math.inf),
    ],
)
def test_mean_level(
    levels: tuple[float, float], seconds: tuple[float, float], expected: float
) -> None:
    level = mean_level(levels[0], seconds[0], levels[1], seconds[1])
    assert level == pytest.approx(expected, abs=0.01)
