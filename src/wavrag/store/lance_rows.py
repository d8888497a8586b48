"""Records to Arrow rows and back. One table: a row is a passage, with its document's columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from wavrag.store.base import StoredPassage
from wavrag.store.lance_filter import RS, encode_metadata, encode_own
from wavrag.types import Metadata, Passage

FORMAT = b"1"
"""Version of the columns, kept in the table's schema."""

PASSAGE_COLUMNS = (
    "document_id",
    "ordinal",
    "text",
    "start",
    "end",
    "char_start",
    "char_end",
    "section",
    "page",
    "source",
    "title",
    "metadata",
    "speech",
    "level",
)

ADDED_COLUMNS = ("speech", "level")
"""Columns that tables made by earlier versions lack; the first write adds them, empty."""


def schema(dim: int) -> Any:
    """The Arrow schema of a table whose vectors are `dim` long."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("document_id", pa.string(), nullable=False),
            pa.field("ordinal", pa.int32(), nullable=False),
            pa.field("text", pa.string()),
            pa.field("start", pa.float64()),
            pa.field("end", pa.float64()),
            pa.field("char_start", pa.int64()),
            pa.field("char_end", pa.int64()),
            pa.field("section", pa.string()),
            pa.field("page", pa.int32()),
            pa.field("source", pa.string()),
            pa.field("title", pa.string()),
            pa.field("metadata", pa.string()),  # JSON object
            pa.field("facets", pa.string()),  # the same, as filters read it: lance_filter.py
            pa.field("content_hash", pa.string()),
            pa.field("lexical", pa.string()),
            pa.field("vector", pa.list_(pa.float32(), dim)),
            # Last, because that is where `add_columns` puts them in tables without them.
            pa.field("speech", pa.bool_()),
            pa.field("level", pa.float64()),
        ],
        metadata={"wavrag.format": FORMAT},
    )


def to_table(records: Sequence[StoredPassage], dim: int) -> Any:
    """Records as an Arrow table of `schema(dim)`."""
    import pyarrow as pa

    encoded: dict[str, tuple[str, str]] = {}  # a document's metadata is encoded once
    columns: dict[str, list[Any]] = {name: [] for name in schema(dim).names if name != "vector"}
    for record in records:
        passage = record.passage
        if passage.document_id not in encoded:
            encoded[passage.document_id] = (
                _dump(passage.metadata),
                encode_metadata(passage.metadata),
            )
        for name in PASSAGE_COLUMNS:
            if name != "metadata":
                columns[name].append(getattr(passage, name))
        columns["id"].append(passage.id)
        columns["metadata"].append(encoded[passage.document_id][0])
        columns["facets"].append(f"{RS}{encode_own(passage)}{encoded[passage.document_id][1]}")
        columns["content_hash"].append(record.content_hash)
        columns["lexical"].append(record.lexical)
    fields = schema(dim)
    arrays = {name: pa.array(values, fields.field(name).type) for name, values in columns.items()}
    vectors = np.stack([record.vector for record in records]).astype(np.float32, copy=False)
    arrays["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dim)
    return pa.table([arrays[name] for name in fields.names], schema=fields)


def to_passages(table: Any) -> list[Passage]:
    """The passages of an Arrow table with `PASSAGE_COLUMNS`; `ADDED_COLUMNS` may be missing."""
    columns = {
        name: table[name].to_pylist() for name in PASSAGE_COLUMNS if name in table.schema.names
    }
    columns["metadata"] = [load_metadata(text) for text in columns["metadata"]]
    rows = zip(*columns.values(), strict=True)
    return [Passage(**dict(zip(columns, row, strict=True))) for row in rows]


def passage_columns(table: Any) -> list[str]:
    """The `PASSAGE_COLUMNS` that a LanceDB table has."""
    names = table.schema.names
    return [name for name in PASSAGE_COLUMNS if name in names]


def to_records(table: Any) -> Iterator[StoredPassage]:
    """The records of an Arrow table that has every column but `facets`."""
    vectors = table["vector"].combine_chunks()
    matrix = vectors.flatten().to_numpy().reshape(len(vectors), -1)
    lexical, hashes = table["lexical"].to_pylist(), table["content_hash"].to_pylist()
    rows = zip(to_passages(table), matrix, lexical, hashes, strict=True)
    return (StoredPassage(*row) for row in rows)


def load_metadata(text: str) -> Metadata:
    """Metadata from its JSON."""
    metadata: Metadata = json.loads(text)
    return metadata


def _dump(metadata: Metadata) -> str:
    return json.dumps(dict(metadata), ensure_ascii=False, sort_keys=True)
