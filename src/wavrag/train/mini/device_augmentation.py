"""Augmentation of whole batches on the device; one random draw per clip.

The steps, their order and their ranges are those of `wavrag.audio.Augmentation`, apart from the
companding of the telephone line. Noise is babble of training speech, an ambience, pink or white.
Samples have shape (b, n), float32, at 16 kHz, with zeros after the end of each clip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from wavrag.audio import SAMPLE_RATE, TELEPHONE_BAND, Augmentation

CLEAN_SHARE = 0.25  # share of clips with nothing but another speed and gain
NOISE_KINDS = {"babble": 0.45, "ambience": 0.4, "pink": 0.08, "white": 0.07}  # shares
MOST_VOICES = 6  # speakers of babble
TAIL_LEVEL = (0.2, 0.8)  # amplitude of the reverberation relative to the direct sound
CEILING = 0.99  # peak amplitude


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Clips of a batch."""

    samples: Tensor  # (b, n), on the device
    lengths: Tensor  # (b,), int64, on the CPU: number of samples of each clip

    def mask(self) -> Tensor:
        """Return a mask that is true within the clips, shape = (b, n)."""
        lengths = self.lengths.to(self.samples.device)
        times = torch.arange(self.samples.shape[1], device=self.samples.device)
        return times < lengths[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class NoiseSource:
    """Recordings for noise, int16, one after the other, on the device."""

    speech: Tensor  # (n,)
    ambience: Tensor  # (n,); babble is used instead if it is empty


class DeviceAugmentation:
    """Augments batches; the same seed gives the same samples on the same kind of device."""

    def __init__(self, noises: NoiseSource, ranges: Augmentation | None = None) -> None:
        self._noises, self._ranges = noises, ranges or Augmentation()

    def apply(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Return an augmented copy of a batch; a changed speed changes the lengths."""
        ranges, device = self._ranges, batch.samples.device
        generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
        if rng.random() < ranges.speed_share:
            # One factor for the batch, since the clips must keep a common sample grid.
            batch = change_speed(batch, rng.uniform(*ranges.speed))
        x, mask = batch.samples.clone(), batch.mask()
        clean = rng.random(len(x)) < CLEAN_SHARE

        def change(share: float, step: Callable[[Tensor, Tensor], Tensor]) -> None:
            """Apply a step to random rows; it gets their samples and their mask."""
            indices = np.flatnonzero((rng.random(len(x)) < share) & ~clean)
            if len(indices):
                rows = torch.from_numpy(indices).to(device)
                x[rows] = step(x[rows], mask[rows]) * mask[rows]

        def draw(low: float, high: float, rows: Tensor) -> Tensor:
            values = rng.uniform(low, high, (len(rows), 1)).astype(np.float32)
            return torch.from_numpy(values).to(device)

        # fmt: off
        change(ranges.reverberation_share, lambda y, _: reverberate(
            y, draw(*ranges.reverberation, y), draw(*TAIL_LEVEL, y), generator,
        ))
        change(ranges.echo_share, lambda y, _: add_echo(
            y, draw(*ranges.echo_delay, y), draw(*ranges.echo_scale, y),
        ))
        change(ranges.noise_share, lambda y, inside: add_noise(
            y, self._draw_noise(y, rng, generator), inside, draw(*ranges.snr, y),
        ))
        # fmt: on
        change(ranges.telephone_share, lambda y, _: limit_to_telephone_band(y))
        x = x * 10 ** (draw(*ranges.gain, x) / 20)
        peaks = x.abs().amax(1, keepdim=True)
        return Batch(x * (CEILING / peaks.clamp(min=CEILING)), batch.lengths)

    def _draw_noise(
        self, x: Tensor, rng: np.random.Generator, generator: torch.Generator
    ) -> Tensor:
        """Draw noise of any level in the shape of the samples."""
        kinds = rng.choice(len(NOISE_KINDS), len(x), p=list(NOISE_KINDS.values()))
        noise = torch.empty_like(x)
        for number, kind in enumerate(NOISE_KINDS):
            indices = np.flatnonzero(kinds == number)
            if not len(indices):
                continue
            shape = len(indices), x.shape[1]
            if kind in ("pink", "white"):
                sound = torch.randn(shape, generator=generator, device=x.device)
                sound = to_pink(sound) if kind == "pink" else sound
            elif kind == "babble" or not len(self._noises.ambience):
                voices = (int(rng.integers(1, MOST_VOICES + 1)), *shape)
                speech = _draw_excerpts(self._noises.speech, voices, rng)
                # Every voice at the same level, so that one loud speaker does not mask the others.
                sound = (speech / (speech.square().mean(-1, keepdim=True).sqrt() + 1.0)).sum(0)
            else:
                sound = _draw_excerpts(self._noises.ambience, shape, rng)
            noise[torch.from_numpy(indices).to(x.device)] = sound
        return noise


def _draw_excerpts(source: Tensor, shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    """Draw excerpts of the last dimension's length from int16 sound, as float32."""
    starts = torch.from_numpy(rng.integers(len(source), size=(*shape[:-1], 1))).to(source.device)
    return source[(starts + torch.arange(shape[-1], device=source.device)) % len(source)].float()


def change_speed(batch: Batch, factor: float) -> Batch:
    """Change speed and pitch together by linear interpolation; above 1 is faster."""
    n = int(batch.samples.shape[1] / factor)
    samples = functional.interpolate(batch.samples[:, None], n, mode="linear")[:, 0]
    changed = Batch(samples, (batch.lengths / factor).long())
    return Batch(samples * changed.mask(), changed.lengths)


def reverberate(
    samples: Tensor, seconds: Tensor, level: Tensor, generator: torch.Generator
) -> Tensor:
    """Add the reverberation of random rooms: white noise that decays exponentially.

    Args:
        samples: shape = (b, n).
        seconds: reverberation times (decay by 60 dB), shape = (b, 1).
        level: amplitude of the tail relative to the direct sound, shape = (b, 1).
        generator: source of the impulse responses.
    """
    n = samples.shape[1]
    length = int(seconds.max() * SAMPLE_RATE)
    times = torch.arange(length, device=samples.device) / SAMPLE_RATE
    tail = torch.randn(len(samples), length, generator=generator, device=samples.device)
    tail = tail * 10 ** (-3 * times / seconds)
    tail = tail * level / tail.square().sum(1, keepdim=True).sqrt()
    tail[:, 0] = 1.0
    # A power of two that holds the linear convolution: a shorter FFT would wrap it around.
    size = 1 << (n + length - 1).bit_length()
    spectrum = torch.fft.rfft(samples, size) * torch.fft.rfft(tail, size)
    wet: Tensor = torch.fft.irfft(spectrum, size)[:, :n]
    return wet


def add_echo(samples: Tensor, delay: Tensor, scale: Tensor) -> Tensor:
    """Add an echo after `delay` seconds with `scale` times the amplitude, each of shape (b, 1)."""
    sources = torch.arange(samples.shape[1], device=samples.device) - (delay * SAMPLE_RATE).long()
    return samples + scale * samples.gather(1, sources.clamp(min=0)) * (sources >= 0)


def add_noise(samples: Tensor, noise: Tensor, mask: Tensor, snr: Tensor) -> Tensor:
    """Add noise at a signal-to-noise ratio in dB, shape = (b, 1), over the length of each clip.

    If either is digital silence, the ratio is undefined and the samples are returned unchanged.
    """
    noise = noise * mask
    # Sums instead of means: both are over the same samples.
    power, noise_power = (y.square().sum(1, keepdim=True) for y in (samples, noise))
    scale = (power / noise_power / 10 ** (snr / 10)).sqrt()
    return samples + torch.where(noise_power > 0, noise * scale, 0.0)


def to_pink(white: Tensor) -> Tensor:
    """Filter white noise, (b, n), to a power that falls with the frequency."""
    spectrum = torch.fft.rfft(white)
    bins = torch.arange(spectrum.shape[1], device=white.device)
    pink: Tensor = torch.fft.irfft(spectrum / bins.clamp(min=1).sqrt(), white.shape[1])
    return pink


def limit_to_telephone_band(samples: Tensor) -> Tensor:
    """Remove all frequencies outside of the band of a telephone line."""
    n = samples.shape[1]
    frequencies = torch.fft.rfftfreq(n, 1 / SAMPLE_RATE, device=samples.device)
    band = (frequencies >= TELEPHONE_BAND[0]) & (frequencies <= TELEPHONE_BAND[1])
    filtered: Tensor = torch.fft.irfft(torch.fft.rfft(samples) * band, n)
    return filtered
