"""SQuAD 1.1 and 2.0, and its spoken versions: Spoken-SQuAD and HeySQuAD."""

from __future__ import annotations

import io
import re
import wave
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from wavrag.data.datasets.files import (
    Rows,
    get_field,
    get_list,
    get_text,
    read_json_items,
    read_parquet,
    require_file,
)
from wavrag.data.records import Content, TrainingRecord, skip_or_raise
from wavrag.errors import InputError
from wavrag.types import OnNote

_SPOKEN_FILES = {
    "train": ("spoken_train-v1.1.json", "train_wav"),
    "test": ("spoken_test-v1.1.json", "dev_wav"),
    "test-wer44": ("spoken_test-v1.1_WER44.json", "dev_wav"),
    "test-wer54": ("spoken_test-v1.1_WER54.json", "dev_wav"),
}

# A paragraph, a question, and the indices of article and paragraph.
_QuestionRow: TypeAlias = tuple[Any, Any, int, int]


@dataclass(frozen=True, slots=True)
class _Question:
    """A question, its passage, and the indices of article and paragraph, from 0."""

    id: str
    text: str
    passage: str
    article: int
    paragraph: int
    answerable: bool


def read_squad(folder: Path, split: str, on_note: OnNote) -> Iterable[TrainingRecord]:
    """Read SQuAD: a question and the passage with the answer.

    Unanswerable questions of version 2.0 are skipped.
    """
    path = require_file(folder, f"{split}-v1.1.json", f"{split}-v2.0.json")
    left_out = f"{path}: questions without an answer"
    return _read_questions(path, on_note).map(_build_squad_record, left_out)


def parse_squad_row(row: Any) -> TrainingRecord | None:
    """Convert a row of the `datasets` library; None if it has no answer."""
    if not get_list(get_field(row, "answers"), "text"):
        return None
    query, passage = Content(text=get_text(row, "question")), Content(text=get_text(row, "context"))
    return TrainingRecord(f"squad/{get_text(row, 'id')}", query, (passage,), source="squad")


def read_spoken_squad(folder: Path, split: str, on_note: OnNote) -> Iterable[TrainingRecord]:
    """Read Spoken-SQuAD: a written question and the recording of the passage with the answer.

    Each sentence of a passage is a file, `ARTICLE_PARAGRAPH_SENTENCE.wav`, with indices from 0 in
    the order of the JSON file. The positive is one WAV file of all sentences, in memory, with the
    recognised text as its transcript. Without recordings, it is the recognised text.

    The noisy tests (`test-wer44`, `test-wer54`) differ in the recognised text and share the folder
    of recordings with `test`.
    """
    name, sound = _SPOKEN_FILES[split]
    path = require_file(folder, name)
    folders = [folder / sound, folder / "Spoken-SQuAD_audio" / sound]
    recordings = next((path for path in folders if path.is_dir()), None)
    build_passage = _PassageAudio(recordings).load_passage if recordings else _build_text_passage

    def build(question: _Question) -> TrainingRecord:
        query = Content(text=question.text)
        return TrainingRecord(
            f"spoken-squad/{question.id}", query, (build_passage(question),), source="spoken-squad"
        )

    return _read_questions(path, on_note).map(build)


def read_heysquad(folder: Path, split: str, on_note: OnNote) -> Iterable[TrainingRecord]:
    """Read HeySQuAD: a question of SQuAD, spoken by a person, and the passage with the answer.

    The files are those of the hub, `data/train-*.parquet` or `data/validation-*.parquet`, with the
    bytes of an audio file in the column `audio`. Unanswerable questions are skipped.
    """
    subset = {"train": "train", "dev": "validation"}[split]
    paths = sorted(folder.glob(f"data/{subset}-*.parquet"))
    if not paths:
        raise InputError(f"{folder} has no data/{subset}-*.parquet")
    columns = ("audio", "question", "context", "id", "answers", "is_impossible")
    rows = (row for path in paths for row in read_parquet(path, on_note, columns).located)
    return Rows(rows, on_note).map(_parse_heysquad, f"{folder}: questions without an answer")


