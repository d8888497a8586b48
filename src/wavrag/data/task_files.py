"""Writing of task folders for `load_task`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from wavrag.errors import InputError

Row: TypeAlias = dict[str, Any]  # `_id`, and any of `title`, `text`, `audio`, `transcript`
HEADER = "query-id\tcorpus-id\tscore"


@dataclass(frozen=True, slots=True)
class TaskRows:
    """The contents of a task folder; `audio` paths are relative to the working folder."""

    corpus: Iterable[Row]
    queries: Iterable[Row]
    qrels: Iterable[tuple[str, str, float]]  # query id, corpus id and relevance score
    provenance: Mapping[str, Any] = field(default_factory=dict)  # data set, options and versions


def write_task(folder: Path, rows: TaskRows) -> tuple[int, int]:
    """Write `corpus.jsonl`, `queries.jsonl`, `qrels/test.tsv` and `provenance.json`.

    Rows are written one at a time, so the corpus need not fit in memory. Recordings are not copied;
    their paths are written relative to the folder. Returns the number of queries and of corpus
    rows.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        (folder / "qrels").mkdir(parents=True, exist_ok=True)
        corpus_size = _write_rows(folder / "corpus.jsonl", rows.corpus)
        query_count = _write_rows(folder / "queries.jsonl", rows.queries)
        with (folder / "qrels" / "test.tsv").open("w", encoding="utf-8") as file:
            print(HEADER, file=file)
            for query, id, score in rows.qrels:
                print(f"{query}\t{id}\t{score:g}", file=file)
        provenance = json.dumps(dict(rows.provenance), ensure_ascii=False, indent=2)
        (folder / "provenance.json").write_text(provenance + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from error
    return query_count, corpus_size


def _write_rows(path: Path, rows: Iterable[Row]) -> int:
    base, count = path.parent.absolute(), 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            audio = row.get("audio")
            line = row | {"audio": os.path.relpath(audio, base)} if audio else row
            print(json.dumps(line, ensure_ascii=False), file=file)
            count += 1
    return count
