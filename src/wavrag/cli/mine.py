"""`wavrag mine`: finds hard negatives for training records."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from wavrag.cli.command import Command
from wavrag.cli.options import add_json, add_seed
from wavrag.cli.output import NoteLog, format_count, print_json, short_path
from wavrag.cli.progress import ProgressBar
from wavrag.config import DEFAULT_EMBEDDER
from wavrag.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `wavrag mine`."""
    parser.add_argument("records", metavar="RECORDS.jsonl", help="training records to read")
    parser.add_argument(
        "--out", required=True, metavar="FILE.jsonl", help="file to write the records to"
    )
    parser.add_argument(
        "--corpus",
        metavar="FILE.jsonl",
        help="further candidates, one per line (default: only those of the records)",
    )
    parser.add_argument(
        "--embedder",
        default=DEFAULT_EMBEDDER,
        metavar="NAME",
        help="embedder that scores the candidates (default: %(default)s)",
    )
    parser.add_argument(
        "--negatives",
        type=int,
        default=7,
        metavar="N",
        help="maximum number of negatives per record (default: %(default)s)",
    )
    parser.add_argument(
        "--range-min",
        type=int,
        default=0,
        metavar="RANK",
        help="skip this many of the best candidates (default: %(default)s)",
    )
    parser.add_argument(
        "--range-max",
        type=int,
        metavar="RANK",
        help="last rank considered (default: no limit; with random sampling 10 per negative)",
    )
    parser.add_argument(
        "--margin",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="a negative scores at least this share below the positive (default: %(default)s)",
    )
    parser.add_argument(
        "--absolute-margin",
        type=float,
        metavar="SCORE",
        help="the same as a difference of scores (default: none)",
    )
    parser.add_argument(
        "--max-score",
        type=float,
        metavar="SCORE",
        help="highest score of a negative (default: no limit)",
    )
    parser.add_argument(
        "--sampling",
        choices=["top", "random"],
        default="top",
        help="take the best remaining candidates or sample from them (default: %(default)s)",
    )
    add_seed(parser)
    add_json(parser)


def mine(arguments: argparse.Namespace) -> int:
    """Add hard negatives to training records; exit code 1 if a line was skipped."""
    from wavrag.data import MineOptions, mine_negatives, read_corpus, read_records, write_records
    from wavrag.embed import load_embedder

    options = MineOptions(
        arguments.negatives,
        arguments.range_min,
        arguments.range_max,
        arguments.margin,
        arguments.absolute_margin,
        arguments.max_score,
        arguments.sampling,
        arguments.seed,
    )
    skipped = NoteLog("skipped", quiet=arguments.json)
    records = list(read_records(arguments.records, skipped))
    if not records:
        raise InputError(f"{arguments.records} holds no record")
    corpus = read_corpus(arguments.corpus, skipped) if arguments.corpus else ()
    embedder = load_embedder(arguments.embedder)
    with ProgressBar("embedding", "candidates", quiet=arguments.json) as bar:
        mined = mine_negatives(records, embedder, corpus, options, on_note=skipped, on_progress=bar)
    out = Path(arguments.out)
    write_records(out, mined.records)
    if arguments.json:
        print_json(
            {
                "out": str(out),
                "embedder": embedder.spec.name,
                "revision": embedder.spec.revision,
                "records": len(mined.records),
                "added": mined.added,
                "short": mined.short,
                "positive_score": _round_score(mined.positive_score),
                "negative_score": _round_score(mined.negative_score),
                "skipped": skipped.messages,
            }
        )
    else:
        print(
            f"{short_path(str(out))}: {format_count(len(mined.records), 'record')},"
            f" {format_count(mined.added, 'negative')} added by {embedder.spec.name};"
            f" {format_count(mined.short, 'record')} short of {options.negatives}"
        )
        if mined.added:
            print(
                f"mean score: {mined.positive_score:.3f} of positives,"
                f" {mined.negative_score:.3f} of negatives"
            )
    return 1 if skipped.messages else 0


def _round_score(value: float) -> float | None:
    # JSON has no NaN, the mean score of no negatives.
    return None if math.isnan(value) else round(value, 4)


COMMAND = Command(
    "mine",
    "find hard negatives for training records",
    mine,
    add_arguments,
    (
        "wavrag mine records.jsonl --out mined.jsonl",
        "wavrag mine records.jsonl --out mined.jsonl --corpus corpus.jsonl --negatives 2",
        "wavrag mine records.jsonl --out mined.jsonl --sampling random --range-min 10 --seed 1",
    ),
)
