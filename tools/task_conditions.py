"""Acoustic conditions of spoken queries: babble, ambience and a far microphone.

Babble and ambience come from recordings that training never uses.
"""

from __future__ import annotations

import random
import re
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from wavrag import audio
from wavrag.audio import SAMPLE_RATE, load
from wavrag.types import Float32

Row = dict[str, Any]

TALKERS = 5  # that babble is the sum of
# A living room to a lecture hall, at about the distance where the reverberation is as loud as the
# direct sound; training stops at 0.6 s.
REVERBERATION = (0.4, 1.0)  # seconds of decay by 60 dB
DIRECT_RATIO = (-2.0, 2.0)  # dB, direct-to-reverberant


@dataclass(frozen=True)
class Condition:
    """Disturbance of spoken queries.

    Attributes:
        kind: `clean`, `babble`, `ambience` or `far`.
        snr: signal-to-noise ratio of babble and ambience, dB.
    """

    kind: str
    snr: float = 0.0

    @classmethod
    def parse(cls, name: str) -> Condition:
        """Parse `clean`, `far`, `babble-5db` or `ambience-0dB`.

        Raises:
            ArgumentTypeError: the name is none of these.
        """
        if name in ("clean", "far"):
            return cls(name)
        if match := re.fullmatch(r"(babble|ambience)-(-?\d+(?:\.\d+)?)db", name.lower()):
            return cls(match[1], float(match[2]))
        raise ArgumentTypeError(f"{name!r}: choose from clean, far, babble-NdB and ambience-NdB")

    def __str__(self) -> str:
        return self.kind if self.kind in ("clean", "far") else f"{self.kind}-{self.snr:g}db"

    def provenance(self, sources: Sequence[Row]) -> Row:
        """Describe the disturbance and its recordings for a task's `provenance.json`."""
        if self.kind == "far":
            return {
                "condition": self.kind,
                "reverberation_seconds": REVERBERATION,
                "direct_ratio_db": DIRECT_RATIO,
            }
        noise: Row = {"noise": self.kind, "snr_db": self.snr}
        if self.kind == "ambience":
            noise["noise_files"] = sorted(row["audio"] for row in sources)
        return noise


def list_sources(condition: Condition, rows: Callable[[str], list[Row]]) -> list[Row]:
    """List noise recordings: test speakers of speechocean762, or ambiences not in training.

    Args:
        condition: far-field queries need no recordings.
        rows: reader of a file of the collected data, by name.
    """
    if condition.kind == "babble":
        return [row for row in rows("speech/speechocean762.jsonl") if row["split"] == "test"]
    if condition.kind == "ambience":
        # Training takes its noise from the other half of moodist: wavrag.train.mini.features.
        ambiences = rows("sounds/moodist.jsonl")[1::2] + rows("sounds/blanket.jsonl")
        return [row for row in ambiences if row["label"] != "silence"]
    return []


def disturb(
    condition: Condition, speech: Float32, sources: Sequence[Row], data: Path, seed: str
) -> Float32:
    """Apply a condition to speech; the same seed gives the same noise at every ratio.

    Args:
        condition: not `clean`.
        speech: 16 kHz, shape = (n_samples,).
        sources: of `list_sources`, without the speaker of the speech.
        data: folder that the paths of the sources are relative to.
        seed: random seed.

    Returns:
        Samples, scaled down if their peak exceeds 1; float32, shape = (n_samples,).
    """
    chance = random.Random(seed)
    if condition.kind == "far":
        seconds, ratio = chance.uniform(*REVERBERATION), chance.uniform(*DIRECT_RATIO)
        rng = np.random.default_rng(chance.getrandbits(64))
        disturbed = audio.reverberate(speech, SAMPLE_RATE, seconds, rng, ratio)
    else:
        draw = draw_babble if condition.kind == "babble" else draw_ambience
        disturbed = audio.add_noise(speech, draw(sources, data, len(speech), chance), condition.snr)
    return disturbed / max(1.0, float(np.abs(disturbed).max()))


def draw_babble(sources: Sequence[Row], data: Path, length: int, chance: random.Random) -> Float32:
    """Sum the voices of several talkers at the same level."""
    by_speaker: dict[str, list[Row]] = {}
    for row in sources:
        by_speaker.setdefault(row["speaker"], []).append(row)
    total = np.zeros(length, np.float32)
    for speaker in chance.sample(sorted(by_speaker), TALKERS):
        voice = loop_recordings(by_speaker[speaker], data, length, chance)
        total += voice / max(float(np.sqrt(np.mean(voice**2))), 1e-6)
    return total


def draw_ambience(
    sources: Sequence[Row], data: Path, length: int, chance: random.Random
) -> Float32:
    """Take an excerpt of an ambience."""
    return loop_recordings([chance.choice(sources)], data, length, chance)


def loop_recordings(rows: Sequence[Row], data: Path, length: int, chance: random.Random) -> Float32:
    """Repeat recordings in random order, from a random start."""
    pieces: list[Float32] = []
    while sum(map(len, pieces)) < length + SAMPLE_RATE:
        pieces.append(load_samples(data / chance.choice(rows)["audio"]))
    start = chance.randrange(SAMPLE_RATE)
    return np.concatenate(pieces)[start : start + length]


@lru_cache(256)  # ambiences of minutes are drawn again and again
def load_samples(path: Path) -> Float32:
    """Load a recording at 16 kHz."""
    return load(path, SAMPLE_RATE).samples
