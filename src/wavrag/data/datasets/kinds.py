"""Sounds of named kinds: VGGSound, AudioSet with strong labels, and Xeno-canto.

The pairs are audio and text to audio and text. The query is a question about a recording,
`Content(text=question, audio=sound)`; its positive is the recording of the same kind before it in
the data set, with what is known of it: `Content(text=caption, audio=another sound)`. So n
recordings of a kind give n - 1 records, and one recording a kind is all that is held in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from wavrag.data.datasets.files import (
    AudioFolder,
    drop_locations,
    get_field,
    get_text,
    group_adjacent,
    map_rows,
    read_json_items,
    read_table,
    require_file,
)
from wavrag.data.records import Content, TrainingRecord
from wavrag.errors import InputError
from wavrag.types import NoteCallback


@dataclass(frozen=True, slots=True)
class Sound:
    """A recording of a kind.

    Attributes:
        id: unique in the data set.
        kind: what it shares with those that it is paired with.
        caption: what is known of it.
        audio: path of the file.
        start: second at which it starts; None for the beginning.
        end: second at which it ends; None for the end.
    """

    id: str
    kind: str
    caption: str
    audio: str
    start: float | None = None
    end: float | None = None


def pairs(sounds: Iterable[Sound], source: str, question: str) -> Iterator[TrainingRecord]:
    """Pair each sound with the one of its kind before it."""
    last: dict[str, Sound] = {}
    for sound in sounds:
        before = last.get(sound.kind)
        if before is not None:
            yield TrainingRecord(
                f"{source}/{sound.id}",
                Content(text=question, audio=sound.audio, start=sound.start, end=sound.end),
                (Content(before.caption, before.audio, before.start, before.end),),
                source=source,
            )
        last[sound.kind] = sound


def read_vggsound(
    folder: Path, split: str, on_note: NoteCallback | None
) -> Iterator[TrainingRecord]:
    """VGGSound: the kind and the caption are the label.

    A clip is the file `YOUTUBE_ID_SSSSSS` with the second in six digits, or `YOUTUBE_ID_SECOND`, or
    `YOUTUBE_ID`, cut to its ten seconds.
    """
    path = require_file(folder, "vggsound.csv")
    found = AudioFolder(folder, split)

    def chosen(row: dict[str, str]) -> dict[str, str] | None:
        if row["split"] not in ("train", "test"):
            raise InputError(f"the split is {row['split']!r}, neither train nor test")
        return row if row["split"] == split else None

    def make(row: dict[str, str]) -> Sound:
        id, second, label = get_text(row, "id"), int(row["start"]), get_text(row, "label")
        audio = found.find(f"{id}_{second:06d}", f"{id}_{second}", id)
        return Sound(f"{id}-{second}", label, label, audio)

    columns = ("id", "start", "label", "split")
    rows = read_table(path, on_note, columns, header=False)
    own = map_rows(rows, chosen, on_note, f"{path}: clips of the other split")
    return pairs(drop_locations(map_rows(own, make, on_note)), "vggsound", "What makes this sound?")


@dataclass(frozen=True, slots=True)
class _Event:
    segment: str
    label: str
    start: float
    end: float


def read_audioset_strong(
    folder: Path, split: str, on_note: NoteCallback | None
) -> Iterator[TrainingRecord]:
    """AudioSet with strong labels: of each label in a clip, the longest event.

    A clip is the file `YTID_MILLISECONDS`, as in the list, or `YTID`, also with a `Y` before it,
    cut to its ten seconds. Neighbouring lines are of one clip.
    """
    part = {"train": "train", "test": "eval"}[split]
    path = require_file(folder, f"audioset_{part}_strong.tsv")
    names = require_file(folder, "mid_to_display_name.tsv")
    return _events(path, names, AudioFolder(folder, part), on_note)


def _events(
    path: Path, names: Path, found: AudioFolder, on_note: NoteCallback | None
) -> Iterator[TrainingRecord]:
    rows = read_table(names, on_note, ("mid", "name"), delimiter="\t", quoted=False, header=False)
    display = {row["mid"]: row["name"] for row in drop_locations(rows)}

    def event(row: dict[str, str]) -> _Event:
        label = display.get(row["label"])
        if label is None:
            raise InputError(f"label {row['label']!r} is not in {names}")
        start, end = float(row["start_time_seconds"]), float(row["end_time_seconds"])
        if not 0 <= start < end:
            raise InputError(f"an event from {start} to {end} s")
        return _Event(get_text(row, "segment_id"), label, start, end)

    def sounds(events: list[_Event]) -> list[Sound]:
        segment = events[0].segment
        video = segment.rpartition("_")[0]
        audio = found.find(segment, f"Y{segment}", video, f"Y{video}")
        longest: dict[str, _Event] = {}
        for each in sorted(events, key=lambda each: each.start - each.end):
            longest.setdefault(each.label, each)
        return [
            Sound(f"{segment}-{label}", label, label, audio, each.start, each.end)
            for label, each in longest.items()
        ]

    columns = ("segment_id", "start_time_seconds", "end_time_seconds", "label")
    lines = map_rows(
        read_table(path, on_note, columns, delimiter="\t", quoted=False), event, on_note
    )
    clips = map_rows(group_adjacent(lines, lambda line: line.segment), sounds, on_note)
    every = (sound for clip in drop_locations(clips) for sound in clip)
    return pairs(every, "audioset-strong", "What makes this sound?")


def read_xeno_canto(
    folder: Path, split: str, on_note: NoteCallback | None
) -> Iterator[TrainingRecord]:
    """Xeno-canto: pages of the API, version 2 or 3, as `*.json`; the kind is the species.

    The caption is the common name, the species and the type of call. A recording is the file that
    `file-name` names, or `XCID` or `ID`. Recordings of unknown species are left out.
    """
    pages = sorted(folder.glob("*.json")) or [require_file(folder, "page1.json")]
    make = partial(_call, found=AudioFolder(folder))
    rows = (row for page in pages for row in read_json_items(page, "recordings", on_note))
    calls = map_rows(rows, make, on_note, f"{folder}: recordings of unknown species")
    return pairs(drop_locations(calls), "xeno-canto", "Which species is heard?")


def _call(row: Any, found: AudioFolder) -> Sound | None:
    id, genus = get_text(row, "id"), get_text(row, "gen")
    if genus == "Mystery":
        return None
    species = f"{genus} {get_text(row, 'sp')}"
    common = str(get_field(row, "en")).strip()
    caption = f"{common} ({species})" if common else species
    call = str(get_field(row, "type")).strip()
    given = str(row.get("file-name") or "")
    audio = found.find(*filter(None, (given, f"XC{id}", id)))
    return Sound(id, species, f"{caption}: {call}" if call else caption, audio)
