"""SQuAD 1.1 and 2.0, and what was spoken of it: Spoken-SQuAD and HeySQuAD."""

from __future__ import annotations

import io
import re
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from wavrag.data.datasets.files import (
    drop_locations,
    get_field,
    get_list,
    get_text,
    map_rows,
    read_json_items,
    read_parquet,
    require_file,
)
from wavrag.data.records import Content, TrainingRecord, skip_or_raise
from wavrag.errors import InputError
from wavrag.types import NoteCallback

_SPOKEN = {
    "train": ("spoken_train-v1.1.json", "train_wav"),
    "test": ("spoken_test-v1.1.json", "dev_wav"),
    "test-wer44": ("spoken_test-v1.1_WER44.json", "dev_wav"),
    "test-wer54": ("spoken_test-v1.1_WER54.json", "dev_wav"),
}

# A paragraph, a question of it, and the numbers of article and paragraph.
_Asked: TypeAlias = tuple[Any, Any, int, int]


@dataclass(frozen=True, slots=True)
class _Question:
    """A question, its passage, and where the passage stands: article and paragraph, from 0."""

    id: str
    question: str
    passage: str
    article: int
    paragraph: int
    answered: bool


def read_squad(folder: Path, split: str, on_note: NoteCallback | None) -> Iterator[TrainingRecord]:
    """SQuAD: a question and the passage that answers it.

    Questions of version 2.0 that their passage does not answer are left out.
    """
    path = require_file(folder, f"{split}-v1.1.json", f"{split}-v2.0.json")
    left_out = f"{path}: questions without an answer"
    return drop_locations(map_rows(_questions(path, on_note), _squad_record, on_note, left_out))


def parse_squad_row(row: Any) -> TrainingRecord | None:
    """The record of a row as the `datasets` library has it; None if it has no answer."""
    if not get_list(get_field(row, "answers"), "text"):
        return None
    query, passage = Content(text=get_text(row, "question")), Content(text=get_text(row, "context"))
    return TrainingRecord(f"squad/{get_text(row, 'id')}", query, (passage,), source="squad")


def read_spoken_squad(
    folder: Path, split: str, on_note: NoteCallback | None
) -> Iterator[TrainingRecord]:
    """Spoken-SQuAD: a written question and the recording of the passage that answers it.

    A passage is recorded in a file a sentence, `ARTICLE_PARAGRAPH_SENTENCE.wav`, all counted from 0
    as they stand in the JSON file. A positive is the whole passage: the bytes of one WAV file
    joined of its sentences, with the recognised text as what is said. Without a folder of
    recordings, it is the recognised text.

    The noisy tests (`test-wer44`, `test-wer54`) differ in the recognised text; their recordings are
    looked for where those of `test` are.
    """
    name, sound = _SPOKEN[split]
    path = require_file(folder, name)
    places = [folder / sound, folder / "Spoken-SQuAD_audio" / sound]
    recordings = next((place for place in places if place.is_dir()), None)
    passage = _Passages(recordings).entry if recordings else _recognised

    def make(asked: _Question) -> TrainingRecord:
        query = Content(text=asked.question)
        return TrainingRecord(
            f"spoken-squad/{asked.id}", query, (passage(asked),), source="spoken-squad"
        )

    return drop_locations(map_rows(_questions(path, on_note), make, on_note))


def read_heysquad(
    folder: Path, split: str, on_note: NoteCallback | None
) -> Iterator[TrainingRecord]:
    """HeySQuAD: a question of SQuAD asked by a person, and the passage that answers it.

    The Parquet files of the hub, `data/train-*.parquet` or `data/validation-*.parquet`, with the
    recording as the bytes of a file in `audio`. Questions without an answer are left out.
    """
    part = {"train": "train", "dev": "validation"}[split]
    paths = sorted(folder.glob(f"data/{part}-*.parquet"))
    if not paths:
        raise InputError(f"{folder} has no data/{part}-*.parquet")
    columns = ("audio", "question", "context", "id", "answers", "is_impossible")
    rows = (row for path in paths for row in read_parquet(path, columns, on_note))
    return drop_locations(
        map_rows(rows, _asked_aloud, on_note, f"{folder}: questions without an answer")
    )


