"""What people and programs read."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import Any

from wavrag.errors import WavRAGError
from wavrag.types import Citation, Hit, Passage


class UsageError(WavRAGError):
    """The command was called with options that make no sense; the exit code is 2."""


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2)
    print()


def note(message: str) -> None:
    """A line for people, beside the result."""
    print(message, file=sys.stderr)


def short_path(path: str) -> str:
    """A path relative to the working directory where that is shorter."""
    if not os.path.isabs(path):
        return path
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return path
    return relative if len(relative) < len(path) else path


def locate(passage: Passage) -> str:
    """Source and place of a passage."""
    source = short_path(passage.source)
    return f"{source}  {passage.place}" if passage.place else source


def snippet(passage: Passage, width: int = 240) -> str:
    """The beginning of a passage's words on one line."""
    if not passage.text:
        return f"({passage.title}: sound without words)"
    return textwrap.shorten(passage.text, width, placeholder=" …")


def print_hits(hits: Iterable[Hit]) -> None:
    """Rank, score, source and place of each hit, and its words below."""
    columns = min(shutil.get_terminal_size().columns, 100)
    for hit in hits:
        print(f"{hit.rank:3d}  {hit.score:.4f}  {locate(hit.passage)}")
        print(_filled(snippet(hit.passage), columns, 13))


def print_citations(citations: Iterable[Citation]) -> None:
    """Number, source and place of each cited passage, and what is quoted of it below."""
    columns = min(shutil.get_terminal_size().columns, 100)
    for number, group in groupby(sorted(citations, key=attrgetter("number")), attrgetter("number")):
        quotes = list(group)
        print(f"[{number}] {locate(quotes[0].passage)}")
        for citation in quotes:
            if citation.quote:
                print(_filled(f"“{citation.quote}”", columns, 4))


def _filled(text: str, columns: int, indent: int) -> str:
    return textwrap.fill(text, columns, initial_indent=" " * indent, subsequent_indent=" " * indent)


def counted(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """`42 s`, `12.5 min` or `3.2 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"
