"""The command line: argv to calls to an exit code.

0: done. 1: failed, or something was skipped; the message says what and what to do. 2: wrong usage.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from wavrag.cli.output import (
    Bar,
    UsageError,
    check_target,
    note,
    print_json,
    short_path,
    write_figures,
)
from wavrag.cli.parser import build_parser, grouped
from wavrag.errors import WavRAGError

__all__ = [
    "Bar",
    "UsageError",
    "check_target",
    "note",
    "print_json",
    "short_path",
    "write_figures",
]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = build_parser().parse_args(grouped(sys.argv[1:] if argv is None else argv))
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except UsageError as error:
        print(f"wavrag: {error}", file=sys.stderr)
        return 2
    except WavRAGError as error:
        print(f"wavrag: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("wavrag: interrupted; what was stored stays stored", file=sys.stderr)
    except BrokenPipeError:
        # The reader of our output has gone; keep the interpreter from flushing to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
