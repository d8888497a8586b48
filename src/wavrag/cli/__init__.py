"""The command line: finds a command, parses its options, returns its exit code.

Each module holds one command: its options, its function and its examples. A module imports the
rooms below it inside functions, so that `wavrag --help` loads none of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from wavrag.cli import (
    add_url,
    answers,
    ask,
    chapters,
    config,
    demo,
    doctor,
    embed_bulk,
    evaluate,
    index,
    kb,
    mcp,
    mine,
    search,
    serve,
    summary,
    synth,
    tasks,
    token,
    train,
    transcript,
    watch,
    worker,
)
from wavrag.cli.command import Command, CommandParser, UsageError, run_command
from wavrag.cli.options import JSON_FILE, SEED, Option
from wavrag.cli.output import json_file, note, print_json, save_json, short_path
from wavrag.cli.progress import StageBars

__all__ = [
    "JSON_FILE", "SEED", "Command", "CommandParser", "Option", "StageBars", "UsageError",
    "build_parser", "json_file", "main", "note", "print_json", "run_command", "save_json",
    "short_path",
]  # fmt: skip


class _PrintVersion(argparse.Action):
    # argparse's own action wants the version while the parser is built; reading the metadata of
    # the package then takes a third of the time of `wavrag --help`.
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from wavrag import __version__

        print(f"wavrag {__version__}")
        parser.exit()


def build_parser() -> CommandParser:
    """The parser of the program; `run` of the parsed arguments is the function of the command."""
    return CommandParser(WAVRAG, WAVRAG.name)


WAVRAG = Command(
    "wavrag",
    "ask with your voice, over recordings and documents",
    options=(Option("--version", help="print the version and exit", action=_PrintVersion),),
    examples=(
        "wavrag demo",
        "wavrag index talks/ notes/",
        'wavrag ask "Are dogs allowed on the ferry?"',
    ),
    details="Every answer cites its sources: sentences of documents, seconds of recordings.",
    subcommands={
        "knowledge base": (
            index.COMMAND,
            add_url.COMMAND,
            watch.COMMAND,
            embed_bulk.EMBED,
            embed_bulk.IMPORT,
            search.COMMAND,
            ask.COMMAND,
            transcript.COMMAND,
            chapters.COMMAND,
            summary.COMMAND,
            kb.COMMAND,
        ),
        "first steps": (demo.COMMAND, doctor.COMMAND, config.create_command(build_parser)),
        "server": (serve.COMMAND, worker.COMMAND, mcp.COMMAND, token.COMMAND),
        "evaluation": (evaluate.COMMAND, answers.COMMAND, tasks.COMMAND),
        "training": (train.COMMAND, synth.COMMAND, mine.COMMAND),
    },
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        argv: arguments without the program's name; None for those of the process.

    Example:
        >>> main(["kb", "infos"])  # did you mean info?
        2
    """
    return run_command(WAVRAG, argv)
