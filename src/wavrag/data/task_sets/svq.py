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
    existing,
    field,
    json_lines,
    made,
    only,
    parquet,
    text,
    wanted,
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


def svq(folder: Path, split: str, direction: str, note: NoteCallback | None) -> TaskSource:
    """The questions of a locale, in all environments or, as `en_us:clean`, in one."""
    locale, _, environment = split.partition(":")
    asked = wanted(folder, f"{TASK}.jsonl", f"{TASK}.parquet")
    passages = wanted(folder, f"{TASK}_index.jsonl", f"{TASK}_index.parquet")
    asks = direction.partition("2")[0]

    def question(row: Any) -> tuple[bool, tuple[str, str, str]]:
        own = text(row, "locale") == locale
        own = own and environment in ("", text(row, "environment"))
        return own, (text(row, "utt_id"), text(row, "text"), text(row, "passage_id"))

    rows = only(made(_rows(asked, note, _ASKED), question, note))
    questions = {id: (words, passage) for own, (id, words, passage) in rows if own}

    def entry(row: Any) -> Row:
        title = str(row.get("title") or "").strip()
        return {"_id": text(row, "id"), "title": title, "text": text(row, "context")}

    def corpus() -> Iterator[Row]:
        return only(made(_rows(passages, note, ("id", "title", "context")), entry, note))

    def queries(chosen: Collection[str]) -> Iterator[Row]:
        words = {id: {"text": questions[id][0]} if "T" in asks else {} for id in chosen}
        if asks == "T":
            yield from ({"_id": id} | row for id, row in words.items())
            return
        for id, sound in _recordings(folder, chosen, note):
            yield {"_id": id, "audio": sound} | words[id]

    return TaskSource(
        corpus, queries, {id: {passage: 1.0} for id, (_, passage) in questions.items()}
    )


_ASKED = ("utt_id", "locale", "environment", "text", "passage_id")


def _rows(
    path: Path, note: NoteCallback | None, columns: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, Any]]]:
    return parquet(path, columns, note) if path.suffix == ".parquet" else json_lines(path, note)


def _recordings(
    folder: Path, chosen: Collection[str], note: NoteCallback | None
) -> Iterator[tuple[str, bytes]]:
    """Id and sound of the utterances, file by file.

    Raises:
        InputError: one is not in the folder.
    """
    places = _places(folder, note)
    files: dict[str, dict[int, str]] = {}
    for id in chosen:
        if id not in places:
            raise InputError(f"no recording of {id} in {folder}/audio: is the download whole?")
        file, _, number = places[id].rpartition(":")
        files.setdefault(file, {})[int(number)] = id
    for name, ids in files.items():
        path = existing(folder, f"{name}.parquet")
        if path is None:
            raise InputError(f"no {name}.parquet in {folder}: files of ArrayRecord are not read")
        for at, (place, row) in enumerate(parquet(path, ("waveform",), note)):
            if at in ids:
                yield ids[at], _sound(row, place)


def _sound(row: Mapping[str, Any], place: str) -> bytes:
    """The waveform, stored as it is or as the hub's library stores sound."""
    value = row["waveform"]
    sound = value if isinstance(value, bytes) else field(value, "bytes")
    if not isinstance(sound, bytes) or not sound:
        raise InputError(f"{place}: waveform holds no sound file")
    return sound


def _places(folder: Path, note: NoteCallback | None) -> dict[str, str]:
    """File and row of every utterance, such as `audio/utts_en_us_clean:12`."""
    index = existing(folder, "utt_index.jsonl")
    if index is not None:
        rows = only(json_lines(index, note))
        return {text(row, "utt_id"): text(row, "index") for row in rows}
    paths = sorted((folder / "audio").glob("*.parquet"))
    if not paths:
        raise InputError(f"{folder} has no utt_index.jsonl and no audio/*.parquet")
    return {
        text(row, "utt_id"): f"audio/{path.stem}:{number}"
        for path in paths
        for number, (_, row) in enumerate(parquet(path, ("utt_id",), note))
    }
