"""Noise for the experiments: babble, music, white noise and reverberation, from a seed.

The music is synthesised from chords and a beat. Its few pure tones mask less of a voice than a
recording of an orchestra would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wavrag.audio import SAMPLE_RATE, add_noise, load, reverberate
from wavrag.types import Float32

TALKERS = 5  # voices in babble
ROOM_SECONDS = 0.6  # reverberation time: decay by 60 dB
TEMPO = 108.0  # beats per minute
TONIC = 110.0  # Hz
PROGRESSIONS = ((0, 9, 5, 7), (0, 5, 7, 5), (0, 7, 9, 5))  # semitones of the root of each bar
MINOR = 9  # root of the minor chord
OVERTONES = (1.0, 0.5, 0.35, 0.2, 0.12, 0.08)  # amplitudes

Disturb = Callable[[Float32, float, np.random.Generator], Float32]


def babble(talkers: Mapping[str, Sequence[Path]], length: int, rng: np.random.Generator) -> Float32:
    """Mix several speakers of equal loudness.

    Args:
        talkers: recordings of each speaker.
        length: length in samples.
        rng: generator of the random choices.
    """
    total = np.zeros(length, np.float32)
    names = sorted(talkers)
    for name in rng.permutation(names)[:TALKERS].tolist():
        recordings: list[Float32] = []
        while sum(map(len, recordings)) < length + SAMPLE_RATE:
            pick = int(rng.integers(len(talkers[name])))
            recordings.append(load(talkers[name][pick], SAMPLE_RATE).samples)
        start = int(rng.integers(SAMPLE_RATE))
        voice = np.concatenate(recordings)[start : start + length]
        total += voice / max(float(np.sqrt(np.mean(voice**2))), 1e-6)
    return total


def music(length: int, rng: np.random.Generator) -> Float32:
    """Synthesise music: chords in a major key, a bass, a melody, and a beat of noise.

    Args:
        length: length in samples.
        rng: generator of the random choices.
    """
    beat = int(SAMPLE_RATE * 60 / TEMPO)
    start = int(rng.integers(4 * beat))
    beats = -(-(length + start) // beat)
    key = TONIC * 2 ** (int(rng.integers(12)) / 12)
    roots = PROGRESSIONS[int(rng.integers(len(PROGRESSIONS)))]
    out = np.zeros((beats + 1) * beat, np.float64)
    for number in range(beats):
        root = roots[number // 4 % len(roots)]
        chord = (0, 3 if root == MINOR else 4, 7)
        at = number * beat
        for step in chord:
            out[at : at + beat] += 0.3 * _note(key * 2 ** ((root + step) / 12 + 1), beat)
        out[at : at + beat] += 0.5 * _note(key * 2 ** (root / 12), beat)
        for half in (0, beat // 2):
            step = chord[int(rng.integers(3))] + 12 * int(rng.integers(2, 4))
            melody = _note(key * 2 ** ((root + step) / 12), beat // 2)
            out[at + half : at + half + beat // 2] += 0.35 * melody
        size = beat // 8
        hiss = rng.standard_normal(size) * np.exp(-np.arange(size) / (size / 5))
        out[at : at + size] += (0.4 if number % 2 else 0.2) * hiss
    samples: Float32 = out[start : start + length].astype(np.float32)
    return samples


def white(length: int, rng: np.random.Generator) -> Float32:
    """Generate noise of equal power at all frequencies."""
    return rng.standard_normal(length).astype(np.float32)


def disturbances(talkers: Mapping[str, Sequence[Path]]) -> dict[str, Disturb]:
    """Build functions from speech, a ratio in dB and a random generator to disturbed speech.

    The ratio is that of the powers of speech and noise over the whole clip; for reverberation, that
    of direct to reverberant energy.
    """
    noises: dict[str, Callable[[int, np.random.Generator], Float32]] = {
        "babble": lambda length, rng: babble(talkers, length, rng),
        "music": music,
        "white": white,
    }

    def mix_with(noise: Callable[[int, np.random.Generator], Float32]) -> Disturb:
        return lambda speech, ratio, rng: add_noise(speech, noise(len(speech), rng), ratio)

    disturbances_found = {name: mix_with(noise) for name, noise in noises.items()}
    disturbances_found["room"] = lambda speech, ratio, rng: reverberate(
        speech, SAMPLE_RATE, ROOM_SECONDS, rng, ratio
    )
    return {name: _limit_range(disturb) for name, disturb in disturbances_found.items()}


def talkers_of(rows: Sequence[Mapping[str, Any]], data: Path) -> dict[str, list[Path]]:
    """Group recordings by speaker."""
    disturbances_found: dict[str, list[Path]] = {}
    for row in rows:
        disturbances_found.setdefault(row["speaker"], []).append(data / row["audio"])
    return disturbances_found


def _limit_range(disturb: Disturb) -> Disturb:
    def apply(speech: Float32, ratio: float, rng: np.random.Generator) -> Float32:
        changed = disturb(speech, ratio, rng)
        return (changed / max(1.0, float(np.abs(changed).max()))).astype(np.float32)

    return apply


def _note(hertz: float, length: int) -> Any:
    """Synthesise a plucked note with overtones below half the sample rate, shape = (length,)."""
    seconds = np.arange(length) / SAMPLE_RATE
    tone = sum(
        amplitude * np.sin(2 * np.pi * hertz * number * seconds)
        for number, amplitude in enumerate(OVERTONES, 1)
        if hertz * number < SAMPLE_RATE / 2
    )
    fade = np.minimum(1, np.arange(length)[::-1] / (0.02 * SAMPLE_RATE))  # no click at the end
    return tone * np.exp(-2.5 * seconds) * np.minimum(1, seconds / 0.005) * fade
