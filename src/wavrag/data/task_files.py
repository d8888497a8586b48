"""Writing the folder of a task, as `load_task` reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from wavrag.errors import InputError

Row: TypeAlias = dict[str, Any]  # `_id`, and any of `title`, `text`, `audio`
HEADER = "query-id\tcorpus-id\tscore"


@dataclass(frozen=True, slots=True)
class TaskRows:
    """What the files of a task are made of.

    Attributes:
        corpus: entries; `audio` is a path, absolute or from the working directory.
        queries: the same.
        qrels: query id, corpus id, and how relevant the one is to the other.
        provenance: what it was made of and how; JSON-able.
    """

    corpus: Iterable[Row]
    queries: Iterable[Row]
    qrels: Iterable[tuple[str, str, float]]
    provenance: Mapping[str, Any] = field(default_factory=dict)


def write_task(folder: Path, rows: TaskRows) -> tuple[int, int]:
    """Write `corpus.jsonl`, `queries.jsonl`, `qrels/test.tsv` and `provenance.json`.

    Each is written row by row, so that a corpus need not be in memory. Recordings stay where they
    are; paths are written relative to the folder.

    Returns:
        How many queries and how many entries.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        (folder / "qrels").mkdir(parents=True, exist_ok=True)
        entries = _write_rows(folder / "corpus.jsonl", rows.corpus)
        queries = _write_rows(folder / "queries.jsonl", rows.queries)
        with (folder / "qrels" / "test.tsv").open("w", encoding="utf-8") as target:
            print(HEADER, file=target)
            for query, entry, score in rows.qrels:
                print(f"{query}\t{entry}\t{score:g}", file=target)
        provenance = json.dumps(dict(rows.provenance), ensure_ascii=False, indent=2)
        (folder / "provenance.json").write_text(provenance + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from error
    return queries, entries


def _write_rows(path: Path, rows: Iterable[Row]) -> int:
    base, count = path.parent.absolute(), 0
    with path.open("w", encoding="utf-8") as target:
        for row in rows:
            audio = row.get("audio")
            written = row | {"audio": os.path.relpath(audio, base)} if audio else row
            print(json.dumps(written, ensure_ascii=False), file=target)
            count += 1
    return count
