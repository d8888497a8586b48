"""`wavrag eval`: measures retrieval, compares results, writes an HTML report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavrag.cli.command import Command, UsageError
from wavrag.cli.options import FUSION, JSON_FILE, RERANK, Option
from wavrag.cli.output import (
    check_writable,
    format_count,
    json_file,
    note,
    print_json,
    save_json,
    save_text,
)
from wavrag.cli.progress import IndexBar, ProgressBar

if TYPE_CHECKING:
    from wavrag.data import Task
    from wavrag.embed import Embedder
    from wavrag.evaluate import System
    from wavrag.search import Fusion, Reranker


def evaluate(arguments: argparse.Namespace) -> int:
    """Measure each embedder on each task, then print or write the figures."""
    from wavrag.data import load_task
    from wavrag.embed import load_embedder, load_reranker
    from wavrag.evaluate import LEGS, check_modalities, format_report, report_to_dict

    target = json_file(arguments.json)
    tasks = [
        load_task(
            folder,
            query_modality=arguments.query_modality,
            corpus_modality=arguments.corpus_modality,
        )
        for folder in dict.fromkeys(arguments.task)  # a task given twice is measured once
    ]
    embedders = [load_embedder(name) for name in dict.fromkeys(arguments.embedder)]
    reranker = load_reranker(arguments.rerank) if arguments.rerank else None
    for task in tasks:
        for embedder in embedders:
            check_modalities(task, embedder)  # before hours go into the first pair
    quiet = arguments.json == "-"
    legs = list(dict.fromkeys(arguments.legs or LEGS))
    reports: list[dict[str, Any]] = []
    for task in tasks:
        systems = [
            system
            for embedder in embedders
            for system in _measure(task, embedder, legs, arguments.fusion, reranker, quiet=quiet)
        ]
        reports.append(report_to_dict(task, systems, arguments.cpu_price))
        if target is not None:
            save_json(target, _document(reports))  # an interrupted run keeps the tasks done
        if not quiet:
            print(format_report(task, systems, arguments.cpu_price))
    if quiet:
        print_json(_document(reports))
    return 0


def _measure(
    task: Task,
    embedder: Embedder,
    legs: list[Any],
    fusion: Fusion,
    reranker: Reranker | None,
    *,
    quiet: bool,
) -> list[System]:
    from wavrag.evaluate import evaluate_embedder

    if not quiet:
        note(
            f"{task.name}, {embedder.spec.name}: {len(task.corpus):,} passages,"
            f" {len(task.queries):,} queries"
        )
    with IndexBar(quiet) as index_bar, ProgressBar("querying", "queries", quiet) as query_bar:
        return evaluate_embedder(
            task,
            embedder,
            legs,
            on_index=index_bar,
            on_query=query_bar,
            fusion=fusion,
            reranker=reranker,
        )


def _document(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """The report of a single task, or an object with the reports of several."""
    return reports[0] if len(reports) == 1 else {"tasks": reports}


def compare(arguments: argparse.Namespace) -> int:
    """Print the differences between two runs, or between the systems of one run."""
    from wavrag.evaluate import (
        compare_results,
        comparisons_to_list,
        format_comparison,
        read_evaluations,
    )

    if len(arguments.results) > 2:
        raise UsageError(f"{len(arguments.results)} files cannot be compared: give one or two")
    target = json_file(arguments.json)
    # With one file the systems in it are compared with each other.
    runs = [read_evaluations(path) for path in arguments.results]
    names = [Path(path).name for path in arguments.results]
    comparisons = compare_results(
        runs[0],
        runs[1] if len(runs) == 2 else None,
        metric=arguments.metric,
        max_changes=arguments.changed,
        # Files of the same name in two folders are told apart by letters.
        names=(names[0], names[-1]) if names[0] != names[-1] else ("A", "B"),
    )
    figures = {"metric": arguments.metric, "comparisons": comparisons_to_list(comparisons)}
    if target is not None:
        save_json(target, figures)
    if arguments.json == "-":
        print_json(figures)
    else:
        print(format_comparison(comparisons, arguments.metric))
    return 0


def report(arguments: argparse.Namespace) -> int:
    """Write an HTML page of any set of results."""
    from wavrag.evaluate import read_figures, render_report

    target = Path(arguments.out)
    check_writable(target, "--out")
    results = {path: read_figures(path) for path in dict.fromkeys(arguments.results)}
    page = render_report(results, worst=arguments.worst, audio_bytes=int(arguments.audio_mb * 1e6))
    save_text(target, page.html)
    for message in page.notes:
        note(message)
    megabytes = len(page.html.encode()) / 1e6
    print(f"{target}: {format_count(len(results), 'file')} of results, {megabytes:.1f} MB")
    return 0


COMPARE = Command(
    "compare",
    "compare two result files query by query",
    compare,
    (
        Option("results", "RESULTS.json", "two files of `wavrag eval --json`, or one with several"
            " embedders", nargs="+"),
        Option("--metric", "NAME", "metric that ranks changed queries", default="ndcg@10"),
        Option("--changed", "N", "maximum number of changed queries", default=10, minimum=0),
        JSON_FILE,
    ),
    (
        "wavrag eval compare cascade.json mini.json",
        "wavrag eval compare both.json --metric recall@10 --changed 50",
    ),
)  # fmt: skip

REPORT = Command(
    "report",
    "write an HTML page of results, with audio of failed queries",
    report,
    (
        Option("results", "RESULTS.json", "files of `wavrag eval --json` or `wavrag answers"
            " --json`, or results.json of an experiment", nargs="+"),
        Option("--out", "FILE.html", "page to write", required=True),
        Option("--worst", "N", "failed queries shown per system", default=20, minimum=0),
        Option("--audio-mb", "MB", "maximum audio embedded in the page; further clips are only"
            " named", default=20, minimum=0.0),
    ),
    (
        "wavrag eval report cascade.json mini.json --out report.html",
        "wavrag eval report answers.json --out report.html --worst 50 --audio-mb 5",
    ),
)  # fmt: skip

COMMAND = Command(
    "eval",
    "measure retrieval on tasks in the BEIR layout",
    evaluate,
    (
        Option("task", "TASK_DIR", "folder with corpus.jsonl, queries.jsonl and qrels/test.tsv"
            " (BEIR layout)", nargs="+"),
        Option("--embedder", "NAME", "embedder to measure", required=True, repeat=True),
        Option("--legs", help="a single leg, or the fusion of both",
            choices=("dense", "lexical", "fused"), unset="all three", repeat=True),
        FUSION,
        RERANK,
        Option("--query-modality", help="use only the audio or only the text of queries",
            choices=("audio", "text"), unset="both"),
        Option("--corpus-modality", help="use only the audio or only the text of passages",
            choices=("audio", "text"), unset="both"),
        Option("--cpu-price", "PRICE", "price of a CPU hour, to report the cost of indexing an"
            " hour of audio", minimum=0.0),
        JSON_FILE,
    ),
    (
        "wavrag eval tasks/librispeech --embedder cascade --json cascade.json",
        "wavrag eval tasks/qed tasks/squad --embedder cascade --embedder minilm --legs dense",
        "wavrag eval compare cascade.json mini.json",
    ),
    subcommands={"commands": (COMPARE, REPORT)},
)  # fmt: skip