def _asked_aloud(row: dict[str, Any]) -> TrainingRecord | None:
    if row["is_impossible"] or not row["answers"]:
        return None
    sound = get_field(row["audio"], "bytes")
    if not sound:
        raise InputError("audio is empty")
    query = Content(audio=sound, transcript=get_text(row, "question"))
    passage = Content(text=get_text(row, "context"))
    return TrainingRecord(f"heysquad/{get_text(row, 'id')}", query, (passage,), source="heysquad")


def _squad_record(asked: _Question) -> TrainingRecord | None:
    if not asked.answered:
        return None
    query, passage = Content(text=asked.question), Content(text=asked.passage)
    return TrainingRecord(f"squad/{asked.id}", query, (passage,), source="squad")


def _recognised(asked: _Question) -> Content:
    return Content(text=asked.passage)


class _Passages:
    """Joins the sentences of passages; remembers the last, which its questions share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sentences: dict[tuple[int, int], int] = {}
        for path in folder.iterdir():
            match = re.fullmatch(r"(\d+)_(\d+)_(\d+)\.wav", path.name)
            if match:
                article, paragraph, sentence = map(int, match.groups())
                place = article, paragraph
                self._sentences[place] = max(sentence, self._sentences.get(place, 0))
        self._last: tuple[tuple[int, int], Content] | None = None

    def entry(self, asked: _Question) -> Content:
        place = asked.article, asked.paragraph
        if self._last is None or self._last[0] != place:
            stem = f"{place[0]}_{place[1]}"
            paths = [
                self._folder / f"{stem}_{sentence}.wav"
                for sentence in range(self._sentences.get(place, 0) + 1)
            ]
            self._last = place, Content(audio=_joined(paths), transcript=asked.passage)
        return self._last[1]


def _joined(paths: list[Path]) -> bytes:
    """One WAV file of several.

    Raises:
        InputError: one is missing or no WAV file, or they differ in rate, channels or width.
    """
    shapes: list[tuple[int, int, int]] = []
    sentences: list[bytes] = []
    for path in paths:
        try:
            with wave.open(str(path), "rb") as source:
                shapes.append((source.getnchannels(), source.getsampwidth(), source.getframerate()))
                sentences.append(source.readframes(source.getnframes()))
        except (OSError, EOFError, wave.Error) as error:
            raise InputError(f"{path} cannot be read: {error}") from error
        if shapes[-1] != shapes[0]:
            raise InputError(f"{path} has another rate or number of channels than {paths[0]}")
    joined = io.BytesIO()
    with wave.open(joined, "wb") as target:
        target.setnchannels(shapes[0][0])
        target.setsampwidth(shapes[0][1])
        target.setframerate(shapes[0][2])
        target.writeframes(b"".join(sentences))
    return joined.getvalue()


def _questions(path: Path, on_note: NoteCallback | None) -> Iterator[tuple[str, _Question]]:
    return map_rows(_asked(path, on_note), _question, on_note)


def _asked(path: Path, on_note: NoteCallback | None) -> Iterator[tuple[str, _Asked]]:
    """The questions of a file; a paragraph or an article that is broken is rejected as a whole."""
    for article, (place, row) in enumerate(read_json_items(path, "data", on_note)):
        for paragraph, passage in enumerate(_listed(place, row, "paragraphs", on_note)):
            within = f"{place}, paragraph {paragraph + 1}"
            for number, qa in enumerate(_listed(within, passage, "qas", on_note), start=1):
                known = qa.get("id") if isinstance(qa, dict) else None
                yield f"{within}, question {known or number}", (passage, qa, article, paragraph)


def _question(asked: _Asked) -> _Question:
    passage, qa, article, paragraph = asked
    return _Question(
        get_text(qa, "id"),
        get_text(qa, "question"),
        get_text(passage, "context"),
        article,
        paragraph,
        bool(get_list(qa, "answers")) and not qa.get("is_impossible", False),
    )


def _listed(place: str, row: Any, key: str, on_note: NoteCallback | None) -> list[Any]:
    try:
        return get_list(row, key)
    except InputError as error:
        skip_or_raise(f"{place}: {error}", on_note)
        return []
