"""`wavrag embed-bulk` and `wavrag import`: embed archives on a cluster, and store the results."""

from __future__ import annotations

import argparse
from pathlib import Path

from wavrag.cli.command import Command
from wavrag.cli.index import FILE_OPTIONS, print_report, read_metadata
from wavrag.cli.options import JSON, KB, NEW_EMBEDDER, Option
from wavrag.cli.output import format_count, kb_name, note, note_files
from wavrag.errors import WavRAGError


def embed(arguments: argparse.Namespace) -> int:
    """Embed files and folders into Parquet files."""
    from wavrag.config import DEFAULT_EMBEDDER
    from wavrag.kb import BulkOptions, embed_bulk, find_files

    scan = find_files(arguments.paths, arguments.glob, read_metadata(arguments), arguments.channels)
    note_files("skipped", scan.skipped)
    if not scan.documents:
        raise WavRAGError("there is nothing to embed")
    options = BulkOptions(
        arguments.embedder or DEFAULT_EMBEDDER, arguments.workers, arguments.gpus, arguments.cluster
    )
    embed_bulk(scan.documents, Path(arguments.out), options)
    note(f"{format_count(len(scan.documents), 'file')} in {arguments.out}: store them with `wavrag"
        f" import {arguments.out}`")  # fmt: skip
    return 0


def import_files(arguments: argparse.Namespace) -> int:
    """Store embedded documents; exit code 1 if a file could not be embedded."""
    from wavrag.kb import KnowledgeBase

    with KnowledgeBase.open(arguments.kb, embedder=arguments.embedder) as kb:
        report = kb.import_parquet(arguments.files)
        name = kb_name(kb)
    return print_report(report, name, arguments.json)


EMBED = Command(
    "embed-bulk",
    "embed an archive on a Ray cluster, into Parquet files",
    embed,
    (
        Option("paths", "PATH", "files and folders, under the same path on every node", nargs="+"),
        Option("--out", "FOLDER", "new folder for the Parquet files, for all nodes", required=True),
        NEW_EMBEDDER,
        *FILE_OPTIONS,
        Option("--cluster", "ADDRESS", "address of a Ray cluster, such as `auto`",
            unset="a new one on this machine"),
        Option("--workers", "N", "processes with the embedder", unset="all processors but one",
            minimum=1, default=None),
        Option("--gpus", "N", "GPUs of each worker", default=0.0, minimum=0.0),
    ),
    (
        "wavrag embed-bulk archive/ --out embedded/",
        "wavrag embed-bulk /shared/archive --out /shared/embedded --cluster auto --gpus 1",
    ),
)  # fmt: skip

IMPORT = Command(
    "import",
    "store the documents of Parquet files from `wavrag embed-bulk`",
    import_files,
    (
        Option("files", "PARQUET", "files, and folders of them", nargs="+"),
        NEW_EMBEDDER,
        KB,
        JSON,
    ),
    ("wavrag import embedded/", "wavrag import embedded/ --kb postgresql://ada@db.example.org/team"),
)  # fmt: skip
