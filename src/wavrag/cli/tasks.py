"""`wavrag tasks`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from wavrag.cli.output import Bar, UsageError, note, print_json, short_path

if TYPE_CHECKING:
    from wavrag.data import Speaker
    from wavrag.types import NoteCallback

MIXED = "mixed"
NAMES = (
    "squtr", "svq", "spoken-squad", "heysquad", "slue-sqa-5", "audiocaps", "clotho", "squad", MIXED
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument(
        "--from",
        dest="folder",
        required=True,
        metavar="DIR",
        help="data set as it is published, unpacked; for mixed, a task whose entries are texts",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the task")
    parser.add_argument("--split", metavar="NAME", help="part of the set (default: its test)")
    parser.add_argument(
        "--direction",
        metavar="A2B",
        help="what asks and what is found, of T, S and AT, such as S2T (default: as published)",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="draw N queries (default: all)")
    parser.add_argument(
        "--passages",
        type=int,
        metavar="N",
        help="keep N entries: those judged for the queries, and others drawn (default: all)",
    )
    parser.add_argument(
        "--ratio", type=float, metavar="R", help="mixed: share that is recordings (0.5)"
    )
    parser.add_argument(
        "--engine",
        action="append",
        metavar="NAME",
        help="mixed: flite (default), espeak, festival, kokoro; if repeated, one is drawn for each"
        " entry",
    )
    parser.add_argument("--kokoro", metavar="DIR", help="mixed: folder of the Kokoro model")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of every draw (0)")
    parser.add_argument("--json", action="store_true", help="print one JSON document, no more")


def tasks(arguments: argparse.Namespace) -> int:
    """Make the folder of a task, and tell what was left out of it."""
    for option in ("limit", "passages"):
        number = getattr(arguments, option)
        if number is not None and number < 1:
            raise UsageError(f"--{option} {number}: give it a number above 0")
    mixed = arguments.name == MIXED
    others = ("split", "direction") if mixed else ("ratio", "engine", "kokoro")
    for option in others:
        if getattr(arguments, option) is not None:
            raise UsageError(
                f"--{option} is {'not ' if mixed else 'only '}for {MIXED}: leave it out"
            )
    skipped: list[str] = []

    def skip(message: str) -> None:
        skipped.append(message)
        if not arguments.json:
            note(f"left out: {message}")

    queries, entries = _mixed(arguments) if mixed else _published(arguments, skip)
    out = Path(arguments.out)
    if arguments.json:
        print_json({"out": str(out), "queries": queries, "entries": entries, "left_out": skipped})
    else:
        print(
            f"{short_path(str(out))}: {'1 query' if queries == 1 else f'{queries:,} queries'},"
            f" {'1 entry' if entries == 1 else f'{entries:,} entries'}"
        )
    return 0


def _published(arguments: argparse.Namespace, skip: NoteCallback) -> tuple[int, int]:
    from wavrag.data import TaskOptions, make_task

    options = TaskOptions(
        arguments.split, arguments.direction, arguments.limit, arguments.passages, arguments.seed
    )
    return make_task(arguments.name, arguments.folder, arguments.out, options, note=skip)


def _mixed(arguments: argparse.Namespace) -> tuple[int, int]:
    from wavrag.data import MixOptions, load_task, mix

    ratio = 0.5 if arguments.ratio is None else arguments.ratio
    options = MixOptions(ratio, arguments.limit, arguments.passages, arguments.seed)
    with Bar("speaking", "texts", quiet=arguments.json) as bar:
        return mix(
            load_task(arguments.folder), Path(arguments.out), _engines(arguments), options, bar
        )


def _engines(arguments: argparse.Namespace) -> list[Speaker]:
    from wavrag.data import load_engine

    kokoro = Path(arguments.kokoro) if arguments.kokoro else None
    names = dict.fromkeys(arguments.engine or ["flite"])
    return [load_engine(name, kokoro) for name in names]
