"""Reading the files of data sets row by row, with the place of each row for what is wrong in it.

Every reader yields `(place, row)`: the place is `FILE:LINE`, or for a JSON document
`FILE: record N (ID)`. A row that cannot be read is rejected by its place, and reading goes on.
"""

from __future__ import annotations

import csv
import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, TextIO, TypeVar

from wavrag.audio import AUDIO_SUFFIXES
from wavrag.data.records import skip_or_raise
from wavrag.errors import InputError, MissingExtraError
from wavrag.types import NoteCallback

T = TypeVar("T")
U = TypeVar("U")

_ID_KEYS = ("id", "_id", "QuestionId", "title")
_SUFFIXES = ("", ".wav", *sorted(AUDIO_SUFFIXES - {".wav"}))


def find_file(folder: Path, name: str) -> Path | None:
    """The file of that name, whichever way its accents are encoded; None if there is none."""
    for form in dict.fromkeys(
        (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))
    ):
        path = folder / form
        if path.is_file():
            return path
    return None


def require_file(folder: Path, *names: str) -> Path:
    """The first of these files that the folder holds.

    Raises:
        InputError: it holds none of them.
    """
    for name in names:
        path = find_file(folder, name)
        if path is not None:
            return path
    raise InputError(f"{folder} has no {' or '.join(names)}")


class AudioFolder:
    """Finds the sound files of a data set, in `audio/` or beside the lists, of any format."""

    def __init__(self, folder: Path, *parts: str) -> None:
        """Look in those parts of `audio/`, then of the folder, then in the two themselves."""
        roots = (folder / "audio", folder)
        places = [root / part for root in roots for part in parts] + list(roots)
        self._folder = folder
        self._places = [place for place in places if place.is_dir()]

    def find(self, *stems: str) -> str:
        """Path of the first of these names that is there, with or without a suffix.

        Raises:
            InputError: none is.
        """
        for place in self._places:
            for stem in stems:
                if Path(stem).name != stem:
                    continue
                for suffix in _SUFFIXES:
                    path = find_file(place, stem + suffix)
                    if path is not None:
                        return str(path)
        raise InputError(f"no sound file {' or '.join(stems)} (.wav, .flac, …) in {self._folder}")


def read_json_lines(path: Path, on_note: NoteCallback | None) -> Iterator[tuple[str, Any]]:
    """The values of a JSON Lines file."""
    with _opened(path) as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    row = json.loads(_utf8(line))
                except ValueError as error:
                    skip_or_raise(f"{path}:{number}: {error}", on_note)
                else:
                    yield f"{path}:{number}", row


def read_json_items(
    path: Path, under: str, on_note: NoteCallback | None
) -> Iterator[tuple[str, Any]]:
    """The elements of one array of a JSON document, parsed one by one.

    Where the document stops being JSON, what is left of it is rejected.

    Args:
        path: the document.
        under: key of the array; empty if the document is the array.
        on_note: see `wavrag.data.records.reject`.
    """
    try:
        import ijson
    except ImportError:
        raise MissingExtraError("reading the JSON documents of data sets", "train") from None
    number = 0
    try:
        with path.open("rb") as document:
            items = ijson.items(document, f"{under}.item" if under else "item", use_float=True)
            for number, item in enumerate(items, start=1):
                known = item if isinstance(item, dict) else {}
                name = next((f" ({known[key]})" for key in _ID_KEYS if known.get(key)), "")
                yield f"{path}: record {number}{name}", item
    except (OSError, ValueError, ijson.JSONError) as error:
        reason = " ".join(str(error).split())
        skip_or_raise(f"{path}: cannot be read after record {number}: {reason}", on_note)
    else:
        if number == 0:
            where = f"under {under!r}" if under else "in it"
            skip_or_raise(f"{path}: no records {where}: is it another file?", on_note)


