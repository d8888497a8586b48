"""Dense and lexical search of a LanceDB table, and its indexes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wavrag.store.lance_filter import in_sql
from wavrag.store.lance_rows import passage_columns, to_passages
from wavrag.store.lexical import split_words
from wavrag.types import Float32, ScoredPassage

KEY_INDEXES = {"id": "id_key", "document_id": "document_id_key"}
WORDS_INDEX = "lexical_words"
LABELS_INDEX = "labels_list"
VECTOR_INDEX = "vector_ivf"

# Rows fetched beyond k, to detect a tie of the k-th with the next.
TIE_ROWS = 16

# Share of the partitions probed by a search without a filter. A search with a filter probes all of
# them: the remaining rows may be far from the query.
PROBE_SHARE = 0.2

# Below 120 partitions, a fifth of them is too few for good recall: with 16 of 49, recall@10 at
# 100,000 passages was .968 to 1 from one build of the index to the next, with 24 it was 1.
MIN_PROBES = 24

# Rows per partition for training the index.
TRAINING_ROWS = 64

# Fewest rows per partition, on average. If a partition has fewer than 400, LanceDB joins it with
# another, and each `optimize` then rewrites the whole index instead of adding a segment to it.
PARTITION_ROWS = 2_048

# Each `optimize` adds its new rows as a segment, in time that does not grow with the index. Every
# segment takes time in each search, so the index is built again from this number on. Only then
# LanceDB merges files of the table: it never merges files of different segments.
MAX_SEGMENTS = 16

# Rows whose vectors are compared before an index is built, and the share that must be distinct:
# training on near-identical vectors leaves most partitions empty, and can fail.
DISTINCT_ROWS = 2_000
DISTINCT_SHARE = 0.1

# Multiple of the requested rows that is ranked again by exact cosine: vectors are quantised.
REFINE = 4


def dense_leg(
    table: Any, vector: Float32, k: int, condition: str | None, partitions: int | None
) -> list[ScoredPassage]:
    """Find the k nearest rows by cosine; exhaustively without partitions of a vector index."""
    query = table.search(vector, vector_column_name="vector").distance_type("cosine")
    if partitions is not None:
        probes = partitions
        if condition is None:
            probes = min(partitions, max(MIN_PROBES, math.ceil(PROBE_SHARE * partitions)))
        query = query.nprobes(probes).refine_factor(REFINE)
    return _best(query, "_distance", passage_columns(table), k, condition)


def lexical_leg(
    table: Any, texts: Sequence[tuple[str, float]], k: int, condition: str | None
) -> list[ScoredPassage]:
    """Find the k best rows by the sum of BM25 scores of weighted texts; empty without words."""
    from lancedb import query as lance_query

    match: Any = lance_query.MatchQuery  # type checkers do not see its defaults
    # A MatchQuery bypasses the query parser, so punctuation in a question has no syntax.
    clauses = [
        match(words, "lexical", boost=weight) for words, weight in texts if split_words(words)
    ]
    if not clauses:
        return []
    # A BooleanQuery sums the scores of its clauses.
    occurrences = [(lance_query.Occur.SHOULD, clause) for clause in clauses]
    combined = clauses[0] if len(clauses) == 1 else lance_query.BooleanQuery(occurrences)
    query = table.search(combined, query_type="fts")
    return _best(query, "_score", passage_columns(table), k, condition)


def create_indexes(table: Any) -> None:
    """Create missing key and word indexes; rows added later are found at once.

    Words are stemmed and lose their accents, so "recordings" finds "recording". There are no stop
    words. Chinese, Japanese and Thai are split into words by dictionary.
    """
    from lancedb.index import FTS, BTree, LabelList

    present = {index.name for index in table.list_indices()}
    if LABELS_INDEX not in present and "labels" in table.schema.names:
        table.create_index("labels", config=LabelList(), name=LABELS_INDEX)
    for column, name in KEY_INDEXES.items():
        if name not in present:
            table.create_index(column, config=BTree(), name=name)
    if WORDS_INDEX not in present:
        words = FTS(base_tokenizer="icu/split", remove_stop_words=False)
        table.create_index("lexical", config=words, name=WORDS_INDEX)


def missing_indexes(table: Any) -> list[str]:
    """Names of the missing key and word indexes."""
    present = {index.name for index in table.list_indices()}
    expected = {*KEY_INDEXES.values(), WORDS_INDEX}
    if "labels" in table.schema.names:
        expected.add(LABELS_INDEX)
    return sorted(expected - present)


def probe_indexes(table: Any, dim: int) -> None:
    """Query every index, so that an unreadable one raises LanceDB's error."""
    first = table.search().select(["id", "document_id", "lexical"]).limit(1).to_arrow().to_pylist()
    if "labels" in table.schema.names:
        table.count_rows("array_has_any(labels, ['modality'])")
    for row in first:
        for column in KEY_INDEXES:
            table.count_rows(in_sql(column, [row[column]]))
        lexical_leg(table, [(row["lexical"], 1.0)], 1, None)
        along_first_axis = np.eye(1, dim, dtype=np.float32)[0]
        dense_leg(table, along_first_axis, 1, None, vector_partitions(table))


