"""Sounds to like sounds: WavRetriever-mini against mean-pooled frames of Whisper's encoder.

    python benchmarks/sounds.py TASK_DIR [TASK_DIR ...] [--whisper MODEL_DIR] [--json]

A task's queries and entries are recordings, such as `esc10-similar` of tools/make_tasks.py.
Precision at 5: the share of the five nearest other entries that are relevant; chance is what five
drawn at random would reach. `--whisper` names a folder with a CTranslate2 Whisper model and needs
`pip install faster-whisper`.
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


def ours() -> Callable[[Clip], Float32]:
    """The packaged embedder."""
    embedder = load_embedder("wavretriever-mini")
    return lambda clip: embedder.embed([EmbedInput(clip=clip)], "passage")[0]


def whisper(folder: Path) -> Callable[[Clip], Float32]:
    """Mean of the encoder's frames over the clip, without its padding, as a unit vector."""
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
    """Mean precision at 5 over the queries; without an embedder, what chance would reach."""
    ids = list(task.corpus)
    found = []
    if embed is not None:
        clips = {id: load(entry.audio, end=SECONDS) for id, entry in task.corpus.items()}
        vectors = np.stack([embed(clips[id]) for id in ids])
    for query in task.queries:
        relevant = np.array([id in task.qrels[query] for id in ids])
        other = np.array([id != query for id in ids])
        if embed is None:
            found.append(relevant.sum() / other.sum())
            continue
        scores = np.where(other, vectors @ vectors[ids.index(query)], -np.inf)
        found.append(relevant[np.argsort(-scores, kind="stable")[:NEAREST]].mean())
    return round(float(np.mean(found)), 3)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", type=Path, nargs="+")
    parser.add_argument("--whisper", type=Path, help="folder of a CTranslate2 Whisper model")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    systems: dict[str, Callable[[Clip], Float32] | None] = {"chance": None}
    if arguments.whisper:
        systems["whisper, mean-pooled"] = whisper(arguments.whisper)
    systems["wavretriever-mini"] = ours()
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
