"""Latency of a spoken question, with loaded models and from the command line.

    python benchmarks/latency.py [--passages 5000] [--runs 30] [--json]

Prints two tables over a knowledge base of the demo corpus and about as many further text passages
as requested. Warm: percentiles of the time from samples to hits for a question of 5 s, with loaded
models. Cold: the time of `wavrag search --audio` in a new process, and of its parts, each in
another process and without the start of Python.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import corpus
import numpy as np

from wavrag import Clip, KnowledgeBase, Query
from wavrag.audio import SAMPLE_RATE, load
from wavrag.kb import find_files

PARTS = {
    "import wavrag": "import wavrag",
    "import lancedb": "import lancedb",
    "import onnxruntime": "import onnxruntime",
    "import av, load 5 s": "from wavrag.audio import load; load({question!r})",
    "load the embedder": "from wavrag import load_embedder; load_embedder('wavretriever').load()",
    "open the store": (
        "from wavrag.store import LanceStore; LanceStore({store!r}, 384).search(None, 'bees', 5)"
    ),
}


def write_question(path: Path) -> Clip:
    """Write a spoken question of 5 s as a WAV file, and return its clip."""
    names = ("bicycle-bridge", "spare-key", "booming-bird")
    clips = [load(corpus.QUESTIONS / f"{name}.opus").samples for name in names]
    samples = np.concatenate(clips)[: 5 * SAMPLE_RATE]
    clip = Clip(samples, SAMPLE_RATE)
    corpus.write_wav(path, samples)
    return clip


def measure_warm(kb: KnowledgeBase, clip: Clip, runs: int) -> dict[str, float]:
    """Measure median and 95th percentile of the stages, in milliseconds."""
    timings = [kb.retrieve(Query(clip=clip), 5).timings for _ in range(runs + 3)][3:]
    embed = np.array([timing["embed"] for timing in timings])
    search = np.array([timing["search"] for timing in timings])
    figures = {"embed": embed, "search": search, "in all": embed + search}
    return {
        f"{name} {label}": round(float(np.percentile(values, percentile)), 1)
        for name, values in figures.items()
        for label, percentile in (("p50", 50), ("p95", 95))
    }


def median_seconds(command: list[str], runs: int = 5) -> float:
    """Measure the median duration of a process, in seconds."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return sorted(times)[len(times) // 2]


def measure_cold(kb: Path, recording: Path) -> dict[str, float]:
    """Measure the median duration of a cold search and of its parts, in seconds."""
    python = median_seconds([sys.executable, "-c", "pass"])
    search = [sys.executable, "-m", "wavrag", "search", "--kb", str(kb), "--audio", str(recording)]
    figures = {"wavrag search --audio": median_seconds(search), "python": python}
    for name, code in PARTS.items():
        script = code.format(question=str(recording), store=str(kb / "store"))
        figures[name] = median_seconds([sys.executable, "-c", script]) - python
    return {name: round(value, 2) for name, value in figures.items()}


def main() -> None:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--passages", type=int, default=5_000, help="further passages of text (default: 5000)"
    )
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        texts, directory, recording = (
            Path(folder, "texts"),
            Path(folder, "kb"),
            Path(folder, "q.wav"),
        )
        clip = write_question(recording)
        texts.mkdir()
        with KnowledgeBase.open(directory) as kb:
            kb.add(find_files([corpus.DATA / "corpus"]).documents)
            corpus.write_texts(texts, 1)
            passages_per_copy = kb.add(find_files([texts]).documents).passages
            corpus.write_texts(texts, max(1, arguments.passages // passages_per_copy))
            kb.add(find_files([texts]).documents)
            figures: dict[str, Any] = {
                "passages": kb.count(),
                "warm, ms": measure_warm(kb, clip, arguments.runs),
            }
        figures["cold, s"] = measure_cold(directory, recording)
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    print(f"{figures['passages']} passages")
    for name in ("warm, ms", "cold, s"):
        print(name)
        for key, value in figures[name].items():
            print(f"  {key:24} {value:8.2f}")


if __name__ == "__main__":
    main()
