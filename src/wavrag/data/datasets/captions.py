"""Sounds with captions: AudioCaps, MusicCaps and Clotho.

The positive is the sound with a caption: `Content(text=caption, audio=sound)`. The query is another
caption of the same sound, `Content(text=...)`, so that equal words do not give the answer away. A
sound with n captions gives n records; the positive of each caption has the next one. A sound with
a single caption has a positive without text, `Content(audio=sound)`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from wavrag.data.datasets.files import AudioFolder, get_text, read_table, require_file
from wavrag.data.records import Content, TrainingRecord
from wavrag.errors import InputError
from wavrag.types import OnNote


@dataclass(frozen=True, slots=True)
class _CaptionedSound:
    id: str
    audio: str
    captions: tuple[str, ...]
    clip: str = ""


def read_audiocaps(folder: Path, split: str, on_note: OnNote) -> Iterable[TrainingRecord]:
    """Read AudioCaps: one caption per sound in the training split, five in the others.

    A clip is the file `AUDIOCAP_ID`, `YOUTUBE_ID`, `YYOUTUBE_ID` or `YOUTUBE_ID_START`, already
    cut to its ten seconds.
    """
    subset = {"train": "train", "dev": "val", "test": "test"}[split]
    path = require_file(folder, f"{subset}.csv", f"dataset/{subset}.csv")
    sounds = AudioFolder(folder, subset)

    def parse(row: dict[str, str]) -> _CaptionedSound:
        id, video = get_text(row, "audiocap_id"), get_text(row, "youtube_id")
        clip = f"{video}_{get_text(row, 'start_time')}"
        audio = sounds.find(id, video, f"Y{video}", clip)
        return _CaptionedSound(id, audio, (get_text(row, "caption"),), clip)

    columns = ("audiocap_id", "youtube_id", "start_time", "caption")
    rows = read_table(path, on_note, columns).map(parse)
    # The five captions of a clip are on scattered lines, so these splits, of 5,000 lines at most,
    # are held in memory.
    return _build_records("audiocaps", rows if split == "train" else _merge_captions(rows))


def read_musiccaps(folder: Path, split: str, on_note: OnNote) -> Iterable[TrainingRecord]:
    """Read MusicCaps, with the list of aspects as a second caption.

    The test split is the evaluation split of AudioSet. A clip is the file `YTID`, `YTID_START` or
    `[YTID]-[START-END]`, already cut to its ten seconds.
    """
    path = require_file(folder, "musiccaps-public.csv")
    sounds = AudioFolder(folder, split)
    test = split == "test"

    def select(row: dict[str, str]) -> dict[str, str] | None:
        flag = row["is_audioset_eval"].strip().casefold()
        if flag not in ("true", "false"):
            raise InputError(f"is_audioset_eval is {flag!r}, neither True nor False")
        return row if (flag == "true") == test else None

    def parse(row: dict[str, str]) -> _CaptionedSound:
        id, start, end = get_text(row, "ytid"), get_text(row, "start_s"), get_text(row, "end_s")
        audio = sounds.find(id, f"{id}_{start}", f"[{id}]-[{start}-{end}]")
        captions = (get_text(row, "caption"), _parse_aspects(row))
        return _CaptionedSound(f"{id}-{start}", audio, captions)

    columns = ("ytid", "start_s", "end_s", "aspect_list", "caption", "is_audioset_eval")
    # Selected before parsing, so that missing sounds of the other split are no errors.
    rows = read_table(path, on_note, columns).map(select, f"{path}: clips of the other split")
    return _build_records("musiccaps", rows.map(parse))


def read_clotho(folder: Path, split: str, on_note: OnNote) -> Iterable[TrainingRecord]:
    """Read Clotho: five captions per sound. The metadata files are not needed."""
    subset = {"train": "development", "dev": "validation", "test": "evaluation"}[split]
    path = require_file(folder, f"clotho_captions_{subset}.csv")
    sounds = AudioFolder(folder, subset, f"clotho_audio_{subset}")
    columns = tuple(f"caption_{number}" for number in range(1, 6))

    def parse(row: dict[str, str]) -> _CaptionedSound:
        name = get_text(row, "file_name")
        # Some file names start with a space, in the list and on disk.
        audio = sounds.find(*dict.fromkeys((row["file_name"], name)))
        return _CaptionedSound(name, audio, tuple(get_text(row, column) for column in columns))

    return _build_records("clotho", read_table(path, on_note, ("file_name", *columns)).map(parse))


def _parse_aspects(row: dict[str, str]) -> str:
    """Join the aspects, a Python list in the file, with commas."""
    try:
        aspects = ast.literal_eval(row["aspect_list"])
    except (SyntaxError, ValueError):
        aspects = None
    if not isinstance(aspects, list) or not aspects:
        raise InputError("aspect_list is no list of aspects")
    return ", ".join(map(str, aspects))


def _merge_captions(rows: Iterable[_CaptionedSound]) -> Iterator[_CaptionedSound]:
    """Merge all rows of a clip, with the id of the first one."""
    clips: dict[str, _CaptionedSound] = {}
    for sound in rows:
        clip = clips.get(sound.clip, replace(sound, captions=()))
        clips[sound.clip] = replace(clip, captions=clip.captions + sound.captions)
    yield from clips.values()


def _build_records(source: str, sounds: Iterable[_CaptionedSound]) -> Iterator[TrainingRecord]:
    for sound in sounds:
        count = len(sound.captions)
        for index, caption in enumerate(sound.captions):
            next_caption = sound.captions[(index + 1) % count] if count > 1 else None
            yield TrainingRecord(
                f"{source}/{sound.id}" + (f"-{index + 1}" if count > 1 else ""),
                Content(text=caption),
                (Content(text=next_caption, audio=sound.audio),),
                source=source,
            )
