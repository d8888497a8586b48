"""`wavrag mine`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from wavrag.cli.output import Bar, counted, note, print_json, short_path
from wavrag.config import DEFAULT_EMBEDDER
from wavrag.errors import InputError


def mine(arguments: argparse.Namespace) -> int:
    """Append hard negatives to the records of a file; 1 if anything was skipped."""
    from wavrag.data import MineOptions, mine_negatives, read_entries, read_records, write_records
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
    skipped: list[str] = []

    def skip(message: str) -> None:
        skipped.append(message)
        if not arguments.json:
            note(f"skipped: {message}")

    records = list(read_records(arguments.records, skip))
    if not records:
        raise InputError(f"{arguments.records} holds no record")
    corpus = read_entries(arguments.corpus, skip) if arguments.corpus else ()
    embedder = load_embedder(arguments.embedder or DEFAULT_EMBEDDER)
    with Bar("embedding", "entries", quiet=arguments.json) as bar:
        mined = mine_negatives(records, embedder, corpus, options, note=skip, on_progress=bar)
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
                "positive_score": _number(mined.positive_score),
                "negative_score": _number(mined.negative_score),
                "skipped": skipped,
            }
        )
    else:
        print(
            f"{short_path(str(out))}: {counted(len(mined.records), 'record')},"
            f" {counted(mined.added, 'negative')} added by {embedder.spec.name};"
            f" {counted(mined.short, 'record')} short of {options.negatives}"
        )
        if mined.added:
            print(
                f"mean score: {mined.positive_score:.3f} of positives,"
                f" {mined.negative_score:.3f} of negatives"
            )
    return 1 if skipped else 0


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
