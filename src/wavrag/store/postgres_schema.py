"""Tables of a PostgreSQL store, and its rows.

The passages of each tenant are a partition with indexes of its own, because a vector index over all
tenants would return the neighbours of others, and vectors may differ in length.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from operator import attrgetter
from typing import Any

import numpy as np

from wavrag.store.base import StoredDocument, StoredPassage
from wavrag.store.lance_documents import Tally
from wavrag.store.postgres_binary import vector_parameter
from wavrag.store.postgres_filter import decode_text, encode_text, passage_facets
from wavrag.store.postgres_pool import row_security
from wavrag.types import Float32, Passage

# The attributes of `Passage`, in order; `start` and `end` are reserved words of SQL.
PASSAGE_COLUMNS = (
    "document_id", "ordinal", "text", "start_seconds", "end_seconds", "char_start", "char_end",
    "section", "page", "source", "title", "metadata", "speech", "level", "speaker", "channel",
    "track", "recording", "copies",
)  # fmt: skip
COLUMNS = ", ".join(f"p.{name}" for name in PASSAGE_COLUMNS)
SCAN_COLUMNS = f"{COLUMNS}, vector_send(p.vector), p.lexical, p.content_hash"
_TEXTS = {"document_id", "text", "section", "source", "title", "speaker", "recording"}
_IS_TEXT = tuple(name in _TEXTS for name in PASSAGE_COLUMNS)
_METADATA, _COPIES = PASSAGE_COLUMNS.index("metadata"), PASSAGE_COLUMNS.index("copies")
_ATTRIBUTES = attrgetter(*Passage.__dataclass_fields__)

_TABLES = ("bases", "documents", "passages", "postings", "segments", "removed", "vocabularies")

MIGRATIONS = [
    """
    CREATE TABLE wavrag.bases (
        tenant text COLLATE "C" PRIMARY KEY,
        dim integer NOT NULL  -- of the vectors
    );
    CREATE TABLE wavrag.documents (
        tenant text COLLATE "C", document_id text COLLATE "C", content_hash text NOT NULL,
        source text NOT NULL, title text NOT NULL, modality text NOT NULL,
        passages integer NOT NULL, seconds float8 NOT NULL, metadata text NOT NULL, copies text[],
        digest numeric NOT NULL,  -- sum of the digests of its passages
        PRIMARY KEY (tenant, document_id)
    );
    CREATE TABLE wavrag.passages (
        tenant text COLLATE "C" NOT NULL,
        number bigint NOT NULL,  -- in the postings; never used again
        document_id text COLLATE "C" NOT NULL, ordinal integer NOT NULL,
        text text, start_seconds float8, end_seconds float8, char_start bigint, char_end bigint,
        section text COLLATE "C" NOT NULL, page integer, source text COLLATE "C" NOT NULL,
        title text COLLATE "C" NOT NULL, metadata text NOT NULL, speech boolean, level float8,
        speaker text, channel integer, track integer, recording text, copies text[],
        content_hash text NOT NULL,
        lexical text,  -- null if it equals the text
        words integer NOT NULL,  -- terms of `lexical`
        facets text[] COLLATE "C" NOT NULL,
        vector vector NOT NULL
    ) PARTITION BY LIST (tenant);
    CREATE TABLE wavrag.postings (
        tenant text COLLATE "C", term text COLLATE "C", segment bigint, postings bytea NOT NULL,
        PRIMARY KEY (tenant, term, segment)
    );
    ALTER TABLE wavrag.postings ALTER COLUMN postings SET STORAGE external;
    CREATE TABLE wavrag.segments (  -- what each commit added to the totals
        tenant text COLLATE "C", segment bigint, passages bigint NOT NULL, words bigint NOT NULL,
        PRIMARY KEY (tenant, segment)
    );
    CREATE TABLE wavrag.removed (  -- passages whose postings are still there
        tenant text COLLATE "C", number bigint, PRIMARY KEY (tenant, number)
    );
    CREATE TABLE wavrag.vocabularies (tenant text COLLATE "C" PRIMARY KEY, count bytea NOT NULL);
    CREATE SEQUENCE wavrag.segment_numbers;
    """
    + "".join(row_security(f"wavrag.{table}") for table in _TABLES)
]


def table_of(tenant: str) -> str:
    """The table with the passages of a tenant."""
    return f'wavrag."passages_{tenant}"'


def vector_index_of(tenant: str) -> str:
    """The HNSW index of a tenant."""
    return f'wavrag."vectors_{tenant}"'


def numbers_of(tenant: str) -> str:
    """The sequence that numbers the passages of a tenant."""
    return f'wavrag."numbers_{tenant}"'


def partition_sql(tenant: str, dim: int) -> str:
    """SQL that creates the passages of a tenant."""
    table = table_of(tenant)
    return f"""
        CREATE TABLE {table} PARTITION OF wavrag.passages (
            CHECK (vector_dims(vector) = {dim}), PRIMARY KEY (number), UNIQUE (document_id, ordinal)
        ) FOR VALUES IN ('{tenant}')
        -- Vectors stay in the rows, where they are read several times faster than outside.
        WITH (toast_tuple_target = 8160);
        CREATE SEQUENCE {numbers_of(tenant)} MAXVALUE 4294967295;
        {row_security(table)}
    """


def drop_statements(tenant: str) -> list[str]:
    """Statements that delete a tenant."""
    return [
        f"DROP TABLE {table_of(tenant)}",
        f"DROP SEQUENCE {numbers_of(tenant)}",
        *(f"DELETE FROM wavrag.{table} WHERE tenant = '{tenant}'" for table in _TABLES),
    ]


INSERT_VALUES = (
    f"(tenant, number, {', '.join(PASSAGE_COLUMNS)}, content_hash, lexical, words, facets, vector)"
    f" VALUES ({', '.join(['%s'] * (len(PASSAGE_COLUMNS) + 5))}, %b::text[], %s::vector)"
)


def insert_row(record: StoredPassage, tenant: str, number: int, words: int) -> list[Any]:
    """Parameters of `INSERT_VALUES`."""
    passage = record.passage
    values: list[Any] = [
        encode_text(value) if is_text and value is not None else value
        for value, is_text in zip(_ATTRIBUTES(passage), _IS_TEXT, strict=True)
    ]
    values[_METADATA] = json.dumps(dict(passage.metadata))
    values[_COPIES] = list(map(encode_text, passage.copies)) or None
    lexical = None if record.lexical == passage.text else encode_text(record.lexical)
    return [
        tenant, number, *values, encode_text(record.content_hash), lexical, words,
        passage_facets(passage), vector_parameter(record.vector),
    ]  # fmt: skip


def to_passage(row: Sequence[Any]) -> Passage:
    """Convert a row that begins with `PASSAGE_COLUMNS`."""
    values: list[Any] = [
        decode_text(value) if is_text and value is not None else value
        for value, is_text in zip(row, _IS_TEXT, strict=False)
    ]
    values[_METADATA] = json.loads(values[_METADATA])
    values[_COPIES] = tuple(map(decode_text, values[_COPIES] or ()))
    return Passage(*values)


def to_record(row: Sequence[Any]) -> StoredPassage:
    """Convert a row with `SCAN_COLUMNS`."""
    *_, vector, lexical, content_hash = row
    passage = to_passage(row)
    text = (passage.text or "") if lexical is None else decode_text(lexical)
    return StoredPassage(passage, _to_vector(vector), text, decode_text(content_hash))


def _to_vector(data: bytes) -> Float32:
    # Two numbers of 16 bits, then floats, in network order.
    return np.frombuffer(data, ">f4", offset=4).astype(np.float32)


DOCUMENT_COLUMNS = (
    "document_id, content_hash, source, title, modality, passages, seconds, metadata, copies"
)


def document_row(tally: Tally) -> list[Any]:
    """Values of `DOCUMENT_COLUMNS` and the digest."""
    values = asdict(tally.document)
    for name in ("id", "content_hash", "source", "title"):
        values[name] = encode_text(values[name])
    values["metadata"] = json.dumps(values["metadata"])
    values["copies"] = list(map(encode_text, values["copies"])) or None
    return [*values.values(), tally.digest]


def to_document(row: Sequence[Any]) -> StoredDocument:
    """Convert a row with `DOCUMENT_COLUMNS`."""
    id, content_hash, source, title, modality, passages, seconds, metadata, copies = row
    id, content_hash, source, title = map(decode_text, (id, content_hash, source, title))
    paths = tuple(map(decode_text, copies or ()))
    return StoredDocument(
        id, content_hash, source, title, modality, passages, seconds, json.loads(metadata), paths
    )
