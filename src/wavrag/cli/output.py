"""Output of commands: results on standard output, notes on standard error, JSON files."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavrag.errors import InputError

if TYPE_CHECKING:
    from wavrag.types import Citation, Hit, Passage

MAX_COLUMNS = 100  # longer lines of prose are hard to read, however wide the terminal is


def print_json(value: Any) -> None:
    """Print a value as a single JSON document."""
    # Without ensure_ascii, transcripts in any script stay readable in a terminal.
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2)
    print()


def note(message: str) -> None:
    """Print a line to standard error, so that standard output holds the result alone."""
    print(message, file=sys.stderr)


class NoteLog:
    """Collects `messages`, and prints each with a label such as `skipped` unless it is quiet."""

    def __init__(self, label: str, quiet: bool) -> None:
        self._label = label
        self._quiet = quiet
        self.messages: list[str] = []

    def __call__(self, message: str) -> None:
        """Add a message."""
        self.messages.append(message)
        if not self._quiet:
            note(f"{self._label}: {message}")


def short_path(path: str) -> str:
    """The path relative to the working directory if that is shorter."""
    if not os.path.isabs(path):
        return path
    try:
        relative = os.path.relpath(path)
    except ValueError:  # on another Windows drive
        return path
    return relative if len(relative) < len(path) else path


def format_location(passage: Passage) -> str:
    """The source of a passage and the location in it."""
    source = short_path(passage.source)
    return f"{source}  {passage.location}" if passage.location else source


def format_snippet(passage: Passage) -> str:
    """The beginning of a passage's text on one line, at most 240 characters."""
    # Recordings of machines or music have no transcript; they are found by their sound.
    if not passage.text:
        return f"({passage.title}: sound without words)"
    return textwrap.shorten(passage.text, 240, placeholder=" …")


def print_hits(hits: Iterable[Hit]) -> None:
    """Print rank, score, source, location and the beginning of the text of each hit."""
    for hit in hits:
        print(f"{hit.rank:3d}  {hit.score:.4f}  {format_location(hit.passage)}")
        print(_wrap(format_snippet(hit.passage), indent=13))


def print_citations(citations: Iterable[Citation]) -> None:
    """Print number, source and location of each cited passage, with its quotes below."""
    # An answer may cite several sentences of a passage: one heading, then every quote.
    for number, group in groupby(sorted(citations, key=attrgetter("number")), attrgetter("number")):
        quotes = list(group)
        print(f"[{number}] {format_location(quotes[0].passage)}")
        for citation in quotes:
            if citation.quote:
                print(_wrap(f"“{citation.quote}”", indent=4))


def _wrap(text: str, indent: int) -> str:
    columns = min(shutil.get_terminal_size().columns, MAX_COLUMNS)
    return textwrap.fill(text, columns, initial_indent=" " * indent, subsequent_indent=" " * indent)


def format_count(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_duration(seconds: float) -> str:
    """`42 s`, `12.5 min` or `3.2 h`."""
    # Up to 90 seconds, as 70 s is easier to read than 1.2 min.
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"


def json_file(option: str | None) -> Path | None:
    """The file of an option `--json FILE`; None without one and for `-`, standard output.

    Raises:
        InputError: the file cannot be written.
    """
    if option in (None, "-"):
        return None
    path = Path(str(option))
    check_writable(path, "--json")
    return path


def check_writable(path: Path, option: str) -> None:
    """Refuse an unwritable output file before hours of work go into it.

    Raises:
        InputError: the file cannot be written; the message names the option.
    """
    if path.is_dir():
        raise InputError(f"{option} {path} is a folder: name a file")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{option} {path}: there is no folder {path.parent}: create it first")
    # A new file needs a writable folder, an old one need only be writable itself.
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise InputError(
            f"{option} {path} cannot be written: change its permissions, or name another file"
        )


def save_json(path: Path, value: Any) -> None:
    """Write a value to a file as a single JSON document, with the errors of `save_text`."""
    save_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def save_text(path: Path, text: str, mode: str = "w") -> None:
    """Write a text to a file, or append it in the mode `a`.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
