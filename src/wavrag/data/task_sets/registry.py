"""The table of data sets that become tasks, and making one by its name."""

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
from wavrag.data.task_sets.records import from_records
from wavrag.data.task_sets.squtr import SPLITS as SQUTR_SPLITS
from wavrag.data.task_sets.squtr import load_squtr
from wavrag.data.task_sets.svq import SPLITS as SVQ_SPLITS
from wavrag.data.task_sets.svq import load_svq
from wavrag.errors import InputError
from wavrag.types import NoteCallback


@dataclass(frozen=True, slots=True)
class TaskSet:
    """A published data set that a task is made of.

    Attributes:
        name: what it is called here and on the command line.
        directions: what asks and what is found, such as `S2T`; the first is made if none is named.
        splits: the parts that a task can be made of; the first is, if none is named.
        licence: in short; the page has the terms.
        page: where it is described and can be had.
        layout: what its folder must hold.
        source: folder, split, direction and note to all of it.
    """

    name: str
    directions: tuple[str, ...]
    splits: tuple[str, ...]
    licence: str
    page: str
    layout: str
    source: Callable[[Path, str, str, NoteCallback | None], TaskSource]


def _of_records(
    name: str, folder: Path, split: str, direction: str, on_note: NoteCallback | None
) -> TaskSource:
    def read() -> Iterator[TrainingRecord]:
        return read_dataset(name, folder, split=split, on_note=on_note)

    return from_records(read, direction, turned=name in _CAPTIONED and direction == "S2T")


_CAPTIONED = ("audiocaps", "clotho")  # records ask with words for sound


def _trained(name: str, directions: tuple[str, ...], splits: tuple[str, ...]) -> TaskSet:
    """A data set that training reads, too."""
    known = DATASETS[name]
    source = partial(_of_records, name)
    return TaskSet(name, directions, splits, known.licence, known.page, known.layout, source)


_ALL = (
    TaskSet(
        "squtr",
        ("S2T", "T2T", "AT2T"),
        tuple(SQUTR_SPLITS),
        "CC BY-SA 4.0; texts: each set its own, NQ non-commercial",
        "https://huggingface.co/datasets/SLLMCommunity/SQuTR",
        "one set's `corpus.jsonl`, `queries_with_audio_clean.jsonl`, `audio_clean/` and "
        "`qrels/test.jsonl` (`noise_snr_20`, `noise_snr_10` or `noise_snr_0` for `clean`)",
        load_squtr,
    ),
    TaskSet(
        "svq",
        ("S2T", "T2T", "AT2T"),
        SVQ_SPLITS,
        "CC BY 4.0; passages: CC BY-SA 3.0",
        "https://huggingface.co/datasets/google/svq",
        "`passage_retrieval_in_lang.jsonl`, `passage_retrieval_in_lang_index.jsonl`, "
        "`utt_index.jsonl` and `audio/*.parquet`",
        load_svq,
    ),
    _trained("spoken-squad", ("T2S", "T2T", "T2AT"), ("test", "test-wer44", "test-wer54", "train")),
    _trained("heysquad", ("S2T", "T2T", "AT2T"), ("dev", "train")),
    _trained(
        "slue-sqa-5",
        ("S2S", "AT2AT", "S2T", "T2S", "T2T"),
        ("test", "verified-test", "dev", "train"),
    ),
    _trained("audiocaps", ("T2S", "S2T"), ("test", "dev", "train")),
    _trained("clotho", ("T2S", "S2T"), ("test", "dev", "train")),
    _trained("squad", ("T2T",), ("dev", "train")),
)

TASK_SETS: Mapping[str, TaskSet] = MappingProxyType({each.name: each for each in _ALL})
"""Every data set that becomes a task, by name."""


def make_task(
    name: str,
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: TaskOptions | None = None,
    *,
    on_note: NoteCallback | None = None,
) -> tuple[int, int]:
    """Make the folder of a task from a data set as it is published.

    Recordings stay where they are and are named by relative paths; those that are within other
    files, or in several, are written to `OUT/sounds`. Equal options make equal files.

    Args:
        name: one of `TASK_SETS`.
        folder: where the data set was unpacked; `TASK_SETS[name].layout` says what it must hold.
        out: folder of the task.
        options: split, direction and draw.
        on_note: told of each broken record, which is then left out; without it, one is an error.

    Returns:
        How many queries and how many entries.

    Raises:
        InputError: name, split or direction is unknown, a file is missing or broken, or the task
            cannot be written.
        MissingExtraError: the set is a JSON document and the extra `train` is not installed.
    """
    if name not in TASK_SETS:
        raise InputError(f"no task is made of {name!r}: choose from {', '.join(TASK_SETS)}")
    known, options, folder = TASK_SETS[name], options or TaskOptions(), Path(folder)
    split = _choice("split", options.split, known.splits, name)
    direction = _choice("direction", options.direction, known.directions, name)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: name the one that {name} was unpacked in")
    out = Path(out)
    if out.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{out} lies within {folder}, which is only read: name another folder")
    on_note = _once(on_note) if on_note is not None else None
    try:
        source = known.source(folder, split, direction, on_note)
    except InputError as error:
        raise InputError(
            f"{error} (the folder of {name} must hold {known.layout}; get it at {known.page})"
        ) from error
    rows = draw_task(source, options, out / "sounds", on_note)
    options = replace(options, split=split, direction=direction)
    origin = {"dataset": name, "page": known.page, "licence": known.licence}
    provenance = origin | asdict(options) | {"wavrag": version("wavrag")}
    return write_task(out, replace(rows, provenance=provenance))


def _once(on_note: NoteCallback) -> NoteCallback:
    """Tell the same only once: the files are read several times."""
    told: set[str] = set()

    def tell(message: str) -> None:
        if message not in told:
            told.add(message)
            on_note(message)

    return tell


def _choice(what: str, given: str | None, known: tuple[str, ...], name: str) -> str:
    if given is None:
        return known[0]
    if given not in known:
        raise InputError(f"{name} has no {what} {given!r}: choose from {', '.join(known)}")
    return given
