"""The process that parses documents for `ParserPool`: requests on standard input, pieces on output.

A request is a line of JSON. The messages (`parser_messages.py`) are pieces, then the notes or an
error, and whether the process ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import IO, Any

from wavrag.errors import DocumentError
from wavrag.text.formats import detect_format
from wavrag.text.limits import limits
from wavrag.text.parser_messages import encode_message, encode_piece
from wavrag.text.parsers import parse_pieces

RECYCLE_BYTES = 300 << 20  # a process that has used more memory ends after the document
NICENESS = 5  # searches of the same machine come first


def serve() -> None:
    """Answer requests until the standard input ends."""
    # The end of the input ends this process. A service manager or Ctrl-C would end it in the middle
    # of a document, which would then be refused for good.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # Libraries may print: the messages have a file of their own.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if sys.platform != "win32":
        import resource

        os.nice(NICENESS)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin.buffer:
        kind, content = _parse(json.loads(line), output)
        is_last = _memory_bytes() > RECYCLE_BYTES
        _send(output, kind, {"content": content, "is_last": is_last})
        if is_last:
            return


def _parse(request: dict[str, Any], output: IO[bytes]) -> tuple[str, Any]:
    """Send the pieces of a file; return the kind and the content of the message at their end."""
    size = request["size"]
    limits.apply(size, lambda: _send(output, "alive", None))
    notes: list[str] = []
    try:
        file, name = Path(request["path"]), request["name"]
        format = detect_format(file, name, as_text=True)
        for parsed in parse_pieces(file, format, name=name, on_note=notes.append):
            _send(output, "piece", encode_piece(parsed))
            limits.restart_time()
    except (DocumentError, OSError) as error:  # OSError: the file was deleted meanwhile
        return "error", str(error)
    return "end", notes


def _send(output: IO[bytes], kind: str, content: Any) -> None:
    output.write(encode_message(kind, content))
    output.flush()


def _memory_bytes() -> int:
    """Resident memory of this process; 0 on other systems than Linux."""
    if sys.platform == "linux":
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    else:
        return 0
