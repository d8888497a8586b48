"""Sounds with descriptions: AudioCaps, MusicCaps and Clotho.

The passage to be found is the sound with a description: `Content(text=description, audio=sound)`.
The query is another description of the same sound, `Content(text=...)`, so that the words alone
do not settle it. A sound with n descriptions gives n records, each description asking for the
sound with the next one; a sound with a single description is found by it alone,
`Content(audio=sound)`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from wavrag.data.datasets.files import AudioFolder, get_text, map_rows, read_table, require_file
from wavrag.data.records import Content, TrainingRecord
from wavrag.errors import InputError
from wavrag.types import NoteCallback


@dataclass(frozen=True, slots=True)
class _Described:
    id: str
    audio: str
    descriptions: tuple[str, ...]
    clip: str = ""


def read_audiocaps(
    folder: Path, split: str, on_note: NoteCallback | None
) -> Iterator[TrainingRecord]:
    """AudioCaps: one description a sound to train on, five in the other splits.

    Those five stand in scattered lines, so the lines of such a split, at most 5,000, are gathered
    in memory. A clip is the file `AUDIOCAP_ID`, `YOUTUBE_ID`, `YYOUTUBE_ID` or `YOUTUBE_ID_START`,
    cut to its ten seconds.
    """
    part = {"train": "train", "dev": "val", "test": "test"}[split]
    path = require_file(folder, f"{part}.csv", f"dataset/{part}.csv")
    sounds = AudioFolder(folder, part)

    def make(row: dict[str, str]) -> _Described:
        id, video = get_text(row, "audiocap_id"), get_text(row, "youtube_id")
        audio = sounds.find(id, video, f"Y{video}", f"{video}_{get_text(row, 'start_time')}")
        return _Described(id, audio, (get_text(row, "caption"),), f"{video}_{row['start_time']}")

    columns = ("audiocap_id", "youtube_id", "start_time", "caption")
    lines = map_rows(read_table(path, on_note, columns), make, on_note)
    return _records("audiocaps", lines if split == "train" else _together(lines))


def read_musiccaps(
    folder: Path, split: str, on_note: NoteCallback | None
) -> Iterator[TrainingRecord]:
    """MusicCaps; the list of aspects is a second description. The test is AudioSet's evaluation.

    A clip is the file `YTID`, `YTID_START` or `[YTID]-[START-END]`, cut to its ten seconds.
    """
    path = require_file(folder, "musiccaps-public.csv")
    sounds = AudioFolder(folder, split)
    test = split == "test"

    def chosen(row: dict[str, str]) -> dict[str, str] | None:
        flag = row["is_audioset_eval"].strip().casefold()
        if flag not in ("true", "false"):
            raise InputError(f"is_audioset_eval is {flag!r}, neither True nor False")
        return row if (flag == "true") == test else None

    def make(row: dict[str, str]) -> _Described:
        id, start, end = get_text(row, "ytid"), get_text(row, "start_s"), get_text(row, "end_s")
        audio = sounds.find(id, f"{id}_{start}", f"[{id}]-[{start}-{end}]")
        return _Described(f"{id}-{start}", audio, (get_text(row, "caption"), _aspects(row)))

    columns = ("ytid", "start_s", "end_s", "aspect_list", "caption", "is_audioset_eval")
    rows = map_rows(
        read_table(path, on_note, columns), chosen, on_note, f"{path}: clips of the other split"
    )
    return _records("musiccaps", map_rows(rows, make, on_note))


def read_clotho(folder: Path, split: str, on_note: NoteCallback | None) -> Iterator[TrainingRecord]:
    """Clotho; five descriptions a sound. The metadata beside it is not needed."""
    part = {"train": "development", "dev": "validation", "test": "evaluation"}[split]
    path = require_file(folder, f"clotho_captions_{part}.csv")
    sounds = AudioFolder(folder, part, f"clotho_audio_{part}")
    captions = tuple(f"caption_{number}" for number in range(1, 6))

    def make(row: dict[str, str]) -> _Described:
        name = get_text(row, "file_name")
        audio = sounds.find(*dict.fromkeys((row["file_name"], name)))  # some start with a space
        return _Described(name, audio, tuple(get_text(row, key) for key in captions))

    return _records(
        "clotho", map_rows(read_table(path, on_note, ("file_name", *captions)), make, on_note)
    )


def _aspects(row: dict[str, str]) -> str:
    """The aspects, which stand as a Python list, as words with commas between them."""
    try:
        aspects = ast.literal_eval(row["aspect_list"])
    except (SyntaxError, ValueError):
        aspects = None
    if not isinstance(aspects, list) or not aspects:
        raise InputError("aspect_list is no list of aspects")
    return ", ".join(map(str, aspects))


def _together(lines: Iterator[tuple[str, _Described]]) -> Iterator[tuple[str, _Described]]:
    """One for all lines of a clip, at its first."""
    clips: dict[str, tuple[str, _Described]] = {}
    for place, line in lines:
        first, known = clips.get(line.clip, (place, replace(line, descriptions=())))
        together = replace(known, descriptions=known.descriptions + line.descriptions)
        clips[line.clip] = first, together
    yield from clips.values()


def _records(source: str, sounds: Iterator[tuple[str, _Described]]) -> Iterator[TrainingRecord]:
    for _, sound in sounds:
        count = len(sound.descriptions)
        for number, words in enumerate(sound.descriptions):
            following = sound.descriptions[(number + 1) % count] if count > 1 else None
            yield TrainingRecord(
                f"{source}/{sound.id}" + (f"-{number + 1}" if count > 1 else ""),
                Content(text=words),
                (Content(text=following, audio=sound.audio),),
                source=source,
            )
