"""How a voice sounds, measured: pitch, pace, loudness, pauses. NumPy only.

Pitch is YIN's (de Cheveigné and Kawahara, 2002); pace counts syllable nuclei in the intensity, as
de Jong and Wempe (2009) do; loudness is that of ITU-R BS.1770-4 for one channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from wavrag.types import Clip, Float32

Float64 = npt.NDArray[np.float64]

PITCH = (60.0, 400.0)  # Hz, range that is looked for
HOP = 0.01  # seconds between frames
_WINDOW = 0.025  # seconds that are compared with those one period later
_UNVOICED = 0.3  # YIN's threshold: without a dip below it a frame has no pitch
_AS_DEEP = 0.06  # dips that differ by less are about as deep
_PITCH_RATE = 8_000  # Hz, lowest that pitch is measured at
_BLOCK = 2_000  # frames at a time
_LEAST_VOICED = 5  # frames, 50 ms; from fewer no pitch is told

_SILENT = -60.0  # dBFS; sound below it is silence whatever else is in the clip
_DYNAMIC = 30.0  # dB under the loud parts (95th percentile) from which on sound is a pause
_LEAST_PAUSE = 0.2  # seconds
_LEAST_DIP = 2.0  # dB between two syllables
_SMOOTH = 0.064  # seconds, of the intensity that syllables are counted in
_LEAST_SPEECH = 0.3  # seconds; from less no pace is told


@dataclass(frozen=True, slots=True)
class Prosody:
    """What was measured; None for what the clip does not tell.

    Attributes:
        duration: seconds.
        f0: median of the pitch, Hz.
        f0_range: semitones between the 10th and the 90th percentile of the pitch.
        voiced: share of the frames that have a pitch, of those that are no pause.
        rate: syllables a second, pauses left out.
        rms: dBFS of the whole clip.
        loudness: LUFS, gated.
        pauses: how many there are of at least 0.2 s between other sound.
        pause_seconds: all of them together.
    """

    duration: float
    f0: float | None
    f0_range: float | None
    voiced: float
    rate: float | None
    rms: float | None
    loudness: float | None
    pauses: int
    pause_seconds: float


def measure_prosody(clip: Clip) -> Prosody:
    """Measure a clip of any length, silence and noise too."""
    samples, rate = clip.samples, clip.sample_rate
    sounding, pauses = _speech(_levels(samples, rate, _WINDOW))
    pitch = f0_track(samples, rate)
    has_pitch = (pitch > 0) & sounding
    heard = pitch[has_pitch]
    enough = len(heard) >= _LEAST_VOICED
    low, middle, high = np.percentile(heard, (10, 50, 90)) if enough else (0.0, 0.0, 0.0)
    return Prosody(
        duration=clip.duration,
        f0=float(middle) if enough else None,
        f0_range=float(12 * np.log2(high / low)) if enough else None,
        voiced=len(heard) / max(1, int(sounding.sum())),
        rate=_pace(_levels(samples, rate, _SMOOTH), has_pitch, sounding),
        rms=rms_dbfs(samples),
        loudness=loudness(samples, rate),
        pauses=len(pauses),
        pause_seconds=sum(pauses) * HOP,
    )


def rms_dbfs(samples: Float32) -> float | None:
    """Level of samples, dB against full scale; None for digital silence, and for no samples."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return 10 * float(np.log10(power)) if power > 0 else None


