"""`wavrag mine`: finds hard negatives for training records."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from wavrag.cli.command import Command
from wavrag.cli.options import JSON, SEED, Option
from wavrag.cli.output import NoteLog, format_count, print_json, short_path
from wavrag.cli.progress import ProgressBar
from wavrag.config import DEFAULT_EMBEDDER
from wavrag.errors import InputError


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
    # All of them in memory: the positives of each record are candidates for every other.
    records = list(read_records(arguments.records, skipped))
    if not records:
        raise InputError(f"{arguments.records} holds no record")
    corpus = read_corpus(arguments.corpus, skipped) if arguments.corpus else ()
    embedder = load_embedder(arguments.embedder)
    with ProgressBar("embedding", "candidates", quiet=arguments.json) as bar:
        result = mine_negatives(
            records, embedder, corpus, options, on_note=skipped, on_progress=bar
        )
    out = Path(arguments.out)
    write_records(out, result.records)
    if arguments.json:
        print_json({
            "out": str(out),
            "embedder": embedder.spec.name,
            "revision": embedder.spec.revision,
            "records": len(result.records),
            "added": result.added,
            "short": result.short,
            "positive_score": _round_score(result.positive_score),
            "negative_score": _round_score(result.negative_score),
            "skipped": skipped.messages,
        })  # fmt: skip
    else:
        print(
            f"{short_path(str(out))}: {format_count(len(result.records), 'record')},"
            f" {format_count(result.added, 'negative')} added by {embedder.spec.name};"
            f" {format_count(result.short, 'record')} short of {options.negatives}"
        )
        if result.added:
            print(
                f"mean score: {result.positive_score:.3f} of positives,"
                f" {result.negative_score:.3f} of negatives"
            )
    return 1 if skipped.messages else 0


def _round_score(value: float) -> float | None:
    # JSON has no NaN, the mean score of no negatives.
    return None if math.isnan(value) else round(value, 4)


COMMAND = Command(
    "mine",
    "find hard negatives for training records",
    mine,
    (
        Option("records", "RECORDS.jsonl", "training records to read"),
        Option("--out", "FILE.jsonl", "file to write the records to", required=True),
        Option("--corpus", "FILE.jsonl", "further candidates, one per line", unset="none"),
        Option("--embedder", "NAME", "embedder that scores candidates", default=DEFAULT_EMBEDDER),
        Option("--negatives", "N", "maximum number of negatives per record", default=7),
        Option("--range-min", "RANK", "number of best candidates to skip", default=0),
        Option("--range-max", "RANK", "last rank considered",
            unset="no limit; with random sampling 10 per negative", minimum=0),
        Option("--margin", "SHARE", "a negative scores at least this share below the positive",
            default=0.05),
        Option("--absolute-margin", "SCORE", "the same as a difference of scores", unset="none",
            minimum=-math.inf),
        Option("--max-score", "SCORE", "highest score of a negative", unset="no limit",
            minimum=-math.inf),
        Option("--sampling", help="take the best remaining candidates or sample from them",
            choices=("top", "random"), default="top"),
        SEED,
        JSON,
    ),
    (
        "wavrag mine records.jsonl --out mined.jsonl",
        "wavrag mine records.jsonl --out mined.jsonl --corpus corpus.jsonl --negatives 2",
        "wavrag mine records.jsonl --out mined.jsonl --sampling random --range-min 10 --seed 1",
    ),
)  # fmt: skip
