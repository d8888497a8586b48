"""The table of data sets with tasks, and making a task by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

from wavrag.data.datasets import DATASETS, read_dataset
from wavrag.data.records import TrainingRecord
from wavrag.data.task_files import write_task
from wavrag.data.task_sets.draw import TaskOptions, TaskSource, draw_task
from wavrag.data.task_sets.records import build_task_source
from wavrag.data.task_sets.squtr import SPLITS as SQUTR_SPLITS
from wavrag.data.task_sets.squtr import load_squtr
from wavrag.data.task_sets.svq import SPLITS as SVQ_SPLITS
from wavrag.data.task_sets.svq import load_svq
from wavrag.errors import InputError
from wavrag.types import NoteCallback, OnNote


@dataclass(frozen=True, slots=True)
class TaskSet:
    """A published data set that can become a task."""

    name: str  # name in Python and on the command line
    # kinds of queries and documents, such as `S2T`; the first is the default
    directions: tuple[str, ...]
    splits: tuple[str, ...]  # splits; the first is the default
    licence: str  # summary of the licence; the page has the terms
    page: str  # page with description and download
    layout: str  # required files of the folder
    # opens folder, split and direction as a source
    load: Callable[[Path, str, str, OnNote], TaskSource]


def _load_records(
    name: str, folder: Path, split: str, direction: str, on_note: OnNote
) -> TaskSource:
    def read() -> Iterator[TrainingRecord]:
        return read_dataset(name, folder, split=split, on_note=on_note)

    return build_task_source(read, direction, reverse=name in _CAPTION_SETS and direction == "S2T")


_CAPTION_SETS = ("audiocaps", "clotho")  # the query of a record is a caption, never audio


def _training_set(name: str, directions: tuple[str, ...], splits: tuple[str, ...]) -> TaskSet:
    """Describe a data set that is also in the table of training sets."""
    dataset = DATASETS[name]
    load = partial(_load_records, name)
    return TaskSet(name, directions, splits, dataset.licence, dataset.page, dataset.layout, load)


_ALL = (
    TaskSet(
        "squtr", ("S2T", "T2T", "AT2T"), tuple(SQUTR_SPLITS),
        "CC BY-SA 4.0; texts: each set its own, NQ non-commercial",
        "https://huggingface.co/datasets/SLLMCommunity/SQuTR",
        "one set's `corpus.jsonl`, `queries_with_audio_clean.jsonl`, `audio_clean/` and "
        "`qrels/test.jsonl` (`noise_snr_20`, `noise_snr_10` or `noise_snr_0` for `clean`)",
        load_squtr,
    ),
    TaskSet(
        "svq", ("S2T", "T2T", "AT2T"), SVQ_SPLITS, "CC BY 4.0; passages: CC BY-SA 3.0",
        "https://huggingface.co/datasets/google/svq",
        "`passage_retrieval_in_lang.jsonl`, `passage_retrieval_in_lang_index.jsonl`, "
        "`utt_index.jsonl` and `audio/*.parquet`",
        load_svq,
    ),
    _training_set(
        "spoken-squad", ("T2S", "T2T", "T2AT"), ("test", "test-wer44", "test-wer54", "train"),
    ),
    _training_set("heysquad", ("S2T", "T2T", "AT2T"), ("dev", "train")),
    _training_set(
        "slue-sqa-5", ("S2S", "AT2AT", "S2T", "T2S", "T2T"),
        ("test", "verified-test", "dev", "train"),
    ),
    _training_set("audiocaps", ("T2S", "S2T"), ("test", "dev", "train")),
    _training_set("clotho", ("T2S", "S2T"), ("test", "dev", "train")),
    _training_set("squad", ("T2T",), ("dev", "train")),
)  # fmt: skip

TASK_SETS: Mapping[str, TaskSet] = MappingProxyType({task_set.name: task_set for task_set in _ALL})
"""All data sets with tasks, by name."""


def make_task(
    name: str,
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: TaskOptions | None = None,
    *,
    on_note: OnNote = None,
) -> tuple[int, int]:
    """Convert a published data set to a task folder.

    Recordings are not copied, and their paths are relative; recordings inside other files, or split
    over several, are written to `OUT/sounds`. Equal options give equal files.

    Args:
        name: one of `TASK_SETS`.
        folder: folder of the unpacked data set, as in `TASK_SETS[name].layout`.
        out: folder of the task.
        options: split, direction and size.
        on_note: called with a message for every malformed record, which is skipped; without it, a
            malformed record is an error.

    Returns:
        Number of queries and of documents.

    Raises:
        InputError: name, split or direction is unknown, a file is missing or malformed, or the
            task cannot be written.
        MissingExtraError: the data set is a JSON document and the extra `train` is not installed.
    """
    if name not in TASK_SETS:
        raise InputError(f"no task is made of {name!r}: choose from {', '.join(TASK_SETS)}")
    task_set, options, folder = TASK_SETS[name], options or TaskOptions(), Path(folder)
    split = _choose("split", options.split, task_set.splits, name)
    direction = _choose("direction", options.direction, task_set.directions, name)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: name the one that {name} was unpacked in")
    out = Path(out)
    if out.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{out} lies within {folder}, which is only read: name another folder")
    on_note = _drop_repeats(on_note) if on_note is not None else None
    try:
        source = task_set.load(folder, split, direction, on_note)
    except InputError as error:
        raise InputError(
            f"{error} (the folder of {name} must hold {task_set.layout}; get it at {task_set.page})"
        ) from error
    rows = draw_task(source, options, out / "sounds", on_note)
    options = replace(options, split=split, direction=direction)
    origin = {"dataset": name, "page": task_set.page, "licence": task_set.licence}
    provenance = origin | asdict(options) | {"wavrag": version("wavrag")}
    return write_task(out, replace(rows, provenance=provenance))


def _drop_repeats(on_note: NoteCallback) -> NoteCallback:
    """Pass every message on once, since the files are read several times."""
    messages: set[str] = set()

    def note_once(message: str) -> None:
        if message not in messages:
            messages.add(message)
            on_note(message)

    return note_once


def _choose(option: str, value: str | None, choices: tuple[str, ...], name: str) -> str:
    if value is None:
        return choices[0]
    if value not in choices:
        raise InputError(f"{name} has no {option} {value!r}: choose from {', '.join(choices)}")
    return value