def f0_track(samples: Float32, rate: int) -> Float64:
    """The pitch by YIN, one value each `HOP`, Hz; 0 where there is none.

    Args:
        samples: mono, shape = (n,).
        rate: Hz.

    Returns:
        shape = (ceil(n / (HOP * rate)),).
    """
    frames = _frame_count(len(samples), rate)
    step = max(1, rate // _PITCH_RATE)
    hertz = rate / step
    thinned = _thinned(samples, step)
    window, longest = round(_WINDOW * hertz), int(np.ceil(hertz / PITCH[0])) + 2
    starts = np.round(np.arange(frames) * HOP * hertz).astype(int)
    padded = np.pad(thinned, (0, int(HOP * hertz) + 1 + window + longest))
    pitch = np.zeros(frames)
    for at in range(0, frames, _BLOCK):
        some = starts[at : at + _BLOCK]
        block = padded[some[:, None] + np.arange(window + longest)]
        pitch[at : at + _BLOCK] = _yin(block, window, longest, hertz)
    return pitch


def loudness(samples: Float32, rate: int) -> float | None:
    """Loudness of one channel by ITU-R BS.1770-4, LUFS, gated at -70 and 10 below the rest.

    A sine of 997 Hz at full scale has -3.01 LUFS. The filters' gains are applied to the spectrum
    of each block of 400 ms. None for a clip that is shorter, and where all of it is below -70.
    """
    size, hop = round(0.4 * rate), round(0.1 * rate)
    starts = range(0, len(samples) - size + 1, hop)
    weights = _k_weights(np.fft.rfftfreq(size, 1 / rate))
    weights[1:] *= 2  # both halves of the spectrum
    power = np.array(
        [
            weights @ np.abs(np.fft.rfft(samples[at : at + size].astype(np.float64))) ** 2
            for at in starts
        ]
    ) / (size * size)
    for relative in (False, True):
        if not len(power):
            return None
        gate = -70.0 if not relative else _lufs(float(power.mean())) - 10
        power = power[power > 10 ** ((gate + 0.691) / 10)]
    return _lufs(float(power.mean())) if len(power) else None


def _lufs(power: float) -> float:
    return -0.691 + 10 * float(np.log10(power))


def _k_weights(hertz: npt.NDArray[np.floating]) -> Float64:
    """Power gain of the two filters of BS.1770-4, whose coefficients are those at 48 kHz."""
    z = np.exp(-2j * np.pi * np.minimum(hertz, 24_000) / 48_000)
    shelf = (1.53512485958697 - 2.69169618940638 * z + 1.19839281085285 * z**2) / (
        1 - 1.69065929318241 * z + 0.73248077421585 * z**2
    )
    high_pass = (1 - 2 * z + z**2) / (1 - 1.99004745483398 * z + 0.99007225036621 * z**2)
    gain: Float64 = np.abs(shelf * high_pass) ** 2
    return gain


def _frame_count(samples: int, rate: int) -> int:
    return int(np.ceil(samples / (HOP * rate)))


def _thinned(samples: Float32, step: int) -> Float64:
    """Every mean of `step` samples."""
    whole = np.pad(samples.astype(np.float64), (0, -len(samples) % step))
    means: Float64 = whole.reshape(-1, step).mean(1)
    return means


def _yin(block: Float64, window: int, longest: int, rate: float) -> Float64:
    """Pitch of each row, 0 where none; a row has `window + longest` samples."""
    size = 1 << (window + longest - 1).bit_length()
    spectrum = np.conj(np.fft.rfft(block[:, :window], size)) * np.fft.rfft(block, size)
    product = np.fft.irfft(spectrum, size)[:, : longest + 1]
    power = np.cumsum(np.pad(block**2, ((0, 0), (1, 0))), 1)
    energy = power[:, window : window + longest + 1] - power[:, : longest + 1]
    difference = np.maximum(energy[:, :1] + energy - 2 * product, 0)[:, 1:]  # lags from 1
    lags = np.arange(1, longest + 1)
    total = np.cumsum(difference, 1)
    normal = np.where(total > 0, difference * lags / np.maximum(total, 1e-30), 1.0)
    inner = normal[:, 1:-1]  # lags 2 to longest - 1
    dips = (inner <= normal[:, :-2]) & (inner < normal[:, 2:])
    # Shorter periods than those of the range are looked for, or their multiples would be found.
    dips[:, : max(0, int(rate / 1_000) - 2)] = False
    held = np.where(dips, inner, np.inf)
    # The first dip that is about as deep as the deepest: multiples of the period are as deep, and
    # a resonance on the second harmonic makes a shallower one at half of it.
    chosen = (held <= held.min(1, keepdims=True) + _AS_DEEP).argmax(1)
    row = np.arange(len(block))
    before, at, after = (normal[row, chosen + shift] for shift in range(3))
    bend = before - 2 * at + after
    offset = np.where(bend > 0, (before - after) / np.maximum(2 * bend, 1e-30), 0.0)
    pitch = rate / (chosen + 2 + np.clip(offset, -1, 1))
    quiet = energy[:, 0] / window < 10 ** (_SILENT / 10)
    missing = (at >= _UNVOICED) | quiet | ~dips.any(1)
    # A period measured to a fraction of a sample may fall a hair beside the range.
    missing |= (pitch < 0.99 * PITCH[0]) | (pitch > 1.01 * PITCH[1])
    return np.where(missing, 0.0, pitch)


def _levels(samples: Float32, rate: int, seconds: float) -> Float64:
    """Level, dBFS, in a window of so many seconds around each frame's start."""
    power = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    centres = np.arange(_frame_count(len(samples), rate)) * HOP * rate
    half = seconds * rate / 2
    first = np.clip(np.round(centres - half), 0, len(samples)).astype(int)
    last = np.clip(np.round(centres + half), 0, len(samples)).astype(int)
    mean = (power[last] - power[first]) / np.maximum(1, last - first)
    level: Float64 = 10 * np.log10(np.maximum(mean, 1e-12))
    return level


def _speech(level: Float64) -> tuple[npt.NDArray[np.bool_], list[int]]:
    """Which frames are between the first and the last sound and in no pause; the pauses' lengths.

    Args:
        level: dBFS of the frames.
    """
    floor = max(_SILENT, float(np.percentile(level, 95)) - _DYNAMIC) if len(level) else _SILENT
    loud = np.flatnonzero(level > floor)
    within = np.zeros(len(level), bool)
    pauses = []
    for before, after in _pairs(loud):
        gap = after - before - 1
        if gap >= round(_LEAST_PAUSE / HOP):
            pauses.append(gap)
        else:
            within[before : after + 1] = True
    within[loud] = True
    return within, pauses


def _pairs(numbers: npt.NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    listed = numbers.tolist()
    return pairwise(listed)


def _pace(
    level: Float64, has_pitch: npt.NDArray[np.bool_], sounding: npt.NDArray[np.bool_]
) -> float | None:
    """Peaks of the level in voiced sound, 2 dB over the dips beside them, a second of sound."""
    seconds = float(sounding.sum()) * HOP
    if seconds < _LEAST_SPEECH or has_pitch.sum() < _LEAST_VOICED:
        return None
    nuclei = 0
    highest, lowest, top = -np.inf, np.inf, 0
    rising = True
    for at, value in enumerate([*level.tolist(), -np.inf]):
        if rising:
            if value > highest:
                highest, top = value, at
            elif value < highest - _LEAST_DIP:
                near = slice(max(0, top - 3), top + 4)
                nuclei += bool(sounding[near].any() and has_pitch[near].any())
                rising, lowest = False, value
        elif value < lowest:
            lowest = value
        elif value > lowest + _LEAST_DIP:
            rising, highest, top = True, value, at
    return nuclei / seconds if nuclei else None
