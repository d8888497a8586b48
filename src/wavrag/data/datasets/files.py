"""Row-by-row readers for the files of data sets.

Every reader returns `Rows`, which have locations for error messages: `FILE:LINE`, or
`FILE: record N (ID)` in a JSON document. A malformed row is reported to `on_note` and skipped.
"""

from __future__ import annotations

import csv
import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from itertools import groupby
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, TextIO, TypeVar

from wavrag.audio import AUDIO_SUFFIXES
from wavrag.data.records import skip_or_raise
from wavrag.errors import InputError, MissingExtraError
from wavrag.types import OnNote

T = TypeVar("T")
U = TypeVar("U")
P = ParamSpec("P")

_ID_KEYS = ("id", "_id", "QuestionId", "title")
_SUFFIXES = ("", ".wav", *sorted(AUDIO_SUFFIXES - {".wav"}))
_PARQUET_BATCH = 64  # rows in memory at a time; a row may hold a recording


def find_file(folder: Path, name: str) -> Path | None:
    """Return the file of that name, or None."""
    # macOS decomposes accents in file names, archives and lists of files usually do not.
    for form in dict.fromkeys(
        (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))
    ):
        path = folder / form
        if path.is_file():
            return path
    return None


def require_file(folder: Path, *names: str) -> Path:
    """Return the first of these files in the folder.

    Raises:
        InputError: none of them exists.
    """
    for name in names:
        path = find_file(folder, name)
        if path is not None:
            return path
    raise InputError(f"{folder} has no {' or '.join(names)}")


class AudioFolder:
    """Finds the audio files of a data set by their names without suffix."""

    def __init__(self, folder: Path, *subfolders: str) -> None:
        """Search the subfolders of `audio/` and of the folder, then these two themselves."""
        roots = (folder / "audio", folder)
        paths = [root / name for root in roots for name in subfolders] + list(roots)
        self._folder = folder
        self._paths = [path for path in paths if path.is_dir()]

    def find(self, *stems: str) -> str:
        """Return the path of the first existing file, with or without a suffix.

        Raises:
            InputError: there is no such file.
        """
        for folder in self._paths:
            for stem in stems:
                # A name in a downloaded list must not lead out of the folder.
                if Path(stem).name != stem:
                    continue
                for suffix in _SUFFIXES:
                    path = find_file(folder, stem + suffix)
                    if path is not None:
                        return str(path)
        raise InputError(f"no sound file {' or '.join(stems)} (.wav, .flac, …) in {self._folder}")


class Rows(Generic[T]):
    """Rows with their locations; iteration yields the rows, once."""

    def __init__(self, located: Iterable[tuple[str, T]], on_note: OnNote) -> None:
        """Take pairs of location and row; see `wavrag.data.records.skip_or_raise` for `on_note`."""
        self.located = located
        self._on_note = on_note

    def __iter__(self) -> Iterator[T]:
        """Yield the rows without their locations."""
        return (row for _, row in self.located)

    def map(self, convert: Callable[[T], U | None], skipped: str = "") -> Rows[U]:
        """Convert rows; report malformed rows by location and skip them.

        Args:
            convert: raises InputError, OSError, TypeError or ValueError for a malformed row, and
                returns None for a row to skip.
            skipped: description of the rows to skip; `on_note` gets it with their number at the
                end.
        """

        def convert_rows() -> Iterator[tuple[str, U]]:
            count = 0
            for location, row in self.located:
                try:
                    result = convert(row)
                except (InputError, OSError, TypeError, ValueError) as error:
                    skip_or_raise(f"{location}: {error}", self._on_note)
                    continue
                if result is None:
                    count += 1
                else:
                    yield location, result
            # One note for all of them: a split may leave out 100,000s of valid rows.
            if count and self._on_note is not None:
                self._on_note(f"{skipped}: {count} left out")

        return Rows(convert_rows(), self._on_note)

    def group(self, key: Callable[[T], Any]) -> Rows[list[T]]:
        """Group adjacent rows with equal keys, at the location of the first one."""
        groups = (list(group) for _, group in groupby(self.located, lambda item: key(item[1])))
        pairs = ((items[0][0], [row for _, row in items]) for items in groups)
        return Rows(pairs, self._on_note)


def _return_rows(
    read: Callable[Concatenate[Path, OnNote, P], Iterator[tuple[str, T]]],
) -> Callable[Concatenate[Path, OnNote, P], Rows[T]]:
    """Let a generator of locations and rows return `Rows`."""

    @wraps(read)
    def read_rows(path: Path, on_note: OnNote, /, *args: P.args, **kwargs: P.kwargs) -> Rows[T]:
        return Rows(read(path, on_note, *args, **kwargs), on_note)

    return read_rows


