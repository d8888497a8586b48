"""Conversation files: JSON lines of history turns, `{"question": …, "answer": …}`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from wavrag.cli.output import save_text
from wavrag.errors import InputError

if TYPE_CHECKING:
    from wavrag.types import HistoryTurn


def read_history(path: Path) -> list[HistoryTurn]:
    """Read a conversation file, oldest turn first; a missing file is an empty conversation.

    Raises:
        InputError: the file cannot be read, or a line is malformed; the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        # A missing file starts a conversation; a missing folder is a typing error.
        if path.absolute().parent.is_dir():
            return []
        raise InputError(f"{path}: there is no folder {path.parent}: create it first") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}): name a JSON lines file") from error
    return [
        _parse_turn(line, f"{path}, line {n}") for n, line in enumerate(lines, 1) if line.strip()
    ]


def add_turn(path: Path, turn: HistoryTurn) -> None:
    """Append a turn to a conversation file, with the errors of `save_text`."""
    # One write per turn: an interrupted process leaves no half line.
    save_text(path, json.dumps(asdict(turn), ensure_ascii=False) + "\n", mode="a")


def _parse_turn(line: str, line_name: str) -> HistoryTurn:
    from wavrag.types import HistoryTurn

    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:  # deeply nested JSON exhausts the stack
        raise InputError(f"{line_name}: is not JSON ({error}): remove or correct it") from error
    if (
        not isinstance(fields, dict)
        or fields.keys() != {"question", "answer"}
        or not all(isinstance(value, str) for value in fields.values())
    ):
        raise InputError(f"{line_name}: is not a turn: write strings as question and answer")
    return HistoryTurn(**fields)