def vector_partitions(table: Any) -> int | None:
    """Number of partitions of the vector index, from its name; None without an index."""
    index = _vector_index(table)
    return None if index is None else _count_partitions(index)


def update_vector_index(table: Any, rows: int, exact_below: int) -> None:
    """Build the vector index from `exact_below` rows on, and again when it has outgrown its form.

    That is when the rows would fill twice the partitions, or when it has many segments. Rows added
    after the last `optimize` are searched exhaustively.
    """
    from lancedb.index import IvfSq

    index = _vector_index(table)
    # The square root balances the cost of choosing partitions and of scanning them.
    target = max(1, round(min(math.sqrt(rows), rows / PARTITION_ROWS)))
    is_large = rows >= exact_below
    is_current = (
        index is not None
        and index.num_segments < MAX_SEGMENTS
        and target < 2 * _count_partitions(index)
    )
    if is_large and is_current:
        return
    name = f"{VECTOR_INDEX}_{target}"
    # Late, because it reads rows: each small addition to a large store comes by here.
    is_useful = is_large and distinct_share(table) >= DISTINCT_SHARE
    if is_useful:
        config = IvfSq(distance_type="cosine", num_partitions=target, sample_rate=TRAINING_ROWS)
        table.create_index("vector", config=config, name=name)
    # Afterwards, because without an index searches beside a long run take ten times as long.
    if index is not None and (index.name != name or not is_useful):
        table.drop_index(index.name)


def _vector_index(table: Any) -> Any:
    for index in table.list_indices():
        if index.name.rpartition("_")[0] == VECTOR_INDEX:
            return index
    return None


def _count_partitions(index: Any) -> int:
    return int(index.name.rpartition("_")[2])


def distinct_share(table: Any) -> float:
    """Share of distinct vectors among rows spread over a table, rounded to 0.001."""
    last = table.count_rows() - 1
    offsets = np.unique(np.linspace(0, last, DISTINCT_ROWS).astype(int)).tolist()
    column = table.take_offsets(offsets).select(["vector"]).to_arrow()["vector"]
    vectors = column.combine_chunks().flatten().to_numpy().reshape(len(column), -1)
    return len(np.unique(np.round(vectors, 3), axis=0)) / len(column)


def _best(
    query: Any, score_column: str, columns: list[str], k: int, condition: str | None
) -> list[ScoredPassage]:
    """The k best rows, ties by passage id; fetches more while the k-th ties with the last."""
    if k < 1:
        return []
    query = query.select([*columns, score_column])
    if condition is not None:
        query = query.where(condition, prefilter=True)
    # LanceDB breaks ties arbitrarily, but results must be reproducible.
    limit = k + TIE_ROWS
    while True:
        rows = query.limit(limit).to_arrow()
        scores = rows[score_column].to_pylist()
        if score_column == "_distance":
            scores = [1.0 - distance for distance in scores]
        sorted_scores = sorted(scores, reverse=True)
        if len(scores) < limit or sorted_scores[-1] < sorted_scores[k - 1]:
            break
        limit *= 4
    hits = map(ScoredPassage, to_passages(rows), scores)
    return sorted(hits, key=lambda hit: (-hit.score, hit.passage.id))[:k]
