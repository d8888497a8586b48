"""The features stage: clips to cached encoder frames, original and augmented.

`frames.py` reads the result.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import torch

from wavrag import config
from wavrag.audio import SAMPLE_RATE, Augmentation, load
from wavrag.data import prefetch_map, read_rows
from wavrag.errors import AudioError
from wavrag.train.mini.device import half
from wavrag.train.mini.moonshine import Encoder, frames_of
from wavrag.types import Float32

SHORTEST, LONGEST = 0.5, 16.0  # duration of training clips, seconds
BATCH_SECONDS = 60.0  # padded audio per batch of the encoder
CHUNK = 256  # clips sorted by length together, so that batches have little padding

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SpeechSource:
    """A training clip: transcript, speaker, and a function that reads samples at 16 kHz."""

    group: str
    speaker: str
    text: str
    read: Callable[[], Float32]


# A clip, the number of its variant (0 for the original), and the samples.
Variant: TypeAlias = tuple[SpeechSource, int, Float32]


def list_human_speech(data: Path) -> list[SpeechSource]:
    """Return the human speech of a data folder: the training split of speechocean762."""

    def reader(path: Path) -> Callable[[], Float32]:
        return lambda: load(path).samples

    return [
        SpeechSource("speechocean", row["speaker"], row["text"], reader(data / row["audio"]))
        for row in read_rows(data / "speech" / "speechocean762.jsonl")
        if row["split"] == "train"
    ]


def load_noises(data: Path, seconds: float = 30.0) -> list[Float32]:
    """Return background noise: every second file of `moodist`; the others are for evaluation."""
    noises = []
    for row in islice(read_rows(data / "sounds" / "moodist.jsonl"), 0, None, 2):
        samples = load(data / row["audio"], end=seconds).samples
        if len(samples) > SAMPLE_RATE and samples.std() > 1e-4:
            noises.append(samples)
    return noises


class Babble:
    """Random noise for augmentation: an ambience, or several speakers at once."""

    def __init__(
        self, sources: Sequence[SpeechSource], noises: Sequence[Float32], share: float = 0.45
    ) -> None:
        self._sources, self._noises, self._share = sources, noises, share

    def draw(self, rng: np.random.Generator) -> Float32:
        """Draw a clip of noise."""
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
    """Write the frames of every clip and of `variants` augmented versions of it.

    Existing sets are kept. Clips are skipped if they cannot be read or are too short or too long.

    Returns:
        Hours of audio, without augmented versions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index_file, stored = folder / f"{name}.jsonl", folder / f"{name}.f16"
    if index_file.exists():
        return _count_hours(index_file)

    def prepare(index: int) -> list[Variant]:
        # Seeded by the clip, so that threads may finish in any order.
        rng = np.random.default_rng((seed, index))
        return _read_variants(sources[index], augmentation, babble, variants, rng)

    offset, count = 0, 0
    order = np.random.default_rng(seed).permutation(len(sources)).tolist()
    partial = index_file.with_suffix(".partial")
    with (
        partial.open("w", encoding="utf-8") as lines,
        stored.open("wb") as data,
        ThreadPoolExecutor(config.threads()) as pool,
    ):
        for clips in _chunks(prefetch_map(pool, prepare, order, CHUNK), CHUNK):
            for batch in _batch_clips(sorted(chain.from_iterable(clips), key=lambda v: len(v[2]))):
                for (source, variant, samples), frames in zip(
                    batch, encode_clips(encoder, [samples for *_, samples in batch]), strict=True
                ):
                    data.write(frames.tobytes())
                    row = {
                        "set": source.group, "voice": source.speaker, "text": source.text,
                        "variant": variant, "offset": offset, "frames": len(frames),
                        "samples": len(samples),
                    }  # fmt: skip
                    lines.write(json.dumps(row) + "\n")
                    offset += len(frames)
            count += len(clips)
            on_progress(count)
    os.replace(partial, index_file)
    return _count_hours(index_file)


def _read_variants(
    source: SpeechSource,
    augmentation: Augmentation,
    babble: Babble,
    variants: int,
    rng: np.random.Generator,
) -> list[Variant]:
    """Read a clip and augment it; an empty list if it is unusable."""
    try:
        samples = source.read()
    except AudioError:
        return []
    if not SHORTEST <= len(samples) / SAMPLE_RATE <= LONGEST:
        return []
    versions = [(source, 0, samples)]
    for variant in range(1, variants + 1):
        changed = augmentation.apply(samples, SAMPLE_RATE, rng, [babble.draw(rng)])
        versions.append((source, variant, changed))
    return versions


def _count_hours(index: Path) -> float:
    rows = read_rows(index)
    return float(sum(row["samples"] for row in rows if row["variant"] == 0) / SAMPLE_RATE / 3600)


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def encode_clips(encoder: Encoder, clips: Sequence[Float32]) -> list[np.ndarray]:
    """Return encoder frames, float16, one array of shape (t, 288) per clip."""
    lengths = torch.tensor([len(clip) for clip in clips])
    padded = torch.zeros(len(clips), int(lengths.max()))
    for row, clip in enumerate(clips):
        padded[row, : len(clip)] = torch.from_numpy(clip)
    device = encoder.norm.weight.device
    with torch.inference_mode(), half(device):
        encoded = encoder(padded.to(device), lengths.to(device))
    frames = encoded.float().cpu().numpy().astype(np.float16)
    return [frames[row, : int(frames_of(len(clip)))] for row, clip in enumerate(clips)]


def _batch_clips(items: Sequence[Variant]) -> Iterator[list[Variant]]:
    group: list[Variant] = []
    for item in items:
        if group and len(item[2]) * (len(group) + 1) > BATCH_SECONDS * SAMPLE_RATE:
            yield group
            group = []
        group.append(item)
    if group:
        yield group
