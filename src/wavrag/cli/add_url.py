"""`wavrag add-url`: adds pages, files and feeds from the web."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from wavrag.cli.command import Command
from wavrag.cli.index import (
    BASE_OPTIONS,
    META_OPTIONS,
    choose_embedder,
    print_report,
    read_metadata,
)
from wavrag.cli.options import JSON, Option
from wavrag.cli.output import kb_name, note
from wavrag.cli.progress import FetchBar, IndexBar
from wavrag.errors import WavRAGError

if TYPE_CHECKING:
    from wavrag.kb import Progress


def add_url(arguments: argparse.Namespace) -> int:
    """Download and add URLs; exit code 1 if one was skipped."""
    from wavrag.kb import KnowledgeBase
    from wavrag.web import DownloadOptions, normalize_url

    metadata = read_metadata(arguments)
    # A mistyped URL must not create an empty knowledge base.
    urls = [normalize_url(url) for url in arguments.urls]
    options = DownloadOptions(
        max_bytes=arguments.max_size << 20,
        max_seconds=arguments.max_time,
        max_redirects=arguments.max_redirects,
        allow_private=arguments.allow_private,
    )
    quiet = arguments.json or not sys.stderr.isatty()
    with KnowledgeBase.open(arguments.kb, embedder=choose_embedder(arguments)) as kb:
        folder = kb_name(kb)
        with FetchBar(quiet) as fetch_bar, IndexBar(quiet, starts_later=True) as bar:

            def on_progress(progress: Progress) -> None:
                fetch_bar.close()  # of a file of unknown size
                bar(progress)

            try:
                report = kb.add_urls(
                    urls,
                    options=options,
                    entries=arguments.entries,
                    metadata=metadata,
                    on_fetch=fetch_bar,
                    on_progress=on_progress,
                )
            except (WavRAGError, KeyboardInterrupt):
                fetch_bar.close()
                bar.close()
                note("downloads are kept: the same command continues")
                raise
    return print_report(report, folder, arguments.json, "document")


COMMAND = Command(
    "add-url",
    "add pages, files and podcast feeds from the web",
    add_url,
    (
        Option("urls", "URL", "page, file, or RSS or Atom feed", nargs="+"),
        Option("--entries", "N", "number of the newest entries to add from a feed", default=10,
            minimum=1),
        *META_OPTIONS,
        *BASE_OPTIONS,
        JSON,
    ),
    (
        "wavrag add-url https://example.org/ferry-times.html",
        "wavrag add-url https://example.org/podcast.xml --entries 3 --meta topic=ferries",
        "wavrag add-url http://localhost:8000/manual.pdf --allow-private",
    ),
    option_groups={
        "limits": (
            Option("--max-size", "MB", "maximum size of a file", default=1024, minimum=1),
            Option("--max-time", "SECONDS", "time limit for a file", default=600, minimum=1.0),
            Option("--max-redirects", "N", "redirects to follow for a file", default=5, minimum=0),
            Option("--allow-private", help="allow addresses of this machine and of private"
                " networks"),
        ),
    },
    details="The files are kept in the knowledge base, and fetched again only if they have changed."
    " Chapters, dates and authors of a feed become metadata.",
)  # fmt: skip
