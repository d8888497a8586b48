"""Parse documents in other processes, with limits of time, memory and output.

A hostile document can make a parser compute for hours, exhaust the memory or crash; here it ends
one process, and the document is refused. The processes are reused. They also leave the interpreter
of this process to searches.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from wavrag.errors import DocumentError
from wavrag.text.document import ParsedText
from wavrag.text.limits import cpu_seconds, output_bytes, wall_seconds
from wavrag.text.parser_messages import LENGTH_BYTES, decode_message
from wavrag.types import NoteCallback

MAX_PROCESSES = 4  # at the same time; more documents wait
# No keys and tokens: a hostile document may read the memory of its process.
ENVIRONMENT = (
    "PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT",
    "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TESSDATA_PREFIX", "PYTHONHOME", "WAVRAG_THREADS",
    "OMP_NUM_THREADS",
)  # fmt: skip
# The modules of this process, without the current folder, which could hold others.
PROGRAM = (
    "import sys; sys.path[:] = sys.argv[1:];from wavrag.text.parser_process import serve; serve()"
)


class ParserPool:
    """Processes that parse documents, started when needed; safe for threads."""

    def __init__(self) -> None:
        self._slots = threading.BoundedSemaphore(MAX_PROCESSES)
        self._idle: list[_ParserProcess] = []

    def read(self, path: str, name: str, size: int, on_note: NoteCallback) -> Iterator[ParsedText]:
        """Parse a file; see `read_pieces`.

        Args:
            path: absolute path.
            name: name for messages, and of the format.
            size: of the file, in bytes; the limits depend on it.
            on_note: called with remarks.

        Raises:
            DocumentError: it cannot be parsed within the limits.
        """
        with self._slots:
            process = self._take()
            try:
                for kind, content in process.request(path, name, size):
                    match kind:
                        case "piece":
                            yield content
                        case "end":
                            for note in content:
                                on_note(note)
                        case "error":
                            raise DocumentError(content)
            finally:
                # A consumer that stops early, or a failure, leaves it in the middle of an answer.
                if process.is_idle:
                    self._idle.append(process)
                else:
                    process.close()

    def close(self) -> None:
        """End the idle processes."""
        while self._idle:
            self._idle.pop().close()

    def forget(self) -> None:
        """Leave the processes to the parent of a forked process."""
        self._slots = threading.BoundedSemaphore(MAX_PROCESSES)
        self._idle = []

    def _take(self) -> _ParserProcess:
        with suppress(IndexError):
            while True:
                process = self._idle.pop()
                if process.is_alive:
                    return process
                process.close()
        return _ParserProcess()


class _ParserProcess:
    def __init__(self) -> None:
        paths = [path for path in sys.path if path]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM, *paths],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={key: os.environ[key] for key in ENVIRONMENT if key in os.environ},
        )  # fmt: skip
        self.is_idle = True
        self._is_late = self._is_large = False

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def request(self, path: str, name: str, size: int) -> Iterator[tuple[str, Any]]:
        """Yield the messages about a file."""
        assert self._process.stdin is not None
        self.is_idle = False
        line = json.dumps({"path": path, "name": name, "size": size})
        with suppress(BrokenPipeError):  # explained below
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
        left = output_bytes(size)
        kind = ""
        while kind not in ("end", "error"):
            data = self._receive(wall_seconds(size), left)
            if data is None:
                raise DocumentError(f"{name}: {self._explain(size)}")
            left -= len(data)
            try:
                kind, content, self.is_idle = decode_message(data)
            except Exception as error:  # the document may have taken the process over
                raise DocumentError(
                    f"{name}: made its parser send an unreadable message: replace it with an"
                    " intact copy or leave it out"
                ) from error
            yield kind, content

    def close(self) -> None:
        """End the process."""
        process = self._process
        if not self.is_idle:
            process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _receive(self, seconds: float, limit: int) -> bytes | None:
        """The next message; None if the process has ended or was killed."""
        assert self._process.stdout is not None
        timer = threading.Timer(seconds, self._end_late)
        timer.daemon = True
        timer.start()
        try:
            length = int.from_bytes(self._process.stdout.read(LENGTH_BYTES), "big")
            if length > limit:
                self._is_large = True
                self._process.kill()
                return None
            data = self._process.stdout.read(length)
        finally:
            timer.cancel()
        return data if 0 < length == len(data) else None

    def _end_late(self) -> None:
        self._is_late = True
        self._process.kill()

    def _explain(self, size: int) -> str:
        """Why the process ended in the middle of a document."""
        code = self._process.wait()
        if self._is_large:
            limit = output_bytes(size) >> 20
            return f"would give more than {limit} MB of text: split it or leave it out"
        if self._is_late or (sys.platform != "win32" and code == -_time_signal()):
            return f"takes longer than {cpu_seconds(size):.0f} s to parse: split it or leave it out"
        return (
            f"made its parser crash or run out of memory (exit code {code}): replace it with an"
            " intact copy, split it or leave it out"
        )


def _time_signal() -> int:
    import signal

    return int(signal.SIGPROF)


pool = ParserPool()
"""The processes of this program."""
atexit.register(pool.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.forget)
