"""`python -m experiments NAME`: runs one experiment and writes its results, plots and page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from wavrag.cli import Bar, UsageError, check_target, note, print_json, short_path, write_figures
from wavrag.errors import WavRAGError

OUT = "wavrag-experiments"  # folder that runs go to, a folder each


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="which; --list prints them")
    parser.add_argument("--list", action="store_true", help="print names and questions, no more")
    parser.add_argument(
        "--data", metavar="DIR", help="collected data, as tools/make_tasks.py takes it"
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help=f"folder of the run; one cut off goes on (default: {OUT}/NAME)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of every draw (0)")
    parser.add_argument(
        "--quick", action="store_true", help="a tiny size, to see that it runs; proves nothing"
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="folder of a local model, such as whisper-tiny=DIR; may be repeated",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="change a number of the experiment, such as a price; may be repeated",
    )
    parser.add_argument(
        "--page", metavar="FILE.md", help="write tables and plots into the marks of a page"
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write the results as one JSON document; - prints it, and nothing else",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one experiment and return the exit code: 0 done, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments", description="Run an experiment with a fixed protocol."
    )
    add_arguments(parser)
    try:
        return experiment(parser.parse_args(argv))
    except UsageError as error:
        print(f"experiments: {error}", file=sys.stderr)
        return 2
    except WavRAGError as error:
        print(f"experiments: {error}", file=sys.stderr)
        return 1


def experiment(arguments: argparse.Namespace) -> int:
    """Run one, from where it stopped, and print and write its results."""
    from experiments import EXPERIMENTS, load_experiment, run_experiment
    from experiments.base import results_dict, tables_list
    from experiments.page import text_table, write_page

    if arguments.list:
        for name in EXPERIMENTS:
            print(f"{name:<16}{load_experiment(name).question}")
        return 0
    if arguments.name is None:
        raise UsageError("name an experiment; --list prints them")
    if arguments.data is None:
        raise UsageError("name the folder of the data with --data")
    target = None if arguments.json in (None, "-") else Path(arguments.json)
    if target is not None:
        check_target(target)
    page = Path(arguments.page) if arguments.page else None
    if page is not None and not page.is_file():
        raise UsageError(f"--page {page} is no file: write the page first, with its marks")
    models = {name: Path(folder) for name, folder in _pairs(arguments.model, "--model")}
    options = {name: _number(name, value) for name, value in _pairs(arguments.set, "--set")}
    chosen = load_experiment(arguments.name)
    out = Path(arguments.out) if arguments.out else Path(OUT) / chosen.name
    quiet = arguments.json == "-"
    with _Stages(quiet) as stages:
        results = run_experiment(
            chosen,
            data=arguments.data,
            out=out,
            seed=arguments.seed,
            quick=arguments.quick,
            models=models,
            options=options,
            on_progress=stages,
        )
    if page is not None:
        write_page(page, results, out)
    document = {
        "experiment": chosen.name,
        **results_dict(results),
        "timings": tables_list(results.timings),
    }
    if target is not None:
        write_figures(target, document)
    if quiet:
        print_json(document)
        return 0
    for table in (*results.tables, *results.timings):
        print(text_table(table) + "\n")
    for sentence in results.findings:
        print(f"found: {sentence}")
    for sentence in results.left_out:
        note(f"left out: {sentence}")
    print(short_path(str(out)))
    return 0


def _pairs(given: list[str], option: str) -> list[tuple[str, str]]:
    pairs = []
    for each in given:
        name, equals, value = each.partition("=")
        if not name or not equals or not value:
            raise UsageError(f"{option} {each}: write NAME=VALUE")
        pairs.append((name, value))
    return pairs


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise UsageError(f"--set {name}={value}: {value!r} is no number") from None


class _Stages:
    """A progress bar for each stage."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._stage = ""
        self._bar: Bar | None = None

    def __enter__(self) -> _Stages:
        return self

    def __call__(self, stage: str, done: int, total: int) -> None:
        if self._bar is None or stage != self._stage:
            self.__exit__(None, None, None)
            self._stage, self._bar = stage, Bar(stage, "done", self._quiet)
        self._bar(done, total)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.__exit__(kind, error, trace)


if __name__ == "__main__":
    sys.exit(main())
