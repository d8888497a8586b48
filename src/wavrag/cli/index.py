"""`wavrag index`: adds files and folders to the knowledge base."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wavrag.cli.command import Command, UsageError
from wavrag.cli.options import JSON, KB, NEW_EMBEDDER, PRESET_OPTIONS, Option
from wavrag.cli.output import format_count, format_duration, kb_name, note, note_files, print_json
from wavrag.cli.progress import IndexBar
from wavrag.errors import WavRAGError

if TYPE_CHECKING:
    from wavrag.embed import Embedder
    from wavrag.kb import AddReport
    from wavrag.types import Scalar


def index(arguments: argparse.Namespace) -> int:
    """Add files and folders; exit code 1 if a file was skipped."""
    from wavrag.kb import KnowledgeBase, find_files

    metadata = read_metadata(arguments)
    scan = find_files(
        arguments.paths, arguments.glob, metadata, arguments.channels, archives=arguments.archives
    )
    if scan.skipped and not (scan.documents or scan.archives or arguments.prune):
        # Stop before a mistyped path creates an empty knowledge base.
        note_files("skipped", scan.skipped)
        raise WavRAGError("there is nothing to index")
    with KnowledgeBase.open(arguments.kb, embedder=choose_embedder(arguments)) as kb:
        scan += kb.read_archives(scan.archives, metadata, arguments.channels)
        with IndexBar(quiet=arguments.json) as bar:
            try:
                report = kb.add(
                    scan.documents, on_progress=bar, speakers=find_speakers(arguments),
                    max_hours=arguments.max_hours,
                    again=arguments.again,
                )  # fmt: skip
            except (WavRAGError, KeyboardInterrupt):
                bar.close()
                # Documents are committed one by one, so those before the failure are searchable.
                total = format_count(len(scan.documents), "file")
                note(f"{bar.documents:,} of {total} done and stored: the same command continues")
                raise
        scan.add_to(report)
        if arguments.prune:
            report.removed = kb.prune(arguments.paths)
        folder = kb_name(kb)
    return print_report(report, folder, arguments.json)


def find_speakers(arguments: argparse.Namespace) -> bool | None:
    """The choice of --speakers or --no-speakers; None for that of the knowledge base.

    Raises:
        UsageError: both are given.
    """
    if arguments.speakers and arguments.no_speakers:
        raise UsageError("--speakers and --no-speakers contradict each other: give one of them")
    return True if arguments.speakers else False if arguments.no_speakers else None


def choose_embedder(arguments: argparse.Namespace) -> Embedder | str | None:
    """The embedder of --embedder, or of --quality and --language; None without any of them.

    Raises:
        UsageError: both are given.
        WavRAGError: a model of the preset cannot be loaded.
    """
    settings = (arguments.quality, arguments.language, arguments.models)
    if not any(settings):
        name: str | None = arguments.embedder
        return name
    if arguments.embedder is not None:
        raise UsageError("--embedder replaces --quality, --language and --models: give one of them")
    from wavrag.embed import load_embedder, preset

    models = Path(arguments.models) if arguments.models else None
    embedder = load_embedder(
        preset(arguments.quality or "balanced", arguments.language or "en", models)
    )
    # Models that are missing must not leave an empty knowledge base behind.
    embedder.load()
    return embedder


def print_report(report: AddReport, kb: str, as_json: bool, noun: str = "file") -> int:
    """Print the remarks and the counts of a report; return the exit code.

    Args:
        report: the report.
        kb: name of the knowledge base.
        as_json: print a JSON document instead.
        noun: word for a document.
    """
    if as_json:
        from wavrag.shapes import AddReportShape

        print_json({"kb": kb, **AddReportShape.dump(report)})
    else:
        _print_summary(report, kb, noun)
    return 1 if report.skipped else 0


def _print_summary(report: AddReport, kb: str, noun: str) -> None:
    note_files("note", report.notes)
    note_files("skipped", report.skipped)
    print(
        f"{kb}: {format_count(len(report.added), noun)} added, {len(report.updated)} updated,"
        f" {len(report.unchanged)} unchanged, {len(report.removed)} removed,"
        f" {len(report.skipped)} skipped"
        + (f", {len(report.moved)} moved" if report.moved else "")
        + (f", {format_count(len(report.copies), 'copy')}" if report.copies else "")
    )
    print(
        f"{format_count(report.passages, 'passage')} stored,"
        f" {format_duration(report.audio_seconds)} of audio, in {format_duration(report.seconds)}"
    )
    print_unread(report)


def print_unread(report: AddReport) -> None:
    """Print how many files of which kinds were not read, and a line with each reason."""
    if not report.unread:
        return
    counts: Counter[str] = Counter()
    kinds: dict[str, list[str]] = {}
    for group in report.unread:
        kind = group.kind or "no suffix"
        counts[kind] += len(group.files)
        kinds.setdefault(group.reason, []).append(kind)
    summary = ", ".join(f"{kind} {count}" for kind, count in counts.most_common())
    print(f"{format_count(counts.total(), 'file')} of kinds not read: {summary}")
    for reason, names in kinds.items():
        print(f"  {', '.join(names)}: {reason}")


def read_metadata(arguments: argparse.Namespace) -> dict[str, Scalar]:
    """The metadata of `META_OPTIONS`.

    Raises:
        UsageError: an option is not KEY=VALUE, or its value is not a number that can be stored.
    """
    pairs = [_split_pair("--meta-text", pair) for pair in arguments.meta_text]
    metadata: dict[str, Scalar] = dict(pairs)
    for pair in arguments.meta_number:
        key, value = _split_pair("--meta-number", pair)
        metadata[key] = _parse_number(pair, value)
    for pair in arguments.meta:
        key, value = _split_pair("--meta", pair)
        metadata[key] = _guess_type(pair, value)
    if len(metadata) < len(arguments.meta_text + arguments.meta_number + arguments.meta):
        raise UsageError(
            "a key of --meta, --meta-text or --meta-number is given twice: name it once"
        )
    if any(key.partition(".")[0] == "access" for key in metadata):
        raise UsageError("access labels have an option of their own: --access hr,legal")
    if arguments.access is not None:
        from wavrag.store import parse_labels

        parse_labels(arguments.access)  # before anything is read
        metadata["access"] = arguments.access
    return metadata


def _split_pair(option: str, pair: str) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not equals or not key:
        raise UsageError(f"{option} {pair!r} is not KEY=VALUE: an example is --meta speaker=Ada")
    return key, value


def _guess_type(pair: str, value: str) -> Scalar:
    """A boolean, or a number if printing it gives the same text; otherwise the text itself.

    `007`, `1.10` and `1e5` stay text: they may be a case, a version or a name.
    """
    if value in ("true", "false"):
        return value == "true"
    number = _read_number(value)
    if isinstance(number, float) and not math.isfinite(number):
        raise UsageError(
            f"--meta {pair!r} is not a number that can be stored: leave it out, or give it as text"
            " with --meta-text"
        )
    return number if number is not None and str(number) == value and _fits(number) else value


def _parse_number(pair: str, value: str) -> int | float:
    number = _read_number(value)
    if number is None or not _fits(number):
        raise UsageError(f"--meta-number {pair!r} is not a finite number of 64 bits: correct it")
    return number


def _read_number(value: str) -> int | float | None:
    for kind in (int, float):  # int first: filters compare and print 1999, not 1999.0
        with suppress(ValueError):
            return kind(value)
    return None


def _fits(number: float) -> bool:
    # The store keeps integers of 64 bits.
    return -(2**63) <= number < 2**63 if isinstance(number, int) else math.isfinite(number)


META_OPTIONS = (
    Option("--meta", "KEY=VALUE", "attach metadata to every file, for filters with --where: true,"
        " false and numbers such as 2024 or 0.5 by their type, all other values, such as 007, as"
        " text", repeat=True),
    Option("--meta-text", "KEY=VALUE", "attach metadata as text, even if it is a number",
        repeat=True),
    Option("--meta-number", "KEY=VALUE", "attach metadata as a number, such as 007 or 1e5",
        repeat=True),
    Option("--access", "LABELS", "access labels of every file, separated by commas: only users of a"
        " server with one of them see it; `public` for everybody", unset="the labels it has"),
)  # fmt: skip

CHANNELS = Option(
    "--channels", help="hear the channels of a recording separately (split) or together (mix), or"
    " separately if each of two has a speaker of its own, as in telephone calls (auto)",
    default="auto", choices=("auto", "mix", "split"),
)  # fmt: skip

# Of `wavrag index` and `wavrag watch`.
FILE_OPTIONS = (
    Option("--glob", "PATTERN", "index only files that match, such as '*.mp3'", repeat=True),
    *META_OPTIONS,
    CHANNELS,
)
BASE_OPTIONS = (NEW_EMBEDDER, *PRESET_OPTIONS, KB)

COMMAND = Command(
    "index",
    "add files and folders to the knowledge base",
    index,
    (
        Option("paths", "PATH", "file or folder to add", nargs="+"),
        *FILE_OPTIONS,
        Option("--speakers", help="find out who speaks when in recordings, and cut their passages"
            " where the speaker changes; later runs do the same. See `wavrag kb speakers`"),
        Option("--no-speakers", help="end --speakers for this knowledge base"),
        Option("--max-hours", "HOURS", "longest recording: a few bytes can decode to hours of"
            " silence", unset="ten minutes and a second per 300 bytes of the file", minimum=0.01),
        Option("--archives", help="read the files in zip and tar archives, too"),
        Option("--again", help="also index unchanged files, to repair their documents"),
        Option("--prune", help="remove documents whose files no longer exist in the given folders"),
        *BASE_OPTIONS,
        JSON,
    ),
    (
        "wavrag index talks/ notes/ report.pdf",
        "wavrag index calls/ --glob '*.mp3' --meta year=2024 --meta speaker=Ada --prune",
        "wavrag index meetings/ --speakers --access legal,hr",
        "wavrag index mail/ backup.zip --archives",
        "wavrag index talks/ --kb talks-kb --embedder http://gpu-box:8000",
        "wavrag index vorträge/ --kb de-kb --language de --quality best",
    ),
    details="Files unchanged since the last run are not indexed again.",
)  # fmt: skip
