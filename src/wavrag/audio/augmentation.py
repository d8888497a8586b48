"""Speech as rooms, lines and crowds change it: for training, and for evaluation under noise.

The steps come in the order of the paper (arXiv 2502.14727, section 3.1: echo, noise, gain), after
a change of speed and a room's reverberation and before a telephone's band. Everything is drawn
from the generator that the caller gives: the same seed makes the same sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wavrag.audio.resampling import resample
from wavrag.types import Clip, Float32

TELEPHONE_BAND = (300.0, 3_400.0)  # Hz
MU = 255.0  # of the telephone's companding (ITU-T G.711)
CEILING = 0.99  # peak above which the sound is turned down rather than clipped


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How much of what; each step has a probability and a range to draw from.

    Attributes:
        speed: factors of speed, which change the pitch along.
        reverberation: seconds until the room's echo has fallen by 60 dB.
        echo_delay: seconds.
        echo_scale: amplitude of the echo against the sound.
        snr: dB of the speech over the noise.
        gain: dB.
    """

    speed_share: float = 0.4
    speed: tuple[float, float] = (0.88, 1.14)
    reverberation_share: float = 0.3
    reverberation: tuple[float, float] = (0.1, 0.6)
    echo_share: float = 0.4
    echo_delay: tuple[float, float] = (0.1, 0.5)
    echo_scale: tuple[float, float] = (0.0, 0.2)
    noise_share: float = 0.8
    snr: tuple[float, float] = (-3.0, 25.0)
    gain_share: float = 1.0
    gain: tuple[float, float] = (-15.0, 6.0)
    telephone_share: float = 0.15

    def apply(
        self,
        samples: Float32,
        sample_rate: int,
        rng: np.random.Generator,
        noises: Sequence[Float32] = (),
    ) -> Float32:
        """A changed copy of a sound.

        Args:
            samples: mono, float32, shape = (n,), n > 0.
            sample_rate: Hz.
            rng: what everything is drawn from.
            noises: sounds at the same rate, of which one is mixed in; none, and no noise is.

        Returns:
            float32, between -1 and 1; longer or shorter than the sound where the speed changed.
        """
        if rng.random() < self.speed_share:
            samples = change_speed(samples, sample_rate, rng.uniform(*self.speed))
        if rng.random() < self.reverberation_share:
            samples = reverberate(samples, sample_rate, rng.uniform(*self.reverberation), rng)
        if rng.random() < self.echo_share:
            delay, scale = rng.uniform(*self.echo_delay), rng.uniform(*self.echo_scale)
            samples = add_echo(samples, sample_rate, delay, scale)
        if noises and rng.random() < self.noise_share:
            noise = noises[int(rng.integers(len(noises)))]
            samples = add_noise(samples, stretch(noise, len(samples), rng), rng.uniform(*self.snr))
        if rng.random() < self.gain_share:
            samples = samples * np.float32(10 ** (rng.uniform(*self.gain) / 20))
        if rng.random() < self.telephone_share:
            samples = telephone(samples, sample_rate)
        peak = float(np.abs(samples).max())
        changed = samples if peak <= CEILING else samples * (CEILING / peak)
        return changed.astype(np.float32)


def change_speed(samples: Float32, sample_rate: int, factor: float) -> Float32:
    """Play faster (above 1) or slower, pitch and all."""
    clip = Clip(samples, round(sample_rate * factor), "")
    return resample(clip, sample_rate).samples if clip.sample_rate != sample_rate else samples


def reverberate(
    samples: Float32,
    sample_rate: int,
    seconds: float,
    rng: np.random.Generator,
    ratio: float | None = None,
) -> Float32:
    """The sound in a room whose echo falls by 60 dB in so many seconds; its length stays.

    Args:
        samples: shape = (n,).
        sample_rate: Hz.
        seconds: until the echo has fallen by 60 dB.
        rng: what the room is drawn from.
        ratio: dB of the direct sound over the reverberation; drawn, between 2 and 14, if None.
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
    size = 1 << (len(samples) + length - 1).bit_length()
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(tail, size)
    wet: Float32 = np.fft.irfft(spectrum, size)[: len(samples)].astype(np.float32)
    return wet


def add_echo(samples: Float32, sample_rate: int, delay: float, scale: float) -> Float32:
    """The sound with itself, `delay` seconds later and `scale` times as loud."""
    later = min(int(delay * sample_rate), len(samples))
    echoed = samples.copy()
    echoed[later:] += np.float32(scale) * samples[: len(samples) - later]
    return echoed


def add_noise(samples: Float32, noise: Float32, snr: float) -> Float32:
    """The sound and a noise of the same length, `snr` dB under it on the whole length.

    Silence on either side has no level to compare: the sound stays as it is.
    """
    level, noise_level = float(np.mean(samples**2)), float(np.mean(noise**2))
    if level == 0 or noise_level == 0:
        return samples
    return samples + noise * np.float32(np.sqrt(level / noise_level / 10 ** (snr / 10)))


def stretch(noise: Float32, length: int, rng: np.random.Generator) -> Float32:
    """As much of a noise as wanted, from anywhere in it, repeated if it is shorter."""
    at = int(rng.integers(max(1, len(noise) - length + 1)))
    piece: Float32 = np.resize(noise[at : at + length], length)
    return piece


def telephone(samples: Float32, sample_rate: int) -> Float32:
    """What is left after a telephone line: its band, and eight companded bits."""
    low, high = TELEPHONE_BAND
    spectrum = np.fft.rfft(samples)
    frequencies = np.fft.rfftfreq(len(samples), 1 / sample_rate)
    spectrum[(frequencies < low) | (frequencies > high)] = 0
    band = np.fft.irfft(spectrum, len(samples))
    peak = np.abs(band).max() + 1e-9
    companded = np.sign(band) * np.log1p(MU * np.abs(band) / peak) / np.log1p(MU)
    rounded = np.round(companded * 127) / 127
    line = np.sign(rounded) * np.expm1(np.abs(rounded) * np.log1p(MU)) / MU
    heard: Float32 = (line * peak).astype(np.float32)
    return heard
