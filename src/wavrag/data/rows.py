"""JSON Lines files of the data folder, and JSON files of a training run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wavrag.errors import InputError


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON Lines file.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"data file {path} cannot be read: {error}") from error
    return map(json.loads, lines)


def write_json(path: Path, content: Any) -> None:
    """Write a value as JSON; the file appears only once it is complete."""
    # A stage counts as done once its file exists, so a killed run must not leave half of one.
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)
