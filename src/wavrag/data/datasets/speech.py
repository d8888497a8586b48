"""Data sets of human speech: SLUE-SQA-5, with spoken questions and documents, and VoxCeleb."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from wavrag.data.datasets.files import find_file, get_field, get_text, read_table, require_file
from wavrag.data.datasets.sound_events import Sound, pair_sounds
from wavrag.data.records import Content, TrainingRecord
from wavrag.errors import InputError
from wavrag.types import OnNote

_TRANSCRIPT_KEYS = ("normalized_{}_text", "raw_{}_text", "{}_text")
_SUBSETS = {
    "train": ("fine-tune",),
    "dev": ("dev",),
    "test": ("test",),
    "verified-test": ("verified-test", "verified_test"),
}
_GENDERS = {"m": "man", "f": "woman"}


def read_slue_sqa5(folder: Path, split: str, on_note: OnNote) -> Iterable[TrainingRecord]:
    """Read SLUE-SQA-5: a spoken question and the spoken document with the answer.

    The recordings are `SUBSET/question/QUESTION_ID.wav` and `SUBSET/document/DOCUMENT_ID.wav`; the
    subset of the training split is `fine-tune`.
    """
    path = require_file(folder, *(f"slue-sqa5_{subset}.tsv" for subset in _SUBSETS[split]))
    subset = path.stem.removeprefix("slue-sqa5_")

    def read_content(row: dict[str, str], field: str) -> Content:
        recording = find_file(folder / subset / field, f"{get_text(row, f'{field}_id')}.wav")
        if recording is None:
            raise InputError(f"no sound file {subset}/{field}/{row[f'{field}_id']}.wav in {folder}")
        return Content(audio=str(recording), transcript=_find_transcript(row, field))

    def parse(row: dict[str, str]) -> TrainingRecord:
        question, document = read_content(row, "question"), read_content(row, "document")
        id = f"slue-sqa-5/{row['question_id'].strip()}"
        return TrainingRecord(id, question, (document,), source="slue-sqa-5")

    columns = ("question_id", "document_id")
    return read_table(path, on_note, columns, delimiter="\t", quoted=False).map(parse)


def parse_slue_sqa5_row(row: Any) -> TrainingRecord:
    """Convert a row of the `datasets` library, which includes the audio."""

    def read_content(field: str) -> Content:
        cell = get_field(row, f"{field}_audio")
        sound = get_field(cell, "bytes") or get_field(cell, "path")
        if not sound:
            raise InputError(f"{field}_audio is empty")
        return Content(audio=sound, transcript=_find_transcript(row, field))

    id = f"slue-sqa-5/{get_text(row, 'question_id')}"
    return TrainingRecord(
        id, read_content("question"), (read_content("document"),), source="slue-sqa-5"
    )


def _find_transcript(row: dict[str, Any], field: str) -> str | None:
    """Return the transcript of the question or the document of a row, or None."""
    words = (str(row.get(key.format(field)) or "").strip() for key in _TRANSCRIPT_KEYS)
    return next(filter(None, words), None)


def read_voxceleb(folder: Path, split: str, on_note: OnNote) -> Iterable[TrainingRecord]:
    """Read VoxCeleb 1: an utterance, and another utterance of the same person with a caption.

    Pairs are built as in `wavrag.data.datasets.sound_events`: the kind is the person, and the
    caption has the name, gender and nationality from `vox1_meta.csv`.
    """
    path = require_file(folder, "vox1_meta.csv")
    subset = {"train": "dev", "test": "test"}[split]

    def list_utterances(row: dict[str, str]) -> list[Sound] | None:
        if row["Set"].strip() != subset:
            return None
        id, name = get_text(row, "VoxCeleb1 ID"), get_text(row, "VGGFace1 ID").replace("_", " ")
        gender = _GENDERS.get(row["Gender"].strip(), "person")
        caption = f"{name}, a {gender} from {get_text(row, 'Nationality')}"
        videos = [sorted(video.glob("*.wav")) for video in sorted((folder / "wav" / id).iterdir())]
        # From each video in turn, so that a pair is from two videos as long as several are left.
        files = filter(None, chain.from_iterable(zip_longest(*videos)))
        return [
            Sound(f"{id}-{file.parent.name}-{file.stem}", id, caption, str(file)) for file in files
        ]

    columns = ("VoxCeleb1 ID", "VGGFace1 ID", "Gender", "Nationality", "Set")
    rows = read_table(path, on_note, columns, delimiter="\t", quoted=False)
    people = rows.map(list_utterances, f"{path}: people of the other split")
    return pair_sounds(chain.from_iterable(people), "voxceleb", "Who is speaking?")
