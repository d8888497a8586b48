"""`PostgresStore`: passages in a PostgreSQL database with pgvector, for several machines and users.

A write is one transaction, and holds an advisory lock for each of its documents, so that writers on
any machine never mix their versions. Dense search is exact in small stores and uses an HNSW index
in large ones; BM25 is computed from inverted lists (`postgres_words.py`).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from wavrag.errors import IndexMismatchError, StoreError
from wavrag.store.base import Change, StoredDocument, StoredPassage
from wavrag.store.checks import (
    check_records,
    check_unicode,
    check_vector,
    checked,
    find_defects,
    is_unicode,
    read_filter,
)
from wavrag.store.lance_documents import DocumentTallies
from wavrag.store.postgres_binary import register_parameters
from wavrag.store.postgres_filter import decode_text, encode_text, filter_sql, indexed_facets
from wavrag.store.postgres_index import (
    find_posting_defects,
    merge_postings,
    remove_postings,
    update_vector_index,
)
from wavrag.store.postgres_legs import dense_leg, find_allowed, lexical_leg, read_state
from wavrag.store.postgres_pool import PostgresPool
from wavrag.store.postgres_schema import (
    COLUMNS,
    DOCUMENT_COLUMNS,
    INSERT_VALUES,
    MIGRATIONS,
    SCAN_COLUMNS,
    document_row,
    drop_statements,
    insert_row,
    numbers_of,
    partition_sql,
    table_of,
    to_document,
    to_passage,
    to_record,
    vector_index_of,
)
from wavrag.store.postgres_words import build_postings, terms_of
from wavrag.store.vocabulary import (
    VocabularyCount,
    count_vocabulary,
    parse_vocabulary,
    vocabulary_bytes,
)
from wavrag.types import Float32, Leg, LexicalQuery, Passage, ScoredPassage, Vocabulary
from wavrag.where import Node

if TYPE_CHECKING:
    from psycopg import Connection

# Rows in memory during `scan` and in a step of `replace`.
BATCH_ROWS = 1_000

# Passages from which `optimize` builds a vector index.
EXACT_BELOW = 10_000

# Candidates that a search of the HNSW index keeps: more is slower and finds more of the nearest.
EF_SEARCH = 400

# Commits of this store after which it merges postings: a search reads a row for each commit.
MERGE_COMMITS = 64

# Commits from which `optimize` merges: it looks at every row of the postings.
MIN_SEGMENTS = 8

# Locks of a tenant's documents. A transaction takes at most so many, and the table of locks of a
# server has room for 6,400 by default.
LOCKS = 256

# Passages from which the vocabulary is stored: below, counting takes under 0.1 s.
VOCABULARY_ROWS = 1_000


class PostgresStore:
    """Passages of one tenant in a PostgreSQL database."""

    def __init__(
        self, url: str, dim: int, tenant: str = "default", *, exact_below: int = EXACT_BELOW
    ) -> None:
        """Connect to a database; create the tables and the tenant if necessary.

        Args:
            url: `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`; see `PostgresPool`.
            dim: dimension of the vectors.
            tenant: name of the tenant; others have stores of their own in the same tables.
            exact_below: number of passages below which dense search is exhaustive; larger stores
                get an HNSW index.

        Raises:
            IndexMismatchError: the tenant has vectors of another dimension, or the tables are of a
                newer version.
            StoreError: the server cannot be reached, or has no pgvector from 0.8 on.
        """
        register_parameters()
        self.dim = dim
        self.tenant = tenant
        settings = {"hnsw.ef_search": str(EF_SEARCH), "hnsw.iterative_scan": "relaxed_order"}
        self.pool = PostgresPool(url, tenant, settings=settings)
        self.name = self.pool.name
        self._table = table_of(tenant)
        self._exact_below = exact_below
        self._vocabulary: VocabularyCount | None = None
        self._vocabulary_lock = threading.Lock()
        self._commits = 0
        self._closed = False
        try:
            self._open()
        except BaseException:
            self.pool.close()
            raise

    def upsert(self, records: Sequence[StoredPassage]) -> None:
        """Replace whole documents in one transaction; see `Store.upsert`."""
        self._check_open()
        check_records(records, self.dim)
        if records:
            ids = sorted({record.passage.document_id for record in records})
            self.pool.run(lambda connection: self._write(connection, ids, records))
            self._count_commit()

    def replace(self, document_id: str, records: Iterable[StoredPassage]) -> None:
        """Replace a document of any length in one transaction; see `Store.replace`."""
        self._check_open()
        check_unicode(document_id)
        with self.pool.transaction() as connection:
            self._write(connection, [document_id], checked(records, self.dim, [document_id]))
        self._count_commit()

    def update(self, document_ids: Sequence[str], change: Change) -> None:
        """Change documents in one transaction; see `Store.update`."""
        self._check_open()
        ids = sorted(set(filter(is_unicode, document_ids)))

        def run(connection: Connection[Any]) -> None:
            self._lock(connection, ids)
            sql, values = self._scan_query(ids)
            with connection.cursor(name="rows") as cursor:
                cursor.itersize = BATCH_ROWS
                records = change(map(to_record, cursor.execute(sql, values)))
                self._write(connection, ids, checked(records, self.dim, set(ids)))

        self.pool.run(run)
        self._count_commit()

    def delete(self, document_ids: Sequence[str]) -> int:
        """Remove documents in one transaction; see `Store.delete`."""
        self._check_open()
        ids = sorted({document_id for document_id in document_ids if is_unicode(document_id)})
        if not ids:
            return 0
        removed = self.pool.run(lambda connection: self._write(connection, ids, []))
        self._count_commit()
        return removed

    def search(
        self,
        vector: Float32 | None,
        text: str | LexicalQuery | None,
        k: int,
        where: str | Node | None = None,
    ) -> Mapping[Leg, list[ScoredPassage]]:
        """Search; see `Store.search`."""
        self._check_open()
        tree = read_filter(where)
        if vector is not None:
            check_vector(vector, self.dim, "the query")

        def legs(connection: Connection[Any]) -> dict[Leg, list[ScoredPassage]]:
            hits: dict[Leg, list[ScoredPassage]] = {}
            state = read_state(connection, self.tenant)
            allowed = find_allowed(connection, state, tree)
            if vector is not None:
                hits["dense"] = dense_leg(connection, state, allowed, vector, k)
            if text is not None:
                hits["lexical"] = lexical_leg(connection, state, allowed, text, k)
            return hits

        return self.pool.run(legs, snapshot=True)

    def get(self, passage_ids: Sequence[str]) -> list[Passage]:
        """Return passages by id; see `Store.get`."""
        self._check_open()
        keys = [id.rpartition("#") for id in passage_ids if is_unicode(id)]
        # Longer ordinals would exceed 32 bits.
        numbered = [(d, int(o)) for d, _, o in keys if o.isdecimal() and o.isascii() and len(o) < 9]
        if not numbered:
            return []
        rows = self._query(
            f"SELECT {COLUMNS} FROM unnest(%s::text[], %s::integer[]) AS k(id, ordinal)"
            f" JOIN {self._table} p ON p.document_id = k.id AND p.ordinal = k.ordinal",
            [[encode_text(id) for id, _ in numbered], [ordinal for _, ordinal in numbered]],
        )
        passages = {passage.id: passage for passage in map(to_passage, rows)}
        return [passages[key] for key in passage_ids if key in passages]

    def content_hash(self, document_id: str) -> str | None:
        """Return the content hash of a document; see `Store.content_hash`."""
        self._check_open()
        if not is_unicode(document_id):
            return None
        rows = self._query(
            "SELECT content_hash FROM wavrag.documents WHERE tenant = %s AND document_id = %s",
            [self.tenant, encode_text(document_id)],
        )
        return decode_text(rows[0][0]) if rows else None

    def count(self, where: Node | None = None) -> int:
        """Return the number of passages; see `Store.count`."""
        self._check_open()
        if where is None:
            return self.pool.run(self._version)[0]
        condition, values = filter_sql(where)
        ((passages,),) = self._query(
            f"SELECT count(*) FROM {self._table} WHERE {condition}", values
        )
        return int(passages)

    def scan(self, document_ids: Sequence[str] | None = None) -> Iterator[StoredPassage]:
        """Yield a snapshot; see `Store.scan`."""
        self._check_open()
        return map(to_record, self._stream(*self._scan_query(document_ids)))

    def documents(self) -> list[StoredDocument]:
        """Return all documents, ordered by id."""
        self._check_open()
        sql = f"SELECT {DOCUMENT_COLUMNS} FROM wavrag.documents WHERE tenant = %s ORDER BY 1"
        return list(map(to_document, self._stream(sql, [self.tenant])))

    def vocabulary(self, where: Node | None = None) -> Vocabulary:
        """Count the words, or return an earlier count that is still valid."""
        self._check_open()
        if where is not None:
            return count_vocabulary(self._texts(where))
        with self._vocabulary_lock:
            passages, version = self.pool.run(self._version)
            count = self._vocabulary
            if count is None or not count.is_valid(version, passages):
                count = self._load_vocabulary(version, passages)
            self._vocabulary = count
            return count.vocabulary

    def optimize(self) -> None:
        """Merge the postings, build the vector index of a large store, count the words."""
        self._check_open()
        is_merged = self._merge()
        passages = self.count()
        with self.pool.connection() as connection:
            update_vector_index(connection, self.tenant, self.dim, passages >= self._exact_below)
            tables = (self._table, "wavrag.documents", "wavrag.segments", "wavrag.postings")
            for table in tables if is_merged else ():
                # Waiting for a table while another process builds its index would be a deadlock:
                # the build waits for all statements that are running.
                connection.execute(f"ANALYZE (SKIP_LOCKED) {table}")
        if passages >= VOCABULARY_ROWS:
            self.vocabulary()  # so that no reader has to wait for the count

    def verify(self, share: float = 1.0) -> list[str]:
        """Read documents with all their passages, and compare their digests; see `Store.verify`."""
        self._check_open()
        rows = self._query(
            f"SELECT {DOCUMENT_COLUMNS}, digest FROM wavrag.documents WHERE tenant = %s AND"
            " random() <= %s",
            [self.tenant, share],
        )
        expected = {decode_text(row[0]): int(row[-1]) for row in rows}
        sample = list(expected) if share < 1.0 else None
        tallies = DocumentTallies()
        defects = find_defects(tallies.count(self.scan(sample)), self.dim)
        found = {id: tally.digest for id, tally in tallies.items()}
        defects += [
            f"{id} in {self.name} is damaged: index it again"
            for id in sorted(expected.keys() | found.keys())
            if expected.get(id) != found.get(id)
        ]
        if share == 1.0:
            defects += [
                f"the words of {id} in {self.name} are damaged: index it again"
                for id in self.pool.run(
                    lambda connection: find_posting_defects(connection, self.tenant), snapshot=True
                )
            ]
        # An invalid vector index is being built, or was left by a killed build: searches do without
        # it, and `optimize` builds it again.
        invalid = self._query(
            "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = %s::regclass"
            " AND NOT indisvalid AND indexrelid IS DISTINCT FROM to_regclass(%s)",
            [self._table, vector_index_of(self.tenant)],
        )
        return defects + [f"the index {name} is not valid: REINDEX it" for (name,) in invalid]

    def drop_tenant(self) -> None:
        """Delete the tenant with all its passages, and close the store."""
        self._check_open()
        with self.pool.transaction() as connection:
            for statement in drop_statements(self.tenant):
                connection.execute(statement)
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._closed = True
        self.pool.close()

    def _open(self) -> None:
        """Create what is missing of the tables and of the tenant."""
        with self.pool.connection() as connection:
            self._require_pgvector(connection)
        self.pool.migrate("store", MIGRATIONS)
        with self.pool.transaction() as connection:
            sql = "SELECT dim FROM wavrag.bases WHERE tenant = %s"
            row = connection.execute(sql, [self.tenant]).fetchone()
            if row is None:
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [self._lock_key("", 0)])
                row = connection.execute(sql, [self.tenant]).fetchone()
            if row is None:
                connection.execute(partition_sql(self.tenant, self.dim))
                connection.execute(
                    "INSERT INTO wavrag.bases (tenant, dim) VALUES (%s, %s)",
                    [self.tenant, self.dim],
                )
                row = (self.dim,)
        if row[0] != self.dim:
            raise IndexMismatchError(
                f"the tenant {self.tenant!r} of {self.name} has vectors of length {row[0]}, not"
                f" {self.dim}: use the embedder of the store, or another tenant"
            )

    def _require_pgvector(self, connection: Connection[Any]) -> None:
        sql = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
        row = connection.execute(sql).fetchone()
        if row is None:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [self._lock_key("", 0)])
                connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            row = connection.execute(sql).fetchone()
        if row is None or tuple(map(int, row[0].split(".")[:2])) < (0, 8):
            raise StoreError(
                f"{self.name} has pgvector {row and row[0]}: install 0.8 or newer on the server and"
                " run ALTER EXTENSION vector UPDATE"
            )

    def _scan_query(self, document_ids: Sequence[str] | None) -> tuple[str, list[Any]]:
        sql, values = f"SELECT {SCAN_COLUMNS} FROM {self._table} p", []
        if document_ids is not None:
            sql += " WHERE document_id = ANY(%s)"
            values = [[encode_text(id) for id in document_ids if is_unicode(id)]]
        return f"{sql} ORDER BY p.document_id, p.ordinal", values

    def _lock(self, connection: Connection[Any], ids: Sequence[str]) -> None:
        """Wait for other writers of documents; in one order, so that none wait for each other."""
        keys = sorted({self._lock_key(id, LOCKS) for id in ids})
        connection.execute(
            "SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) AS key", [keys]
        )

    def _write(
        self, connection: Connection[Any], ids: Sequence[str], records: Iterable[StoredPassage]
    ) -> int:
        """Replace documents by records; return the number of passages that were removed."""
        self._lock(connection, ids)
        encoded = [encode_text(id) for id in ids]
        row = connection.execute(
            f"WITH old AS (DELETE FROM {self._table} WHERE document_id = ANY(%s)"
            " RETURNING number, words),"
            " _ AS (INSERT INTO wavrag.removed SELECT %s, number FROM old)"
            " SELECT count(*), coalesce(sum(words), 0)::bigint FROM old",
            [encoded, self.tenant],
        ).fetchone()
        removed, words = row or (0, 0)
        passages, words = -removed, -words
        tallies = DocumentTallies()
        stream = iter(records)
        while batch := list(islice(stream, BATCH_ROWS)):
            for record in batch:
                tallies.add(record)
            passages += len(batch)
            words += self._insert(connection, batch)
        if removed or tallies:
            connection.execute(
                "INSERT INTO wavrag.segments VALUES"
                " (%s, nextval('wavrag.segment_numbers'), %s, %s)",
                [self.tenant, passages, words],
            )
            connection.execute(
                "DELETE FROM wavrag.documents WHERE tenant = %s AND document_id = ANY(%s)",
                [self.tenant, encoded],
            )
            connection.cursor().executemany(
                f"INSERT INTO wavrag.documents (tenant, {DOCUMENT_COLUMNS}, digest)"
                f" VALUES ({', '.join(['%s'] * 11)})",
                [[self.tenant, *document_row(tally)] for tally in tallies.values()],
            )
        return int(removed)

    def _insert(self, connection: Connection[Any], batch: Sequence[StoredPassage]) -> int:
        """Insert passages and their postings; return the number of terms."""
        numbers = [
            number
            for (number,) in connection.execute(
                "SELECT nextval(%s) FROM generate_series(1, %s)",
                [numbers_of(self.tenant), len(batch)],
            )
        ]
        terms = [terms_of(record.lexical) for record in batch]
        rows = zip(batch, numbers, terms, strict=True)
        connection.cursor().executemany(
            f"INSERT INTO {self._table} {INSERT_VALUES}",
            [insert_row(record, self.tenant, number, len(words)) for record, number, words in rows],
        )
        facets = [indexed_facets(record.passage) for record in batch]
        # A facet has a separator, which no word has.
        postings = build_postings(zip(numbers, terms, strict=True))
        postings |= build_postings(zip(numbers, facets, strict=True))
        connection.execute(
            "INSERT INTO wavrag.postings SELECT %s, term, s.segment, postings FROM"
            " (SELECT nextval('wavrag.segment_numbers') AS segment) s,"
            " unnest(%b::text[], %b::bytea[]) AS t(term, postings)",
            [self.tenant, list(postings), list(postings.values())],
        )
        return sum(map(len, terms))

    def _version(self, connection: Connection[Any]) -> tuple[int, int]:
        """Number of passages, and a number that changes with each commit."""
        row = connection.execute(
            "SELECT coalesce(sum(passages), 0)::bigint,"
            " coalesce(bit_xor(hashint8extended(segment, 0)), 0)"
            " FROM wavrag.segments WHERE tenant = %s",
            [self.tenant],
        ).fetchone()
        return row or (0, 0)

    def _count_commit(self) -> None:
        self._commits += 1
        if self._commits % MERGE_COMMITS == 0:
            self._merge()

    def _merge(self) -> bool:
        """Merge segments and postings, unless they are few or another process does."""
        key = self._lock_key("", 0) ^ 1

        def merge(connection: Connection[Any]) -> bool:
            row = connection.execute(
                "SELECT pg_try_advisory_xact_lock(%s) AND (SELECT count(*) >= %s"
                " FROM wavrag.segments WHERE tenant = %s)",
                [key, MIN_SEGMENTS, self.tenant],
            ).fetchone()
            if row != (True,):
                return False
            merge_postings(connection, self.tenant)
            remove_postings(connection, self.tenant, self._version(connection)[0])
            return True

        return self.pool.run(merge)

    def _load_vocabulary(self, version: int, passages: int) -> VocabularyCount:
        rows = self._query("SELECT count FROM wavrag.vocabularies WHERE tenant = %s", [self.tenant])
        for (data,) in rows:
            count = parse_vocabulary(data)
            if count is not None and count.is_valid(version, passages):
                return count
        count = VocabularyCount(version, passages, count_vocabulary(self._texts(None)))
        if passages >= VOCABULARY_ROWS:
            self._query(
                "INSERT INTO wavrag.vocabularies VALUES (%s, %s) ON CONFLICT (tenant)"
                " DO UPDATE SET count = excluded.count RETURNING 1",
                [self.tenant, vocabulary_bytes(count)],
                snapshot=False,
            )
        return count

    def _texts(self, where: Node | None) -> Iterator[str]:
        condition, values = filter_sql(where)
        sql = f"SELECT coalesce(lexical, text) FROM {self._table} WHERE {condition}"
        return (decode_text(text) for (text,) in self._stream(sql, values))

    def _query(self, sql: str, values: Sequence[Any], *, snapshot: bool = True) -> list[Any]:
        return self.pool.run(lambda c: c.execute(sql, values).fetchall(), snapshot=snapshot)

    def _stream(self, sql: str, values: Sequence[Any]) -> Iterator[Any]:
        """Rows of a query from a cursor of the server, so that they are never all in memory."""
        transaction = self.pool.transaction(snapshot=True)
        with transaction as connection, connection.cursor(name="rows") as cursor:
            cursor.itersize = BATCH_ROWS
            yield from cursor.execute(sql, values)

    def _lock_key(self, document_id: str, buckets: int) -> int:
        """Key of an advisory lock: 32 bits for the tenant, and the bucket of a document."""
        digest = hashlib.blake2b(self.tenant.encode(), digest_size=4).digest()
        base = int.from_bytes(digest, "big", signed=True) << 32
        if not buckets:
            return base
        document = hashlib.blake2b(document_id.encode(), digest_size=4).digest()
        return base + 2 + int.from_bytes(document, "big") % buckets

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"{self.name} is closed: open it again")
