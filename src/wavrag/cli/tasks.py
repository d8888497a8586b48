"""`wavrag tasks`: converts published data sets to retrieval tasks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from wavrag.cli.command import Command, UsageError
from wavrag.cli.options import JSON, KOKORO, SEED, Option
from wavrag.cli.output import NoteLog, format_count, print_json, short_path
from wavrag.cli.progress import ProgressBar
from wavrag.cli.synth import load_engines

if TYPE_CHECKING:
    from wavrag.types import NoteCallback

MIXED = "mixed"
NAMES = (
    "squtr", "svq", "spoken-squad", "heysquad", "slue-sqa-5", "audiocaps", "clotho", "squad", MIXED
)  # fmt: skip


def tasks(arguments: argparse.Namespace) -> int:
    """Write the folder of a task, with a note for each omitted row."""
    mixed = arguments.name == MIXED
    # These have no default in the parser, which shows whether they were given.
    other_options = ("split", "direction") if mixed else ("ratio", "engine", "kokoro")
    for option in other_options:
        if getattr(arguments, option) not in (None, []):
            raise UsageError(
                f"--{option} is {'not' if mixed else 'only'} for {MIXED}: leave it out"
            )
    left_out = NoteLog("left out", quiet=arguments.json)
    queries, passages = _make_mixed(arguments) if mixed else _convert(arguments, left_out)
    out = Path(arguments.out)
    if arguments.json:
        figures = {"queries": queries, "passages": passages, "left_out": left_out.messages}
        print_json({"out": str(out), **figures})
    else:
        print(
            f"{short_path(str(out))}: {'1 query' if queries == 1 else f'{queries:,} queries'},"
            f" {format_count(passages, 'passage')}"
        )
    return 0


def _convert(arguments: argparse.Namespace, on_note: NoteCallback) -> tuple[int, int]:
    from wavrag.data import TaskOptions, make_task

    options = TaskOptions(
        arguments.split, arguments.direction, arguments.limit, arguments.passages, arguments.seed
    )
    return make_task(arguments.name, arguments.folder, arguments.out, options, on_note=on_note)


def _make_mixed(arguments: argparse.Namespace) -> tuple[int, int]:
    from wavrag.data import MixOptions, load_task, make_mixed_task

    ratio = 0.5 if arguments.ratio is None else arguments.ratio
    options = MixOptions(ratio, arguments.limit, arguments.passages, arguments.seed)
    with ProgressBar("speaking", "texts", quiet=arguments.json) as bar:
        engines = load_engines(arguments.engine, arguments.kokoro)
        task = load_task(arguments.folder)
        return make_mixed_task(task, Path(arguments.out), engines, options, bar)


COMMAND = Command(
    "tasks",
    "convert a published data set to a retrieval task",
    tasks,
    (
        Option("name", "NAME", ", ".join(NAMES), choices=NAMES),
        Option("--from", "DIR", "the unpacked data set; for mixed, a task whose corpus is text",
            required=True, dest="folder"),
        Option("--out", "DIR", "folder of the new task", required=True),
        Option("--split", "NAME", "split of the data set", unset="its test split"),
        Option("--direction", "A2B", "modalities of queries and corpus, each T (text), S (speech)"
            " or AT (audio and text), such as S2T", unset="as published"),
        Option("--limit", "N", "sample N queries", unset="all", minimum=1),
        Option("--passages", "N", "keep N passages: those judged for the queries, and a random"
            " sample of the others", unset="all", minimum=1),
        SEED,
        JSON,
    ),
    (
        "wavrag tasks squtr --from SQuTR/source_data/en/fiqa --split snr-0 --out tasks/fiqa-0db",
        "wavrag tasks svq --from svq --split en_us:clean --passages 20000 --out tasks/svq",
        "wavrag tasks mixed --from tasks/squad --out tasks/mixed --ratio 0.5 --engine flite",
    ),
    option_groups={
        f"options of {MIXED}": (
            Option("--ratio", "R", "share of passages to speak", unset="0.5", minimum=0.0),
            Option("--engine", "NAME", "speech engine: flite, espeak, festival or"
                " kokoro; one of several is drawn for each passage", unset="flite",
                repeat=True),
            KOKORO,
        ),
    },
)  # fmt: skip
