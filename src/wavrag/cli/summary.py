"""`wavrag summary`: prints the summary of a recording."""

from __future__ import annotations

import argparse

from wavrag.cli.chapters import WRITER, open_writer
from wavrag.cli.command import Command
from wavrag.cli.options import KB, Option
from wavrag.cli.transcript import OUT, RECOGNISER, read_transcript, write_output


def summary(arguments: argparse.Namespace) -> int:
    """Print the summary; exit code 0 even without any speech."""
    from wavrag.outline import Summariser, extract_summary, format_summary

    with open_writer(arguments.generator) as generator:
        writer = Summariser(generator) if generator else None
        transcript = read_transcript(arguments)
        result = (
            writer.summary(transcript, arguments.sentences)
            if writer
            else extract_summary(transcript, arguments.sentences)
        )
    write_output(format_summary(result, arguments.format), arguments.out)
    return 0


COMMAND = Command(
    "summary",
    "summarise a recording and its chapters, with times",
    summary,
    (
        Option("source", "FILE|ID", "a recording, or the id of a document"),
        Option("--sentences", "N", "maximum number of sentences", default=5, minimum=1),
        Option("--format", help="plain text, JSON or Markdown", choices=("txt", "json", "md"),
            default="txt"),
        OUT,
        WRITER,
        RECOGNISER,
        KB,
    ),
    (
        "wavrag summary talk.mp3",
        "wavrag summary talk.mp3 --format md --out talk.md",
        "wavrag summary talk.mp3 --generator openai:gpt-4o-mini",
    ),
    details="Without a generator, sentences of the recording are quoted. With one, every sentence"
    " is compared with the recording, and marked if nothing there supports it.",
)  # fmt: skip
