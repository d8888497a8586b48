"""Convert passages to Arrow rows and back; each row repeats the columns of its document."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import islice
from typing import IO, Any

import numpy as np

from wavrag.closing import Closing
from wavrag.store.base import StoredPassage
from wavrag.store.lance_filter import RS, encode_built_in, encode_metadata, to_labels
from wavrag.types import Metadata, Passage
from wavrag.where import OPTIONAL_KEYS

# Version of the columns, in the metadata of the schema.
FORMAT = b"1"

STREAM_ROWS = 1_000  # in a batch of a stream: about 5 MB with vectors of 384 dimensions

PASSAGE_COLUMNS = tuple(field.name for field in fields(Passage))

# Columns missing in tables of earlier versions; the first write adds them, empty.
ADDED_COLUMNS = (
    *("speech", "level", "speaker", "channel", "track", "recording", "copies"),
    *("write_id", "labels"),
)

# Not parts of a `StoredPassage`.
UNREAD_COLUMNS = {"id", "facets", "write_id", "labels"}

# In the metadata of a field: it is the key. Then LanceDB notices that two merges insert the same
# row, if both have a clause that deletes rows.
KEY = b"lance-schema:unenforced-primary-key:position"


def schema(dim: int) -> Any:
    """Arrow schema of a table with vectors of `dim` dimensions."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False, metadata={KEY: b"1"}),
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
            pa.field("facets", pa.string()),  # metadata for filters: lance_filter.py
            pa.field("content_hash", pa.string()),
            pa.field("lexical", pa.string()),
            pa.field("vector", pa.list_(pa.float32(), dim)),
            # Last, because that is where `add_columns` puts them in tables without them.
            pa.field("speech", pa.bool_()),
            pa.field("level", pa.float64()),
            pa.field("speaker", pa.string()),
            pa.field("channel", pa.int32()),
            pa.field("track", pa.int32()),
            pa.field("recording", pa.string()),
            pa.field("copies", pa.list_(pa.string())),
            pa.field("write_id", pa.int64()),  # the same in all rows of a document
            pa.field("labels", pa.list_(pa.string())),  # facets with an index: lance_filter.py
        ],
        metadata={"wavrag.format": FORMAT},
    )


NO_WRITE = -1  # no row has this number


def new_write_id() -> int:
    """A random number for a write; rows of two writes are not of one document."""
    return secrets.randbits(63)


def to_table(records: Sequence[StoredPassage], dim: int, write_id: int) -> Any:
    """Convert passages to an Arrow table with `schema(dim)`."""
    import pyarrow as pa

    table_schema = schema(dim)
    # Once per document, which may have thousands of rows, and set of keys of the passage.
    encoded: dict[tuple[str, frozenset[str]], tuple[str, str]] = {}
    columns: dict[str, list[Any]] = {name: [] for name in table_schema.names if name != "vector"}
    for record in records:
        passage = record.passage
        hidden = frozenset(key for key in OPTIONAL_KEYS if getattr(passage, key) is not None)
        if (key := (passage.document_id, hidden)) not in encoded:
            json_text = json.dumps(dict(passage.metadata), ensure_ascii=False, sort_keys=True)
            visible = {name: passage.metadata[name] for name in passage.metadata.keys() - hidden}
            encoded[key] = json_text, encode_metadata(visible)
        for name in PASSAGE_COLUMNS:
            if name not in ("metadata", "copies"):
                columns[name].append(getattr(passage, name))
        columns["id"].append(passage.id)
        columns["copies"].append(list(passage.copies) or None)
        columns["metadata"].append(encoded[key][0])
        facets = f"{RS}{encode_built_in(passage)}{encoded[key][1]}"
        columns["facets"].append(facets)
        columns["labels"].append(to_labels(facets))
        columns["content_hash"].append(record.content_hash)
        columns["lexical"].append(record.lexical)
        columns["write_id"].append(write_id)
    arrays = {
        name: pa.array(values, table_schema.field(name).type) for name, values in columns.items()
    }
    vectors = np.stack([record.vector for record in records]).astype(np.float32, copy=False)
    arrays["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dim)
    return pa.table([arrays[name] for name in table_schema.names], schema=table_schema)


class RowStream(Closing):
    """Passages as a stream of Arrow batches, so that LanceDB never holds all of them.

    Attributes:
        error: the exception of the passages' iterator, if it raised one.
    """

    def __init__(self, records: Iterable[StoredPassage], dim: int) -> None:
        self._records = iter(records)
        self._dim = dim
        self._write_id = new_write_id()
        self._file: IO[bytes] | None = None
        self.error: Exception | None = None

    def spool(self) -> None:
        """Write the stream to a temporary file, so that it can be read several times.

        Raises an exception of the passages' iterator as it is.
        """
        import pyarrow as pa

        self._file = tempfile.TemporaryFile(prefix="wavrag-")  # noqa: SIM115 - kept open
        with pa.ipc.new_stream(self._file, schema(self._dim)) as writer:
            for batch in self._batches():
                writer.write_batch(batch)

    def close(self) -> None:
        """Delete the temporary file."""
        if self._file is not None:
            self._file.close()

    def reader(self) -> Any:
        """An Arrow reader of the stream; only the first one, unless it was spooled."""
        import pyarrow as pa

        if self._file is None:
            return pa.RecordBatchReader.from_batches(schema(self._dim), self._batches())
        self._file.seek(0)
        return pa.ipc.open_stream(self._file)

    def _batches(self) -> Iterator[Any]:
        try:
            while records := list(islice(self._records, STREAM_ROWS)):
                yield from to_table(records, self._dim, self._write_id).to_batches()
        except Exception as error:
            self.error = error
            raise


def to_passages(table: Any) -> list[Passage]:
    """Convert an Arrow table with `PASSAGE_COLUMNS`; `ADDED_COLUMNS` may be missing."""
    columns = {
        name: table[name].to_pylist() for name in PASSAGE_COLUMNS if name in table.schema.names
    }
    columns["metadata"] = [load_metadata(text) for text in columns["metadata"]]
    if "copies" in columns:
        columns["copies"] = [tuple(paths or ()) for paths in columns["copies"]]
    rows = zip(*columns.values(), strict=True)
    return [Passage(**dict(zip(columns, row, strict=True))) for row in rows]


def passage_columns(table: Any) -> list[str]:
    """Names of the `PASSAGE_COLUMNS` in a LanceDB table."""
    names = table.schema.names
    return [name for name in PASSAGE_COLUMNS if name in names]


def to_records(table: Any) -> Iterator[StoredPassage]:
    """Convert an Arrow table without the `UNREAD_COLUMNS`."""
    vectors = table["vector"].combine_chunks()
    matrix = vectors.flatten().to_numpy().reshape(len(vectors), -1)
    lexical, hashes = table["lexical"].to_pylist(), table["content_hash"].to_pylist()
    rows = zip(to_passages(table), matrix, lexical, hashes, strict=True)
    return (StoredPassage(*row) for row in rows)


def load_metadata(text: str) -> Metadata:
    """Parse metadata from JSON."""
    metadata: Metadata = json.loads(text)
    return metadata
