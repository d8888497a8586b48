"""Augmentation of batches, on the CPU as on a GPU."""

import numpy as np
import pytest
import torch
from torch import Tensor

from audio_files import tone
from wavrag.audio import Augmentation
from wavrag.train.mini.device_augmentation import (
    CEILING,
    Batch,
    DeviceAugmentation,
    NoiseSource,
    add_echo,
    add_noise,
    change_speed,
    limit_to_telephone_band,
    reverberate,
    to_pink,
)

RATE = 16_000
LENGTHS = (RATE, RATE // 2, 3 * RATE // 4)


def batch() -> Batch:
    samples = torch.zeros(len(LENGTHS), RATE)
    for row, length in enumerate(LENGTHS):
        samples[row, :length] = torch.from_numpy(tone(300.0 + 200 * row, length / RATE, RATE))
    return Batch(samples, torch.tensor(LENGTHS))


def noises() -> NoiseSource:
    rng = np.random.default_rng(0)
    speech = (rng.standard_normal(3 * RATE) * 3_000).astype(np.int16)
    # Shorter than a batch, so it has to be repeated.
    return NoiseSource(torch.from_numpy(speech), torch.from_numpy(speech[: RATE // 3]))


def column(*values: float) -> Tensor:
    return torch.tensor(values)[:, None]


def test_noise_has_the_ratio_asked_for_within_each_clip() -> None:
    clips, ratios = batch(), (-3.0, 5.0, 20.0)
    noise = torch.randn(clips.samples.shape, generator=torch.Generator().manual_seed(0))
    noisy = add_noise(clips.samples, noise, clips.mask(), column(*ratios))
    for row, (length, ratio) in enumerate(zip(LENGTHS, ratios, strict=True)):
        clean = clips.samples[row, :length]
        added = noisy[row, :length] - clean
        measured = 10 * torch.log10(clean.square().mean() / added.square().mean())
        assert float(measured) == pytest.approx(ratio, abs=1e-3)
        assert not noisy[row, length:].any()


def test_silence_and_silent_noise_change_nothing() -> None:
    clips = batch()
    silence = torch.zeros_like(clips.samples)
    for samples, noise in ((clips.samples, silence), (silence, clips.samples), (silence, silence)):
        assert torch.equal(add_noise(samples, noise, clips.mask(), column(0, 0, 0)), samples)


def test_an_echo_is_a_later_copy() -> None:
    samples = torch.zeros(2, 50)
    samples[:, 1], samples[:, 4] = 1.0, 0.5
    # 2 samples are 0.125 ms; the second row has an echo that begins after its end.
    echoed = add_echo(samples, column(2 / RATE, 60 / RATE), column(0.2, 0.2))
    expected = samples.clone()
    expected[0, 3], expected[0, 6] = 0.2, 0.1
    assert torch.allclose(echoed, expected)


def test_reverberation_convolves_with_a_tail_of_the_level_asked_for() -> None:
    samples = torch.zeros(2, 4 * RATE)
    samples[:, 0] = 1.0
    wet = reverberate(samples, column(0.2, 0.5), column(0.3, 0.6), torch.Generator().manual_seed(0))
    assert wet.shape == samples.shape
    assert torch.allclose(wet[:, 0], torch.ones(2), atol=1e-4), "the direct sound"
    tails = wet[:, 1:].square().sum(1).sqrt()
    assert torch.allclose(tails, torch.tensor([0.3, 0.6]), atol=0.02)
    # 60 dB in .5 s are 20 dB in a sixth of a second.
    early, late = (wet[1, 1 + at : 1 + at + 1600].square().mean() for at in (0, RATE // 6))
    assert float(10 * torch.log10(early / late)) == pytest.approx(20, abs=1.5)


def test_a_faster_clip_is_shorter_and_higher() -> None:
    faster = change_speed(batch(), 1.25)
    assert faster.lengths.tolist() == [12_800, 6_400, 9_600]
    spectrum = torch.fft.rfft(faster.samples[0, :12_800]).abs()
    assert int(spectrum.argmax()) == round(300 * 1.25 * 12_800 / RATE)
    assert not faster.samples[1, 6_400:].any()


def test_a_telephone_passes_its_band_only() -> None:
    low, middle, high = (torch.from_numpy(tone(hertz, 1.0, RATE)) for hertz in (100, 1_000, 5_000))
    passed = limit_to_telephone_band(torch.stack([low, middle, high]))
    assert torch.allclose(passed[1], middle, atol=1e-3)
    assert passed[[0, 2]].abs().max() < 1e-3


def test_pink_noise_loses_three_decibels_an_octave() -> None:
    white = torch.randn(1, 2**17, generator=torch.Generator().manual_seed(0))
    power = torch.fft.rfft(to_pink(white))[0].abs().square()
    octaves = [power[2**at : 2 ** (at + 1)].mean().log10() * 10 for at in range(10, 15)]
    assert np.diff(octaves) == pytest.approx([-3.0] * 4, abs=0.6)


@pytest.mark.parametrize("seed", range(6))
def test_batches_keep_their_shape_and_the_seed_decides(seed: int) -> None:
    augmentation, clips = DeviceAugmentation(noises()), batch()
    first, again = (augmentation.apply(clips, np.random.default_rng(seed)) for _ in range(2))
    assert torch.equal(first.samples, again.samples)
    assert torch.equal(clips.samples, batch().samples), "the original is not changed"
    assert first.samples.isfinite().all()
    assert first.samples.abs().max() <= CEILING + 1e-6
    assert not first.samples[~first.mask()].any(), "padding stays silent"
    speed = RATE / first.samples.shape[1]
    assert first.lengths.tolist() == pytest.approx([n / speed for n in LENGTHS], abs=2)
    other = augmentation.apply(clips, np.random.default_rng(seed + 100)).samples
    assert first.samples.shape != other.shape or not torch.equal(first.samples, other)


@pytest.mark.parametrize("empty", [False, True])
def test_silence_stays_finite(empty: bool) -> None:
    source = noises()
    if empty:  # silent speech, and no ambience
        source = NoiseSource(torch.zeros_like(source.speech), source.ambience[:0])
    silence = Batch(torch.zeros(3, RATE), torch.tensor(LENGTHS))
    always = Augmentation(
        reverberation_share=1, echo_share=1, noise_share=1, telephone_share=1, speed_share=1
    )
    for seed in range(4):
        changed = DeviceAugmentation(source, always).apply(silence, np.random.default_rng(seed))
        assert not changed.samples.any()
