"""Maintenance of the indexes of a PostgreSQL store: merged postings, and the HNSW index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wavrag.store.postgres_filter import SEPARATOR, decode_text
from wavrag.store.postgres_schema import table_of, vector_index_of
from wavrag.store.postgres_words import POSTING, terms_of, without_numbers

if TYPE_CHECKING:
    from psycopg import Connection

# Rows of a term with up to 8, 64, 512, ... postings are merged once there are eight of a size, so
# that each posting is written again a few times only.
_FAN_IN = 8
# Larger rows stay: their postings are read at full speed, and a merge would write them again.
MAX_MERGED_BYTES = 64 << 10

# Share of removed passages from which their postings are deleted; until then, searches skip them.
MAX_REMOVED = 0.05
MIN_REMOVED = 1_000

# Links of a vector in each layer of the index, and candidates for them while it is built.
HNSW_LINKS = 24
HNSW_CANDIDATES = 128
# Building is many times slower once the index exceeds this memory; 1 kB a vector is needed.
BUILD_MEMORY = "2GB"

BUILD_LOCK = 0x77617673  # any constant: the key of the advisory lock around a build

MAX_HALF_DIM = 4_000  # of vectors in an index


def merge_postings(connection: Connection[Any], tenant: str) -> None:
    """Merge the totals of commits into one row, and small rows of postings of a term."""
    connection.execute(
        "WITH old AS (DELETE FROM wavrag.segments WHERE tenant = %(tenant)s"
        " AND (SELECT count(*) > 1 FROM wavrag.segments WHERE tenant = %(tenant)s) RETURNING *)"
        " INSERT INTO wavrag.segments SELECT tenant, max(segment), sum(passages), sum(words)"
        " FROM old GROUP BY tenant",
        {"tenant": tenant},
    )
    # Without statistics of new rows, the planner would compare all terms with all rows.
    connection.execute("SET LOCAL enable_nestloop = off")
    tier = f"floor(log({_FAN_IN}, octet_length(postings)))"
    connection.execute(
        f"WITH small AS (SELECT term, {tier} AS tier FROM wavrag.postings WHERE tenant = %(tenant)s"
        f" AND octet_length(postings) < {MAX_MERGED_BYTES} GROUP BY 1, 2"
        f" HAVING count(*) >= {_FAN_IN}),"
        " old AS (DELETE FROM wavrag.postings p USING small s WHERE p.tenant = %(tenant)s"
        f" AND p.term = s.term AND {tier} = s.tier RETURNING p.term, p.segment, p.postings, s.tier)"
        " INSERT INTO wavrag.postings SELECT %(tenant)s, term, min(segment),"
        " string_agg(postings, '' ORDER BY segment) FROM old GROUP BY term, tier",
        {"tenant": tenant},
    )


def remove_postings(connection: Connection[Any], tenant: str, passages: int) -> None:
    """Delete the postings of removed passages, if there are many."""
    rows = connection.execute(
        "SELECT number FROM wavrag.removed WHERE tenant = %s", [tenant]
    ).fetchall()
    if len(rows) <= max(MIN_REMOVED, MAX_REMOVED * passages):
        return
    removed = np.sort(np.array([number for (number,) in rows], np.int64))
    with connection.cursor(name="postings") as cursor:
        cursor.execute(
            "SELECT term, segment, postings FROM wavrag.postings WHERE tenant = %s", [tenant]
        )
        for term, segment, data in cursor:
            postings = np.frombuffer(data, POSTING)
            kept = without_numbers(postings, removed)
            if len(kept) == len(postings):
                continue
            key = [tenant, term, segment]
            where = "WHERE tenant = %s AND term = %s AND segment = %s"
            if len(kept):
                connection.execute(
                    f"UPDATE wavrag.postings SET postings = %s {where}", [kept.tobytes(), *key]
                )
            else:
                connection.execute(f"DELETE FROM wavrag.postings {where}", key)
    connection.execute(
        "DELETE FROM wavrag.removed WHERE tenant = %s AND number = ANY(%s)",
        [tenant, removed.tolist()],
    )


def find_posting_defects(connection: Connection[Any], tenant: str) -> list[str]:
    """Ids of documents with a passage whose words have more or fewer postings than there are."""
    last = connection.execute(
        f"SELECT coalesce(max(number), 0) FROM {table_of(tenant)}"
    ).fetchone() or (0,)
    counts = np.zeros(last[0] + 1, np.uint16)
    with connection.cursor(name="postings") as cursor:
        cursor.execute(
            # Facets have a separator.
            "SELECT postings FROM wavrag.postings WHERE tenant = %s AND strpos(term, %s) = 0",
            [tenant, SEPARATOR],
        )
        for (data,) in cursor:
            numbers = np.frombuffer(data, POSTING)["number"]
            counts[numbers[numbers <= last[0]]] += 1  # a row has each passage once
    defects: dict[str, None] = {}
    with connection.cursor(name="texts") as cursor:
        cursor.execute(
            f"SELECT number, document_id, coalesce(lexical, text) FROM {table_of(tenant)}"
            " ORDER BY document_id"
        )
        for number, document_id, text in cursor:
            if counts[number] != len(set(terms_of(decode_text(text)))):
                defects[decode_text(document_id)] = None
    return list(defects)


def update_vector_index(connection: Connection[Any], tenant: str, dim: int, is_large: bool) -> None:
    """Build the HNSW index of a large store, if it has none; writers go on meanwhile.

    Args:
        connection: a connection outside of a transaction.
        tenant: the tenant.
        dim: dimension of the vectors.
        is_large: whether the store needs an index.
    """
    index = vector_index_of(tenant)
    row = connection.execute(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [index]
    ).fetchone()
    if row == (True,) or not is_large or dim > MAX_HALF_DIM:
        return
    # One build at a time: two of different tenants would wait for each other. Nobody waits for the
    # lock, because a build waits for all statements that are running.
    lock = connection.execute("SELECT pg_try_advisory_lock(%s)", [BUILD_LOCK])
    if lock.fetchone() != (True,):
        return
    try:
        if row is not None:  # left by a build that was cut off
            connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
        connection.execute(f"SET maintenance_work_mem = '{BUILD_MEMORY}'")
        connection.execute(
            f'CREATE INDEX CONCURRENTLY "vectors_{tenant}" ON {table_of(tenant)} USING hnsw'
            f" ((vector::halfvec({dim})) halfvec_cosine_ops)"
            f" WITH (m = {HNSW_LINKS}, ef_construction = {HNSW_CANDIDATES})"
        )
    finally:
        if not connection.closed:
            connection.execute("RESET maintenance_work_mem")
            connection.execute("SELECT pg_advisory_unlock(%s)", [BUILD_LOCK])
