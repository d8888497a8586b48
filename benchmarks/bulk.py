"""Times of searches beside a long run of indexing, and in the finished store.

    python benchmarks/bulk.py [--rows N] [--dim N] [--queries N] [--path DIR]

Another process adds the passages of `benchmarks/store.py` in batches to the embedded store and
optimises it at the intervals of `wavrag index`. Searches begin at half of the passages.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np
from store import BATCH, K, Synthetic, build_record, percentiles, time_call

from wavrag.kb.indexing import OPTIMIZE_PASSAGES
from wavrag.store import LanceStore

PAUSE = 0.1  # seconds between two searches beside the run


def add(path: Path, rows: int, dim: int) -> None:
    """Add passages and optimise."""
    corpus = Synthetic(dim, 1)
    with closing(LanceStore(path, dim)) as store:
        for first in range(0, rows, BATCH):
            drawn = zip(*corpus.draw(BATCH), strict=True)
            store.upsert([build_record(first + i, *passage) for i, passage in enumerate(drawn)])
            if (first + BATCH) % OPTIMIZE_PASSAGES == 0:
                store.optimize()


def measure(path: Path, rows: int, dim: int, queries: int) -> dict[str, float]:
    """Search beside the run and afterwards, with both legs."""
    corpus = Synthetic(dim, queries)
    store = LanceStore(path, dim)

    def search(number: int) -> None:
        index = number % queries
        store.search(corpus.vectors[index], corpus.questions[index], K)

    writer = multiprocessing.get_context("spawn").Process(target=add, args=(path, rows, dim))
    start = time.monotonic()
    writer.start()
    times: list[float] = []
    while writer.is_alive():
        if store.count() >= rows / 2:
            times.append(time_call(lambda: search(len(times))))
        time.sleep(PAUSE)
    seconds = time.monotonic() - start
    if writer.exitcode != 0:
        raise SystemExit("the process that adds passages failed")
    finished = percentiles("finished", search, queries)
    store.close()
    p50, p95 = (float(value) for value in np.percentile(times, [50, 95]))
    return {
        "run_s": seconds,
        "searches_beside": len(times),
        "beside_p50_ms": p50,
        "beside_p95_ms": p95,
        **finished,
        "p50_ratio": p50 / finished["finished_p50_ms"],
        "p95_ratio": p95 / finished["finished_p95_ms"],
    }


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=110_000, help="passages (default 110000)")
    parser.add_argument("--dim", type=int, default=384, help="length of a vector (default 384)")
    parser.add_argument("--queries", type=int, default=100, help="distinct ones (default 100)")
    parser.add_argument("--path", type=Path, help="where to make the store (default: temporary)")
    options = parser.parse_args()
    path = Path(tempfile.mkdtemp(prefix="wavrag-bench-", dir=options.path))
    try:
        figures = measure(path, options.rows, options.dim, options.queries)
    finally:
        shutil.rmtree(path)
    for name, value in figures.items():
        print(f"{name:<20} {value:>12,.3f}")


if __name__ == "__main__":
    main()
