"""The two searches of a LanceDB table, and the indexes that they use."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from wavrag.store.lance_filter import in_sql
from wavrag.store.lance_rows import passage_columns, to_passages
from wavrag.store.lexical import words_of
from wavrag.types import Float32, ScoredPassage

KEY_INDEXES = {"id": "id_key", "document_id": "document_id_key"}
WORDS_INDEX = "lexical_words"
VECTOR_INDEX = "vector_ivf"

TIE_ROWS = 16
"""Rows fetched beyond k, to see whether the k-th is tied with the next."""

PROBED = 0.2
"""Share of the partitions that a search without filter looks into.

With a filter it looks into all: what the filter leaves may lie far from the query, in few of them.
"""

MIN_PROBES = 16
TRAINING_ROWS = 64
"""Rows for each partition that the index is trained on."""

REFINE = 4
"""Candidates of the index, in multiples of what is asked for, whose exact cosine is computed."""


def dense_leg(
    table: Any, vector: Float32, k: int, condition: str | None, partitions: int | None
) -> list[ScoredPassage]:
    """The k nearest rows by cosine.

    Args:
        table: the LanceDB table.
        vector: unit query vector, shape = (dim,).
        k: how many.
        condition: SQL that rows must meet.
        partitions: how many the vector index has; None without one, when every row is looked at.
    """
    columns = passage_columns(table)

    def fetch(limit: int) -> Any:
        query = table.search(vector, vector_column_name="vector").distance_type("cosine")
        if condition is not None:
            query = query.where(condition, prefilter=True)
        if partitions is not None:
            probes = partitions
            if condition is None:
                probes = min(partitions, max(MIN_PROBES, math.ceil(PROBED * partitions)))
            query = query.nprobes(probes).refine_factor(REFINE)
        return query.limit(limit).select([*columns, "_distance"]).to_arrow()

    return _best(fetch, lambda rows: [1.0 - d for d in rows["_distance"].to_pylist()], k)


def lexical_leg(table: Any, words: str, k: int, condition: str | None) -> list[ScoredPassage]:
    """The k best rows by BM25 for any of the words; none when there is no word."""
    from lancedb import query as lance_query

    match: Any = lance_query.MatchQuery  # type checkers do not see its defaults
    if not words_of(words):
        return []
    columns = passage_columns(table)

    def fetch(limit: int) -> Any:
        # A MatchQuery has no syntax: its text goes through the index's tokenizer and no parser.
        query = table.search(match(words, "lexical"), query_type="fts")
        if condition is not None:
            query = query.where(condition, prefilter=True)
        return query.limit(limit).select([*columns, "_score"]).to_arrow()

    return _best(fetch, lambda rows: rows["_score"].to_pylist(), k)


def create_indexes(table: Any) -> None:
    """Make the key and word indexes that are missing; rows added later are found without delay.

    Words are stemmed and lose their accents, so that "recordings" finds "recording"; no word is
    left out; Chinese, Japanese and Thai are cut into words by dictionary.
    """
    from lancedb.index import FTS, BTree

    present = {index.name for index in table.list_indices()}
    for column, name in KEY_INDEXES.items():
        if name not in present:
            table.create_index(column, config=BTree(), name=name)
    if WORDS_INDEX not in present:
        words = FTS(base_tokenizer="icu/split", remove_stop_words=False)
        table.create_index("lexical", config=words, name=WORDS_INDEX)


def missing_indexes(table: Any) -> list[str]:
    """Names of the key and word indexes that the table should have and has not."""
    present = {index.name for index in table.list_indices()}
    return sorted({*KEY_INDEXES.values(), WORDS_INDEX} - present)


def probe_indexes(table: Any, dim: int) -> None:
    """Ask every index something, so that one that cannot be read raises LanceDB's error."""
    first = table.search().select(["id", "document_id", "lexical"]).limit(1).to_arrow().to_pylist()
    for row in first:
        for column in KEY_INDEXES:
            table.count_rows(in_sql(column, [row[column]]))
        lexical_leg(table, row["lexical"], 1, None)
        along_first_axis = np.eye(1, dim, dtype=np.float32)[0]
        dense_leg(table, along_first_axis, 1, None, vector_partitions(table))


def vector_partitions(table: Any) -> int | None:
    """How many partitions the vector index has; None without one. Its name tells."""
    for index in table.list_indices():
        name, _, partitions = index.name.rpartition("_")
        if name == VECTOR_INDEX:
            return int(partitions)
    return None


def update_vector_index(table: Any, rows: int, exact_below: int) -> None:
    """Build the vector index when there are rows enough, anew when they have become 4 times more.

    Between building and the next `optimize`, new rows are looked at one by one.
    """
    from lancedb.index import IvfSq

    partitions = vector_partitions(table)
    wanted = max(1, round(math.sqrt(rows)))
    if partitions is not None and rows >= exact_below and wanted < 2 * partitions:
        return
    if partitions is not None:
        table.drop_index(f"{VECTOR_INDEX}_{partitions}")
    if rows >= exact_below:
        config = IvfSq(distance_type="cosine", num_partitions=wanted, sample_rate=TRAINING_ROWS)
        table.create_index("vector", config=config, name=f"{VECTOR_INDEX}_{wanted}")


def _best(
    fetch: Callable[[int], Any], scores_of: Callable[[Any], list[float]], k: int
) -> list[ScoredPassage]:
    """The k best rows, ties by passage id; fetches more while the k-th is tied with the last."""
    if k < 1:
        return []
    limit = k + TIE_ROWS
    while True:
        rows = fetch(limit)
        scores = scores_of(rows)
        ranked = sorted(scores, reverse=True)
        if len(scores) < limit or ranked[-1] < ranked[k - 1]:
            break
        limit *= 4
    found = map(ScoredPassage, to_passages(rows), scores)
    return sorted(found, key=lambda hit: (-hit.score, hit.passage.id))[:k]
