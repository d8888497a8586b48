"""Training rows on disk, and decoded, augmented and tokenised batches of them.

A row has its contents as JSON. Recordings are opened when a batch is built, so memory does not grow
with the number of records.
"""

from __future__ import annotations

import json
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from wavrag.audio import AUDIO_SUFFIXES, SAMPLE_RATE, Augmentation, load, open_audio
from wavrag.data import (
    Content,
    TrainingRecord,
    read_dataset,
    read_records,
    relative_path,
    skip_or_raise,
    store_sounds,
)
from wavrag.embed import audio_inputs, token_spans
from wavrag.errors import AudioError, InputError
from wavrag.train.contrastive.options import AugmentOptions, ModelOptions, Recipe
from wavrag.types import OnNote


def gather(recipe: Recipe, on_note: OnNote) -> Iterator[tuple[str, TrainingRecord]]:
    """Stream the records of all sources, each with its direction for the batch weights.

    Raises:
        InputError: a source is missing, or a record is malformed and there is no
            `on_note`.
    """
    for source in recipe.data:
        path = Path(recipe.root) / source.path
        if source.dataset:
            records = read_dataset(source.dataset, path, split=source.split, on_note=on_note)
        else:
            records = read_records(path / "records.jsonl" if path.is_dir() else path, on_note)
        for record in islice(records, source.limit or None):
            yield source.direction or record.direction, record


