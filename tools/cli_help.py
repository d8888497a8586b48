"""Write docs/cli.md: the help text of every command.

.venv/bin/python tools/cli_help.py
"""

from __future__ import annotations

import os
from pathlib import Path

from wavrag.cli import CommandParser, build_parser

TARGET = Path(__file__).parent.parent / "docs" / "cli.md"
WIDTH = 92  # columns
HEAD = """# Command line

The help text of every command, as `--help` prints it. `tools/cli_help.py` generates this page.

- `--json` prints a single JSON document to standard output and nothing else. Notes and progress go
  to standard error.
- Exit codes: 0, done; 1, failed, or some input was skipped (the message gives the reason and the
  remedy); 2, wrong usage.
- Settings come from the environment and from `wavrag.toml`; `wavrag config` prints them, and
  [Settings](settings.md) has the list.
"""


def list_parsers(parser: CommandParser) -> list[CommandParser]:
    """The parser and those of all its subcommands, in the order of the help text."""
    parsers = [parser]
    for subparser in parser.subparsers():
        parsers += list_parsers(subparser)
    return parsers


def render_page() -> str:
    """The text of docs/cli.md."""
    os.environ["COLUMNS"] = str(WIDTH)
    sections = (
        f"## {parser.prog}\n\n```text\n{parser.format_help().rstrip()}\n```\n"
        for parser in list_parsers(build_parser())
    )
    return "\n".join([HEAD, *sections])


if __name__ == "__main__":
    TARGET.write_text(render_page(), encoding="utf-8")