def _parse_heysquad(row: dict[str, Any]) -> TrainingRecord | None:
    if row["is_impossible"] or not row["answers"]:
        return None
    sound = get_field(row["audio"], "bytes")
    if not sound:
        raise InputError("audio is empty")
    query = Content(audio=sound, transcript=get_text(row, "question"))
    passage = Content(text=get_text(row, "context"))
    return TrainingRecord(f"heysquad/{get_text(row, 'id')}", query, (passage,), source="heysquad")


def _build_squad_record(question: _Question) -> TrainingRecord | None:
    if not question.answerable:
        return None
    query, passage = Content(text=question.text), Content(text=question.passage)
    return TrainingRecord(f"squad/{question.id}", query, (passage,), source="squad")


def _build_text_passage(question: _Question) -> Content:
    return Content(text=question.passage)


class _PassageAudio:
    """Joins the sentences of passages, and caches the last passage for its further questions."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sentences: dict[tuple[int, int], int] = {}
        for path in folder.iterdir():
            match = re.fullmatch(r"(\d+)_(\d+)_(\d+)\.wav", path.name)
            if match:
                article, paragraph, sentence = map(int, match.groups())
                position = article, paragraph
                self._sentences[position] = max(sentence, self._sentences.get(position, 0))
        self._last: tuple[tuple[int, int], Content] | None = None

    def load_passage(self, question: _Question) -> Content:
        position = question.article, question.paragraph
        if self._last is None or self._last[0] != position:
            stem = f"{position[0]}_{position[1]}"
            paths = [
                self._folder / f"{stem}_{sentence}.wav"
                for sentence in range(self._sentences.get(position, 0) + 1)
            ]
            passage = Content(audio=_join_wav_files(paths), transcript=question.passage)
            self._last = position, passage
        return self._last[1]


def _join_wav_files(paths: list[Path]) -> bytes:
    """Join several WAV files.

    Raises:
        InputError: a file is missing or malformed, or the formats differ.
    """
    shapes: list[tuple[int, int, int]] = []
    sentences: list[bytes] = []
    for path in paths:
        try:
            with wave.open(str(path), "rb") as source:
                shapes.append(source.getparams()[:3])  # channels, bytes per sample, sample rate
                sentences.append(source.readframes(source.getnframes()))
        except (OSError, EOFError, wave.Error) as error:
            raise InputError(f"{path} cannot be read: {error}") from error
        if shapes[-1] != shapes[0]:
            raise InputError(f"{path} has another rate or number of channels than {paths[0]}")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as target:
        target.setparams((*shapes[0], 0, "NONE", "not compressed"))
        target.writeframes(b"".join(sentences))
    return buffer.getvalue()


def _read_questions(path: Path, on_note: OnNote) -> Rows[_Question]:
    return Rows(_read_question_rows(path, on_note), on_note).map(_parse_question)


def _read_question_rows(path: Path, on_note: OnNote) -> Iterator[tuple[str, _QuestionRow]]:
    """Read the questions of a file; a malformed article or paragraph is skipped as a whole."""
    for article, (location, row) in enumerate(read_json_items(path, on_note, "data").located):
        paragraphs = _get_list_or_skip(location, row, "paragraphs", on_note)
        for paragraph, passage in enumerate(paragraphs):
            within = f"{location}, paragraph {paragraph + 1}"
            questions = _get_list_or_skip(within, passage, "qas", on_note)
            for number, qa in enumerate(questions, start=1):
                id = qa.get("id") if isinstance(qa, dict) else None
                yield f"{within}, question {id or number}", (passage, qa, article, paragraph)


def _parse_question(row: _QuestionRow) -> _Question:
    passage, qa, article, paragraph = row
    return _Question(
        get_text(qa, "id"),
        get_text(qa, "question"),
        get_text(passage, "context"),
        article,
        paragraph,
        bool(get_list(qa, "answers")) and not qa.get("is_impossible", False),
    )


def _get_list_or_skip(location: str, row: Any, key: str, on_note: OnNote) -> list[Any]:
    try:
        return get_list(row, key)
    except InputError as error:
        skip_or_raise(f"{location}: {error}", on_note)
        return []
