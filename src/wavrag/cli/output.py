"""Output of commands: results on standard output, notes on standard error, JSON files.

Everything that a command prints passes through `SafeStream`, which no terminal can misread.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from wavrag.errors import InputError

if TYPE_CHECKING:
    from wavrag.kb import KnowledgeBase
    from wavrag.types import Citation, Hit, Passage

MAX_COLUMNS = 100  # longer lines of prose are hard to read, however wide the terminal is
# Control characters (escape sequences start with one), overrides of the writing direction, which
# can disguise a file name, and the surrogates that Python decodes invalid bytes to.
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202d\u202e\ud800-\udfff]")
# Progress bars return to the start of the line, or move the cursor between bars.
_CURSOR_MOVES = re.compile(r"(?:\n|\r|\x1b\[A)*")


def escape_character(char: str) -> str:
    r"""The JSON escape of a character; in a JSON string it stands for the character itself.

    Example:
        >>> escape_character("\x1b"), escape_character("⛵")
        ('\\u001b', '\\u26f5')
    """
    # Above U+FFFF, JSON has pairs of surrogates.
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def _escape_unencodable(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    characters = error.object[error.start : error.end]
    return "".join(map(escape_character, characters)), error.end


codecs.register_error("wavrag-escape", _escape_unencodable)


class SafeStream:
    """A text stream that escapes control characters, and characters that it cannot encode.

    File names, titles and passages come from others: they could clear the screen or change the
    window title. The escapes are those of JSON, so that `--json` prints the same data everywhere.
    """

    def __init__(self, stream: TextIO, has_bars: bool = False) -> None:
        self._stream = stream
        self._has_bars = has_bars  # True to let cursor moves at the start of a text pass

    def write(self, text: str) -> int:
        """Write a text."""
        moves = _CURSOR_MOVES.match(text) if self._has_bars else None
        start = moves.end() if moves else 0
        if _UNSAFE.search(text, start):
            safe = _UNSAFE.sub(lambda match: escape_character(match[0]), text[start:])
            text = text[:start] + safe
        encoding = self._stream.encoding or "utf-8"
        if not text.isascii() and codecs.lookup(encoding).name != "utf-8":
            text = text.encode(encoding, "wavrag-escape").decode(encoding)
        return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def safe_output() -> Iterator[None]:
    """Replace standard output and standard error by safe streams within a `with` block."""
    streams = sys.stdout, sys.stderr
    sys.stdout = cast("TextIO", SafeStream(sys.stdout))
    sys.stderr = cast("TextIO", SafeStream(sys.stderr, has_bars=True))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


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
    """The path on one line, relative to the working directory if that is shorter."""
    if os.path.isabs(path):
        with suppress(ValueError):  # on another Windows drive
            path = min(path, os.path.relpath(path), key=len)
    # A line feed in a file name must not start a line that looks like another message.
    return re.sub(r"[\n\t\u2028\u2029]", lambda match: escape_character(match[0]), path)


def kb_name(kb: KnowledgeBase) -> str:
    """The folder of a knowledge base as a short path, or its URL without password."""
    return kb.address if kb.directory is None else short_path(str(kb.directory.absolute()))


def note_files(kind: str, remarks: Iterable[tuple[str, str]]) -> None:
    """Print remarks on files, such as why they were skipped, to standard error.

    Args:
        kind: first word of each line.
        remarks: sources and remarks.
    """
    for source, remark in remarks:
        # Messages of errors often begin with the path; it is printed once, in its short form.
        note(f"{kind}: {short_path(source)}: {remark.removeprefix(f'{source}: ')}")


def format_location(passage: Passage) -> str:
    """The source of a passage, the location in it, and its speaker."""
    location = add_speaker(passage.location, passage)
    source = short_path(passage.source)
    return f"{source}  {location}" if location else source


def add_speaker(location: str, passage: Passage) -> str:
    """A location with the speaker of its passage, if known."""
    return ", ".join(filter(None, (location, passage.speaker)))


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
        if hit.passage.copies:
            paths = ", ".join(map(short_path, hit.passage.copies))
            print(_wrap(f"copies: {paths}", indent=13))
        if hit.similar:
            sources = dict.fromkeys(short_path(member.passage.source) for member in hit.similar)
            print(_wrap(f"{len(hit.similar)} similar: {', '.join(sources)}", indent=13))


def print_citations(citations: Iterable[Citation], answer: str = "") -> None:
    """Print number, source and location of each cited passage, with its quotes below.

    A quote that stands in the answer is not printed again.
    """
    line = " ".join(answer.split())
    # An answer may cite several sentences of a text: one heading, then every quote. Each quote of a
    # recording has a heading with its times.
    sequence = sorted(citations, key=lambda citation: (citation.number, citation.start or 0.0))
    for (number, location), group in groupby(sequence, attrgetter("number", "location")):
        quotes = list(group)
        source = short_path(quotes[0].passage.source)
        label = add_speaker(location, quotes[0].passage)
        print(f"[{number}] {source}  {label}" if label else f"[{number}] {source}")
        for citation in quotes:
            if citation.quote and " ".join(citation.quote.split()) not in line:
                print(_wrap(f"“{citation.quote}”", indent=4))


def _wrap(text: str, indent: int) -> str:
    columns = min(shutil.get_terminal_size().columns, MAX_COLUMNS)
    return textwrap.fill(text, columns, initial_indent=" " * indent, subsequent_indent=" " * indent)


def format_count(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    if number != 1:
        noun = f"{noun.removesuffix('y')}ies" if noun == "copy" else f"{noun}s"
    return f"{number:,} {noun}"


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
        # Lone surrogates are not encodable; this writes them as JSON does.
        with path.open(mode, encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
