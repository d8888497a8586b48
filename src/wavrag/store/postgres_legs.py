"""Dense and lexical search of a PostgreSQL store, in the transaction of one connection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wavrag.store.postgres_binary import array_parameter, vector_parameter
from wavrag.store.postgres_filter import filter_sql, required_facets, required_ids
from wavrag.store.postgres_schema import COLUMNS, table_of, to_passage, vector_index_of
from wavrag.store.postgres_words import (
    POSTING,
    best_slices,
    read_postings,
    score_bm25,
    weighted_terms,
    without_numbers,
)
from wavrag.types import Float32, Int64, LexicalQuery, ScoredPassage
from wavrag.where import Node

if TYPE_CHECKING:
    from psycopg import Connection

# Rows that the index returns beyond those asked for: it compares vectors of 16 bits a number, and
# its rows are ranked again by their full vectors.
REFINE_ROWS = 8

# Most passages that a filter is resolved to before a search. With more, both legs check the filter
# of the best ones.
MAX_ALLOWED = 100_000

# Best passages of the lexical leg that are looked up at once; a filter may refuse most of them.
SLICES = (256, 4_096)


@dataclass(frozen=True, slots=True)
class State:
    """What a search needs to know of a store."""

    table: str
    tenant: str
    passages: int
    words: int  # terms of all passages
    removed: Int64  # numbers of removed passages that still have postings
    has_vector_index: bool


def read_state(connection: Connection[Any], tenant: str) -> State:
    """Read the state of a tenant in one round trip."""
    passages, words, removed, has_vector_index = connection.execute(
        "SELECT coalesce(sum(passages), 0)::bigint, coalesce(sum(words), 0)::bigint,"
        " (SELECT string_agg(int8send(number), '') FROM wavrag.removed WHERE tenant = %(tenant)s),"
        " (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%(index)s))"
        " FROM wavrag.segments WHERE tenant = %(tenant)s",
        {"tenant": tenant, "index": vector_index_of(tenant)},
    ).fetchone() or (0, 0, None, None)
    has_index = bool(has_vector_index)
    return State(table_of(tenant), tenant, passages, words, _numbers(removed), has_index)


@dataclass(frozen=True, slots=True)
class Restriction:
    """A filter as SQL, and the numbers of the passages that can match if they are few."""

    sql: str
    values: list[Any]
    numbers: Int64 | None


def find_allowed(connection: Connection[Any], state: State, tree: Node | None) -> Restriction:
    """Look up the few passages that can match a filter, if it requires a rare value."""
    sql, values = filter_sql(tree)
    ids, lists = required_ids(tree), required_facets(tree)
    if ids is not None:
        row = connection.execute(
            f"SELECT string_agg(int8send(number), '') FROM {state.table}"
            " WHERE document_id = ANY(%s)",
            [ids],
        ).fetchone()
        return Restriction(sql, values, _numbers(row and row[0]))
    if not lists:
        return Restriction(sql, values, None)
    sizes = dict(
        connection.execute(
            f"SELECT term, sum(octet_length(postings)) / {POSTING.itemsize} FROM"
            " wavrag.postings WHERE tenant = %s AND term = ANY(%b) GROUP BY term",
            [state.tenant, [facet for facets in lists for facet in facets]],
        ).fetchall()
    )
    size, facets = min((sum(sizes.get(facet, 0) for facet in facets), facets) for facets in lists)
    if size > MAX_ALLOWED:
        return Restriction(sql, values, None)
    postings = _postings(connection, state.tenant, facets)
    lists_of_numbers = [read_postings(rows)["number"] for rows in postings.values()]
    return Restriction(sql, values, np.concatenate([*lists_of_numbers, []]).astype(np.int64))


def dense_leg(
    connection: Connection[Any], state: State, allowed: Restriction, vector: Float32, k: int
) -> list[ScoredPassage]:
    """Find the k nearest passages by cosine; exhaustively without a vector index."""
    if k < 1:
        return []
    query = vector_parameter(vector)
    where, values, numbers = allowed.sql, allowed.values, allowed.numbers
    cosine = "1 - (p.vector <=> %s::vector)"
    if _uses_index(state, k, numbers):
        half = f"halfvec({len(vector)})"
        rows = connection.execute(
            f"SELECT {COLUMNS}, {cosine} AS score FROM (SELECT * FROM {state.table} WHERE"
            f" {where} ORDER BY vector::{half} <=> %s::vector::{half} LIMIT %s) p"
            " ORDER BY score DESC LIMIT %s",
            [query, *values, query, k + REFINE_ROWS, k],
        ).fetchall()
        # The index gives up after some thousand rows that a filter refuses.
        if len(rows) == k:
            return _scored(rows, k)
    if numbers is not None:
        where = f"p.number = ANY(%s::bigint[]) AND {where}"
        values = [array_parameter(numbers), *values]
    rows = connection.execute(
        f"SELECT {COLUMNS}, {cosine} AS score FROM {state.table} p WHERE {where}"
        " ORDER BY score DESC FETCH FIRST %s ROWS WITH TIES",
        [query, *values, k],
    ).fetchall()
    return _scored(rows, k)


def _uses_index(state: State, k: int, numbers: Int64 | None) -> bool:
    """True if there is a vector index, and it is faster than to compare all allowed rows."""
    # The index reads as many rows for each hit as the filter refuses for each that it passes, and
    # takes about as long for a row as an exact comparison.
    return state.has_vector_index and (
        numbers is None or len(numbers) ** 2 > (k + REFINE_ROWS) * state.passages
    )


def lexical_leg(
    connection: Connection[Any],
    state: State,
    allowed: Restriction,
    text: str | LexicalQuery,
    k: int,
) -> list[ScoredPassage]:
    """Find the k best passages by BM25."""
    weights = weighted_terms(text)
    if not weights or k < 1:
        return []
    lists = _postings(connection, state.tenant, list(weights))
    postings = {
        term: without_numbers(read_postings(rows), state.removed) for term, rows in lists.items()
    }
    numbers, scores = score_bm25(postings, weights, state.passages, state.words)
    if allowed.numbers is not None:
        is_allowed = np.isin(numbers, allowed.numbers)
        numbers, scores = numbers[is_allowed], scores[is_allowed]
    hits: list[ScoredPassage] = []
    sizes = SLICES if allowed.numbers is None and allowed.sql != "true" else (k, *SLICES)
    for some_numbers, some_scores in best_slices(numbers, scores, sizes):
        rows = connection.execute(
            f"SELECT {COLUMNS}, s.score FROM unnest(%s::bigint[], %s::float8[])"
            f" AS s(number, score) JOIN {state.table} p USING (number) WHERE {allowed.sql}"
            " ORDER BY s.score DESC, p.document_id || '#' || p.ordinal LIMIT %s",
            [
                array_parameter(some_numbers),
                array_parameter(some_scores),
                *allowed.values,
                k - len(hits),
            ],
        ).fetchall()
        hits += _scored(rows, k)
        if len(hits) >= k:
            break
    return hits


def _postings(connection: Connection[Any], tenant: str, terms: list[str]) -> dict[str, list[bytes]]:
    rows = connection.execute(
        "SELECT term, array_agg(postings) FROM wavrag.postings WHERE tenant = %s"
        " AND term = ANY(%b) GROUP BY term",
        [tenant, terms],
    )
    return dict(rows.fetchall())


def _scored(rows: Iterable[Sequence[Any]], k: int) -> list[ScoredPassage]:
    hits = [ScoredPassage(to_passage(row), float(row[-1])) for row in rows]
    return sorted(hits, key=lambda hit: (-hit.score, hit.passage.id))[:k]


def _numbers(data: bytes | None) -> Int64:
    return np.frombuffer(data or b"", ">i8").astype(np.int64)
