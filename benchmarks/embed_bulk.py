"""A node of a cluster is killed while it embeds an archive: is every document there, and once?

    python benchmarks/embed_bulk.py [--documents N] [--embedder NAME]

Starts a Ray cluster of two nodes on this machine, embeds short texts on both, and kills the second
one with SIGKILL after the first file is written. Then imports the files, and compares the passages
and vectors with those of `KnowledgeBase.add`. Needs `pip install 'wavrag[ray]'`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import numpy as np
import ray
from ray.cluster_utils import Cluster

from wavrag import KnowledgeBase
from wavrag.kb import BulkOptions, embed_bulk, find_files

PROCESSORS = 2  # of each node


def kill_after_first_file(cluster: Cluster, node: object, out: Path, killed: list[int]) -> None:
    """Kill a node once there is a file."""
    while not (files := list(out.glob("*.parquet"))):
        time.sleep(0.05)
    cluster.remove_node(node, allow_graceful=False)
    killed.append(len(files))


def run(folder: Path, documents: int, embedder: str) -> dict[str, float]:
    """Embed, kill, import and compare."""
    texts = folder / "texts"
    texts.mkdir()
    for number in range(documents):
        (texts / f"{number}.txt").write_text(f"Ferry {number} leaves pier {number % 7} at nine.")
    found = find_files([texts]).documents
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": PROCESSORS})
    try:
        node = cluster.add_node(num_cpus=PROCESSORS)
        cluster.wait_for_nodes()
        out, killed = folder / "out", []
        arguments = (cluster, node, out, killed)
        threading.Thread(target=kill_after_first_file, args=arguments, daemon=True).start()
        start = time.monotonic()
        options = BulkOptions(embedder, workers=2, address=cluster.address)
        embed_bulk(found, out, options)
        seconds = time.monotonic() - start
    finally:
        ray.shutdown()
        cluster.shutdown()
    with (
        KnowledgeBase.open(folder / "imported", embedder=embedder) as imported,
        KnowledgeBase.open(folder / "indexed", embedder=embedder) as indexed,
    ):
        report = imported.import_parquet([out])
        indexed.add(found)
        expected = {record.passage.id: record for record in indexed.scan()}
        actual = {record.passage.id: record for record in imported.scan()}
        common = expected.keys() & actual.keys()
        differences = [
            np.abs(expected[id].vector - actual[id].vector).max() for id in sorted(common)
        ]
        return {
            "documents": documents,
            "files when the node was killed": killed[0] if killed else 0,
            "files in the end": len(list(out.glob("*.parquet"))),
            "documents twice in the files": len(report.updated) + len(report.unchanged),
            "passages missing": len(expected.keys() - actual.keys()),
            "passages too many": len(actual.keys() - expected.keys()),
            "largest difference of a vector": max(differences, default=0.0),
            "seconds": seconds,
        }


def main() -> None:
    """Print the outcome."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--embedder", default="fake")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, value in run(Path(folder), arguments.documents, arguments.embedder).items():
            print(f"{name}: {value:.4g}")


if __name__ == "__main__":
    main()
