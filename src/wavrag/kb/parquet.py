"""Embedded documents in Parquet files: a row for each document, for transfer between machines."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wavrag.embed import Embedder, EmbedderSpec
from wavrag.errors import IndexMismatchError, InputError
from wavrag.kb import manifest
from wavrag.kb.indexing import add_documents
from wavrag.kb.report import AddReport
from wavrag.store import MemoryStore, Store, StoredPassage
from wavrag.types import Document, Float32, Passage

if TYPE_CHECKING:
    import pyarrow as pa
    from pydantic import TypeAdapter

ROWS = 64  # documents in memory at once
COMMIT_PASSAGES = 1_000  # of short documents in one commit


def table_schema() -> pa.Schema:
    """Columns of a file.

    A document that cannot be indexed has a `reason` and no passages. `passages` are JSON objects
    with the fields of `Passage`, and `vectors` unit vectors of float32, one for each passage.
    """
    import pyarrow as pa

    texts = pa.list_(pa.string())
    return pa.schema(
        {
            "document_id": pa.string(), "source": pa.string(), "reason": pa.string(),
            "content_hash": pa.string(), "embedder": pa.string(), "passages": texts,
            "lexical": texts, "vectors": pa.list_(pa.list_(pa.float32())),
        }
    )  # fmt: skip


def embed_to_table(documents: Sequence[Document], embedder: Embedder, folder: Path) -> pa.Table:
    """Read, split and embed documents without a knowledge base.

    Args:
        documents: documents with distinct ids.
        embedder: the embedder.
        folder: folder for temporary files.

    Returns:
        A table with the columns of `table_schema`.
    """
    import pyarrow as pa

    store = MemoryStore(embedder.spec.dim)
    report = add_documents(documents, embedder, store, folder)
    rows: list[dict[str, Any]] = [
        {"source": source, "reason": reason, "passages": [], "lexical": [], "vectors": []}
        for source, reason in report.skipped
    ]
    for id in report.added:
        records = list(store.scan([id]))
        rows.append(
            {
                "document_id": id,
                "source": records[0].passage.source,
                "content_hash": records[0].content_hash,
                "passages": [_dump(record.passage) for record in records],
                "lexical": [record.lexical for record in records],
                "vectors": [record.vector for record in records],
            }
        )
    identity = json.dumps(manifest.identity(embedder.spec), sort_keys=True)
    return pa.Table.from_pylist([{**row, "embedder": identity} for row in rows], table_schema())


def import_parquet(
    store: Store,
    spec: EmbedderSpec,
    paths: Sequence[str | os.PathLike[str]],
    on_document: Callable[[int], object] = lambda count: None,
) -> AddReport:
    """Store the documents of Parquet files; see `KnowledgeBase.import_parquet`."""
    start = time.monotonic()
    report = AddReport()
    hashes = {document.id: document.content_hash for document in store.documents()}
    batch: list[StoredPassage] = []
    batch_ids: set[str] = set()
    for count, row in enumerate(_read_rows(paths, spec), start=1):
        on_document(count)
        id = row["document_id"]
        if row["reason"] is not None:
            report.skipped.append((row["source"], row["reason"]))
        elif hashes.get(id) == row["content_hash"]:
            report.unchanged.append(id)
        else:
            records = _records(row, spec.dim)
            # A document twice in one commit would have the passages of both.
            if len(batch) + len(records) > COMMIT_PASSAGES or id in batch_ids:
                store.upsert(batch)
                batch, batch_ids = [], set()
            batch += records
            batch_ids.add(id)
            (report.updated if id in hashes else report.added).append(id)
            hashes[id] = row["content_hash"]
            report.passages += len(records)
    store.upsert(batch)
    if report.passages:
        store.optimize()
    report.seconds = time.monotonic() - start
    return report


def _read_rows(
    paths: Sequence[str | os.PathLike[str]], spec: EmbedderSpec
) -> Iterator[dict[str, Any]]:
    """The documents of all files.

    Raises:
        InputError: a file is missing, or is no Parquet file with these columns.
        IndexMismatchError: its vectors are of another embedder.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    expected, schema = manifest.identity(spec), table_schema()
    for path in _find_files(paths):
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(ROWS):
                    for row in batch.select(schema.names).cast(schema).to_pylist():
                        embedder = json.loads(row["embedder"])
                        if embedder != expected:
                            raise IndexMismatchError(
                                f"{path} has vectors of {embedder}, and the knowledge base of"
                                f" {expected}: embed the files with its embedder"
                            )
                        yield row
        except (pa.ArrowException, KeyError, TypeError, ValueError, OSError) as error:
            raise InputError(
                f"{path} is no Parquet file of `wavrag embed-bulk` ({error}): name another file"
            ) from error


def _find_files(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    files: list[Path] = []
    for path in map(Path, paths):
        inside = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        if not inside:
            raise InputError(f"{path} holds no .parquet file: name another folder")
        files += inside
    return files


def _records(row: dict[str, Any], dim: int) -> list[StoredPassage]:
    """The passages of a row.

    Raises:
        InputError: their numbers or types are not as in `table_schema`.
    """
    from pydantic import ValidationError

    id = row["document_id"]
    try:
        passages = _passages_type().validate_python([json.loads(text) for text in row["passages"]])
        vectors: Float32 = np.array(row["vectors"], np.float32).reshape(len(passages), dim)
        names = [(passage.document_id, passage.ordinal) for passage in passages]
        if not passages or names != [(id, ordinal) for ordinal in range(len(passages))]:
            raise ValueError("its passages are not numbered")
        rows = zip(passages, vectors, row["lexical"], strict=True)
        return [StoredPassage(*values, row["content_hash"]) for values in rows]
    except (ValidationError, ValueError, TypeError) as error:
        raise InputError(
            f"the document {id} is damaged ({str(error).splitlines()[0]}): embed it again"
        ) from error


@cache  # building it for each document took most of the time of an import
def _passages_type() -> TypeAdapter[list[Passage]]:
    from pydantic import TypeAdapter

    return TypeAdapter(list[Passage])


def _dump(passage: Passage) -> str:
    values = {name: value for name, value in asdict(passage).items() if value not in (None, "", ())}
    # JSON has no infinities, which are levels of silence; the text is read as a number again.
    level = values.get("level")
    if isinstance(level, float) and not np.isfinite(level):
        values["level"] = str(level)
    return json.dumps(values, ensure_ascii=False)
