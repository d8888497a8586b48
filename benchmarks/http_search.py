"""How much of a search's time the server costs, and how many it answers at once.

    python benchmarks/http_search.py [--passages 2000] [--requests 200] [--clients 1 4] [--json F]

In one run, over the texts of the demo and about as many further passages as asked for: searches in
words within this process; then over HTTP against `wavrag serve` in a process of its own, by each
number of clients at a time, each on one connection. The ratio is HTTP's median to that in process.
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

WARM = 10  # searches before those that are timed
QUESTIONS = (
    "How far does a honeybee fly?",
    "When does the ferry leave?",
    "How is the mirror of a telescope cleaned?",
    "Who may bring dogs?",
)


@contextmanager
def server(kb: Path) -> Iterator[str]:
    """The address of a server in a process of its own."""
    command = [sys.executable, "-m", "wavrag", "serve", "--port", "0", "--kb", str(kb)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            found = re.search(r"http://[\d.:]+", line)
            if found is None:
                raise SystemExit(line + process.stderr.read())
            yield found[0]
        finally:
            process.terminate()


def timed(search: Callable[[str], object], count: int) -> list[float]:
    """Milliseconds of each search."""
    times = []
    for number in range(count):
        started = time.perf_counter()
        search(QUESTIONS[number % len(QUESTIONS)])
        times.append(1e3 * (time.perf_counter() - started))
    return times


def figures(times: list[float], seconds: float) -> dict[str, float]:
    """Percentiles in ms, and searches a second."""
    named = {f"p{percent}": float(np.percentile(times, percent)) for percent in (50, 95, 99)}
    return {name: round(value, 2) for name, value in named.items()} | {
        "per second": round(len(times) / seconds, 1)
    }


def in_process(kb: KnowledgeBase, count: int) -> dict[str, float]:
    """Searches by calls."""
    timed(kb.search, WARM)
    started = time.perf_counter()
    return figures(timed(kb.search, count), time.perf_counter() - started)


def over_http(url: str, clients: int, count: int) -> dict[str, float]:
    """Searches by so many clients at a time, `count` in all."""
    times: list[list[float]] = []

    def work() -> None:
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as http:

            def search(words: str) -> None:
                http.get("/v1/search", params={"q": words}).raise_for_status()

            timed(search, WARM)
            ready.wait()
            times.append(timed(search, count // clients))

    ready = threading.Barrier(clients + 1)
    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    ready.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    return figures([one for part in times for one in part], seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=2_000, help="of text beside the corpus")
    parser.add_argument("--requests", type=int, default=200, help="of each kind")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--json", metavar="FILE", help="write the figures; - prints them")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        directory, texts = Path(folder, "kb"), Path(folder, "texts")
        texts.mkdir()
        with KnowledgeBase.open(directory) as kb:
            kb.add(find_files([corpus.DATA / "corpus" / "documents"]).documents)
            corpus.texts(texts, 1)
            each = kb.add(find_files([texts]).documents).passages
            corpus.texts(texts, max(1, arguments.passages // each))
            kb.add(find_files([texts]).documents)
            result: dict[str, Any] = {
                "passages": kb.count(),
                "in process": in_process(kb, arguments.requests),
            }
        with server(directory) as url:
            for clients in arguments.clients:
                found = over_http(url, clients, arguments.requests)
                found["ratio of p50"] = round(found["p50"] / result["in process"]["p50"], 2)
                result[f"http, {clients} at once"] = found
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
