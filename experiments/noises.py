"""Noise for the experiments: talkers at once, music, hiss, rooms. All of it drawn from a generator.

The music is made here, of chords and a beat: it is no recording of musicians, and a mixture of
few pure tones leaves more of a voice untouched than an orchestra would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wavrag.audio import SAMPLE_RATE, add_noise, load, reverberate
from wavrag.types import Float32

TALKERS = 5  # that babble is the sum of
ROOM_SECONDS = 0.6  # until the echo of the room has fallen by 60 dB
TEMPO = 108.0  # beats a minute of the music
TONIC = 110.0  # Hz
PROGRESSIONS = ((0, 9, 5, 7), (0, 5, 7, 5), (0, 7, 9, 5))  # semitones of the roots, a bar each
MINOR = 9  # the root whose chord is minor
OVERTONES = (1.0, 0.5, 0.35, 0.2, 0.12, 0.08)  # amplitudes

Disturb = Callable[[Float32, float, np.random.Generator], Float32]


def babble(talkers: Mapping[str, Sequence[Path]], length: int, rng: np.random.Generator) -> Float32:
    """Several speakers at once, each equally loud.

    Args:
        talkers: recordings of each speaker.
        length: in samples.
        rng: what speakers, recordings and places are drawn from.
    """
    total = np.zeros(length, np.float32)
    names = sorted(talkers)
    for name in rng.permutation(names)[:TALKERS].tolist():
        parts: list[Float32] = []
        while sum(map(len, parts)) < length + SAMPLE_RATE:
            pick = int(rng.integers(len(talkers[name])))
            parts.append(load(talkers[name][pick], SAMPLE_RATE).samples)
        start = int(rng.integers(SAMPLE_RATE))
        voice = np.concatenate(parts)[start : start + length]
        total += voice / max(float(np.sqrt(np.mean(voice**2))), 1e-6)
    return total


def music(length: int, rng: np.random.Generator) -> Float32:
    """Synthesised music: chords in a major key, a bass, a melody, and a beat of noise.

    Args:
        length: in samples.
        rng: what key, progression, melody and place are drawn from.
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
    piece: Float32 = out[start : start + length].astype(np.float32)
    return piece


def white(length: int, rng: np.random.Generator) -> Float32:
    """Noise with the same power at all frequencies."""
    return rng.standard_normal(length).astype(np.float32)


def disturbances(talkers: Mapping[str, Sequence[Path]]) -> dict[str, Disturb]:
    """Each takes speech, a ratio in dB and a generator, and gives the disturbed speech.

    Noises are mixed in at that ratio of the powers over the whole clip; of the room, it is the
    energy of the direct sound over that of the reverberation.
    """
    noises: dict[str, Callable[[int, np.random.Generator], Float32]] = {
        "babble": lambda length, rng: babble(talkers, length, rng),
        "music": music,
        "white": white,
    }

    def mixing(noise: Callable[[int, np.random.Generator], Float32]) -> Disturb:
        return lambda speech, ratio, rng: add_noise(speech, noise(len(speech), rng), ratio)

    found = {name: mixing(noise) for name, noise in noises.items()}
    found["room"] = lambda speech, ratio, rng: reverberate(
        speech, SAMPLE_RATE, ROOM_SECONDS, rng, ratio
    )
    return {name: _within_range(disturb) for name, disturb in found.items()}


def talkers_of(rows: Sequence[Mapping[str, Any]], data: Path) -> dict[str, list[Path]]:
    """Recordings of each speaker."""
    found: dict[str, list[Path]] = {}
    for row in rows:
        found.setdefault(row["speaker"], []).append(data / row["audio"])
    return found


def _within_range(disturb: Disturb) -> Disturb:
    def disturbed(speech: Float32, ratio: float, rng: np.random.Generator) -> Float32:
        changed = disturb(speech, ratio, rng)
        return (changed / max(1.0, float(np.abs(changed).max()))).astype(np.float32)

    return disturbed


def _note(hertz: float, length: int) -> Any:
    """A plucked note, shape = (length,), with the overtones that the sample rate allows."""
    seconds = np.arange(length) / SAMPLE_RATE
    tone = sum(
        amplitude * np.sin(2 * np.pi * hertz * number * seconds)
        for number, amplitude in enumerate(OVERTONES, 1)
        if hertz * number < SAMPLE_RATE / 2
    )
    fade = np.minimum(1, np.arange(length)[::-1] / (0.02 * SAMPLE_RATE))  # no click at the end
    return tone * np.exp(-2.5 * seconds) * np.minimum(1, seconds / 0.005) * fade
