"""Training records: a query with what answers it and what does not, each of words or sound.

The one type that data sets are read into, that `synth` and `mine` read and write, and that a
retriever learns from. A file of records is JSON Lines, an object a line:

    {"id": "hotpotqa/5a7a", "query": {"text": "Who ..."}, "positives": [{"text": "..."}]}

with the keys of `Content` and `TrainingRecord`; a path in it is relative to the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wavrag.errors import InputError
from wavrag.types import NoteCallback

_ENTRY_KEYS = ("text", "audio", "start", "end", "transcript")
_RECORD_KEYS = ("id", "query", "positives", "negatives", "source")


@dataclass(frozen=True, slots=True)
class Content:
    """What is embedded as one: words, sound, or both.

    Attributes:
        text: words that the model reads; None if there are none.
        audio: path of a recording, or the bytes of an audio file, that the model hears.
        start: second of the recording at which it starts; None for its beginning.
        end: second of the recording at which it ends; None for its end.
        said: what is said in the recording, where that is known; the model does not see it.
    """

    text: str | None = None
    audio: str | bytes | None = None
    start: float | None = None
    end: float | None = None
    transcript: str | None = None

    @property
    def kind(self) -> str:
        """`T` for text, `S` for sound, `AT` for both."""
        return ("AT" if self.text else "S") if self.audio is not None else "T"


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """A query, and entries that belong to it and do not.

    Attributes:
        id: unique in its data set; starts with the data set's name.
        query: what is asked.
        positives: at least one entry that should be found.
        negatives: entries that should not be found although they are near.
        source: data set that it comes from.
    """

    id: str
    query: Content
    positives: tuple[Content, ...]
    negatives: tuple[Content, ...] = ()
    source: str = ""

    @property
    def direction(self) -> str:
        """Kind of the query and of the first positive, such as `S2T` or `AT2AT`."""
        return f"{self.query.kind}2{self.positives[0].kind}"


def read_records(
    path: str | os.PathLike[str], on_note: NoteCallback | None = None
) -> Iterator[TrainingRecord]:
    """Stream the records of a file; relative paths of recordings are taken from its folder.

    Args:
        path: file of JSON Lines.
        on_note: told of every broken line by file and line, which is then left out; without it, a
            broken line is an error.

    Raises:
        InputError: the file cannot be read, or a line is broken and there is no `on_note`.
    """
    folder = Path(path).parent
    for number, line in read_numbered_lines(path):
        try:
            yield _located(parse_record(json.loads(line)), folder)
        except (ValueError, InputError) as error:
            skip_or_raise(f"{path}:{number}: {error}", on_note)


def write_records(path: str | os.PathLike[str], records: Iterable[TrainingRecord]) -> int:
    """Write records as a file of JSON Lines, whole or not at all.

    Returns:
        How many were written.

    Raises:
        InputError: a record's sound is bytes in memory, which a line cannot hold; or the file
            cannot be written.
    """
    path = Path(path)
    unfinished = path.with_name(path.name + ".partial")
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("w", encoding="utf-8") as lines:
            for record in records:
                line = json.dumps(serialize_record(record, path.parent), ensure_ascii=False)
                lines.write(line + "\n")
                count += 1
        os.replace(unfinished, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}") from error
    return count


def parse_record(row: Any) -> TrainingRecord:
    """The record of an object of a file.

    Raises:
        InputError: a key is unknown or missing, or a value is of another type.
    """
    _check(row, _RECORD_KEYS, "a record")
    if not isinstance(row.get("id"), str) or not row["id"]:
        raise InputError("a record needs an `id`, a string")
    if not isinstance(row.get("positives"), list) or not row["positives"]:
        raise InputError(f"record {row['id']!r} needs `positives`, a list of at least one entry")
    negatives = row.get("negatives", [])
    if not isinstance(negatives, list):
        raise InputError(f"record {row['id']!r}: `negatives` is no list")
    return TrainingRecord(
        row["id"],
        _entry(row.get("query"), f"query of {row['id']!r}"),
        tuple(_entry(entry, f"positive of {row['id']!r}") for entry in row["positives"]),
        tuple(_entry(entry, f"negative of {row['id']!r}") for entry in negatives),
        str(row.get("source", "")),
    )


def serialize_record(record: TrainingRecord, folder: Path) -> dict[str, Any]:
    """The object that stands for a record in a file of that folder."""
    row: dict[str, Any] = {
        "id": record.id,
        "query": _entry_row(record.query, folder),
        "positives": [_entry_row(entry, folder) for entry in record.positives],
    }
    if record.negatives:
        row["negatives"] = [_entry_row(entry, folder) for entry in record.negatives]
    return row | ({"source": record.source} if record.source else {})


def read_numbered_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not blank, with their numbers, from 1.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    try:
        with Path(path).open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, line
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def skip_or_raise(message: str, on_note: NoteCallback | None) -> None:
    """Tell `on_note` of something that is left out; without one, raise it."""
    if on_note is None:
        raise InputError(message)
    on_note(message)


def map_contents(record: TrainingRecord, change: Callable[[Content], Content]) -> TrainingRecord:
    """A record with every entry changed."""
    return replace(
        record,
        query=change(record.query),
        positives=tuple(map(change, record.positives)),
        negatives=tuple(map(change, record.negatives)),
    )


def _check(row: Any, known: tuple[str, ...], what: str) -> None:
    if not isinstance(row, dict):
        raise InputError(f"{what} is no JSON object")
    unknown = sorted(set(row) - set(known))
    if unknown:
        raise InputError(f"{what} has an unknown key {unknown[0]!r}: use {', '.join(known)}")


def _entry(row: Any, what: str) -> Content:
    _check(row, _ENTRY_KEYS, what)
    for key in ("text", "audio", "transcript"):
        if not isinstance(row.get(key), str | None):
            raise InputError(f"{what}: `{key}` is no string")
    for key in ("start", "end"):
        value = row.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InputError(f"{what}: `{key}` is no number of seconds")
    if not row.get("text") and not row.get("audio"):
        raise InputError(f"{what} is empty: give it `text` or `audio`")
    return Content(**row)


def _entry_row(entry: Content, folder: Path) -> dict[str, Any]:
    if isinstance(entry.audio, bytes):
        raise InputError("sound in memory cannot be written to a file of records: store it first")
    row = {key: getattr(entry, key) for key in _ENTRY_KEYS}
    if entry.audio is not None:
        audio, base = os.path.abspath(entry.audio), os.path.abspath(folder)
        inside = os.path.commonpath([audio, base]) == base
        row["audio"] = os.path.relpath(audio, base) if inside else audio
    return {key: value for key, value in row.items() if value is not None}


def _located(record: TrainingRecord, folder: Path) -> TrainingRecord:
    def locate(entry: Content) -> Content:
        if isinstance(entry.audio, str):
            return replace(entry, audio=str(folder / entry.audio))
        return entry

    return map_contents(record, locate)
