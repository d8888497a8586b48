"""Speed of two versions of WavRAG in turns; a part of `first_passage.py`.

As a program, it runs one measurement with whatever `wavrag` is imported, and prints JSON:

    python benchmarks/first_passage_speed.py build KB EMBEDDER PASSAGES.jsonl
    python benchmarks/first_passage_speed.py question KB EMBEDDER RECORDING ...
    python benchmarks/first_passage_speed.py index KB EMBEDDER RECORDING ...
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from wavrag import Clip, Document, KnowledgeBase, Query
from wavrag.audio import load, write_wav

if TYPE_CHECKING:  # the measured version of `wavrag` may not have these
    from code_runs import CodeTree

    from wavrag.data import Task
    from wavrag.types import Float32

SAMPLE_RATE = 16_000  # Hz; older versions of `wavrag.audio` export no such name
PASSAGES = 2_000  # texts that questions search
QUESTIONS = 12
WARM_UP = 4  # questions before the first measurement
SECONDS = 5.0  # duration of the questions, as near as the task has them
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes

Figures = dict[str, float]


def build(kb: str, embedder: str, passages: str) -> Figures:
    """Index passages of text."""
    with open(passages, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    documents = [Document(row["id"], text=row["text"], title=row["title"]) for row in rows]
    with KnowledgeBase.open(kb, embedder=embedder) as base:
        return {"passages": base.add(documents).passages}


def question(kb: str, embedder: str, *recordings: str) -> Figures:
    """Measure spoken questions of one caller, from samples to ten hits, with warm models."""
    clips = [load(recording, SAMPLE_RATE) for recording in recordings]
    walls, cpus = [], []
    with KnowledgeBase.open(kb, embedder=embedder) as base:
        for clip in [*clips[:WARM_UP], *clips]:
            wall, cpu = time.perf_counter(), time.process_time()
            base.search(Query(clip=clip), 10)
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
    return {
        "question, wall s": median(walls[-len(clips) :]),
        "question, CPU s": median(cpus[-len(clips) :]),
        "question, peak MB": peak_megabytes(),
    }


def index(kb: str, embedder: str, *recordings: str) -> Figures:
    """Measure indexing of recordings, from files to searchable; the first loads the models."""
    first, *documents = (Document(recording, path=recording) for recording in recordings)
    seconds = sum(load(recording).duration for recording in recordings[1:])
    with KnowledgeBase.open(kb, embedder=embedder) as base:
        base.add([first])
        wall, cpu = time.perf_counter(), time.process_time()
        base.add(documents)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "indexing, audio s per wall s": seconds / wall,
        "indexing, CPU s per audio s": cpu / seconds,
        "indexing, peak MB": peak_megabytes(),
    }


def peak_megabytes() -> float:
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT / 1e6


def measure(systems: Sequence[tuple[CodeTree, str]], tasks: Path, rounds: int) -> list[Figures]:
    """Measure systems in turns, every figure in a process of its own, and take medians.

    Args:
        systems: code and embedder.
        tasks: folder with `squad-spoken`, for questions and texts, and `librispeech`, whose queries
            are joined to recordings of a minute.
        rounds: number of measurements of each system.

    Raises:
        InputError: one of the tasks is missing.
    """
    from wavrag.data import load_task

    spoken, sentences = load_task(tasks / "squad-spoken"), load_task(tasks / "librispeech")
    results: list[dict[str, list[float]]] = [defaultdict(list) for _ in systems]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        passages = write_passages(spoken, folder / "passages.jsonl")
        questions = pick_questions(spoken)
        recordings = write_recordings(sentences, folder)
        for number, (tree, embedder) in enumerate(systems):
            measure_in_process(tree, "build", folder / f"kb-{number}", embedder, passages)
        for turn in range(rounds):
            for number, (tree, embedder) in enumerate(systems):
                print(f"speed, {turn + 1}/{rounds}: {tree.name}, {embedder}", file=sys.stderr)
                indexed = folder / f"kb-{number}-{turn}"
                for figures in (
                    measure_in_process(
                        tree, "question", folder / f"kb-{number}", embedder, *questions
                    ),
                    measure_in_process(tree, "index", indexed, embedder, *recordings),
                ):
                    for key, value in figures.items():
                        results[number][key].append(value)
    return [{key: median(values) for key, values in result.items()} for result in results]


def measure_in_process(tree: CodeTree, kind: str, *arguments: str | Path) -> Figures:
    """Run this program with the code of a tree."""
    output = tree.run([str(Path(__file__).resolve()), kind, *map(str, arguments)]).stdout
    figures: Figures = json.loads(output)
    return figures


def write_passages(task: Task, path: Path) -> Path:
    """Write texts of the corpus for `build`."""
    rows = [
        {"id": content.id, "text": content.text, "title": content.title}
        for content in islice(task.corpus.values(), PASSAGES)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def pick_questions(task: Task) -> list[str]:
    """Pick the recordings of queries with durations closest to `SECONDS`."""
    paths = [str(query.audio) for query in task.queries.values()]
    return sorted(paths, key=lambda path: abs(load(path).duration - SECONDS))[:QUESTIONS]


def write_recordings(task: Task, folder: Path) -> list[Path]:
    """Join the queries of a task to recordings of about a minute, half a second apart."""
    gap = np.zeros(SAMPLE_RATE // 2, np.float32)
    paths: list[Path] = []
    pieces: list[Float32] = []
    for query in task.queries.values():
        pieces += [load(str(query.audio), SAMPLE_RATE).samples, gap]
        if sum(map(len, pieces)) >= 60 * SAMPLE_RATE:
            paths.append(folder / f"recording-{len(paths)}.wav")
            write_wav(paths[-1], Clip(np.concatenate(pieces), SAMPLE_RATE))
            pieces = []
    return paths


def main() -> None:
    """Run one measurement."""
    kinds: dict[str, Callable[..., Figures]] = {
        "build": build, "question": question, "index": index,
    }  # fmt: skip
    kind, *arguments = sys.argv[1:]
    print(json.dumps(kinds[kind](*arguments)))


if __name__ == "__main__":
    main()
