"""`wavrag chapters`: prints the chapters of a recording."""

from __future__ import annotations

import argparse
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING

from wavrag.cli.command import Command
from wavrag.cli.options import KB, Option
from wavrag.cli.transcript import OUT, RECOGNISER, read_transcript, write_output

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from wavrag.generate import Generator


def chapters(arguments: argparse.Namespace) -> int:
    """Print the chapters; exit code 0 even without any speech."""
    from wavrag.outline import Summariser, format_chapters, read_chapters

    with open_writer(arguments.generator) as generator:
        writer = Summariser(generator) if generator else None
        transcript = read_transcript(arguments)
        contents = writer.chapters(transcript) if writer else read_chapters(transcript)
    rows = [content.chapter for content in contents]
    write_output(format_chapters(rows, arguments.format), arguments.out)
    return 0


def open_writer(name: str | None) -> AbstractContextManager[Generator | None]:
    """The generator of a name, closed at the end; None without a name."""
    if name is None:
        return nullcontext()
    from wavrag.generate import load_generator

    return closing(load_generator(name))


WRITER = Option("--generator", "SPEC", "model that writes titles and summaries: local,"
    " local:FILE.gguf or openai:MODEL", unset="phrases and sentences of the recording")  # fmt: skip

COMMAND = Command(
    "chapters",
    "divide a recording into chapters with titles",
    chapters,
    (
        Option("source", "FILE|ID", "a recording, or the id of a document"),
        Option("--format", help="list with times as video platforms take it, WebVTT, JSON or"
            " Markdown", choices=("txt", "vtt", "json", "md"), default="txt"),
        OUT,
        WRITER,
        RECOGNISER,
        KB,
    ),
    (
        "wavrag chapters talk.mp3",
        "wavrag chapters talk.mp3 --format vtt --out talk.chapters.vtt",
        "wavrag chapters talk.mp3 --generator local",
    ),
    details="Chapters that are embedded in the recording are printed; any other recording is"
    " divided where its topic changes.",
)  # fmt: skip
