"""Growth of a store with its size, and what follows for larger ones.

    python benchmarks/store.py --rows 10000 --texts FILE --json > 10k.json    # and for other sizes
    python benchmarks/scale.py 10k.json 100k.json [--rows N] [--shard N]

Prints the figures of each size. Time to build and disk are extrapolated from the last two sizes by
a power law, a straight line on two logarithmic axes, to a shard of `--shard` passages, and to as
many shards as hold `--rows` passages.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

# Figure of `store.py`, title, and factor to the unit of the title.
SIZES = (("build_s", "writing and indexes, min", 1 / 60), ("disk_with_index_mb", "disk, GB", 1e-3))
# Not extrapolated: they grow little between the measured sizes, less than they vary.
FIGURES = (
    ("peak_memory_mb", "peak memory of the benchmark, GB", 1e-3),
    ("upsert_1000_new_last_ms", "1,000 new passages, ms", 1.0),
    ("lexical_p50_ms", "lexical, median, ms", 1.0),
    ("dense_exact_p50_ms", "dense, exhaustive, median, ms", 1.0),
    ("dense_index_p50_ms", "dense, index, median, ms", 1.0),
    ("hybrid_p50_ms", "hybrid, median, ms", 1.0),
    ("hybrid_p95_ms", "hybrid, 95th percentile, ms", 1.0),
    ("hybrid_filter_p50_ms", "hybrid with filter, median, ms", 1.0),
    ("hybrid_filter_p95_ms", "hybrid with filter, 95th percentile, ms", 1.0),
    ("hybrid_filter_16_callers_p50_ms", "the same, 16 callers, median, ms", 1.0),
    ("hybrid_filter_16_callers_p95_ms", "the same, 16 callers, 95th percentile, ms", 1.0),
    ("recall_at_10", "recall@10", 1.0),
    ("recall_at_10_filter", "recall@10 with filter", 1.0),
)


def main() -> int:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("figures", type=Path, nargs="+", help="JSON of store.py, two sizes or more")
    parser.add_argument("--rows", type=int, default=100_000_000, help="passages (100 million)")
    parser.add_argument("--shard", type=int, default=1_000_000, help="of a shard (1 million)")
    options = parser.parse_args()
    runs = sorted((json.loads(path.read_text()) for path in options.figures), key=size)
    for run in runs:
        run["build_s"] = size(run) / run["upsert_rows_per_s"] + run["optimize_s"]
        run["build_s"] += run["index_build_s"]
    shards = math.ceil(options.rows / options.shard)
    titles = [f"{size(run):,}" for run in runs]
    titles += [f"shard of {options.shard:,}, extrapolated", f"{shards} shards"]
    print(f"| {runs[0]['store']} | {' | '.join(titles)} |")
    print("|---|" + "---|" * len(titles))
    for name, title, factor in (*SIZES, *FIGURES):
        values = [float(run[name]) * factor for run in runs]
        cells = [f"{value:.3g}" for value in values]
        if (name, title, factor) in SIZES:
            shard = extrapolate(runs[-2:], values[-2:], options.shard)
            cells += [f"{shard:.3g}", f"{shard * shards:,.0f}"]
        else:
            cells += ["", ""]
        print(f"| {title} | {' | '.join(cells)} |")
    return 0


def size(run: dict[str, float]) -> int:
    """Number of passages of a run."""
    return int(run["rows"])


def extrapolate(runs: list[dict[str, float]], values: list[float], rows: int) -> float:
    """The power law through two runs, at another number of rows."""
    (first, second), (low, high) = map(size, runs), values
    exponent = math.log(high / low) / math.log(second / first)
    return high * (rows / second) ** exponent


if __name__ == "__main__":
    raise SystemExit(main())
