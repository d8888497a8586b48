"""A parser process whose parser of reStructuredText does what the file says."""

from __future__ import annotations

import json
import os
import re
import signal
import sys

from wavrag.text import ParsedText
from wavrag.text.parser_process import serve as serve_parsers


def parse_hostile(content: str) -> ParsedText:
    """Do what the content of a file says."""
    match content.split():
        case ["compute"]:
            # Within C, where no signal handler of Python runs.
            re.compile("(a+)+b").match("a" * 60)
        case ["allocate"]:
            return ParsedText("", str(len(bytearray(8 << 30))), ())
        case ["crash"]:
            os.kill(os.getpid(), signal.SIGSEGV)
        case ["write"]:
            return ParsedText("", "a" * (80 << 20), ())
        case ["garble"]:
            json.dumps = lambda *args, **keywords: "{"
        case ["print"]:
            print("noise", flush=True)
        case ["environment"]:
            return ParsedText("", " ".join(os.environ), ())
    return ParsedText("", content, ())


def serve() -> None:
    """Answer requests with the hostile parser."""
    sys.modules["wavrag.text.parsers"]._PARSERS["rst"] = parse_hostile
    serve_parsers()
