"""Data sets of people speaking: SLUE-SQA-5, spoken question to spoken document, and VoxCeleb."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from wavrag.data.datasets.files import (
    drop_locations,
    find_file,
    get_field,
    get_text,
    map_rows,
    read_table,
    require_file,
)
from wavrag.data.datasets.kinds import Sound, pairs
from wavrag.data.records import Content, TrainingRecord
from wavrag.errors import InputError
from wavrag.types import NoteCallback

TRANSCRIPT_KEYS = ("normalized_{}_text", "raw_{}_text", "{}_text")
_PARTS = {
    "train": ("fine-tune",),
    "dev": ("dev",),
    "test": ("test",),
    "verified-test": ("verified-test", "verified_test"),
}
_GENDERS = {"m": "man", "f": "woman"}


def read_slue_sqa5(
    folder: Path, split: str, on_note: NoteCallback | None
) -> Iterator[TrainingRecord]:
    """SLUE-SQA-5: a spoken question and the spoken document that answers it.

    The recordings are `PART/question/QUESTION_ID.wav` and `PART/document/DOCUMENT_ID.wav`, with the
    part `fine-tune` for training.
    """
    path = require_file(folder, *(f"slue-sqa5_{part}.tsv" for part in _PARTS[split]))
    part = path.stem.removeprefix("slue-sqa5_")

    def heard(row: dict[str, str], what: str) -> Content:
        recording = find_file(folder / part / what, f"{get_text(row, f'{what}_id')}.wav")
        if recording is None:
            raise InputError(f"no sound file {part}/{what}/{row[f'{what}_id']}.wav in {folder}")
        return Content(audio=str(recording), transcript=find_transcript(row, what))

    def make(row: dict[str, str]) -> TrainingRecord:
        question, document = heard(row, "question"), heard(row, "document")
        id = f"slue-sqa-5/{row['question_id'].strip()}"
        return TrainingRecord(id, question, (document,), source="slue-sqa-5")

    columns = ("question_id", "document_id")
    return drop_locations(
        map_rows(read_table(path, on_note, columns, delimiter="\t", quoted=False), make, on_note)
    )


def parse_slue_sqa5_row(row: Any) -> TrainingRecord:
    """The record of a row as the `datasets` library has it, with the sound in the row."""

    def heard(what: str) -> Content:
        cell = get_field(row, f"{what}_audio")
        sound = get_field(cell, "bytes") or get_field(cell, "path")
        if not sound:
            raise InputError(f"{what}_audio is empty")
        return Content(audio=sound, transcript=find_transcript(row, what))

    id = f"slue-sqa-5/{get_text(row, 'question_id')}"
    return TrainingRecord(id, heard("question"), (heard("document"),), source="slue-sqa-5")


def find_transcript(row: dict[str, Any], what: str) -> str | None:
    """Return the transcript of the question or the document of a row, or None."""
    words = (str(row.get(key.format(what)) or "").strip() for key in TRANSCRIPT_KEYS)
    return next(filter(None, words), None)


def read_voxceleb(
    folder: Path, split: str, on_note: NoteCallback | None
) -> Iterator[TrainingRecord]:
    """VoxCeleb 1: an utterance, who speaks it, and another utterance of the same person.

    The pairs are those of `wavrag.data.datasets.kinds`: the kind is the person, the caption the
    name, gender and nationality of `vox1_meta.csv`. The utterances of a person are taken from each
    video in turn, so that a pair is of two videos while there are several left.
    """
    path = require_file(folder, "vox1_meta.csv")
    chosen = {"train": "dev", "test": "test"}[split]

    def person(row: dict[str, str]) -> list[Sound] | None:
        if row["Set"].strip() != chosen:
            return None
        id, name = get_text(row, "VoxCeleb1 ID"), get_text(row, "VGGFace1 ID").replace("_", " ")
        gender = _GENDERS.get(row["Gender"].strip(), "person")
        caption = f"{name}, a {gender} from {get_text(row, 'Nationality')}"
        videos = [sorted(video.glob("*.wav")) for video in sorted((folder / "wav" / id).iterdir())]
        in_turn = filter(None, chain.from_iterable(zip_longest(*videos)))
        return [
            Sound(f"{id}-{file.parent.name}-{file.stem}", id, caption, str(file))
            for file in in_turn
        ]

    columns = ("VoxCeleb1 ID", "VGGFace1 ID", "Gender", "Nationality", "Set")
    rows = read_table(path, on_note, columns, delimiter="\t", quoted=False)
    people = map_rows(rows, person, on_note, f"{path}: people of the other split")
    every = (sound for sounds in drop_locations(people) for sound in sounds)
    return pairs(every, "voxceleb", "Who is speaking?")
