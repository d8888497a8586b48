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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavrag.errors import InputError

if TYPE_CHECKING:
    from wavrag.types import Citation, Hit, Passage


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
    return f"{source}  {passage.location}" if passage.location else source


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


class Bar:
    """How much of something is done, on standard error if that is a terminal.

    Args:
        what: the work, such as `speaking`.
        noun: what is counted.
        quiet: draw nothing.
    """

    def __init__(self, what: str, noun: str, quiet: bool) -> None:
        self._format = (
            f"{what}: {{n_fmt}}/{{total_fmt}} {noun} |{{bar:20}}| {{elapsed}}<{{remaining}}"
        )
        self._quiet = quiet or not sys.stderr.isatty()
        self._bar: Any = None

    def __enter__(self) -> Bar:
        return self

    def __call__(self, done: int, total: int) -> None:
        """Show how many are done."""
        if self._quiet:
            return
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=total, bar_format=self._format, dynamic_ncols=True, leave=False)
        self._bar.update(done - self._bar.n)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def check_target(path: Path, option: str = "--json") -> None:
    """Refuse what cannot be written at the end, before the work."""
    if path.is_dir():
        raise InputError(f"{option} {path} is a folder: name a file")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{option} {path}: there is no folder {path.parent}: make it first")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise InputError(
            f"{option} {path} cannot be written: allow it (chmod), or name another file"
        )


def write_figures(path: Path, figures: dict[str, Any]) -> None:
    """A file of figures as one JSON document."""
    try:
        path.write_text(json.dumps(figures, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
