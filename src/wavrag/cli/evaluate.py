"""`wavrag eval`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from wavrag.cli.index import ProgressBar
from wavrag.cli.output import note, print_json
from wavrag.errors import InputError


def evaluate(arguments: argparse.Namespace) -> int:
    """Measure each embedder on a task, and print and write the figures."""
    from wavrag.embed import load_embedder
    from wavrag.evaluate import LEGS, evaluate_embedder, load_task, report_dict, table
    from wavrag.evaluate.retrieval import check_modalities

    target = None if arguments.json in (None, "-") else Path(arguments.json)
    if target is not None:
        _check_target(target)
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
        with ProgressBar(quiet) as bar, QueryBar(quiet) as asked:
            systems += evaluate_embedder(
                task,
                embedder,
                list(dict.fromkeys(arguments.legs or LEGS)),
                on_index=bar,
                on_query=asked,
            )
    figures = report_dict(task, systems)
    if target is not None:
        _write(target, figures)
    if quiet:
        print_json(figures)
    else:
        print(table(task, systems))
    return 0


class QueryBar:
    """Queries asked and the time that is left, on standard error if that is a terminal."""

    FORMAT = "asking: {n_fmt}/{total_fmt} queries |{bar:20}| {elapsed}<{remaining}"
    INTERVAL = 0.1  # seconds between two drawings

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet or not sys.stderr.isatty()
        self._drawn = 0.0
        self._bar: Any = None

    def __enter__(self) -> QueryBar:
        return self

    def __call__(self, done: int, total: int) -> None:
        """Show how many queries were asked."""
        now = time.monotonic()
        if self._quiet or now - self._drawn < self.INTERVAL:
            return
        self._drawn = now
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=total, bar_format=self.FORMAT, dynamic_ncols=True, leave=False)
        self._bar.update(done - self._bar.n)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _check_target(path: Path) -> None:
    """Refuse what cannot be written at the end, before the work."""
    if path.is_dir():
        raise InputError(f"--json {path} is a folder: name a file")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--json {path}: there is no folder {path.parent}: make it first")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise InputError(f"--json {path} cannot be written: allow it (chmod), or name another file")


def _write(path: Path, figures: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(figures, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
