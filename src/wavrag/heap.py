"""Keep the heap of a process small; without effect in C libraries other than glibc."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

_M_ARENA_MAX = -8  # in glibc's malloc.h
ARENAS = 2


def limit_arenas() -> None:
    """Let the allocator use two heaps at most.

    By default it makes up to eight for each core, and none of them gives its free memory to the
    others: in a long run, LanceDB's threads left 150 MB of free memory in theirs.
    """
    if hasattr(library := _c_library(), "mallopt"):
        library.mallopt(_M_ARENA_MAX, ARENAS)


def trim_heap() -> None:
    """Return free memory to the system, in about 10 ms.

    The allocator keeps free memory below memory in use: 70 MB after a document of 100,000 passages
    was written. The next step, in other threads, would need as much again.
    """
    if hasattr(library := _c_library(), "malloc_trim"):
        library.malloc_trim(0)


def _c_library() -> Any:
    # Windows has no library of the process itself.
    return None if sys.platform == "win32" else ctypes.CDLL(None)