@_return_rows
def read_json_lines(path: Path, on_note: OnNote) -> Iterator[tuple[str, Any]]:
    """Read the values of a JSON Lines file."""
    with _open_text(path) as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    row = json.loads(_check_utf8(line))
                except ValueError as error:
                    skip_or_raise(f"{path}:{number}: {error}", on_note)
                else:
                    yield f"{path}:{number}", row


@_return_rows
def read_json_items(path: Path, on_note: OnNote, under: str = "") -> Iterator[tuple[str, Any]]:
    """Read the elements of the array under a key of a JSON document, or of one that is an array.

    The rest of a document is skipped from the first syntax error.
    """
    try:
        import ijson
    except ImportError:
        raise MissingExtraError("reading the JSON documents of data sets", "train") from None
    number = 0
    try:
        with path.open("rb") as document:
            # Without `use_float`, numbers are Decimals, which the json module cannot write.
            items = ijson.items(document, f"{under}.item" if under else "item", use_float=True)
            for number, item in enumerate(items, start=1):
                keys = item if isinstance(item, dict) else {}
                name = next((f" ({keys[key]})" for key in _ID_KEYS if keys.get(key)), "")
                yield f"{path}: record {number}{name}", item
    except (OSError, ValueError, ijson.JSONError) as error:
        reason = " ".join(str(error).split())
        skip_or_raise(f"{path}: cannot be read after record {number}: {reason}", on_note)
    else:
        if number == 0:
            where = f"under {under!r}" if under else "in it"
            skip_or_raise(f"{path}: no records {where}: is it another file?", on_note)


@_return_rows
def read_table(
    path: Path,
    on_note: OnNote,
    columns: Sequence[str],
    *,
    delimiter: str = ",",
    quoted: bool = True,
    header: bool = True,
) -> Iterator[tuple[str, dict[str, str]]]:
    """Read the rows of a CSV or TSV file as dictionaries.

    Without a header, `columns` names all columns in order. Quoted fields may span lines. `on_note`
    is called with every malformed row; without it, the first is an error.

    Raises:
        InputError: the file cannot be read, or its header lacks a column.
    """
    with _open_text(path) as lines:
        reader = csv.reader(
            lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
        )
        names = list(columns)
        if header:
            try:
                names = [name.strip() for name in next(reader, [])]
            except csv.Error as error:
                raise InputError(f"{path}:1: {error}") from error
            for column in columns:
                if column not in names:
                    raise InputError(f"{path}:1: no column {column!r}: is it another file?")
        # Not a `for` loop: the location is that of the first line of a row with line breaks, and
        # reading continues after an error.
        while True:
            location = f"{path}:{reader.line_num + 1}"
            try:
                row = next(reader)
                if len(row) not in (0, len(names)):
                    raise ValueError(f"{len(row)} fields where {len(names)} belong")
                _check_utf8("".join(row))
            except StopIteration:
                break
            except (csv.Error, ValueError) as error:
                skip_or_raise(f"{location}: {error}", on_note)
                continue
            if row:
                yield location, dict(zip(names, row, strict=True))


@_return_rows
def read_parquet(
    path: Path, on_note: OnNote, columns: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the rows of a Parquet file in small batches.

    Raises:
        InputError: the file cannot be read, or lacks a column.
    """
    import pyarrow
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        with ParquetFile(path) as file:
            for column in columns:
                if column not in file.schema_arrow.names:
                    raise InputError(f"{path}: no column {column!r}: is it another file?")
            for batch in file.iter_batches(batch_size=_PARQUET_BATCH, columns=list(columns)):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", row
    except (OSError, pyarrow.ArrowException) as error:
        reason = " ".join(str(error).split())
        if number == 0:
            raise InputError(f"{path} cannot be read: {reason}") from error
        skip_or_raise(f"{path}: cannot be read after row {number}: {reason}", on_note)


def get_text(row: Any, key: str) -> str:
    """Return a required text, stripped of white space.

    Raises:
        InputError: there is none.
    """
    value = get_field(row, key)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # some data sets have numbers as ids
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{key!r} is no text" if value else f"{key!r} is empty")
    return value.strip()


def get_list(row: Any, key: str) -> list[Any]:
    """Return a required list.

    Raises:
        InputError: there is none.
    """
    value = get_field(row, key)
    if not isinstance(value, list):
        raise InputError(f"{key!r} is no list")
    return value


def get_field(row: Any, key: str) -> Any:
    """Return a required value.

    Raises:
        InputError: the key is missing, or the row is not an object.
    """
    if not isinstance(row, dict):
        raise InputError("not an object with keys")
    if key not in row:
        raise InputError(f"no key {key!r}")
    return row[key]


@contextmanager
def _open_text(path: Path) -> Iterator[TextIO]:
    """Open a text file; `_check_utf8` finds bytes that are not UTF-8.

    A strict decoder would end the stream at the first of them.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            yield lines
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _check_utf8(line: str) -> str:
    try:
        line.encode()
    except UnicodeEncodeError:
        raise ValueError("not UTF-8") from None
    return line
