"""Speed of writing and searching in the embedded store, and recall of its vector index.

    python benchmarks/store.py [--rows N] [--dim N] [--queries N] [--path DIR] [--json]

Prints times, sizes on disk, and recall against the exact search of the same store. Passages are
synthetic: vectors with decreasing variance along 32 directions and some noise, words with Zipf's
distribution, and documents of 10 passages.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from wavrag.store import LanceStore, StoredPassage
from wavrag.types import Float32, Passage

PASSAGES_PER_DOCUMENT = 10
BATCH = 1_000
PARTS = 100  # the filter keeps one part: 1 % of the documents
FILTER = "part = 7"
K = 10
DIRECTIONS = 32
NOISE = 0.15


def main() -> int:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000, help="passages (default 20000)")
    parser.add_argument("--dim", type=int, default=384, help="length of a vector (default 384)")
    parser.add_argument("--queries", type=int, default=100, help="per figure (default 100)")
    parser.add_argument("--path", type=Path, help="where to make the store (default: temporary)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    path = Path(tempfile.mkdtemp(prefix="wavrag-bench-", dir=options.path))
    try:
        figures = run(path, options.rows, options.dim, options.queries)
    finally:
        shutil.rmtree(path)
    if options.json:
        json.dump(figures, sys.stdout, indent=2)
        print()
    else:
        for name, value in figures.items():
            print(
                f"{name:<36} {value:>12,.3f}"
                if isinstance(value, float)
                else f"{name:<36} {value:>12}"
            )
    return 0


def run(path: Path, rows: int, dim: int, queries: int) -> dict[str, float | int | str]:
    """Measure a store of `rows` passages."""
    random = np.random.default_rng(1)
    directions = main_directions(random, dim)
    figures: dict[str, float | int | str] = {
        "machine": f"{platform.machine()} {platform.system()}",
        "rows": rows,
        "dim": dim,
    }
    store = LanceStore(path, dim, exact_below=rows + 1, keep_seconds=0.001)

    upserts = []
    for records in batches(random, directions, rows):
        upserts.append(time_call(lambda records=records: store.upsert(records)))
    last = records
    figures["upsert_rows_per_s"] = rows / (sum(upserts) / 1e3)
    figures["upsert_1000_new_first_ms"] = upserts[0]
    figures["upsert_1000_new_last_ms"] = upserts[-1]

    vectors = make_vectors(random, directions, queries)
    questions = [" ".join(words(random, 6)) for _ in range(queries)]
    figures |= percentiles("lexical_unindexed", lambda i: store.search(None, questions[i], K), 5)
    figures["disk_before_optimize_mb"] = megabytes(path)
    figures["optimize_s"] = time_call(store.optimize) / 1e3
    figures["optimize_again_s"] = time_call(store.optimize) / 1e3
    figures["disk_after_optimize_mb"] = megabytes(path)
    figures["upsert_1000_same_ms"] = time_call(lambda: store.upsert(last))
    shorter = [record for record in last if record.passage.ordinal < PASSAGES_PER_DOCUMENT - 1]
    figures["upsert_900_shrinking_ms"] = time_call(lambda: store.upsert(shorter))
    store.optimize()

    figures |= percentiles("dense_exact", lambda i: store.search(vectors[i], None, K), queries)
    figures |= percentiles(
        "dense_exact_filter", lambda i: store.search(vectors[i], None, K, FILTER), queries
    )
    figures |= percentiles("lexical", lambda i: store.search(None, questions[i], K), queries)
    figures |= percentiles(
        "both_legs", lambda i: store.search(vectors[i], questions[i], K), queries
    )
    truth = nearest_ids(store, vectors, None)
    truth_filtered = nearest_ids(store, vectors, FILTER)
    store.close()

    indexed = LanceStore(path, dim, exact_below=1, keep_seconds=0.001)
    figures["ivf_build_s"] = time_call(indexed.optimize) / 1e3
    figures |= percentiles("dense_ivf", lambda i: indexed.search(vectors[i], None, K), queries)
    figures |= percentiles(
        "dense_ivf_filter", lambda i: indexed.search(vectors[i], None, K, FILTER), queries
    )
    figures["dense_exact_to_ivf_ratio"] = ratio(figures, "dense_exact_p50_ms", "dense_ivf_p50_ms")
    figures["recall_at_10_ivf"] = recall(truth, nearest_ids(indexed, vectors, None))
    figures["recall_at_10_ivf_filter"] = recall(
        truth_filtered, nearest_ids(indexed, vectors, FILTER)
    )
    figures["disk_with_ivf_mb"] = megabytes(path)
    indexed.close()
    return figures


def batches(
    random: np.random.Generator, directions: Float32, rows: int
) -> Iterator[list[StoredPassage]]:
    """Yield batches of synthetic passages."""
    for first in range(0, rows, BATCH):
        count = min(BATCH, rows - first)
        vectors = make_vectors(random, directions, count)
        yield [record(random, first + i, vectors[i]) for i in range(count)]


def record(random: np.random.Generator, number: int, vector: Float32) -> StoredPassage:
    """Build a passage of a synthetic document."""
    document, ordinal = divmod(number, PASSAGES_PER_DOCUMENT)
    text = " ".join(words(random, 80))
    passage = Passage(
        document_id=f"/corpus/document-{document:07d}.md",
        ordinal=ordinal,
        text=text,
        char_start=ordinal * 500,
        char_end=ordinal * 500 + len(text),
        source=f"/corpus/document-{document:07d}.md",
        title=f"Document {document}",
        metadata={"part": document % PARTS, "language": "en", "year": 1990 + document % 35},
    )
    return StoredPassage(passage, vector, text, f"{document:064x}")


def words(random: np.random.Generator, count: int) -> list[str]:
    """Draw synthetic words by Zipf's law."""
    return [f"w{number}x" for number in np.minimum(random.zipf(1.2, count), 50_000)]


