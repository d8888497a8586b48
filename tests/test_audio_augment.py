import numpy as np
import pytest

from audio_files import tone
from wavrag.audio.augmentation import (
    Augmentation,
    add_echo,
    add_noise,
    change_speed,
    fit_length,
    reverberate,
    telephone,
)
from wavrag.types import Float32

RATE = 16_000


def noise(seconds: float, seed: int = 0) -> Float32:
    return np.random.default_rng(seed).standard_normal(int(seconds * RATE)).astype(np.float32) / 8


def band(samples: Float32, low: float, high: float) -> float:
    """Energy between two frequencies."""
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(spectrum[(frequencies >= low) & (frequencies < high)].sum())


def test_the_same_seed_makes_the_same_sound_and_another_one_another() -> None:
    speech, crowd = tone(300, 1.0, RATE), noise(0.4)
    one, same, other = (
        Augmentation().apply(speech, RATE, np.random.default_rng(seed), [crowd])
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one, same)
    assert len(one) != len(other) or not np.allclose(one, other)


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("seconds", [0.02, 0.1, 1.3])
def test_whatever_is_drawn_is_finite_sound_in_range(seed: int, seconds: float) -> None:
    drawn = np.random.default_rng(seed)
    changed = Augmentation().apply(tone(500, seconds, RATE, 0.99), RATE, drawn, [noise(0.3)])
    assert changed.dtype == np.float32
    assert len(changed) > 0
    assert np.isfinite(changed).all()
    assert np.abs(changed).max() <= 1


def test_silence_stays_silent_but_for_noise() -> None:
    silence = np.zeros(RATE, np.float32)
    for seed in range(10):
        assert not np.any(Augmentation().apply(silence, RATE, np.random.default_rng(seed)))


def test_echo_is_the_sound_later_and_softer() -> None:
    click = np.zeros(RATE, np.float32)
    click[100] = 1.0
    echoed = add_echo(click, RATE, 0.25, 0.2)
    assert np.flatnonzero(echoed).tolist() == [100, 100 + RATE // 4]
    assert echoed[100 + RATE // 4] == pytest.approx(0.2)
    assert click.sum() == 1, "the given sound is left as it is"
    assert np.array_equal(add_echo(click, RATE, 5.0, 0.2), click), "past the end"


@pytest.mark.parametrize("snr", [-5.0, 0.0, 20.0])
def test_noise_has_the_level_that_is_asked_for(snr: float) -> None:
    speech, crowd = tone(300, 1.0, RATE), noise(1.0)
    added = add_noise(speech, crowd, snr) - speech
    assert 10 * np.log10(np.mean(speech**2) / np.mean(added**2)) == pytest.approx(snr, abs=0.01)
    assert np.array_equal(add_noise(speech, np.zeros_like(speech), snr), speech)


def test_noise_is_cut_or_repeated_to_length() -> None:
    rng = np.random.default_rng(0)
    assert len(fit_length(noise(0.1), RATE, rng)) == RATE
    long = noise(2.0)
    piece = fit_length(long, 100, rng)
    assert any(np.array_equal(piece, long[at : at + 100]) for at in range(len(long) - 99))


def test_telephone_keeps_the_voice_and_drops_the_rest() -> None:
    speech = tone(1000, 1.0, RATE) + tone(100, 1.0, RATE) + tone(6000, 1.0, RATE)
    line = telephone(speech, RATE)
    assert band(line, 950, 1050) == pytest.approx(band(speech, 950, 1050), rel=0.05)
    assert band(line, 50, 150) < 1e-3 * band(speech, 50, 150)
    assert band(line, 5900, 6100) < 1e-3 * band(speech, 5900, 6100)


def test_speed_changes_length_and_pitch() -> None:
    faster = change_speed(tone(400, 1.0, RATE), RATE, 1.25)
    assert len(faster) == pytest.approx(RATE / 1.25, abs=20)
    assert band(faster, 480, 520) > 0.9 * band(faster, 0, 8000)


def test_a_room_rings_on_and_keeps_the_length() -> None:
    click = np.zeros(RATE, np.float32)
    click[1000] = 1.0
    wet = reverberate(click, RATE, 0.3, np.random.default_rng(0))
    assert len(wet) == RATE
    assert wet[1000] == pytest.approx(1.0, abs=1e-4)
    early, late = np.abs(wet[1001:2000]).mean(), np.abs(wet[4500:5500]).mean()
    assert early > 10 * late > 0
    assert np.abs(wet[:999]).max() < 1e-5
