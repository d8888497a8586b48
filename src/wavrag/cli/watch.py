"""`wavrag watch`: indexes folders and their changes as they happen."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from wavrag.cli.command import Command
from wavrag.cli.index import (
    BASE_OPTIONS,
    FILE_OPTIONS,
    choose_embedder,
    print_unread,
    read_metadata,
)
from wavrag.cli.options import Option
from wavrag.cli.output import format_count, kb_name, note, note_files, short_path
from wavrag.cli.progress import IndexBar

if TYPE_CHECKING:
    from wavrag.kb import AddReport, KnowledgeBase


def watch(arguments: argparse.Namespace) -> int:
    """Index until interrupted, which is the regular end."""
    from wavrag.kb import KnowledgeBase, check_folders

    metadata = read_metadata(arguments)
    check_folders(arguments.folders)  # before an empty knowledge base is created
    quiet = arguments.json
    with KnowledgeBase.open(arguments.kb, embedder=choose_embedder(arguments)) as kb:
        if not quiet:
            note(f"watching {', '.join(map(short_path, arguments.folders))} (press Ctrl-C to stop)")
        try:
            with IndexBar(quiet) as bar:
                for report in kb.watch(
                    arguments.folders,
                    globs=arguments.glob,
                    metadata=metadata,
                    channels=arguments.channels,
                    on_progress=bar,
                    on_note=note,
                    polling=arguments.poll,
                ):
                    bar.close()  # the time of the next changes counts from their start
                    _print_report(kb, report, quiet)
        except KeyboardInterrupt:
            count = format_count(len(kb.documents()), "document")
            if not quiet:
                note(f"stopped watching: {count} in {kb_name(kb)}")
    return 0


def _print_report(kb: KnowledgeBase, report: AddReport, is_json: bool) -> None:
    """Print a line for each change, or all as a line of JSON."""
    if is_json:
        from wavrag.shapes import AddReportShape

        print(json.dumps(AddReportShape.dump(report), ensure_ascii=False), flush=True)
        return
    note_files("note", report.notes)
    note_files("skipped", report.skipped)
    # A moved document keeps its id, the path that it had first.
    moves = [head.source for id in report.moved if (head := kb.head(id)) is not None]
    for label, sources in (
        ("added", report.added), ("updated", report.updated), ("moved", moves),
        ("copy", report.copies), ("removed", report.removed),
    ):  # fmt: skip
        for source in sources:
            print(f"{label:8} {short_path(source)}", flush=True)
    print_unread(report)
    if report.unchanged:
        print(f"{format_count(len(report.unchanged), 'file')} unchanged", flush=True)


COMMAND = Command(
    "watch",
    "index folders and their changes as they happen",
    watch,
    (
        Option("folders", "FOLDER", "folder to watch, with the folders below it", nargs="+"),
        *FILE_OPTIONS,
        Option("--poll", help="compare all files every few seconds, for network shares that report"
            " no changes"),
        *BASE_OPTIONS,
        Option("--json", help="print a line of JSON for each change, and nothing else"),
    ),
    (
        "wavrag watch talks/ notes/",
        "wavrag watch /mnt/share/calls --poll --glob '*.mp3' --meta team=support",
    ),
    details="Deleted files are removed from the knowledge base. If a folder disappears, its disk"
    " may be unmounted: its documents stay.",
)  # fmt: skip
