"""Overhead of the server for a search, and its throughput with several clients.

    python benchmarks/http_search.py [--passages 2000] [--requests 200] [--clients 1 4] [--json F]

Prints percentiles of the search time in milliseconds and searches per second over the demo texts
and about as many further passages as requested: by calls in this process, then over HTTP from
`wavrag serve` in another process with each number of concurrent clients, each on one connection.
The ratio is that of the median over HTTP to the median in process.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import corpus
import httpx
import numpy as np

from wavrag import KnowledgeBase
from wavrag.kb import find_files

WARM = 10  # searches before the measurement
QUESTIONS = (
    "How far does a honeybee fly?",
    "When does the ferry leave?",
    "How is the mirror of a telescope cleaned?",
    "Who may bring dogs?",
)


@contextmanager
def start_server(kb: Path) -> Iterator[str]:
    """Start a server in a new process, and yield its URL."""
    command = [sys.executable, "-m", "wavrag", "serve", "--port", "0", "--kb", str(kb)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            match = re.search(r"http://[\d.:]+", line)
            if match is None:
                raise SystemExit(line + process.stderr.read())
            yield match[0]
        finally:
            process.terminate()


def time_searches(search: Callable[[str], object], count: int) -> list[float]:
    """Measure the time of each search in milliseconds."""
    times = []
    for number in range(count):
        started = time.perf_counter()
        search(QUESTIONS[number % len(QUESTIONS)])
        times.append(1e3 * (time.perf_counter() - started))
    return times


def figures(times: list[float], seconds: float) -> dict[str, float]:
    """Compute percentiles in milliseconds, and searches per second."""
    values = {f"p{percent}": float(np.percentile(times, percent)) for percent in (50, 95, 99)}
    return {name: round(value, 2) for name, value in values.items()} | {
        "per second": round(len(times) / seconds, 1)
    }


def measure_in_process(kb: KnowledgeBase, count: int) -> dict[str, float]:
    """Measure searches by function calls."""
    time_searches(kb.search, WARM)
    started = time.perf_counter()
    return figures(time_searches(kb.search, count), time.perf_counter() - started)


def measure_http(url: str, clients: int, count: int) -> dict[str, float]:
    """Measure `count` searches in total by concurrent clients."""
    times: list[list[float]] = []

    def run_client() -> None:
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as http:

            def search(words: str) -> None:
                http.get("/v1/search", params={"q": words}).raise_for_status()

            time_searches(search, WARM)
            ready.wait()
            times.append(time_searches(search, count // clients))

    ready = threading.Barrier(clients + 1)
    threads = [threading.Thread(target=run_client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    ready.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    return figures(
        [milliseconds for client_times in times for milliseconds in client_times], seconds
    )


def main() -> None:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--passages", type=int, default=2_000, help="further passages of text (default: 2000)"
    )
    parser.add_argument(
        "--requests", type=int, default=200, help="searches per measurement (default: 200)"
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON; - prints them")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        directory, texts = Path(folder, "kb"), Path(folder, "texts")
        texts.mkdir()
        with KnowledgeBase.open(directory) as kb:
            kb.add(find_files([corpus.DATA / "corpus" / "documents"]).documents)
            corpus.write_texts(texts, 1)
            passages_per_copy = kb.add(find_files([texts]).documents).passages
            corpus.write_texts(texts, max(1, arguments.passages // passages_per_copy))
            kb.add(find_files([texts]).documents)
            result: dict[str, Any] = {
                "passages": kb.count(),
                "in process": measure_in_process(kb, arguments.requests),
            }
        with start_server(directory) as url:
            for clients in arguments.clients:
                match = measure_http(url, clients, arguments.requests)
                match["ratio of p50"] = round(match["p50"] / result["in process"]["p50"], 2)
                result[f"http, {clients} at once"] = match
    if arguments.json == "-":
        print(json.dumps(result, indent=2))
        return
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"{result.pop('passages')} passages; ms, and searches a second")
    for name, values in result.items():
        print(f"{name:18}", *(f"{key} {value:8.2f}  " for key, value in values.items()))


if __name__ == "__main__":
    main()
