"""What the environment decides: where things are kept and how many threads work."""

from __future__ import annotations

import os
from pathlib import Path

from wavrag.errors import WavRAGError

DEFAULT_EMBEDDER = "cascade"
DEFAULT_GENERATOR = "extractive"


def kb_directory() -> Path:
    """Folder of the knowledge base: `WAVRAG_KB`, or `.wavrag` in the working directory."""
    return Path(os.environ.get("WAVRAG_KB") or ".wavrag")


def threads() -> int:
    """Threads that models use: `WAVRAG_THREADS`, or the processors this process may run on.

    Raises:
        WavRAGError: `WAVRAG_THREADS` is not a whole number above 0.
    """
    value = os.environ.get("WAVRAG_THREADS")
    if not value:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if not (value.isascii() and value.isdecimal()) or int(value) < 1:
        raise WavRAGError(f"WAVRAG_THREADS is {value!r}: set it to a whole number above 0")
    return int(value)
