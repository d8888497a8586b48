"""Defaults, and settings from environment variables: folders, threads, trusted code."""

from __future__ import annotations

import os
from pathlib import Path

from wavrag.errors import WavRAGError

DEFAULT_EMBEDDER = "wavretriever"
DEFAULT_GENERATOR = "extractive"


def kb_directory() -> Path:
    """The default knowledge base folder: `WAVRAG_KB`, or `.wavrag` in the working directory."""
    # An empty variable counts as unset: Path("") would be the working directory itself.
    return Path(os.environ.get("WAVRAG_KB") or ".wavrag")


def config_directory() -> Path:
    """The folder of the user's configuration: `WAVRAG_CONFIG`, or `~/.config/wavrag`."""
    folder = os.environ.get("WAVRAG_CONFIG")
    if folder:
        return Path(folder)
    # The variable of the XDG Base Directory Specification.
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "wavrag"


def is_code_trusted(model: str) -> bool:
    """True if `WAVRAG_TRUST_CODE` lists a model, ORG/NAME or a folder: its code may run."""
    return model in os.environ.get("WAVRAG_TRUST_CODE", "").split(",")


def threads() -> int:
    """The number of threads for models: `WAVRAG_THREADS`, or the processors of this process.

    Raises:
        WavRAGError: `WAVRAG_THREADS` is not a whole number above 0.

    Example:
        >>> os.environ["WAVRAG_THREADS"] = "2"
        >>> threads()
        2
    """
    value = os.environ.get("WAVRAG_THREADS")
    if not value:
        # Containers and job schedulers restrict a process to some processors; more threads than
        # those slow each other down. macOS and Windows have no such call.
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    # isdecimal alone accepts digits of other scripts, such as Arabic ones.
    if not (value.isascii() and value.isdecimal()) or int(value) < 1:
        raise WavRAGError(f"WAVRAG_THREADS is {value!r}: set it to a whole number above 0")
    return int(value)
