"""`wavrag eval`."""

from __future__ import annotations

import argparse
from pathlib import Path

from wavrag.cli.index import ProgressBar
from wavrag.cli.output import Bar, check_target, note, print_json, write_figures


def evaluate(arguments: argparse.Namespace) -> int:
    """Measure each embedder on a task, and print and write the figures."""
    from wavrag.embed import load_embedder
    from wavrag.evaluate import LEGS, evaluate_embedder, load_task, report_dict, table
    from wavrag.evaluate.retrieval import check_modalities

    target = None if arguments.json in (None, "-") else Path(arguments.json)
    if target is not None:
        check_target(target)
    task = load_task(
        arguments.task,
        query_modality=arguments.query_modality,
        corpus_modality=arguments.corpus_modality,
    )
    embedders = [load_embedder(name) for name in dict.fromkeys(arguments.embedder)]
    for embedder in embedders:
        check_modalities(task, embedder)  # all of them before hours go into the first
    quiet = arguments.json == "-"
    systems = []
    for embedder in embedders:
        if not quiet:
            note(
                f"{embedder.spec.name}: {len(task.corpus):,} entries, {len(task.queries):,} queries"
            )
        with ProgressBar(quiet) as bar, Bar("asking", "queries", quiet) as asked:
            systems += evaluate_embedder(
                task,
                embedder,
                list(dict.fromkeys(arguments.legs or LEGS)),
                on_index=bar,
                on_query=asked,
            )
    figures = report_dict(task, systems)
    if target is not None:
        write_figures(target, figures)
    if quiet:
        print_json(figures)
    else:
        print(table(task, systems))
    return 0
