"""Ways to index a long recording, each in a process of its own to measure its memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.long_recording import ENGINE, QUESTION_VOICE, Fact
from experiments.search import CASCADE, HITS, RETRIEVER, ExperimentIndex
from wavrag.audio import SAMPLE_RATE, load
from wavrag.embed import load_recogniser, unit_rows
from wavrag.errors import WavRAGError
from wavrag.evaluate import BLANK_TITLE, LEGS
from wavrag.speech import NEUTRAL, load_engine
from wavrag.types import Document, EmbedInput, Float32, Hit, Query

CHUNK_SECONDS = 30.0  # of a chunk; the limit of the recogniser
SPANS = (0.5, 1.0, 2.0, 5.0, 10.0)  # minutes per vector
WAYS = {
    "windows": (RETRIEVER, "WavRetriever, windows"),
    "cascade": (CASCADE, "cascade, windows"),
    "chunks": (CASCADE, "transcript of 30 s chunks"),
}
QUESTION_KINDS = ("written", "spoken")


def index_in_process(path: Path, facts: Sequence[Fact], way: str) -> dict[str, Any]:
    """Index a recording in a new process, and search for facts.

    Args:
        path: recording.
        facts: facts to search for.
        way: one of `WAYS`.

    Raises:
        WavRAGError: the process failed.
    """
    request = {
        "recording": str(path),
        "way": way,
        "questions": [[fact.id, fact.question] for fact in facts],
    }
    command = [sys.executable, "-c", f"from {__name__} import run_child; run_child()"]
    try:
        process = subprocess.run(
            command, input=json.dumps(request), capture_output=True, check=True, text=True
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise WavRAGError(f"indexing {request['recording']} ({way}) failed: {last}") from error
    result: dict[str, Any] = json.loads(process.stdout)
    return result


def run_child() -> None:
    """Run the new process: read the request from standard input, and print the results."""
    request = json.load(sys.stdin)
    way = request["way"]
    embedder = WAYS[way][0]
    path = Path(request["recording"])
    started, cpu = time.perf_counter(), time.process_time()
    documents = (
        _transcripts(path)
        if way == "chunks"
        else [Document(path.name, path=str(path), title=BLANK_TITLE)]
    )
    with ExperimentIndex(embedder, documents) as index:
        records = list(index.kb.scan())
        indexing = [time.perf_counter() - started, time.process_time() - cpu]
        passages = {record.passage.id: _span(record.passage) for record in records}
        engine = load_engine(ENGINE)
        rankings: dict[str, dict[str, dict[str, list[str]]]] = {}
        spans: dict[str, dict[str, dict[str, list[int]]]] = {}
        for kind in QUESTION_KINDS:
            rankings[kind] = {leg: {} for leg in LEGS}
            spans[kind] = {f"{size:g}": {} for size in SPANS}
            for id, question in request["questions"]:
                query = (
                    Query(text=question)
                    if kind == "written"
                    else Query(clip=engine.speak(question, QUESTION_VOICE, NEUTRAL))
                )
                hits = index.kb.retrieve(query, HITS).hits
                for leg in LEGS:
                    rankings[kind][leg][id] = _best(hits, leg)
                if way == "windows":
                    item = EmbedInput(text=query.text, clip=query.clip)
                    vector = index.embedder.embed_with_texts([item], "query").vectors[0]
                    for size in SPANS:
                        spans[kind][f"{size:g}"][id] = _best_spans(
                            vector, [record.vector for record in records],
                            [passages[record.passage.id] for record in records], size * 60,
                        )  # fmt: skip
    json.dump(
        {
            "passages": passages,
            "ranked": rankings,
            "spans": spans if way == "windows" else None,
            "seconds": indexing[0],
            "cpu_seconds": indexing[1],
            "peak_mb": peak_memory() / 1e6,
        },
        sys.stdout,
    )


def peak_memory() -> int:
    """Return the peak resident memory of this program in bytes.

    On Linux, `VmHWM` counts this program alone. `getrusage`, the fallback elsewhere, includes the
    memory of the parent process before `exec`.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1_024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    (high,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(high) * 1_024


def _transcripts(path: Path) -> list[Document]:
    """Transcribe chunks of equal length, regardless of words at their ends."""
    recogniser = load_recogniser("moonshine")
    documents = []
    start = 0.0
    while len((clip := load(path, SAMPLE_RATE, start, start + CHUNK_SECONDS)).samples):
        words = recogniser.transcribe(clip)
        if words:
            documents.append(
                Document(
                    f"{start:07.1f}", text=words, title=BLANK_TITLE,
                    metadata={"start": start, "end": start + clip.duration},
                )
            )  # fmt: skip
        if clip.duration < CHUNK_SECONDS:
            break
        start += CHUNK_SECONDS
    return documents


def _span(passage: Any) -> list[float]:
    if passage.start is not None:
        return [passage.start, passage.end]
    return [passage.metadata["start"], passage.metadata["end"]]


def _best(hits: Sequence[Hit], leg: str) -> list[str]:
    """Return the ids of the ten best passages of a leg, ties by id."""
    scored = [
        (-(hit.score if leg == "fused" else hit.legs[leg]), hit.passage.id)  # type: ignore[index]
        for hit in hits
        if leg == "fused" or leg in hit.legs
    ]
    return [id for _, id in sorted(scored)[:10]]


def _best_spans(
    query: Float32, vectors: Sequence[Float32], spans: Sequence[Sequence[float]], size: float
) -> list[int]:
    """Rank spans of equal length in seconds, each by the mean vector of its windows."""
    of: dict[int, list[Float32]] = {}
    for vector, (start, end) in zip(vectors, spans, strict=True):
        of.setdefault(int((start + end) / 2 // size), []).append(vector)
    numbers = sorted(of)
    means = unit_rows(np.stack([np.mean(of[number], axis=0) for number in numbers]))
    order = np.argsort(-(means @ query), kind="stable")
    return [numbers[rank] for rank in order.tolist()]
