"""Write docs/cli.md: the help text of every command.

.venv/bin/python tools/cli_help.py
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from wavrag.cli.parser import build_parser

TARGET = Path(__file__).parent.parent / "docs" / "cli.md"
HEAD = """# The command line

Every command with its options, as `--help` prints them; `tools/cli_help.py` writes this page.

- `--json` prints one JSON document on standard output and nothing else; what is for people goes to
  standard error.
- Exit codes: 0 done; 1 failed, or something was skipped (the message says what and what to do);
  2 wrong usage.
- Environment: `WAVRAG_KB` names the knowledge base (default `.wavrag`), `WAVRAG_THREADS` the number
  of threads that models use. `OPENAI_BASE_URL` and `OPENAI_API_KEY` are for `--generator
  openai:MODEL`.
"""


def commands(parser: Any) -> list[Any]:
    """The parser and those of its commands, in order."""
    found = [parser]
    for action in parser._subparsers._group_actions if parser._subparsers else ():
        for sub in action.choices.values():
            found += commands(sub)
    return found


def page() -> str:
    """The text of docs/cli.md."""
    os.environ["COLUMNS"] = "92"
    sections = (
        f"## {parser.prog}\n\n```text\n{parser.format_help().rstrip()}\n```\n"
        for parser in commands(build_parser())
    )
    return "\n".join([HEAD, *sections])


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
