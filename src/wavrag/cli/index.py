"""`wavrag index`: adds files and folders to the knowledge base."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavrag.cli.command import Command, UsageError
from wavrag.cli.options import EMBEDDER_HELP, add_json, add_kb, add_list
from wavrag.cli.output import counted, duration, note, print_json, short_path
from wavrag.errors import WavRAGError

if TYPE_CHECKING:
    from wavrag.kb import AddReport, Progress
    from wavrag.types import Scalar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `wavrag index`."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="file or folder to add")
    add_list(
        parser, "--glob", "PATTERN", "add only files that match, such as '*.mp3'; may be repeated"
    )
    add_list(
        parser,
        "--meta",
        "KEY=VALUE",
        "attach metadata to every file, for filters with --where; may be repeated",
    )
    parser.add_argument(
        "--prune",
        action="store_true",
        help="remove documents whose files no longer exist in the given folders",
    )
    parser.add_argument("--embedder", metavar="NAME", help=EMBEDDER_HELP)
    add_kb(parser)
    add_json(parser)


def index(arguments: argparse.Namespace) -> int:
    """Add files and folders; 1 if anything was skipped."""
    from wavrag.kb import KnowledgeBase, find_files

    metadata = dict(parse_meta(pair) for pair in arguments.meta)
    found = find_files(arguments.paths, arguments.glob, metadata)
    if found.skipped and not found.documents and not arguments.prune:
        # A mistyped path makes no knowledge base.
        for source, reason in found.skipped:
            note(f"skipped: {short_path(source)}: {reason}")
        raise WavRAGError("there is nothing to index")
    with KnowledgeBase.open(arguments.kb, embedder=arguments.embedder) as kb:
        with ProgressBar(quiet=arguments.json) as bar:
            try:
                report = kb.add(found.documents, on_progress=bar)
            except (WavRAGError, KeyboardInterrupt):
                note(f"stopped after {bar.documents} of {counted(len(found.documents), 'file')}")
                raise
        report.skipped[:0] = found.skipped
        if arguments.prune:
            report.removed = kb.prune(arguments.paths)
        where = short_path(str(kb.directory.absolute()))
    if arguments.json:
        from wavrag.shapes import AddReportShape

        print_json({"kb": where, **AddReportShape.dump(report)})
    else:
        _summarise(report, where)
    return 1 if report.skipped else 0


def _summarise(report: AddReport, where: str) -> None:
    for source, remark in report.notes:
        note(f"note: {short_path(source)}: {remark.removeprefix(f'{source}: ')}")
    for source, reason in report.skipped:
        note(f"skipped: {short_path(source)}: {reason.removeprefix(f'{source}: ')}")
    print(
        f"{where}: {counted(len(report.added), 'file')} added, {len(report.updated)} updated,"
        f" {len(report.unchanged)} unchanged, {len(report.removed)} removed,"
        f" {len(report.skipped)} skipped"
    )
    print(
        f"{counted(report.passages, 'passage')} stored, {duration(report.audio_seconds)} of audio,"
        f" in {duration(report.seconds)}"
    )


def parse_meta(pair: str) -> tuple[str, Scalar]:
    """`year=1999` as a key and a number, truth value or string.

    Raises:
        UsageError: there is no `=` or no key.
    """
    key, equals, value = pair.partition("=")
    if not equals or not key:
        raise UsageError(f"--meta {pair!r} is not KEY=VALUE: write it like --meta speaker=Ada")
    if value in ("true", "false"):
        return key, value == "true"
    for kind in (int, float):
        try:
            return key, kind(value)
        except ValueError:
            continue
    return key, value


class ProgressBar:
    """Files, hours of audio and passages a second, on standard error if that is a terminal."""

    FORMAT = "{desc}: {n_fmt}/{total_fmt} files |{bar:20}| {elapsed}{postfix}"
    INTERVAL = 0.1  # seconds between two drawings

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet or not sys.stderr.isatty()
        self._drawn = 0.0
        self.documents = 0  # stored, unchanged or skipped so far
        self._bar: Any = None

    def __enter__(self) -> ProgressBar:
        if not self._quiet:
            from tqdm import tqdm

            self._bar = tqdm(
                desc="indexing", bar_format=self.FORMAT, dynamic_ncols=True, leave=False
            )
        return self

    def __call__(self, progress: Progress) -> None:
        """Show where the run stands."""
        self.documents = progress.documents
        bar, now = self._bar, time.monotonic()
        if bar is None or now - self._drawn < self.INTERVAL:
            return
        self._drawn = now
        bar.total, bar.n = progress.total, progress.documents
        rate = progress.passages / max(bar.format_dict["elapsed"], 1e-3)
        bar.set_postfix_str(
            f"{progress.audio_seconds / 3_600:.2f} h of audio, {rate:.0f} passages/s,"
            f" {Path(progress.current).name[:30]}"
        )

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


COMMAND = Command(
    "index",
    "add files and folders to the knowledge base",
    index,
    add_arguments,
    (
        "wavrag index talks/ notes/ report.pdf",
        "wavrag index calls/ --glob '*.mp3' --meta year=2024 --meta speaker=Ada --prune",
        "wavrag index talks/ --kb talks-kb --embedder http://gpu-box:8000",
    ),
    details="Files that did not change since the last run are skipped.",
)
