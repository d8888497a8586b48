"""Files of the data folder: a JSON object a line."""

from __future__ import annotations

import json
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
