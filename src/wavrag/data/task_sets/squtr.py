"""SQuTR: questions of six text retrieval sets, spoken and laid under noise (arXiv 2602.12783).

A folder for each set, such as `source_data/en/fiqa`, in the layout of BEIR with lists of recordings
beside it, as https://github.com/ttoyekk1a/SQuTR-Spoken-Query-to-Text-Retrieval shows it:

    corpus.jsonl                          {"_id", "title", "text"}
    queries_with_audio_clean.jsonl        {"_id", "text", "audio": "4641.wav"}
    queries_with_audio_noise_snr_0.jsonl  {"_id", "text", "audio", "snr_db", "noise_id"}
    audio_clean/, audio_noise_snr_0/, …   the recordings
    qrels/test.jsonl                      {"query-id", "corpus-id", "score"}, or test.tsv, as BEIR
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from wavrag.data.datasets.files import existing, field, json_lines, made, only, table, text, wanted
from wavrag.data.task_files import Row
from wavrag.data.task_sets.draw import TaskSource
from wavrag.errors import InputError
from wavrag.types import NoteCallback

SPLITS = {
    "clean": "clean",
    "snr-20": "noise_snr_20",
    "snr-10": "noise_snr_10",
    "snr-0": "noise_snr_0",
}


def squtr(folder: Path, split: str, direction: str, note: NoteCallback | None) -> TaskSource:
    """One of the six sets, at one level of noise."""
    condition = SPLITS[split]
    passages = wanted(folder, "corpus.jsonl")
    listed = wanted(folder, f"queries_with_audio_{condition}.jsonl")
    judged = wanted(folder, "qrels/test.jsonl", "qrels/test.tsv")
    asks = direction.partition("2")[0]

    def entry(row: Any) -> Row | None:
        words = {key: str(row.get(key) or "").strip() for key in ("title", "text")}
        return {"_id": text(row, "_id")} | words if any(words.values()) else None

    def query(row: Any) -> Row:
        made: Row = {"_id": text(row, "_id")}
        if "T" in asks:
            made["text"] = text(row, "text")
        if "S" in asks or "A" in asks:
            name = text(row, "audio")
            recording = existing(folder / f"audio_{condition}", Path(name).name)
            if recording is None:
                raise InputError(f"no sound file audio_{condition}/{name} in {folder}")
            made["audio"] = str(recording)
        return made

    def corpus() -> Iterator[Row]:
        return only(made(json_lines(passages, note), entry, note, f"{passages}: empty entries"))

    def queries(chosen: Collection[str]) -> Iterator[Row]:
        lines = (
            (place, row)
            for place, row in json_lines(listed, note)
            if not isinstance(row, dict) or str(row.get("_id")) in chosen
        )
        return only(made(lines, query, note))

    return TaskSource(corpus, queries, _qrels(judged, note))


def _qrels(path: Path, note: NoteCallback | None) -> dict[str, dict[str, float]]:
    columns = ("query-id", "corpus-id", "score")
    rows = (
        json_lines(path, note)
        if path.suffix == ".jsonl"
        else table(path, note, columns, delimiter="\t", quoted=False)
    )

    def judgement(row: Any) -> tuple[str, str, float]:
        return text(row, columns[0]), text(row, columns[1]), float(field(row, columns[2]))

    qrels: dict[str, dict[str, float]] = {}
    for query, id, score in only(made(rows, judgement, note)):
        qrels.setdefault(query, {})[id] = score
    return qrels
