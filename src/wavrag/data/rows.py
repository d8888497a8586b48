"""Files of JSON: those of the data folder, an object a line, and those that a run leaves."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wavrag.errors import InputError


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"data file {path} cannot be read: {error}") from error
    return map(json.loads, lines)


def write_json(path: Path, content: Any) -> None:
    """Write a value as a file, whole or not at all."""
    unfinished = path.with_name(path.name + ".partial")
    unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(unfinished, path)
