"""Limits of the process that parses documents: computing time and memory.

A document may use `CPU_SECONDS`, and `MEMORY_BYTES` in all, and more in proportion to its size. The
operating system enforces both, so that parsers written in C cannot exceed them either.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

CPU_SECONDS = 10.0
CPU_SECONDS_PER_MB = 3.0  # a workbook takes 1.4 on a fast processor, other formats less
WAIT_SECONDS = 120.0  # more: on a busy machine, computing takes many times as long
MEMORY_BYTES = 700 << 20  # of private memory, with the interpreter and its modules
MEMORY_FACTOR = 8  # times the size of the file; HTML of 60 MB takes 17 times its size
OCR_BYTES = 1536 << 20  # more with an OCR engine
OUTPUT_BYTES = 64 << 20  # of text and structure
OUTPUT_FACTOR = 20  # times the size of the file; the rows of a table repeat their header


def cpu_seconds(size: int) -> float:
    """Computing time for a file of so many bytes, or for a piece of it."""
    return CPU_SECONDS + CPU_SECONDS_PER_MB * size / (1 << 20)


def wall_seconds(size: int) -> float:
    """Time after which the process is killed even if it computes nothing."""
    return WAIT_SECONDS + cpu_seconds(size)


def output_bytes(size: int) -> int:
    """Size of the output of a file of so many bytes."""
    return OUTPUT_BYTES + OUTPUT_FACTOR * size


class ParseLimits:
    """Sets the limits of this process for a document."""

    def __init__(self) -> None:
        self._size = 0
        self._on_restart: Callable[[], None] = lambda: None
        self._is_active = False
        self._has_ocr = False

    def apply(self, size: int, on_restart: Callable[[], None]) -> None:
        """Begin a document of so many bytes; `on_restart` tells the waiting process."""
        self._size, self._on_restart = size, on_restart
        self._is_active, self._has_ocr = True, False
        self._limit_memory(0)
        self.restart_time()

    def restart(self) -> None:
        """Grant the time again, before each page that is read by OCR; without limits do nothing."""
        if not self._is_active:
            return
        if not self._has_ocr:
            self._has_ocr = True
            self._limit_memory(OCR_BYTES)
        self.restart_time()
        self._on_restart()

    def restart_time(self) -> None:
        """Grant the time again, after each piece of a long text."""
        if sys.platform != "win32":
            import signal

            # Counts computing time alone: the process also waits for its output to be read.
            # Without a handler, the signal ends the process, even within a parser in C.
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_PROF, cpu_seconds(self._size))

    def _limit_memory(self, extra: int) -> None:
        if sys.platform == "linux":
            import resource

            # Other systems do not enforce it.
            limit = MEMORY_BYTES + MEMORY_FACTOR * self._size + extra
            resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))


limits = ParseLimits()
"""The limits of this process; they apply in a process of the pool only."""
