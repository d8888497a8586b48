"""`wavrag eval`: measures retrieval, compares results, writes an HTML report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavrag.cli.command import Command, UsageError
from wavrag.cli.options import add_json_file, number, whole_number
from wavrag.cli.output import (
    check_writable,
    format_count,
    json_file,
    note,
    print_json,
    save_json,
)
from wavrag.cli.progress import IndexBar, ProgressBar

if TYPE_CHECKING:
    from wavrag.data import Task
    from wavrag.embed import Embedder
    from wavrag.evaluate import System


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `wavrag eval`."""
    parser.add_argument(
        "task",
        nargs="+",
        metavar="TASK_DIR",
        help="folder with corpus.jsonl, queries.jsonl and qrels/test.tsv (BEIR layout)",
    )
    parser.add_argument(
        "--embedder",
        action="append",
        required=True,
        metavar="NAME",
        help="embedder to measure; may be repeated",
    )
    parser.add_argument(
        "--legs",
        action="append",
        choices=["dense", "lexical", "fused"],
        help="a single leg, or the fusion of both; may be repeated (default: all three)",
    )
    parser.add_argument(
        "--query-modality",
        choices=["audio", "text"],
        help="use only the audio or only the text of queries (default: both)",
    )
    parser.add_argument(
        "--corpus-modality",
        choices=["audio", "text"],
        help="use only the audio or only the text of passages (default: both)",
    )
    parser.add_argument(
        "--cpu-price",
        type=number(0),
        metavar="PRICE",
        help="price of a CPU hour, to report the cost of indexing an hour of audio",
    )
    add_json_file(parser)


def add_compare_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `wavrag eval compare`."""
    parser.add_argument(
        "results",
        nargs="+",
        metavar="RESULTS.json",
        help="two files of `wavrag eval --json`, or one with several embedders",
    )
    parser.add_argument(
        "--metric",
        default="ndcg@10",
        metavar="NAME",
        help="metric to rank changed queries by (default: %(default)s)",
    )
    parser.add_argument(
        "--changed",
        type=whole_number(0),
        default=10,
        metavar="N",
        help="maximum number of changed queries to list (default: %(default)s)",
    )
    add_json_file(parser)


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `wavrag eval report`."""
    parser.add_argument(
        "results",
        nargs="+",
        metavar="RESULTS.json",
        help="files of `wavrag eval --json` or `wavrag answers --json`, or results.json of an"
        " experiment",
    )
    parser.add_argument("--out", required=True, metavar="FILE.html", help="page to write")
    parser.add_argument(
        "--worst",
        type=whole_number(0),
        default=20,
        metavar="N",
        help="failed queries shown per system (default: %(default)s)",
    )
    parser.add_argument(
        "--audio-mb",
        type=number(0),
        default=20.0,
        metavar="MB",
        help="maximum audio embedded in the page; further clips are only named"
        " (default: %(default)s)",
    )


def evaluate(arguments: argparse.Namespace) -> int:
    """Measure each embedder on each task, then print or write the figures."""
    from wavrag.data import load_task
    from wavrag.embed import load_embedder
    from wavrag.evaluate import LEGS, check_modalities, format_report, report_to_dict

    target = json_file(arguments.json)
    tasks = [
        load_task(
            folder,
            query_modality=arguments.query_modality,
            corpus_modality=arguments.corpus_modality,
        )
        for folder in dict.fromkeys(arguments.task)
    ]
    embedders = [load_embedder(name) for name in dict.fromkeys(arguments.embedder)]
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
            for system in _measure(task, embedder, legs, quiet=quiet)
        ]
        reports.append(report_to_dict(task, systems, arguments.cpu_price))
        if target is not None:
            save_json(target, _document(reports))  # an interrupted run keeps the tasks done
        if not quiet:
            print(format_report(task, systems, arguments.cpu_price))
    if quiet:
        print_json(_document(reports))
    return 0


def _measure(task: Task, embedder: Embedder, legs: list[Any], *, quiet: bool) -> list[System]:
    from wavrag.evaluate import evaluate_embedder

    if not quiet:
        note(
            f"{task.name}, {embedder.spec.name}: {len(task.corpus):,} passages,"
            f" {len(task.queries):,} queries"
        )
    with IndexBar(quiet) as index_bar, ProgressBar("querying", "queries", quiet) as query_bar:
        return evaluate_embedder(task, embedder, legs, on_index=index_bar, on_query=query_bar)


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
    runs = [read_evaluations(path) for path in arguments.results]
    names = [Path(path).name for path in arguments.results]
    comparisons = compare_results(
        runs[0],
        runs[1] if len(runs) == 2 else None,
        metric=arguments.metric,
        max_changes=arguments.changed,
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
    from wavrag.evaluate import PageOptions, read_figures, render_report, write_report

    target = Path(arguments.out)
    check_writable(target, "--out")
    results = {path: read_figures(path) for path in dict.fromkeys(arguments.results)}
    options = PageOptions(worst=arguments.worst, audio_bytes=int(arguments.audio_mb * 1e6))
    page = render_report(results, options)
    write_report(target, page.html)
    for message in page.notes:
        note(message)
    print(f"{target}: {format_count(len(results), 'file')} of results, {page.size / 1e6:.1f} MB")
    return 0


COMPARE = Command(
    "compare",
    "compare two result files query by query",
    compare,
    add_compare_arguments,
    (
        "wavrag eval compare cascade.json mini.json",
        "wavrag eval compare both.json --metric recall@10 --changed 50",
    ),
)

REPORT = Command(
    "report",
    "write an HTML page of results, with audio of failed queries",
    report,
    add_report_arguments,
    (
        "wavrag eval report cascade.json mini.json --out report.html",
        "wavrag eval report answers.json --out report.html --worst 50 --audio-mb 5",
    ),
)

COMMAND = Command(
    "eval",
    "measure retrieval on tasks in the BEIR layout",
    evaluate,
    add_arguments,
    (
        "wavrag eval tasks/librispeech --embedder cascade --json cascade.json",
        "wavrag eval tasks/qed tasks/squad --embedder cascade --embedder minilm --legs dense",
        "wavrag eval compare cascade.json mini.json",
    ),
    subcommands={"commands": (COMPARE, REPORT)},
)
