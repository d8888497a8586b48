"""Speed of WavRetriever compared with systems with a transcript, in one run.

    python benchmarks/hearing.py [--whisper MODEL_DIR] [--minutes 6] [--runs 15] [--json]

Prints the median time of a query of 3, 5 and 10 s from samples to vector and words, with loaded
models; the time of indexing a recording into a new knowledge base; and the time from loading to the
first spoken query's vector, with the resident memory, in a new process.

`--whisper` names a folder with a CTranslate2 Whisper model and requires `pip install
faster-whisper`; the same text model embeds its words, decoded greedily.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import corpus
import numpy as np

from wavrag import Clip, KnowledgeBase, load_embedder
from wavrag.audio import SAMPLE_RATE
from wavrag.embed.minilm import MiniLM
from wavrag.kb import find_files
from wavrag.types import EmbedInput

SECONDS = (3, 5, 10)
RETRIEVER, CASCADE, WHISPER = "wavretriever", "cascade", "whisper + minilm"
FIRST_QUERY = """
import os, resource, time
started = time.perf_counter()
import numpy as np
from wavrag import Clip, load_embedder
from wavrag.types import EmbedInput
embedder = load_embedder({name!r})
samples = np.fromfile({samples!r}, np.float32)
embedder.embed([EmbedInput(clip=Clip(samples, 16000))], "query")
seconds = time.perf_counter() - started
with open("/proc/self/statm") as statm:
    resident = int(statm.read().split()[1]) * resource.getpagesize()
print(seconds, resident / 1e6)
"""

EmbedFunction = Callable[[Clip], Any]


def load_whisper(folder: Path) -> EmbedFunction:
    """Load a Whisper model (greedy, without timestamps) and the text model."""
    from faster_whisper import WhisperModel

    model, text = WhisperModel(str(folder), device="cpu", compute_type="int8"), MiniLM()

    def embed(clip: Clip) -> Any:
        segments, _ = model.transcribe(
            clip.samples, language="en", beam_size=1, temperature=0.0, without_timestamps=True
        )
        return text.embed_texts([" ".join(segment.text.strip() for segment in segments)])

    return embed


def measure_queries(systems: dict[str, EmbedFunction], runs: int) -> dict[str, dict[str, float]]:
    """Measure the median query time in milliseconds for each length and system."""
    speech = corpus.load_speech().astype(np.float32) / 32_768
    figures: dict[str, dict[str, float]] = {}
    for seconds in SECONDS:
        size = seconds * SAMPLE_RATE
        times: dict[str, list[float]] = {name: [] for name in systems}
        for run in range(runs + 1):
            clip = Clip(speech[run * 2 * size :][:size], SAMPLE_RATE)
            for name, embed in systems.items():
                started = time.perf_counter()
                embed(clip)
                times[name].append(time.perf_counter() - started)
        figures[f"{seconds} s"] = {
            name: round(1e3 * float(np.median(durations[1:])), 1)
            for name, durations in times.items()
        }
    return figures


def measure_indexing(minutes: float) -> dict[str, float]:
    """Measure the time of indexing a recording in seconds, for each embedder."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder, "recording.wav")
        corpus.write_long_recording(recording, minutes * 60)
        for name in (RETRIEVER, CASCADE):
            embedder = load_embedder(name)
            embedder.embed([EmbedInput(clip=Clip(np.zeros(16_000, np.float32), 16_000))], "passage")
            with KnowledgeBase.open(Path(folder, name), embedder=embedder) as kb:
                started = time.perf_counter()
                kb.add(find_files([recording]).documents)
                figures[name] = round(time.perf_counter() - started, 2)
    return figures


def measure_first_query() -> dict[str, dict[str, float]]:
    """Measure time and resident memory of a new process until its first vector of 5 s."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder, "samples.f32")
        (corpus.load_speech()[: 5 * SAMPLE_RATE].astype(np.float32) / 32_768).tofile(samples)
        for name in (RETRIEVER, CASCADE):
            script = FIRST_QUERY.format(name=name, samples=str(samples))
            command = [sys.executable, "-c", script]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            seconds, resident = map(float, printed.split())
            figures[name] = {"seconds": round(seconds, 2), "resident_mb": round(resident)}
    return figures


def main() -> None:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whisper", type=Path, help="folder of a CTranslate2 Whisper model")
    parser.add_argument(
        "--minutes", type=float, default=6.0, help="minutes of audio to index (default: 6)"
    )
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    systems: dict[str, EmbedFunction] = {}
    for name in (RETRIEVER, CASCADE):
        embedder = load_embedder(name)
        systems[name] = lambda clip, embedder=embedder: embedder.embed(
            [EmbedInput(clip=clip)], "query"
        )
    if arguments.whisper:
        systems[WHISPER] = load_whisper(arguments.whisper)
    figures = {
        "query_ms": measure_queries(systems, arguments.runs),
        "index_seconds": measure_indexing(arguments.minutes),
        "first_query": measure_first_query(),
    }
    if arguments.json:
        print(json.dumps(figures, indent=1))
        return
    for seconds, times in figures["query_ms"].items():
        for name, value in times.items():
            print(
                f"query of {seconds:5} {name:20} {value:8.1f} ms {value / times[RETRIEVER]:6.1f} x"
            )
    for name, value in figures["index_seconds"].items():
        ratio = value / figures["index_seconds"][RETRIEVER]
        print(f"index {arguments.minutes:g} min  {name:20} {value:8.2f} s  {ratio:6.1f} x")
    for name, values in figures["first_query"].items():
        line = f"{values['seconds']:8.2f} s  {values['resident_mb']:6.0f} MB"
        print(f"load, first query {name:16} {line}")


if __name__ == "__main__":
    main()
