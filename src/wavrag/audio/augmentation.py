"""Audio augmentation for training, and for evaluation under noise.

The order of echo, noise and gain follows the paper (arXiv 2502.14727, section 3.1). Speed and
reverberation come before them, the telephone band after them. All random numbers come from the
caller's generator, so the same seed gives the same samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wavrag.audio.resampling import resample
from wavrag.types import Clip, Float32

TELEPHONE_BAND = (300.0, 3_400.0)  # Hz
MU = 255.0  # mu-law companding of telephone lines (ITU-T G.711)
# Peak amplitude. Louder results are scaled down: clipping would add distortion of its own.
CEILING = 0.99


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Probability (`*_share`) and uniform range of each augmentation step."""

    speed_share: float = 0.4
    speed: tuple[float, float] = (0.88, 1.14)  # playback speed; it changes the pitch, too
    reverberation_share: float = 0.3
    reverberation: tuple[float, float] = (0.1, 0.6)  # seconds of decay by 60 dB
    echo_share: float = 0.4
    echo_delay: tuple[float, float] = (0.1, 0.5)  # seconds
    echo_scale: tuple[float, float] = (0.0, 0.2)  # amplitude relative to the original
    noise_share: float = 0.8
    snr: tuple[float, float] = (-3.0, 25.0)  # signal-to-noise ratio in dB
    gain_share: float = 1.0
    gain: tuple[float, float] = (-15.0, 6.0)  # dB
    telephone_share: float = 0.15

    def apply(
        self,
        samples: Float32,
        sample_rate: int,
        rng: np.random.Generator,
        noises: Sequence[Float32] = (),
    ) -> Float32:
        """Return an augmented copy of the samples.

        Args:
            samples: mono, float32, shape = (n,), n > 0.
            sample_rate: Hz.
            rng: source of all random numbers.
            noises: noise recordings at the same sample rate; one of them is mixed in.

        Returns:
            float32 in [-1, 1]; a changed speed changes the length.

        Example:
            >>> rng = np.random.default_rng(0)
            >>> augmented = Augmentation().apply(np.zeros(16_000, np.float32), 16_000, rng)
        """
        if rng.random() < self.speed_share:
            samples = change_speed(samples, sample_rate, rng.uniform(*self.speed))
        if rng.random() < self.reverberation_share:
            samples = reverberate(samples, sample_rate, rng.uniform(*self.reverberation), rng)
        if rng.random() < self.echo_share:
            delay, scale = rng.uniform(*self.echo_delay), rng.uniform(*self.echo_scale)
            samples = add_echo(samples, sample_rate, delay, scale)
        if noises and rng.random() < self.noise_share:
            noise = fit_length(noises[int(rng.integers(len(noises)))], len(samples), rng)
            samples = add_noise(samples, noise, rng.uniform(*self.snr))
        if rng.random() < self.gain_share:
            samples = samples * np.float32(10 ** (rng.uniform(*self.gain) / 20))
        if rng.random() < self.telephone_share:
            samples = telephone(samples, sample_rate)
        peak = float(np.abs(samples).max())
        output = samples if peak <= CEILING else samples * (CEILING / peak)
        return output.astype(np.float32)


def change_speed(samples: Float32, sample_rate: int, factor: float) -> Float32:
    """Change speed and pitch together; a factor above 1 is faster."""
    clip = Clip(samples, round(sample_rate * factor), "")
    return resample(clip, sample_rate).samples if clip.sample_rate != sample_rate else samples


def reverberate(
    samples: Float32,
    sample_rate: int,
    seconds: float,
    rng: np.random.Generator,
    ratio: float | None = None,
) -> Float32:
    """Add the reverberation of a random room; the length stays the same.

    The impulse response is exponentially decaying white noise.

    Args:
        samples: shape = (n,).
        sample_rate: Hz.
        seconds: reverberation time (decay by 60 dB).
        rng: source of the impulse response.
        ratio: direct-to-reverberant ratio in dB; random between 2 and 14 if None.
    """
    length = max(2, int(seconds * sample_rate))
    decay = 10 ** (-3 * np.arange(length) / length)
    tail = rng.standard_normal(length) * decay
    if ratio is None:
        level = rng.uniform(0.2, 0.8)
    else:
        level, tail[0] = 10 ** (-ratio / 20), 0.0
    tail *= level / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    # A power of two that holds the linear convolution: a shorter FFT would wrap it around.
    size = 1 << (len(samples) + length - 1).bit_length()
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(tail, size)
    wet: Float32 = np.fft.irfft(spectrum, size)[: len(samples)].astype(np.float32)
    return wet


def add_echo(samples: Float32, sample_rate: int, delay: float, scale: float) -> Float32:
    """Add one echo after `delay` seconds with `scale` times the amplitude."""
    shift = min(int(delay * sample_rate), len(samples))
    result = samples.copy()
    result[shift:] += np.float32(scale) * samples[: len(samples) - shift]
    return result


def add_noise(samples: Float32, noise: Float32, snr: float) -> Float32:
    """Add noise of the same length at a signal-to-noise ratio of `snr` dB over the whole length.

    If either is digital silence, the ratio is undefined and the samples are returned unchanged.
    """
    level, noise_level = float(np.mean(samples**2)), float(np.mean(noise**2))
    if level == 0 or noise_level == 0:
        return samples
    return samples + noise * np.float32(np.sqrt(level / noise_level / 10 ** (snr / 10)))


def fit_length(noise: Float32, length: int, rng: np.random.Generator) -> Float32:
    """Return `length` samples of a noise from a random start, repeated if it is too short."""
    start = int(rng.integers(max(1, len(noise) - length + 1)))
    excerpt: Float32 = np.resize(noise[start : start + length], length)
    return excerpt


def telephone(samples: Float32, sample_rate: int) -> Float32:
    """Simulate a telephone line: band-pass filter and 8-bit mu-law quantization."""
    low, high = TELEPHONE_BAND
    spectrum = np.fft.rfft(samples)
    frequencies = np.fft.rfftfreq(len(samples), 1 / sample_rate)
    spectrum[(frequencies < low) | (frequencies > high)] = 0
    band = np.fft.irfft(spectrum, len(samples))
    peak = np.abs(band).max() + 1e-9
    companded = np.sign(band) * np.log1p(MU * np.abs(band) / peak) / np.log1p(MU)
    quantized = np.round(companded * 127) / 127
    line = np.sign(quantized) * np.expm1(np.abs(quantized) * np.log1p(MU)) / MU
    result: Float32 = (line * peak).astype(np.float32)
    return result