def read_table(
    path: Path,
    on_note: NoteCallback | None,
    columns: Sequence[str],
    *,
    delimiter: str = ",",
    quoted: bool = True,
    header: bool = True,
) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a table of text, by column.

    Args:
        path: the file.
        on_note: see `wavrag.data.records.reject`.
        columns: those that the header must name; without a header, the names of all, in order.
        delimiter: between fields.
        quoted: whether fields may stand in double quotes, and then go over lines.
        header: whether the first line names the columns.

    Raises:
        InputError: the file cannot be read, or its header lacks a column.
    """
    with _opened(path) as lines:
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
        while True:
            place = f"{path}:{reader.line_num + 1}"
            try:
                row = next(reader)
                if len(row) not in (0, len(names)):
                    raise ValueError(f"{len(row)} fields where {len(names)} belong")
                _utf8("".join(row))
            except StopIteration:
                break
            except (csv.Error, ValueError) as error:
                skip_or_raise(f"{place}: {error}", on_note)
                continue
            if row:
                yield place, dict(zip(names, row, strict=True))


def read_parquet(
    path: Path, columns: Sequence[str], on_note: NoteCallback | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a Parquet file, a few of them in memory at a time.

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
            for batch in file.iter_batches(batch_size=64, columns=list(columns)):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", row
    except (OSError, pyarrow.ArrowException) as error:
        reason = " ".join(str(error).split())
        if number == 0:
            raise InputError(f"{path} cannot be read: {reason}") from error
        skip_or_raise(f"{path}: cannot be read after row {number}: {reason}", on_note)


def map_rows(
    rows: Iterable[tuple[str, T]],
    make: Callable[[T], U | None],
    on_note: NoteCallback | None,
    left_out: str = "",
) -> Iterator[tuple[str, U]]:
    """What `make` makes of each row; a row that it refuses is rejected by its place.

    Args:
        rows: rows and their places.
        make: raises InputError, OSError, TypeError or ValueError for a broken row; returns None
            for a whole row that the data set does not train on.
        on_note: see `wavrag.data.records.reject`.
        left_out: what those rows are; their number is told to `on_note` at the end.
    """
    count = 0
    for place, row in rows:
        try:
            result = make(row)
        except (InputError, OSError, TypeError, ValueError) as error:
            skip_or_raise(f"{place}: {error}", on_note)
            continue
        if result is None:
            count += 1
        else:
            yield place, result
    if count and on_note is not None:
        on_note(f"{left_out}: {count} left out")


def drop_locations(rows: Iterable[tuple[str, T]]) -> Iterator[T]:
    """The rows without their places."""
    return (row for _, row in rows)


def group_adjacent(
    rows: Iterable[tuple[str, T]], key: Callable[[T], Any]
) -> Iterator[tuple[str, list[T]]]:
    """Neighbouring rows of one key together, at the place of the first."""
    for _, run in groupby(rows, key=lambda placed: key(placed[1])):
        placed = list(run)
        yield placed[0][0], [row for _, row in placed]


def get_text(row: Any, key: str) -> str:
    """A text that a row must have, without the space around it.

    Raises:
        InputError: it has none.
    """
    value = get_field(row, key)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{key!r} is no text" if value else f"{key!r} is empty")
    return value.strip()


def get_list(row: Any, key: str) -> list[Any]:
    """A list that a row must have.

    Raises:
        InputError: it has none.
    """
    value = get_field(row, key)
    if not isinstance(value, list):
        raise InputError(f"{key!r} is no list")
    return value


def get_field(row: Any, key: str) -> Any:
    """A value that a row must have.

    Raises:
        InputError: it has none, or is no object.
    """
    if not isinstance(row, dict):
        raise InputError("not an object with keys")
    if key not in row:
        raise InputError(f"no key {key!r}")
    return row[key]


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """A text file; bytes that are not UTF-8 stay recognisable for `_utf8`."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            yield lines
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _utf8(line: str) -> str:
    try:
        line.encode()
    except UnicodeEncodeError:
        raise ValueError("not UTF-8") from None
    return line