def write_rows(recipe: Recipe, folder: Path, on_note: OnNote) -> dict[str, Path]:
    """Write a file of rows for each direction, and return the paths by direction.

    A row has the columns `query` and `positive`. If the record has as many hard negatives as the
    recipe requests, it also has `negative_1` and so on, and goes to a file of its own
    (`S2T+negatives`), since all rows of a batch must have the same columns. A record is skipped if
    a recording cannot be opened or is too long.

    Raises:
        InputError: no records are left, or a recording is unusable and there is no `on_note`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, Any] = {}
    try:
        for direction, record in gather(recipe, on_note):
            if recipe.weights and direction not in recipe.weights:
                raise InputError(
                    f"record {record.id!r} is of direction {direction}, which has no weight: name"
                    " it under `weights`, or say with `direction` which share its source has"
                )
            try:
                (stored,) = store_sounds([record], folder / "sounds")
                for content in (stored.query, stored.positives[0], *stored.negatives):
                    _check_duration(content, recipe.model)
            except AudioError as error:
                skip_or_raise(f"record {record.id!r} is left out: {error}", on_note)
                continue
            count = recipe.loss.hard_negatives
            with_negatives = 0 < count <= len(stored.negatives)
            name = direction + ("+negatives" if with_negatives else "")
            columns = {"query": stored.query, "positive": stored.positives[0]}
            if with_negatives:
                for number, content in enumerate(stored.negatives[:count], start=1):
                    columns[f"negative_{number}"] = content
            root = Path(recipe.root)
            row = {column: _to_json(content, root) for column, content in columns.items()}
            if name not in files:
                files[name] = (folder / f"{name}.partial").open("w", encoding="utf-8")
            files[name].write(json.dumps(row) + "\n")
    finally:
        for file in files.values():
            file.close()
    if not files:
        raise InputError(f"{recipe.root}: no records to train on; name their folder with root=DIR")
    paths = {}
    for name in sorted(files):
        paths[name] = folder / f"{name}.jsonl"
        os.replace(folder / f"{name}.partial", paths[name])
    return paths


def _to_json(content: Content, root: Path) -> str:
    """Convert a content to JSON, with a path relative to the root.

    The seed of its augmentation is a hash of this text, so it must not depend on the root.
    """
    row = {key: value for key, value in asdict(content).items() if value is not None}
    if "audio" in row:
        row["audio"] = relative_path(row["audio"], root)
    return json.dumps(row)


def _check_duration(content: Content, model: ModelOptions) -> None:
    """Refuse a recording that cannot be opened or is too long for the model."""
    if not isinstance(content.audio, str):
        return
    with open_audio(content.audio) as source:
        seconds = source.duration
    if content.end is not None:
        seconds = content.end
    duration = None if seconds is None else seconds - (content.start or 0.0)
    if duration is not None and duration > model.max_audio_seconds:
        raise AudioError(
            f"{content.audio} lasts {duration:.1f} s, and the model takes at most"
            f" {model.max_audio_seconds:g} s (model.max_audio_seconds)"
        )


class BatchReader:
    """Decodes, augments and tokenises rows.

    The augmentation of a content depends on the random seed, the epoch and the content alone, so a
    resumed run has the same batches as an uninterrupted one.
    """

    def __init__(self, model: Any, recipe: Recipe) -> None:
        self.epoch = 0
        self.cut: Counter[str] = Counter()  # number of truncated texts
        self._transformer = model[0]
        self._model, self._seed = recipe.model, recipe.seed
        self._augmentation = build_augmentation(recipe.augment)
        self._root = Path(recipe.root)
        self._noise_paths = find_noise(recipe.augment.noise, self._root)

    def __call__(
        self, rows: Sequence[str], prompt: str | None = None, task: str | None = None
    ) -> dict[str, Any]:
        """Return the features of contents in JSON; `task` is unused."""
        inputs = [self._input(row) for row in rows]
        features: dict[str, Any] = self._transformer.preprocess(
            inputs, prompt=prompt, processing_kwargs=self._limit_padding(inputs)
        )
        return features

    def _limit_padding(self, inputs: Sequence[Any]) -> dict[str, Any] | None:
        """Pad spectrograms to the longest recording: those of 30 s take 30 ms each."""
        sounds = [row["audio"] for row in inputs if isinstance(row, dict) and "audio" in row]
        chunks = [
            chunk for sound in sounds for chunk in ([sound] if isinstance(sound, dict) else sound)
        ]
        extractor = self._transformer.processor.feature_extractor
        hop = 4 * extractor.hop_length
        longest = max((len(chunk["array"]) for chunk in chunks), default=0)
        samples = (longest // hop + 2) * hop  # a few frames of silence, which convolutions see
        return {"audio": {"max_length": min(samples, extractor.n_samples)}} if chunks else None

    def _input(self, row: str) -> Any:
        content = Content(**json.loads(row))
        text = self._truncate(content.text) if content.text else None
        if content.audio is None:
            return text
        samples = load(
            self._root / str(content.audio), start=content.start or 0.0, end=content.end
        ).samples
        rng = np.random.default_rng((self._seed, self.epoch, zlib.crc32(row.encode())))
        noises = []
        if self._noise_paths:
            noise = self._noise_paths[int(rng.integers(len(self._noise_paths)))]
            noises.append(load(noise, end=len(samples) / SAMPLE_RATE).samples)
        samples = self._augmentation.apply(samples, SAMPLE_RATE, rng, noises)
        sound = {"audio": audio_inputs(samples, SAMPLE_RATE, self._model.chunk_seconds)}
        return sound | ({"text": text} if text else {})

    def _truncate(self, text: str) -> str:
        """Truncate a text to `max_text_tokens` tokens, and count it if it is longer."""
        limit = self._model.max_text_tokens
        if len(text.encode()) <= limit:  # a token has at least one byte
            return text
        spans = token_spans(self._transformer.tokenizer, text)
        if len(spans) <= limit:
            return text
        self.cut["texts"] += 1
        return text[: spans[limit - 1][1]]


def build_augmentation(options: AugmentOptions) -> Augmentation:
    """Return the paper's three steps of augmentation; the other steps stay off."""
    return Augmentation(
        speed_share=0.0, reverberation_share=0.0, telephone_share=0.0,
        echo_share=options.echo_share, echo_delay=options.echo_delay, echo_scale=options.echo_scale,
        noise_share=options.noise_share if options.noise else 0.0, snr=options.snr,
        gain_share=options.gain_share, gain=options.gain,
    )  # fmt: skip


def find_noise(folder: str, root: Path) -> list[Path]:
    """Find recordings of background noise below a folder, sorted.

    Raises:
        InputError: there are none.
    """
    if not folder:
        return []
    paths = sorted(p for p in (root / folder).rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES)
    if not paths:
        raise InputError(
            f"{root / folder} holds no recordings of noise: name its folder with"
            ' augment.noise=DIR, or go without: augment.noise=""'
        )
    return paths
