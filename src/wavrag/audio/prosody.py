"""Measure the prosody of speech: pitch, speaking rate, loudness, pauses. NumPy only.

Pitch: YIN (de Cheveigné and Kawahara, 2002). Speaking rate: syllable nuclei as intensity peaks
(de Jong and Wempe, 2009). Loudness: ITU-R BS.1770-4 for one channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from wavrag.types import Clip, Float32

Float64 = npt.NDArray[np.float64]

PITCH = (60.0, 400.0)  # Hz, search range: low male to high female voices
HOP = 0.01  # seconds between frames
_WINDOW = 0.025  # seconds; each window is compared with itself one period later
_YIN_THRESHOLD = 0.3  # a frame without a dip below it has no pitch
_DIP_TOLERANCE = 0.06  # dips within this difference count as equally deep
_PITCH_RATE = 8_000  # Hz; averaging down to about this rate makes YIN faster, pitch needs no more
_BLOCK = 2_000  # frames per batch, which bounds memory
_MIN_VOICED = 5  # frames, 50 ms; fewer give no reliable pitch

_SILENCE = -60.0  # dBFS; anything below is silence
_DYNAMIC_RANGE = 30.0  # dB; frames this far below the 95th percentile are pauses
_MIN_PAUSE = 0.2  # seconds
_MIN_DIP = 2.0  # dB between two syllables
_SMOOTHING = 0.064  # seconds, intensity window for counting syllables
_MIN_SPEECH = 0.3  # seconds; less speech gives no reliable rate


@dataclass(frozen=True, slots=True)
class Prosody:
    """Prosody of a clip; None for figures that the clip is too short or too quiet for."""

    duration: float  # seconds
    f0: float | None  # median pitch in Hz
    f0_range: float | None  # semitones between the 10th and the 90th percentile of the pitch
    voiced_share: float  # share of frames with a pitch, among frames outside pauses
    rate: float | None  # syllables per second, without pauses
    rms: float | None  # RMS level of the whole clip in dBFS
    loudness: float | None  # gated loudness in LUFS
    pauses: int  # number of inner pauses of at least 0.2 s
    pause_seconds: float  # their total duration


def measure_prosody(clip: Clip) -> Prosody:
    """Measure a clip of any length; silence and noise are allowed.

    Example:
        >>> from wavrag import audio
        >>> from wavrag.demo import DATA
        >>> prosody = audio.measure_prosody(audio.load(DATA / "questions" / "great-fire.opus"))
        >>> f"{prosody.f0:.0f} Hz, {prosody.rate:.1f} syllables/s"
        '85 Hz, 3.8 syllables/s'
    """
    samples, rate = clip.samples, clip.sample_rate
    audible, pauses = _audible_frames(_levels(samples, rate, _WINDOW))
    pitch = f0_track(samples, rate)
    has_pitch = (pitch > 0) & audible
    voiced_pitch = pitch[has_pitch]
    has_voice = len(voiced_pitch) >= _MIN_VOICED
    low, middle, high = np.percentile(voiced_pitch, (10, 50, 90)) if has_voice else (0.0, 0.0, 0.0)
    return Prosody(
        duration=clip.duration, f0=float(middle) if has_voice else None,
        f0_range=float(12 * np.log2(high / low)) if has_voice else None,
        voiced_share=len(voiced_pitch) / max(1, int(audible.sum())),
        rate=_syllable_rate(_levels(samples, rate, _SMOOTHING), has_pitch, audible),
        rms=rms_dbfs(samples), loudness=loudness(samples, rate), pauses=len(pauses),
        pause_seconds=sum(pauses) * HOP,
    )  # fmt: skip


def rms_dbfs(samples: Float32) -> float | None:
    """Return the RMS level in dBFS; None for digital silence and for no samples."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return 10 * float(np.log10(power)) if power > 0 else None


