"""Training records: a query with its positive and negative contents, each of text, audio or both.

Data sets are read into this type, `wavrag synth` and `wavrag mine` read and write it, and
retrievers are trained on it. A file of records is JSON Lines, one object per line:

    {"id": "hotpotqa/5a7a", "query": {"text": "Who ..."}, "positives": [{"text": "..."}]}

The keys are the fields of `TrainingRecord` and `Content`. Paths are relative to the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from wavrag.data.validation import STRICT, parse_json
from wavrag.errors import InputError
from wavrag.types import OnNote

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Content:
    """Text, audio or both, embedded as one vector.

    Attributes:
        text: text for the model; None if there is none.
        audio: path of a recording, or the bytes of an audio file; None if there is none.
        start: start of the clip in the recording, seconds; None for the start of the recording.
        end: end of the clip in the recording, seconds; None for the end of the recording.
        transcript: known transcript of the audio; the model does not read it.

    Example:
        >>> Content(audio="talk.flac", start=12.5, end=20.0).kind
        'S'
    """

    __pydantic_config__ = STRICT

    text: str | None = None
    audio: str | bytes | None = None
    start: float | None = None
    end: float | None = None
    transcript: str | None = None

    @property
    def kind(self) -> str:
        """`T` for text, `S` for audio, `AT` for both."""
        return ("AT" if self.text else "S") if self.audio is not None else "T"


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """A query with contents that a retriever should rank high and low for it.

    Attributes:
        id: unique in the data set; starts with the name of the data set.
        query: the query.
        positives: relevant contents, at least one.
        negatives: hard negatives: irrelevant contents that resemble relevant ones.
        source: name of the data set.

    Example:
        >>> question, passage = Content(text="Who wrote Emma?"), Content(text="Jane Austen did.")
        >>> TrainingRecord("demo/1", question, (passage,)).direction
        'T2T'
    """

    __pydantic_config__ = STRICT

    id: str
    query: Content
    positives: tuple[Content, ...]
    negatives: tuple[Content, ...] = ()
    source: str = ""

    @property
    def direction(self) -> str:
        """Kind of the query and of the first positive, such as `S2T` or `AT2AT`."""
        return f"{self.query.kind}2{self.positives[0].kind}"


def read_records(path: str | os.PathLike[str], on_note: OnNote = None) -> Iterator[TrainingRecord]:
    """Stream the records of a file; relative audio paths are resolved against its folder.

    Args:
        path: JSON Lines file.
        on_note: called with a message for every malformed line, which is skipped; without it, a
            malformed line is an error.

    Raises:
        InputError: the file cannot be read, or a line is malformed and there is no `on_note`.

    Example:
        >>> for record in read_records("records.jsonl", on_note=print):  # doctest: +SKIP
        ...     print(record.id, record.direction)
    """
    folder = Path(path).parent
    for record in parse_lines(path, parse_record, on_note):
        yield map_contents(record, lambda content: resolve_audio(content, folder))


def write_records(path: str | os.PathLike[str], records: Iterable[TrainingRecord]) -> int:
    """Write records to a JSON Lines file; the file appears only once it is complete.

    Returns:
        Number of records.

    Raises:
        InputError: a record holds audio in memory, which JSON cannot hold, or the file cannot be
            written.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as file:
            for record in records:
                row = serialize_record(record, path.parent)
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                count += 1
        os.replace(partial, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}") from error
    return count


def parse_record(line: str) -> TrainingRecord:
    """Parse a line of a file of records.

    Raises:
        InputError: the line is not JSON, a key is unknown or missing, or a value is wrong.
    """
    record = parse_json(TrainingRecord, line)
    if not record.id:
        raise InputError("`id` is empty: give each record its own")
    if not record.positives:
        raise InputError(f"record {record.id!r}: `positives` is empty: give at least one")
    for content in (record.query, *record.positives, *record.negatives):
        _check_not_empty(content, f"record {record.id!r}")
    return record


def parse_content(line: str) -> Content:
    """Parse a line of a corpus file, a JSON object with the fields of `Content`.

    Raises:
        InputError: the line is not JSON, a key is unknown, or a value is wrong.
    """
    content = parse_json(Content, line)
    _check_not_empty(content, "the content")
    return content


def _check_not_empty(content: Content, owner: str) -> None:
    if not content.text and not content.audio:
        raise InputError(f"{owner} has neither text nor audio: give it `text` or `audio`")


def serialize_record(record: TrainingRecord, folder: Path) -> dict[str, Any]:
    """Convert a record to a JSON object for a file in that folder."""
    row: dict[str, Any] = {
        "id": record.id,
        "query": _serialize_content(record.query, folder),
        "positives": [_serialize_content(content, folder) for content in record.positives],
    }
    if record.negatives:
        row["negatives"] = [_serialize_content(content, folder) for content in record.negatives]
    return row | ({"source": record.source} if record.source else {})


def _serialize_content(content: Content, folder: Path) -> dict[str, Any]:
    if isinstance(content.audio, bytes):
        raise InputError("audio in memory cannot be written to a file of records: store it first")
    row = asdict(content)
    if content.audio is not None:
        row["audio"] = relative_path(content.audio, folder)
    return {key: value for key, value in row.items() if value is not None}


def relative_path(path: str, folder: str | os.PathLike[str]) -> str:
    """Return a path relative to a folder, or absolute if it is outside of the folder."""
    path, base = os.path.abspath(path), os.path.abspath(folder)
    inside = os.path.commonpath([path, base]) == base
    return os.path.relpath(path, base) if inside else path


def resolve_audio(content: Content, folder: Path) -> Content:
    """Resolve the audio path of a content against a folder."""
    if isinstance(content.audio, str):
        return replace(content, audio=str(folder / content.audio))
    return content


def read_numbered_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    """Stream the lines of a text file that are not blank, with line numbers from 1.

    Raises:
        InputError: the file cannot be read, or is not UTF-8.
    """
    try:
        with Path(path).open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def parse_lines(
    path: str | os.PathLike[str], parse: Callable[[str], T], on_note: OnNote
) -> Iterator[T]:
    """Parse the lines of a file; report malformed ones with their numbers, and skip them."""
    for number, line in read_numbered_lines(path):
        try:
            value = parse(line)
        except InputError as error:
            skip_or_raise(f"{path}:{number}: {error}", on_note)
        else:
            # Outside of `try`, so that an error of the consumer is not taken for one of the line.
            yield value


def skip_or_raise(message: str, on_note: OnNote) -> None:
    """Report skipped data to `on_note`; without one, raise the message as an InputError."""
    if on_note is None:
        raise InputError(message)
    on_note(message)


def map_contents(record: TrainingRecord, change: Callable[[Content], Content]) -> TrainingRecord:
    """Apply a function to the query, the positives and the negatives of a record."""
    return replace(
        record,
        query=change(record.query),
        positives=tuple(map(change, record.positives)),
        negatives=tuple(map(change, record.negatives)),
    )
