"""The features stage: clips to cached frames, as recorded and augmented.

Writes the folder that `frames.py` reads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from wavrag import config
from wavrag.audio import SAMPLE_RATE, Augmentation, load
from wavrag.data import prefetch_map, read_rows
from wavrag.errors import AudioError
from wavrag.train.mini.device import half
from wavrag.train.mini.moonshine import Encoder, frames_of
from wavrag.types import Float32

SHORTEST, LONGEST = 0.5, 16.0  # seconds of a clip that is trained on
BATCH_SECONDS = 60.0  # padded sound that is encoded at once
CHUNK = 256  # clips that are sorted by length together

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SpeechSource:
    """A clip to train on: words, who says them, and how to get its samples at 16 kHz."""

    group: str
    speaker: str
    text: str
    read: Callable[[], Float32]


def spoken_sources(data: Path) -> list[SpeechSource]:
    """The human speech of a data folder: the training split of speechocean762."""

    def reader(path: Path) -> Callable[[], Float32]:
        return lambda: load(path).samples

    return [
        SpeechSource("speechocean", row["speaker"], row["text"], reader(data / row["audio"]))
        for row in read_rows(data / "speech" / "speechocean762.jsonl")
        if row["split"] == "train"
    ]


def background_noises(data: Path, seconds: float = 30.0) -> list[Float32]:
    """Ambiences to mix in: every second file of `moodist`; the others are for evaluation."""
    noises = []
    for row in islice(read_rows(data / "sounds" / "moodist.jsonl"), 0, None, 2):
        samples = load(data / row["audio"], end=seconds).samples
        if len(samples) > SAMPLE_RATE and samples.std() > 1e-4:
            noises.append(samples)
    return noises


class Babble:
    """Noise for one clip after another: an ambience, or some other speakers at once."""

    def __init__(
        self, sources: Sequence[SpeechSource], noises: Sequence[Float32], share: float = 0.45
    ) -> None:
        self._sources, self._noises, self._share = sources, noises, share

    def draw(self, rng: np.random.Generator) -> Float32:
        """One clip of noise."""
        if self._noises and rng.random() > self._share:
            return self._noises[int(rng.integers(len(self._noises)))]
        voices = [
            self._sources[int(rng.integers(len(self._sources)))].read()
            for _ in range(int(rng.integers(1, 6)))
        ]
        length = max(len(voice) for voice in voices)
        mixed = np.zeros(length, np.float32)
        for voice in voices:
            mixed += np.resize(voice, length) / (voice.std() + 1e-5)
        return mixed / max(float(np.abs(mixed).max()), 1e-5)


def cache_frames(
    name: str,
    sources: Sequence[SpeechSource],
    encoder: Encoder,
    babble: Babble,
    folder: Path,
    *,
    augmentation: Augmentation,
    variants: int = 1,
    seed: int = 0,
    on_progress: Callable[[int], None] = lambda done: None,
) -> float:
    """Write the frames of every clip as recorded and in `variants` augmented versions.

    Nothing is done where the set is there already. A clip that cannot be read, or is shorter or
    longer than is trained on, is left out.

    Returns:
        Hours of sound as recorded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index, stored = folder / f"{name}.jsonl", folder / f"{name}.f16"
    if index.exists():
        return _hours(index)

    def prepared(place: int) -> list[tuple[SpeechSource, int, Float32]]:
        source = sources[place]
        try:
            samples = source.read()
        except AudioError:
            return []
        if not SHORTEST <= len(samples) / SAMPLE_RATE <= LONGEST:
            return []
        made = [(source, 0, samples)]
        rng = np.random.default_rng((seed, place))
        for variant in range(1, variants + 1):
            changed = augmentation.apply(samples, SAMPLE_RATE, rng, [babble.draw(rng)])
            made.append((source, variant, changed))
        return made

    offset, done = 0, 0
    order = np.random.default_rng(seed).permutation(len(sources)).tolist()
    unfinished = index.with_suffix(".partial")
    with (
        unfinished.open("w", encoding="utf-8") as lines,
        stored.open("wb") as data,
        ThreadPoolExecutor(config.threads()) as pool,
    ):
        for clips in _chunks(prefetch_map(pool, prepared, order, CHUNK), CHUNK):
            todo = sorted((made for clip in clips for made in clip), key=lambda one: len(one[2]))
            for batch in _grouped(todo):
                for (source, variant, samples), frames in zip(
                    batch, encode(encoder, [samples for *_, samples in batch]), strict=True
                ):
                    data.write(frames.tobytes())
                    row = {
                        "set": source.group, "voice": source.speaker, "text": source.text,
                        "variant": variant, "offset": offset, "frames": len(frames),
                        "samples": len(samples),
                    }  # fmt: skip
                    lines.write(json.dumps(row) + "\n")
                    offset += len(frames)
            done += len(clips)
            on_progress(done)
    os.replace(unfinished, index)
    return _hours(index)


def _hours(index: Path) -> float:
    rows = read_rows(index)
    return float(sum(row["samples"] for row in rows if row["variant"] == 0) / SAMPLE_RATE / 3600)


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def encode(encoder: Encoder, clips: Sequence[Float32]) -> list[np.ndarray]:
    """The encoder's frames, float16, one array of shape (t, 288) a clip."""
    lengths = torch.tensor([len(clip) for clip in clips])
    padded = torch.zeros(len(clips), int(lengths.max()))
    for row, clip in enumerate(clips):
        padded[row, : len(clip)] = torch.from_numpy(clip)
    device = encoder.norm.weight.device
    with torch.inference_mode(), half(device):
        made = encoder(padded.to(device), lengths.to(device))
    frames = made.float().cpu().numpy().astype(np.float16)
    return [frames[row, : int(frames_of(len(clip)))] for row, clip in enumerate(clips)]


def _grouped(
    items: Sequence[tuple[SpeechSource, int, Float32]],
) -> Iterator[list[tuple[SpeechSource, int, Float32]]]:
    group: list[tuple[SpeechSource, int, Float32]] = []
    for item in items:
        if group and len(item[2]) * (len(group) + 1) > BATCH_SECONDS * SAMPLE_RATE:
            yield group
            group = []
        group.append(item)
    if group:
        yield group
