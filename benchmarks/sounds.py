"""Retrieval of similar sounds: WavRetriever against mean-pooled states of Whisper's encoder.

    python benchmarks/sounds.py TASK_DIR [TASK_DIR ...] [--whisper MODEL_DIR] [--json]

Prints precision at 5 for each task: the relevant share of the five nearest other clips, and that of
five random clips. Queries and corpus of a task are recordings, as in `esc10-similar` of
tools/make_tasks.py. `--whisper` names a folder with a CTranslate2 Whisper model and requires `pip
install faster-whisper`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from wavrag import Clip, load_embedder
from wavrag.audio import load
from wavrag.data.tasks import Task, load_task
from wavrag.types import EmbedInput, Float32

NEAREST = 5
SECONDS = 30.0


def load_retriever() -> Callable[[Clip], Float32]:
    """Load the packaged embedder."""
    embedder = load_embedder("wavretriever")
    return lambda clip: embedder.embed([EmbedInput(clip=clip)], "passage")[0]


def load_whisper(folder: Path) -> Callable[[Clip], Float32]:
    """Load an encoder of clips to the mean of Whisper's states without padding, normalised."""
    from faster_whisper import WhisperModel

    model = WhisperModel(str(folder), device="cpu", compute_type="int8")

    def embed(clip: Clip) -> Float32:
        features = model.feature_extractor(clip.samples)[:, :3000]
        frames = max(1, features.shape[1] // 2)
        padded = np.zeros((features.shape[0], 3000), np.float32)
        padded[:, : features.shape[1]] = features
        pooled = np.array(model.encode(padded))[0, :frames].mean(0)
        return (pooled / np.linalg.norm(pooled)).astype(np.float32)

    return embed


def precision(task: Task, embed: Callable[[Clip], Float32] | None) -> float:
    """Compute the mean precision at 5; without an embedder, its expectation by chance."""
    ids = list(task.corpus)
    values = []
    if embed is not None:
        clips = {id: load(entry.audio, end=SECONDS) for id, entry in task.corpus.items()}
        vectors = np.stack([embed(clips[id]) for id in ids])
    for query in task.queries:
        relevant = np.array([id in task.qrels[query] for id in ids])
        is_other = np.array([id != query for id in ids])
        if embed is None:
            values.append(relevant.sum() / is_other.sum())
            continue
        scores = np.where(is_other, vectors @ vectors[ids.index(query)], -np.inf)
        values.append(relevant[np.argsort(-scores, kind="stable")[:NEAREST]].mean())
    return round(float(np.mean(values)), 3)


def main() -> None:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", type=Path, nargs="+")
    parser.add_argument("--whisper", type=Path, help="folder of a CTranslate2 Whisper model")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    systems: dict[str, Callable[[Clip], Float32] | None] = {"chance": None}
    if arguments.whisper:
        systems["whisper, mean-pooled"] = load_whisper(arguments.whisper)
    systems["wavretriever"] = load_retriever()
    figures = {
        path.name: {name: precision(load_task(path), embed) for name, embed in systems.items()}
        for path in arguments.task
    }
    if arguments.json:
        print(json.dumps(figures, indent=1))
        return
    for task, values in figures.items():
        for name, value in values.items():
            print(f"{task:20} {name:22} precision@5 {value:.3f}")


if __name__ == "__main__":
    main()
