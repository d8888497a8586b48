"""Keep the heap of a process small."""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8  # in glibc's malloc.h
ARENAS = 2


def limit_arenas() -> None:
    """Let glibc's allocator use two heaps at most; without effect in other C libraries.

    By default it makes up to eight for each core, and none of them gives its free memory to the
    others: in a long run, LanceDB's threads left 150 MB of free memory in theirs.
    """
    try:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return
