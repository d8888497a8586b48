"""Recorded speech of the data folder, decoded once to a set in the format of `synth`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

import numpy as np

from wavrag import config
from wavrag.audio import SAMPLE_RATE, load
from wavrag.data import prefetch_map, read_rows
from wavrag.errors import AudioError
from wavrag.train.mini.synth import AUDIO, INDEX, write_samples
from wavrag.train.mini.texts import normalize_text, read_evaluation_texts
from wavrag.types import Float32

SETS = ("speechocean762", "kathleen", "librispeech_train", "kokoro_train")
# Machine transcripts are used if two recognisers agree this much; published ones have no figure.
MIN_AGREEMENT = 0.8


@dataclass(frozen=True, slots=True)
class Utterance:
    """A span of a recording with its transcript and speaker."""

    audio: Path
    start: float  # seconds
    end: float | None  # seconds; None for the end of the recording
    text: str
    speaker: str


def list_utterances(data: Path, name: str) -> list[Utterance]:
    """Return the training utterances of a set, without the texts of evaluation sets."""
    excluded = {normalize_text(text) for text in read_evaluation_texts(data)}
    return [
        Utterance(
            data / row["audio"], row.get("start", 0.0), row.get("end"), row["text"],
            row.get("speaker") or row["voice"],
        )
        for row in read_rows(data / "speech" / f"{name}.jsonl")
        if row.get("split", "train") == "train"
        and (row.get("agree") or 1.0) >= MIN_AGREEMENT
        and normalize_text(row["text"]) not in excluded
    ]  # fmt: skip


def read_clips(utterances: Sequence[Utterance]) -> Iterator[tuple[Utterance, Float32]]:
    """Decode utterances at 16 kHz; recordings that cannot be decoded are skipped."""

    def read(path: Path) -> Float32 | None:
        try:
            return load(path).samples
        except AudioError:
            return None

    # A recording with many utterances is decoded once, which is faster than to seek in it.
    groups = [list(group) for _, group in groupby(utterances, key=lambda item: item.audio)]
    with ThreadPoolExecutor(config.threads()) as pool:
        recordings = prefetch_map(pool, read, (group[0].audio for group in groups), 16)
        for group, samples in zip(groups, recordings, strict=True):
            if samples is None:
                continue
            for item in group:
                end = None if item.end is None else round(item.end * SAMPLE_RATE)
                yield item, samples[round(item.start * SAMPLE_RATE) : end]


def decode_set(
    utterances: Sequence[Utterance],
    folder: Path,
    *,
    source: str,
    on_progress: Callable[[int], None] = lambda count: None,
) -> float:
    """Write utterances to a folder that `synth.read_set` reads; return the hours of audio.

    An existing set is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index, partial = folder / INDEX, folder / f"{INDEX}.partial"
    if not index.exists():
        with partial.open("w", encoding="utf-8") as lines, (folder / AUDIO).open("wb") as sound:
            offset = 0
            for count, (item, samples) in enumerate(read_clips(utterances), 1):
                row: dict[str, str | int] = {
                    "text": item.text,
                    "source": source,
                    "voice": item.speaker,
                }
                row |= {"offset": offset, "samples": len(samples)}
                write_samples(sound, samples)
                lines.write(json.dumps(row) + "\n")
                offset += len(samples)
                on_progress(count)
        os.replace(partial, index)
    return float(sum(row["samples"] for row in read_rows(index)) / SAMPLE_RATE / 3600)


def read_parity_clips(data: Path, count: int = 100) -> list[Float32]:
    """Return clips of human speech to compare an exported network with."""
    utterances = list_utterances(data, "speechocean762")[-count:]
    return [samples for _, samples in read_clips(utterances)]


def load_noises(data: Path, seconds: float = 30.0) -> list[Float32]:
    """Return background noise: every second file of `moodist`; the others are for evaluation."""
    noises = []
    for row in islice(read_rows(data / "sounds" / "moodist.jsonl"), 0, None, 2):
        samples = load(data / row["audio"], end=seconds).samples
        if len(samples) > SAMPLE_RATE and np.std(samples) > 1e-4:
            noises.append(samples)
    return noises
