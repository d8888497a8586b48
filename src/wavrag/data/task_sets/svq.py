"""SVQ, Simple Voice Questions: people's questions to passages of Wikipedia, of the MSEB benchmark.

The folder of https://huggingface.co/datasets/google/svq, as the reader of MSEB takes it
(https://github.com/google-research/mseb, `mseb/datasets/simple_voice_questions.py` and
`mseb/tasks/retrievals/passage_in_lang/svq.py`):

    passage_retrieval_in_lang.jsonl        utt_id, locale, environment, text, passage_id, …
    passage_retrieval_in_lang_index.jsonl  id, title, context
    utt_index.jsonl                        utt_id, index: "audio/utts_en_us_clean:12", …
    audio/utts_en_us_clean.parquet         a row an utterance, `waveform` with a WAV file's bytes

The first two may be Parquet files of the same columns. Without `utt_index.jsonl` the files in
`audio/` are searched for their `utt_id`. Files of ArrayRecord are not read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from wavrag.data.datasets.files import (
    drop_locations,
    find_file,
    get_field,
    get_text,
    map_rows,
    read_json_lines,
    read_parquet,
    require_file,
)
from wavrag.data.task_files import Row
from wavrag.data.task_sets.draw import TaskSource
from wavrag.errors import InputError
from wavrag.types import NoteCallback

TASK = "passage_retrieval_in_lang"
ENVIRONMENTS = ("clean", "media_noise", "traffic_noise", "background_speech")
LOCALES = tuple(
    "en_us en_au en_gb en_in en_ph ar_eg ar_x_gulf ar_x_levant ar_x_maghrebi bn_bd bn_in fi_fi"
    " id_id ko_kr ru_ru sw te_in".split()
)
SPLITS = tuple(
    locale + suffix
    for locale in LOCALES
    for suffix in ("", *(f":{environment}" for environment in ENVIRONMENTS))
)


def load_svq(folder: Path, split: str, direction: str, on_note: NoteCallback | None) -> TaskSource:
    """The questions of a locale, in all environments or, as `en_us:clean`, in one."""
    locale, _, environment = split.partition(":")
    asked = require_file(folder, f"{TASK}.jsonl", f"{TASK}.parquet")
    passages = require_file(folder, f"{TASK}_index.jsonl", f"{TASK}_index.parquet")
    asks = direction.partition("2")[0]

    def question(row: Any) -> tuple[bool, tuple[str, str, str]]:
        own = get_text(row, "locale") == locale
        own = own and environment in ("", get_text(row, "environment"))
        return own, (get_text(row, "utt_id"), get_text(row, "text"), get_text(row, "passage_id"))

    rows = drop_locations(map_rows(_rows(asked, on_note, _ASKED), question, on_note))
    questions = {id: (words, passage) for own, (id, words, passage) in rows if own}

    def entry(row: Any) -> Row:
        title = str(row.get("title") or "").strip()
        return {"_id": get_text(row, "id"), "title": title, "text": get_text(row, "context")}

    def corpus() -> Iterator[Row]:
        return drop_locations(
            map_rows(_rows(passages, on_note, ("id", "title", "context")), entry, on_note)
        )

    def queries(chosen: Collection[str]) -> Iterator[Row]:
        words = {id: {"text": questions[id][0]} if "T" in asks else {} for id in chosen}
        if asks == "T":
            yield from ({"_id": id} | row for id, row in words.items())
            return
        for id, sound in _recordings(folder, chosen, on_note):
            yield {"_id": id, "audio": sound} | words[id]

    return TaskSource(
        corpus, queries, {id: {passage: 1.0} for id, (_, passage) in questions.items()}
    )


_ASKED = ("utt_id", "locale", "environment", "text", "passage_id")


def _rows(
    path: Path, on_note: NoteCallback | None, columns: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, Any]]]:
    return (
        read_parquet(path, columns, on_note)
        if path.suffix == ".parquet"
        else read_json_lines(path, on_note)
    )


def _recordings(
    folder: Path, chosen: Collection[str], on_note: NoteCallback | None
) -> Iterator[tuple[str, bytes]]:
    """Id and sound of the utterances, file by file.

    Raises:
        InputError: one is not in the folder.
    """
    places = _places(folder, on_note)
    files: dict[str, dict[int, str]] = {}
    for id in chosen:
        if id not in places:
            raise InputError(f"no recording of {id} in {folder}/audio: is the download whole?")
        file, _, number = places[id].rpartition(":")
        files.setdefault(file, {})[int(number)] = id
    for name, ids in files.items():
        path = find_file(folder, f"{name}.parquet")
        if path is None:
            raise InputError(f"no {name}.parquet in {folder}: files of ArrayRecord are not read")
        for at, (place, row) in enumerate(read_parquet(path, ("waveform",), on_note)):
            if at in ids:
                yield ids[at], _sound(row, place)


def _sound(row: Mapping[str, Any], place: str) -> bytes:
    """The waveform, stored as it is or as the hub's library stores sound."""
    value = row["waveform"]
    sound = value if isinstance(value, bytes) else get_field(value, "bytes")
    if not isinstance(sound, bytes) or not sound:
        raise InputError(f"{place}: waveform holds no sound file")
    return sound


def _places(folder: Path, on_note: NoteCallback | None) -> dict[str, str]:
    """File and row of every utterance, such as `audio/utts_en_us_clean:12`."""
    index = find_file(folder, "utt_index.jsonl")
    if index is not None:
        rows = drop_locations(read_json_lines(index, on_note))
        return {get_text(row, "utt_id"): get_text(row, "index") for row in rows}
    paths = sorted((folder / "audio").glob("*.parquet"))
    if not paths:
        raise InputError(f"{folder} has no utt_index.jsonl and no audio/*.parquet")
    return {
        get_text(row, "utt_id"): f"audio/{path.stem}:{number}"
        for path in paths
        for number, (_, row) in enumerate(read_parquet(path, ("utt_id",), on_note))
    }
