"""Sounds with labels: VGGSound, AudioSet with strong labels, and Xeno-canto.

Query and positive both have audio and text. The query is a question about a recording,
`Content(text=question, audio=sound)`. Its positive is the previous recording of the same kind in
the data set with its caption, `Content(text=caption, audio=other_sound)`. So n recordings of a kind
give n - 1 records, and only one recording per kind is held in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from wavrag.data.datasets.files import (
    AudioFolder,
    Rows,
    get_field,
    get_text,
    read_json_items,
    read_table,
    require_file,
)
from wavrag.data.records import Content, TrainingRecord
from wavrag.errors import InputError
from wavrag.types import OnNote


@dataclass(frozen=True, slots=True)
class Sound:
    """A recording, or the span of it from `start` to `end` in seconds, with a caption."""

    id: str
    kind: str  # label, species or person; sounds of a kind are paired
    caption: str
    audio: str
    start: float | None = None
    end: float | None = None


def pair_sounds(sounds: Iterable[Sound], source: str, question: str) -> Iterator[TrainingRecord]:
    """Pair each sound with the previous one of its kind."""
    # The previous one rather than all of them: a kind may have thousands of recordings.
    last: dict[str, Sound] = {}
    for sound in sounds:
        previous = last.get(sound.kind)
        if previous is not None:
            yield TrainingRecord(
                f"{source}/{sound.id}",
                Content(text=question, audio=sound.audio, start=sound.start, end=sound.end),
                (Content(previous.caption, previous.audio, previous.start, previous.end),),
                source=source,
            )
        last[sound.kind] = sound


def read_vggsound(folder: Path, split: str, on_note: OnNote) -> Iterable[TrainingRecord]:
    """Read VGGSound: the label is both kind and caption.

    A clip is the file `YOUTUBE_ID_SSSSSS` with the second in six digits, `YOUTUBE_ID_SECOND`, or
    `YOUTUBE_ID`, already cut to its ten seconds.
    """
    path = require_file(folder, "vggsound.csv")
    sounds = AudioFolder(folder, split)

    def select(row: dict[str, str]) -> dict[str, str] | None:
        if row["split"] not in ("train", "test"):
            raise InputError(f"the split is {row['split']!r}, neither train nor test")
        return row if row["split"] == split else None

    def parse(row: dict[str, str]) -> Sound:
        id, second, label = get_text(row, "id"), int(row["start"]), get_text(row, "label")
        audio = sounds.find(f"{id}_{second:06d}", f"{id}_{second}", id)
        return Sound(f"{id}-{second}", label, label, audio)

    columns = ("id", "start", "label", "split")
    table = read_table(path, on_note, columns, header=False)
    clips = table.map(select, f"{path}: clips of the other split").map(parse)
    return pair_sounds(clips, "vggsound", "What makes this sound?")


@dataclass(frozen=True, slots=True)
class _Event:
    segment: str
    label: str
    start: float
    end: float


def read_audioset_strong(folder: Path, split: str, on_note: OnNote) -> Iterable[TrainingRecord]:
    """Read AudioSet with strong labels: the longest event of each label in a clip.

    A clip is the file `YTID_MILLISECONDS` or `YTID`, each also with a `Y` before it, already cut to
    its ten seconds.
    """
    subset = {"train": "train", "test": "eval"}[split]
    path = require_file(folder, f"audioset_{subset}_strong.tsv")
    names = require_file(folder, "mid_to_display_name.tsv")
    return _read_events(path, names, AudioFolder(folder, subset), on_note)


def _read_events(
    path: Path, names: Path, audio_folder: AudioFolder, on_note: OnNote
) -> Iterator[TrainingRecord]:
    rows = read_table(names, on_note, ("mid", "name"), delimiter="\t", quoted=False, header=False)
    labels = {row["mid"]: row["name"] for row in rows}

    def parse(row: dict[str, str]) -> _Event:
        label = labels.get(row["label"])
        if label is None:
            raise InputError(f"label {row['label']!r} is not in {names}")
        start, end = float(row["start_time_seconds"]), float(row["end_time_seconds"])
        if not 0 <= start < end:
            raise InputError(f"an event from {start} to {end} s")
        return _Event(get_text(row, "segment_id"), label, start, end)

    def select_longest(events: list[_Event]) -> list[Sound]:
        segment = events[0].segment
        # `YTID_MILLISECONDS`; the id of a video may have underscores itself.
        video = segment.rpartition("_")[0]
        audio = audio_folder.find(segment, f"Y{segment}", video, f"Y{video}")
        # A dog may bark ten times in a clip; one span per label keeps it from pairing with itself.
        longest: dict[str, _Event] = {}
        for event in sorted(events, key=lambda event: event.start - event.end):
            longest.setdefault(event.label, event)
        return [
            Sound(f"{segment}-{label}", label, label, audio, event.start, event.end)
            for label, event in longest.items()
        ]

    columns = ("segment_id", "start_time_seconds", "end_time_seconds", "label")
    events = read_table(path, on_note, columns, delimiter="\t", quoted=False).map(parse)
    # The lines of a clip are adjacent in the published files.
    clips = events.group(lambda event: event.segment).map(select_longest)
    sounds = chain.from_iterable(clips)
    return pair_sounds(sounds, "audioset-strong", "What makes this sound?")


def read_xeno_canto(folder: Path, split: str, on_note: OnNote) -> Iterable[TrainingRecord]:
    """Read Xeno-canto from pages of its API, version 2 or 3, in `*.json`; the kind is the species.

    The caption has the common name, the species and the type of call. A recording is the file in
    `file-name`, or `XCID` or `ID`. Recordings of unknown species are skipped.
    """
    pages = sorted(folder.glob("*.json")) or [require_file(folder, "page1.json")]
    parse = partial(_parse_call, audio_folder=AudioFolder(folder))
    rows = (row for page in pages for row in read_json_items(page, on_note, "recordings").located)
    calls = Rows(rows, on_note).map(parse, f"{folder}: recordings of unknown species")
    return pair_sounds(calls, "xeno-canto", "Which species is heard?")


def _parse_call(row: Any, audio_folder: AudioFolder) -> Sound | None:
    id, genus = get_text(row, "id"), get_text(row, "gen")
    if genus == "Mystery":  # the site's name for a species that nobody has identified
        return None
    species = f"{genus} {get_text(row, 'sp')}"
    common = str(get_field(row, "en")).strip()
    caption = f"{common} ({species})" if common else species
    call = str(get_field(row, "type")).strip()
    file_name = str(row.get("file-name") or "")
    audio = audio_folder.find(*filter(None, (file_name, f"XC{id}", id)))
    return Sound(id, species, f"{caption}: {call}" if call else caption, audio)