def f0_track(samples: Float32, rate: int) -> Float64:
    """Return the pitch by YIN in Hz, one value per `HOP`; 0 for frames without pitch."""
    frames = _frame_count(len(samples), rate)
    step = max(1, rate // _PITCH_RATE)
    hertz = rate / step
    signal = _decimate(samples, step)
    window, longest = round(_WINDOW * hertz), int(np.ceil(hertz / PITCH[0])) + 2
    starts = np.round(np.arange(frames) * HOP * hertz).astype(int)
    padded = np.pad(signal, (0, int(HOP * hertz) + 1 + window + longest))
    pitch = np.zeros(frames)
    for at in range(0, frames, _BLOCK):
        positions = starts[at : at + _BLOCK]
        block = padded[positions[:, None] + np.arange(window + longest)]
        pitch[at : at + _BLOCK] = _yin(block, window, longest, hertz)
    return pitch


def loudness(samples: Float32, rate: int) -> float | None:
    """Return the loudness of one channel in LUFS by ITU-R BS.1770-4.

    Gated at -70 LUFS and at 10 LU below the ungated mean. The filter gains are applied to the
    spectrum of each block of 400 ms. A sine of 997 Hz at full scale has -3.01 LUFS. None for clips
    under 400 ms and clips entirely below -70 LUFS.
    """
    size, hop = round(0.4 * rate), round(0.1 * rate)
    starts = range(0, len(samples) - size + 1, hop)
    weights = _k_weights(np.fft.rfftfreq(size, 1 / rate))
    weights[1:] *= 2  # `rfft` returns half of the symmetric spectrum
    blocks = (samples[at : at + size].astype(np.float64) for at in starts)
    powers = [weights @ np.abs(np.fft.rfft(block)) ** 2 for block in blocks]
    power = np.array(powers) / (size * size)
    for relative in (False, True):
        if not len(power):
            return None
        gate = -70.0 if not relative else _lufs(float(power.mean())) - 10
        power = power[power > 10 ** ((gate + 0.691) / 10)]
    return _lufs(float(power.mean())) if len(power) else None


def _lufs(power: float) -> float:
    return -0.691 + 10 * float(np.log10(power))


def _k_weights(hertz: npt.NDArray[np.floating]) -> Float64:
    """Return the power gain of the two K-weighting filters (BS.1770-4, coefficients at 48 kHz)."""
    z = np.exp(-2j * np.pi * np.minimum(hertz, 24_000) / 48_000)
    shelf = (1.53512485958697 - 2.69169618940638 * z + 1.19839281085285 * z**2) / (
        1 - 1.69065929318241 * z + 0.73248077421585 * z**2
    )
    high_pass = (1 - 2 * z + z**2) / (1 - 1.99004745483398 * z + 0.99007225036621 * z**2)
    gain: Float64 = np.abs(shelf * high_pass) ** 2
    return gain


def _frame_count(samples: int, rate: int) -> int:
    return int(np.ceil(samples / (HOP * rate)))


def _decimate(samples: Float32, step: int) -> Float64:
    """Average each `step` samples, which low-passes and decimates in one step."""
    padded = np.pad(samples.astype(np.float64), (0, -len(samples) % step))
    means: Float64 = padded.reshape(-1, step).mean(1)
    return means


def _yin(block: Float64, window: int, longest: int, rate: float) -> Float64:
    """Return the pitch of each row in Hz, 0 for rows without pitch.

    A row holds a comparison window and the longest period, in samples.
    """
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
    # Search slightly shorter periods than the range allows: otherwise a multiple of such a period
    # would be taken for the pitch.
    dips[:, : max(0, int(rate / 1_000) - 2)] = False
    depth = np.where(dips, inner, np.inf)
    # Take the first dip about as deep as the deepest: multiples of the period are just as deep,
    # and a formant on the second harmonic makes a shallower dip at half the period.
    dip = (depth <= depth.min(1, keepdims=True) + _DIP_TOLERANCE).argmax(1)
    row = np.arange(len(block))
    before, at, after = (normal[row, dip + shift] for shift in range(3))
    bend = before - 2 * at + after
    offset = np.where(bend > 0, (before - after) / np.maximum(2 * bend, 1e-30), 0.0)
    pitch = rate / (dip + 2 + np.clip(offset, -1, 1))
    quiet = energy[:, 0] / window < 10 ** (_SILENCE / 10)
    missing = (at >= _YIN_THRESHOLD) | quiet | ~dips.any(1)
    # Parabolic interpolation can land slightly outside the range.
    missing |= (pitch < 0.99 * PITCH[0]) | (pitch > 1.01 * PITCH[1])
    return np.where(missing, 0.0, pitch)


def _levels(samples: Float32, rate: int, seconds: float) -> Float64:
    """Return the level in dBFS in a window of `seconds` centred on the start of each frame."""
    power = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    centres = np.arange(_frame_count(len(samples), rate)) * HOP * rate
    half = seconds * rate / 2
    first = np.clip(np.round(centres - half), 0, len(samples)).astype(int)
    last = np.clip(np.round(centres + half), 0, len(samples)).astype(int)
    mean = (power[last] - power[first]) / np.maximum(1, last - first)
    level: Float64 = 10 * np.log10(np.maximum(mean, 1e-12))
    return level


def _audible_frames(level: Float64) -> tuple[npt.NDArray[np.bool_], list[int]]:
    """Return a mask of the audible frames, without pauses, and the length of each pause in frames.

    The mask lies between the first and the last frame louder than the dynamic range allows.
    """
    top = float(np.percentile(level, 95)) if len(level) else _SILENCE
    floor = max(_SILENCE, top - _DYNAMIC_RANGE)
    loud = np.flatnonzero(level > floor)
    within = np.zeros(len(level), bool)
    pauses = []
    # Python integers: comparing numpy scalars one by one is several times slower.
    for before, after in pairwise(loud.tolist()):
        gap = after - before - 1
        if gap >= round(_MIN_PAUSE / HOP):
            pauses.append(gap)
        else:
            within[before : after + 1] = True
    within[loud] = True
    return within, pauses


def _syllable_rate(
    level: Float64, has_pitch: npt.NDArray[np.bool_], audible: npt.NDArray[np.bool_]
) -> float | None:
    """Count syllables per second: voiced intensity peaks at least 2 dB above the adjacent dips."""
    seconds = float(audible.sum()) * HOP
    if seconds < _MIN_SPEECH or has_pitch.sum() < _MIN_VOICED:
        return None
    nuclei = 0
    highest, lowest, top = -np.inf, np.inf, 0
    rising = True
    for at, value in enumerate([*level.tolist(), -np.inf]):
        if rising:
            if value > highest:
                highest, top = value, at
            elif value < highest - _MIN_DIP:
                near = slice(max(0, top - 3), top + 4)
                nuclei += bool(audible[near].any() and has_pitch[near].any())
                rising, lowest = False, value
        elif value < lowest:
            lowest = value
        elif value > lowest + _MIN_DIP:
            rising, highest, top = True, value, at
    return nuclei / seconds if nuclei else None
