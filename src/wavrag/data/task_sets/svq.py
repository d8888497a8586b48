"""SVQ, Simple Voice Questions of the MSEB benchmark: human voice questions to Wikipedia passages.

The folder of https://huggingface.co/datasets/google/svq, in the layout that the reader of MSEB uses
(https://github.com/google-research/mseb, `mseb/datasets/simple_voice_questions.py` and
`mseb/tasks/retrievals/passage_in_lang/svq.py`):

    passage_retrieval_in_lang.jsonl        utt_id, locale, environment, text, passage_id, …
    passage_retrieval_in_lang_index.jsonl  id, title, context
    utt_index.jsonl                        utt_id, index: "audio/utts_en_us_clean:12", …
    audio/utts_en_us_clean.parquet         one row per utterance, `waveform` has a WAV file

The first two may also be Parquet files with the same columns. Without `utt_index.jsonl`, utterances
are found by the column `utt_id` of the files in `audio/`. ArrayRecord files are not supported.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from wavrag.data.datasets.files import (
    Rows,
    find_file,
    get_field,
    get_text,
    read_json_lines,
    read_parquet,
    require_file,
)
from wavrag.data.task_files import Row
from wavrag.data.task_sets.draw import TaskSource
from wavrag.errors import InputError
from wavrag.types import OnNote

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


def load_svq(folder: Path, split: str, direction: str, on_note: OnNote) -> TaskSource:
    """Open the questions of a locale, in all environments or, for `en_us:clean`, in one."""
    locale, _, environment = split.partition(":")
    question_file = require_file(folder, f"{TASK}.jsonl", f"{TASK}.parquet")
    passages = require_file(folder, f"{TASK}_index.jsonl", f"{TASK}_index.parquet")
    query_kind = direction.partition("2")[0]

    def parse_question(row: Any) -> tuple[bool, tuple[str, str, str]]:
        selected = get_text(row, "locale") == locale
        selected = selected and environment in ("", get_text(row, "environment"))
        id, words, passage = (get_text(row, key) for key in ("utt_id", "text", "passage_id"))
        return selected, (id, words, passage)

    rows = _read_rows(question_file, on_note, _QUESTION_COLUMNS).map(parse_question)
    questions = {id: (words, passage) for selected, (id, words, passage) in rows if selected}

    def parse_document(row: Any) -> Row:
        title = str(row.get("title") or "").strip()
        return {"_id": get_text(row, "id"), "title": title, "text": get_text(row, "context")}

    def read_corpus() -> Iterator[Row]:
        return iter(_read_rows(passages, on_note, ("id", "title", "context")).map(parse_document))

    def read_queries(ids: Collection[str]) -> Iterator[Row]:
        words = {id: {"text": questions[id][0]} if "T" in query_kind else {} for id in ids}
        if query_kind == "T":
            yield from ({"_id": id} | row for id, row in words.items())
            return
        for id, sound in _read_recordings(folder, ids, on_note):
            yield {"_id": id, "audio": sound} | words[id]

    return TaskSource(
        read_corpus, read_queries, {id: {passage: 1.0} for id, (_, passage) in questions.items()}
    )


_QUESTION_COLUMNS = ("utt_id", "locale", "environment", "text", "passage_id")


def _read_rows(path: Path, on_note: OnNote, columns: tuple[str, ...]) -> Rows[Any]:
    if path.suffix == ".parquet":
        return read_parquet(path, on_note, columns)
    return read_json_lines(path, on_note)


def _read_recordings(
    folder: Path, ids: Collection[str], on_note: OnNote
) -> Iterator[tuple[str, bytes]]:
    """Yield ids and audio of utterances, file by file, since a file has thousands of them.

    Raises:
        InputError: an utterance is missing.
    """
    positions = _find_positions(folder, on_note)
    files: dict[str, dict[int, str]] = {}
    for id in ids:
        if id not in positions:
            raise InputError(f"no recording of {id} in {folder}/audio: is the download whole?")
        file, _, number = positions[id].rpartition(":")
        files.setdefault(file, {})[int(number)] = id
    for name, ids_by_row in files.items():
        path = find_file(folder, f"{name}.parquet")
        if path is None:
            raise InputError(f"no {name}.parquet in {folder}: files of ArrayRecord are not read")
        for index, (location, row) in enumerate(read_parquet(path, on_note, ("waveform",)).located):
            if index in ids_by_row:
                yield ids_by_row[index], _get_audio(row, location)


def _get_audio(row: Mapping[str, Any], location: str) -> bytes:
    """Return the waveform, in a column of bytes or of audio of the `datasets` library."""
    value = row["waveform"]
    sound = value if isinstance(value, bytes) else get_field(value, "bytes")
    if not isinstance(sound, bytes) or not sound:
        raise InputError(f"{location}: waveform holds no sound file")
    return sound


def _find_positions(folder: Path, on_note: OnNote) -> dict[str, str]:
    """Return file and row of every utterance, such as `audio/utts_en_us_clean:12`."""
    index = find_file(folder, "utt_index.jsonl")
    if index is not None:
        rows = read_json_lines(index, on_note)
        return {get_text(row, "utt_id"): get_text(row, "index") for row in rows}
    paths = sorted((folder / "audio").glob("*.parquet"))
    if not paths:
        raise InputError(f"{folder} has no utt_index.jsonl and no audio/*.parquet")
    return {
        get_text(row, "utt_id"): f"audio/{path.stem}:{number}"
        for path in paths
        for number, row in enumerate(read_parquet(path, on_note, ("utt_id",)))
    }
