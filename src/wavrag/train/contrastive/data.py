"""Records to batches: rows on disk, batches mixed by direction, recordings decoded and augmented.

A row holds its entries as JSON; recordings are opened when a batch is made, so memory stays flat
however many records there are.
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
    skip_or_raise,
    store_sounds,
)
from wavrag.embed import audio_inputs, token_spans
from wavrag.errors import AudioError, InputError
from wavrag.train.contrastive.options import AugmentOptions, ModelOptions, Recipe
from wavrag.types import NoteCallback


def gather(recipe: Recipe, on_note: NoteCallback | None) -> Iterator[tuple[str, TrainingRecord]]:
    """Stream the records of all sources, each with the direction whose share it counts to.

    Raises:
        InputError: a source is missing, or a record is broken and there is no `on_note`.
    """
    for source in recipe.data:
        path = Path(recipe.root) / source.path
        if source.dataset:
            records = read_dataset(source.dataset, path, split=source.split, on_note=on_note)
        else:
            records = read_records(path / "records.jsonl" if path.is_dir() else path, on_note)
        for record in islice(records, source.limit or None):
            yield source.direction or record.direction, record


def write_rows(recipe: Recipe, folder: Path, on_note: NoteCallback | None) -> dict[str, Path]:
    """Write a file of rows for every direction there is, and return them by direction.

    A row has the columns `query`, `positive` and, where the recipe asks for hard negatives and
    the record has as many, `negative_1` and so on; such rows are a direction of their own
    (`S2T+negatives`), as the columns of a batch are the same for all its rows. A record with a
    recording that cannot be opened or is too long is left out.

    Raises:
        InputError: no records are left, or a recording is bad and there is no `on_note`.
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
                for entry in (stored.query, stored.positives[0], *stored.negatives):
                    _check(entry, recipe.model)
            except AudioError as error:
                skip_or_raise(f"record {record.id!r} is left out: {error}", on_note)
                continue
            wanted = recipe.loss.hard_negatives
            with_negatives = 0 < wanted <= len(stored.negatives)
            name = direction + ("+negatives" if with_negatives else "")
            root = Path(recipe.root)
            row = {
                "query": _json(stored.query, root),
                "positive": _json(stored.positives[0], root),
            }
            if with_negatives:
                for number, entry in enumerate(stored.negatives[:wanted], start=1):
                    row[f"negative_{number}"] = _json(entry, root)
            if name not in files:
                unfinished = folder / f"{name}.partial"
                files[name] = unfinished.open("w", encoding="utf-8")
            files[name].write(json.dumps(row) + "\n")
    finally:
        for file in files.values():
            file.close()
    if not files:
        raise InputError(f"{recipe.root}: no records to train on; name their place with root=DIR")
    paths = {}
    for name in sorted(files):
        paths[name] = folder / f"{name}.jsonl"
        os.replace(folder / f"{name}.partial", paths[name])
    return paths


def _json(entry: Content, root: Path) -> str:
    """An entry as JSON, its path from the root, so that it does not depend on where that lies."""
    row = {key: value for key, value in asdict(entry).items() if value is not None}
    if "audio" in row:
        audio, base = os.path.abspath(row["audio"]), os.path.abspath(root)
        inside = os.path.commonpath([audio, base]) == base
        row["audio"] = os.path.relpath(audio, base) if inside else audio
    return json.dumps(row)


def _check(entry: Content, model: ModelOptions) -> None:
    """Refuse a recording that cannot be opened or is longer than the model hears."""
    if not isinstance(entry.audio, str):
        return
    with open_audio(entry.audio) as source:
        seconds = source.duration
    if entry.end is not None:
        seconds = entry.end
    if seconds is not None and seconds - (entry.start or 0.0) > model.max_audio_seconds:
        raise AudioError(
            f"{entry.audio} lasts {seconds - (entry.start or 0.0):.1f} s, and the model hears at"
            f" most {model.max_audio_seconds:g} s"
        )


class Reader:
    """Makes the model's input of rows: decodes, augments, tokenises.

    The augmentation of an entry depends on the seed, the epoch and the entry alone, so that a
    run that was interrupted hears the same as one that was not.
    """

    def __init__(self, model: Any, recipe: Recipe) -> None:
        self.epoch = 0
        self.cut: Counter[str] = Counter()  # texts that were longer than the model takes
        self._transformer = model[0]
        self._model, self._seed = recipe.model, recipe.seed
        self._augmentation = augmentation(recipe.augment)
        self._root = Path(recipe.root)
        self._noises = noise_files(recipe.augment.noise, self._root)

    def __call__(
        self, rows: Sequence[str], prompt: str | None = None, task: str | None = None
    ) -> dict[str, Any]:
        """Features of entries that are written as JSON; `task` makes no difference."""
        features: dict[str, Any] = self._transformer.preprocess(
            [self._input(row) for row in rows], prompt=prompt
        )
        return features

    def _input(self, row: str) -> Any:
        entry = Content(**json.loads(row))
        text = self._fitting(entry.text) if entry.text else None
        if entry.audio is None:
            return text
        samples = load(
            self._root / str(entry.audio), start=entry.start or 0.0, end=entry.end
        ).samples
        rng = np.random.default_rng((self._seed, self.epoch, zlib.crc32(row.encode())))
        noises = []
        if self._noises:
            noise = self._noises[int(rng.integers(len(self._noises)))]
            noises.append(load(noise, end=len(samples) / SAMPLE_RATE).samples)
        samples = self._augmentation.apply(samples, SAMPLE_RATE, rng, noises)
        sound = {"audio": audio_inputs(samples, SAMPLE_RATE, self._model.chunk_seconds)}
        return sound | ({"text": text} if text else {})

    def _fitting(self, text: str) -> str:
        """The first `max_text_tokens` tokens of a text; how many were cut is counted."""
        limit = self._model.max_text_tokens
        if len(text.encode()) <= limit:  # a token is at least one byte
            return text
        spans = token_spans(self._transformer.tokenizer, text)
        if len(spans) <= limit:
            return text
        self.cut["texts"] += 1
        return text[: spans[limit - 1][1]]


def augmentation(options: AugmentOptions) -> Augmentation:
    """The paper's three steps; the other ones of `Augmentation` stay off."""
    return Augmentation(
        speed_share=0.0,
        reverberation_share=0.0,
        telephone_share=0.0,
        echo_share=options.echo_share,
        echo_delay=options.echo_delay,
        echo_scale=options.echo_scale,
        noise_share=options.noise_share if options.noise else 0.0,
        snr=options.snr,
        gain_share=options.gain_share,
        gain=options.gain,
    )


def noise_files(folder: str, root: Path) -> list[Path]:
    """Recordings of background noise under a folder, in order.

    Raises:
        InputError: there are none.
    """
    if not folder:
        return []
    found = sorted(
        path for path in (root / folder).rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES
    )
    if not found:
        raise InputError(
            f"{root / folder} holds no recordings of noise: name its place with"
            ' augment.noise=DIR, or go without: augment.noise=""'
        )
    return found