def main_directions(random: np.random.Generator, dim: int) -> Float32:
    """Draw the main directions of variance, scaled by their standard deviation."""
    lengths = 1 / np.sqrt(np.arange(1, DIRECTIONS + 1))
    return (random.standard_normal((DIRECTIONS, dim)) * lengths[:, None]).astype(np.float32)


def make_vectors(random: np.random.Generator, directions: Float32, count: int) -> Float32:
    """Draw unit vectors along the directions, with noise."""
    along = random.standard_normal((count, len(directions))) @ directions
    return normalise(along + NOISE * random.standard_normal(along.shape))


def normalise(vectors: np.ndarray) -> Float32:
    """Normalise rows to unit length."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def nearest_ids(store: LanceStore, vectors: Float32, where: str | None) -> list[set[str]]:
    """Search for the ids of the K nearest passages of every vector."""
    results = (store.search(vector, None, K, where)["dense"] for vector in vectors)
    return [{hit.passage.id for hit in hits} for hits in results]


def recall(truth: Sequence[set[str]], results: Sequence[set[str]]) -> float:
    """Compute the mean recall of the true ids."""
    shares = [len(t & r) / len(t) for t, r in zip(truth, results, strict=True) if t]
    return float(np.mean(shares))


def ratio(figures: dict[str, float | int | str], above: str, below: str) -> float:
    """Divide one figure by another."""
    return float(figures[above]) / float(figures[below])


def percentiles(name: str, call: Callable[[int], object], count: int) -> dict[str, float]:
    """Measure median and 95th percentile of `count` calls, after a warm-up call."""
    call(0)
    times = [time_call(lambda i=i: call(i)) for i in range(count)]
    p50, p95 = np.percentile(times, [50, 95])
    return {f"{name}_p50_ms": float(p50), f"{name}_p95_ms": float(p95)}


def time_call(call: Callable[[], object]) -> float:
    """Measure the time of a call in milliseconds."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


def megabytes(path: Path) -> float:
    """Measure the size of all files in a folder, in MB."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6


if __name__ == "__main__":
    raise SystemExit(main())
