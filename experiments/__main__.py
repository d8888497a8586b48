"""`python -m experiments NAME`: runs an experiment and writes its results, plots and page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wavrag.cli import (
    JSON_FILE,
    SEED,
    Command,
    Option,
    StageBars,
    UsageError,
    json_file,
    note,
    print_json,
    run_command,
    save_json,
    short_path,
)

if TYPE_CHECKING:
    from experiments.base import Results

RUNS = "wavrag-experiments"  # default folder of the run folders


def main(argv: Sequence[str] | None = None) -> int:
    """Run an experiment and return the exit code: 0 done, 1 failed, 2 wrong usage."""
    return run_command(EXPERIMENTS_COMMAND, argv)


def experiment(arguments: argparse.Namespace) -> int:
    """Run an experiment or resume its run, then print and write its results."""
    from experiments import load_experiment, run_experiment
    from experiments.base import results_dict, tables_list
    from experiments.page import write_page

    if arguments.list:
        return _print_list()
    if arguments.name is None:
        raise UsageError("name an experiment; --list prints them")
    if arguments.data is None:
        raise UsageError("name the folder of the data with --data")
    target = json_file(arguments.json)
    page = Path(arguments.page) if arguments.page else None
    if page is not None and not page.is_file():
        raise UsageError(f"--page {page} is no file: write the page first, with its marks")
    models = {name: Path(folder) for name, folder in _pairs(arguments.model, "--model")}
    options = {name: _number(name, value) for name, value in _pairs(arguments.set, "--set")}
    chosen = load_experiment(arguments.name)
    out = Path(arguments.out) if arguments.out else Path(RUNS) / chosen.name
    quiet = arguments.json == "-"
    with StageBars(quiet) as bars:
        results = run_experiment(
            chosen,
            data=arguments.data,
            out=out,
            seed=arguments.seed,
            quick=arguments.quick,
            models=models,
            options=options,
            on_progress=bars,
        )
    if page is not None:
        write_page(page, results, out)
    document = {
        "experiment": chosen.name,
        **results_dict(results),
        "timings": tables_list(results.timings),
    }
    if target is not None:
        save_json(target, document)
    if quiet:
        print_json(document)
    else:
        _print_results(results, out)
    return 0


def _print_list() -> int:
    from experiments import EXPERIMENTS, load_experiment

    for name in EXPERIMENTS:
        print(f"{name:<16}{load_experiment(name).question}")
    return 0


def _print_results(results: Results, out: Path) -> None:
    from experiments.page import text_table

    for table in (*results.tables, *results.timings):
        print(text_table(table) + "\n")
    for sentence in results.findings:
        print(f"found: {sentence}")
    for sentence in results.left_out:
        note(f"left out: {sentence}")
    print(short_path(str(out)))


def _pairs(values: list[str], option: str) -> list[tuple[str, str]]:
    pairs = []
    for text in values:
        name, equals, value = text.partition("=")
        if not name or not equals or not value:
            raise UsageError(f"{option} {text}: write NAME=VALUE")
        pairs.append((name, value))
    return pairs


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise UsageError(f"--set {name}={value}: {value!r} is no number") from None


EXPERIMENTS_COMMAND = Command(
    "python -m experiments",
    "run an experiment with a fixed protocol",
    experiment,
    (
        Option("name", "NAME", "experiment; see --list", nargs="?"),
        Option("--list", help="print the experiments and their questions, then exit"),
        Option("--data", "DIR", "folder of evaluation data, as for tools/make_tasks.py"),
        Option("--out", "DIR", "run folder; an interrupted run resumes", unset=f"{RUNS}/NAME"),
        SEED,
        Option("--quick", help="use a tiny size, to test the setup; proves nothing"),
        Option(
            "--model", "NAME=DIR", "folder of a local model, such as whisper-tiny=DIR", repeat=True
        ),
        Option(
            "--set",
            "NAME=NUMBER",
            "override a number of the experiment, such as a price",
            repeat=True,
        ),
        Option("--page", "FILE.md", "update the tables and plots of a documentation page"),
        JSON_FILE,
    ),
    (
        "python -m experiments --list",
        "python -m experiments noise --data DATA_DIR",
        "python -m experiments cost --data DATA_DIR --set gpu_hour=2.5 --json cost.json",
    ),
)

if __name__ == "__main__":
    sys.exit(main())
