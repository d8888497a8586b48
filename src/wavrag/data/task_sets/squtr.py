"""SQuTR: spoken questions of six text retrieval sets, with added noise (arXiv 2602.12783).

Each set is a folder such as `source_data/en/fiqa`, in the layout of BEIR with lists of recordings
(https://github.com/ttoyekk1a/SQuTR-Spoken-Query-to-Text-Retrieval):

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

from wavrag.data.datasets.files import (
    Rows,
    find_file,
    get_field,
    get_text,
    read_json_lines,
    read_table,
    require_file,
)
from wavrag.data.task_files import Row
from wavrag.data.task_sets.draw import TaskSource
from wavrag.errors import InputError
from wavrag.types import OnNote

SPLITS = {
    "clean": "clean",
    "snr-20": "noise_snr_20",
    "snr-10": "noise_snr_10",
    "snr-0": "noise_snr_0",
}


def load_squtr(folder: Path, split: str, direction: str, on_note: OnNote) -> TaskSource:
    """Open one of the six sets, at one level of noise."""
    condition = SPLITS[split]
    passages = require_file(folder, "corpus.jsonl")
    query_file = require_file(folder, f"queries_with_audio_{condition}.jsonl")
    qrels_file = require_file(folder, "qrels/test.jsonl", "qrels/test.tsv")
    query_kind = direction.partition("2")[0]

    def parse_document(row: Any) -> Row | None:
        words = {key: str(row.get(key) or "").strip() for key in ("title", "text")}
        return {"_id": get_text(row, "_id")} | words if any(words.values()) else None

    def parse_query(row: Any) -> Row:
        query_row: Row = {"_id": get_text(row, "_id")}
        if "T" in query_kind:
            query_row["text"] = get_text(row, "text")
        if "S" in query_kind or "A" in query_kind:
            name = get_text(row, "audio")
            recording = find_file(folder / f"audio_{condition}", Path(name).name)
            if recording is None:
                raise InputError(f"no sound file audio_{condition}/{name} in {folder}")
            query_row["audio"] = str(recording)
        return query_row

    def read_corpus() -> Iterator[Row]:
        rows = read_json_lines(passages, on_note)
        return iter(rows.map(parse_document, f"{passages}: empty entries"))

    def read_queries(ids: Collection[str]) -> Iterator[Row]:
        lines = (
            (location, row)
            for location, row in read_json_lines(query_file, on_note).located
            if not isinstance(row, dict) or str(row.get("_id")) in ids
        )
        return iter(Rows(lines, on_note).map(parse_query))

    return TaskSource(read_corpus, read_queries, _read_qrels(qrels_file, on_note))


def _read_qrels(path: Path, on_note: OnNote) -> dict[str, dict[str, float]]:
    columns = ("query-id", "corpus-id", "score")
    rows = (
        read_json_lines(path, on_note)
        if path.suffix == ".jsonl"
        else read_table(path, on_note, columns, delimiter="\t", quoted=False)
    )

    def parse_judgement(row: Any) -> tuple[str, str, float]:
        query, id, score = columns
        return get_text(row, query), get_text(row, id), float(get_field(row, score))

    qrels: dict[str, dict[str, float]] = {}
    for query, id, score in rows.map(parse_judgement):
        qrels.setdefault(query, {})[id] = score
    return qrels
