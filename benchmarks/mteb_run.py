"""Scores of embedders on tasks of MTEB and MAEB with local data, and on WavRAG's own tasks.

    python benchmarks/mteb_run.py --data DATA_DIR [--only NAME ...] [--mteb-task TASK_DIR ...]
                                  --embedder NAME ... [--json]

Prints the main score and recall of each task. Loaders, evaluators and metrics are those of mteb,
with local data instead of its hub. Sounds are from fold 5, held out from the training of
WavRetriever. `--mteb-task` runs task folders of `wavrag tasks` as retrieval from spoken
questions, or from a mixed corpus. Requires `pip install 'wavrag[mteb]'`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import datasets
import mteb

from wavrag.data.tasks import Task, TaskContent, load_task
from wavrag.evaluate.mteb_model import MTEBModel
from wavrag.evaluate.mteb_tasks import (
    FolderRetrieval,
    MixedCorpusRetrieval,
    SpokenQuestionRetrieval,
    build_retrieval_data,
    use_local_data,
)

SEED = 0
CANDIDATES = 16  # irrelevant clips per query of the reranking


def sounds(data: Path, name: str) -> list[dict[str, Any]]:
    """Read the clips of fold 5 with the paths of their files."""
    with (data / "sounds" / f"{name}.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [row | {"audio": str(data / row["audio"])} for row in rows if row["fold"] == 5]


def build_classes(data: Path, name: str) -> Any:
    """Build clips and classes in the columns of mteb's ESC-50."""
    rows = sounds(data, name)
    labels = sorted({row["label"] for row in rows})
    return datasets.DatasetDict(
        {
            "train": datasets.Dataset.from_dict(
                {
                    "audio": [row["audio"] for row in rows],
                    "target": [labels.index(row["label"]) for row in rows],
                }
            )
        }
    )


def classification(data: Path) -> Any:
    """ESC50: class of a clip by a linear probe, cross-validated."""
    return use_local_data(mteb.get_task("ESC50"), "ESC50 on ESC-10", build_classes(data, "esc10"))


def clustering(data: Path) -> Any:
    """ESC50Clustering: classes from clusters."""
    task = mteb.get_task("ESC50Clustering")
    return use_local_data(task, "ESC50Clustering on kitchen20", build_classes(data, "kitchen20"))


def pairs(data: Path) -> Any:
    """ESC50PairClassification: pairs of the same class, from different recordings."""
    rows, rng = sounds(data, "kitchen20"), random.Random(SEED)
    columns: dict[str, list[Any]] = {"audio1": [], "audio2": [], "label": []}
    for row in rows:
        for same in (True, False):
            partners = [
                other["audio"]
                for other in rows
                if (other["label"] == row["label"]) == same
                and other["freesound_id"] != row["freesound_id"]
            ]
            if partners:
                columns["audio1"].append(row["audio"])
                columns["audio2"].append(rng.choice(partners))
                columns["label"].append(int(same))
    test = datasets.DatasetDict({"test": datasets.Dataset.from_dict(columns)})
    task = mteb.get_task("ESC50PairClassification")
    return use_local_data(task, "ESC50PairClassification on kitchen20", test)


def reranking(data: Path) -> Any:
    """ESC50AudioReranking: clips of the query's class among others."""
    firsts: dict[str, dict[str, Any]] = {}
    for row in sounds(data, "esc10"):
        firsts.setdefault(row["freesound_id"], row)
    rows, rng = list(firsts.values()), random.Random(SEED)
    entries = {row["id"]: TaskContent(row["id"], audio=row["audio"]) for row in rows}
    qrels: dict[str, dict[str, float]] = {}
    for row in rows:
        relevant = [o["id"] for o in rows if o is not row and o["label"] == row["label"]]
        irrelevant = [o["id"] for o in rows if o["label"] != row["label"]]
        if relevant:
            irrelevant = rng.sample(irrelevant, CANDIDATES)
            qrels[row["id"]] = dict.fromkeys(relevant, 1.0) | dict.fromkeys(irrelevant, 0.0)
    task_data = build_retrieval_data(
        Task("esc10", entries, {id: entries[id] for id in qrels}, qrels)
    )
    task_data["default"]["test"]["top_ranked"] = {id: list(judged) for id, judged in qrels.items()}
    return use_local_data(
        mteb.get_task("ESC50AudioReranking"), "ESC50AudioReranking on ESC-10", task_data
    )


def transcripts(data: Path) -> Any:
    """LibriTTSA2TRetrieval.v2: text of a read sentence."""
    with (data / "speech" / "librispeech.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    corpus = {
        f"text-{row['id']}": TaskContent(f"text-{row['id']}", text=row["text"]) for row in rows
    }
    queries = {row["id"]: TaskContent(row["id"], audio=str(data / row["audio"])) for row in rows}
    task_data = Task("librispeech", corpus, queries, {id: {f"text-{id}": 1.0} for id in queries})
    task = mteb.get_task("LibriTTSA2TRetrieval.v2")
    return use_local_data(
        task, "LibriTTSA2TRetrieval.v2 on LibriSpeech", build_retrieval_data(task_data)
    )


def passages(data: Path) -> Any:
    """NQ: paragraph of a written web question, with the questions of QED."""
    with (data / "text" / "qed_eval.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    ids = {text: f"p{number}" for number, text in enumerate({row["paragraph"]: 0 for row in rows})}
    titles = {row["paragraph"]: row["title"] for row in rows}
    corpus = {id: TaskContent(id, titles[text], text) for text, id in ids.items()}
    queries = {row["id"]: TaskContent(row["id"], text=row["question"]) for row in rows}
    task_data = Task(
        "qed", corpus, queries, {row["id"]: {ids[row["paragraph"]]: 1.0} for row in rows}
    )
    return use_local_data(mteb.get_task("NQ"), "NQ on QED", build_retrieval_data(task_data))


TASKS: dict[str, Callable[[Path], Any]] = {
    "classification": classification,
    "clustering": clustering,
    "pairs": pairs,
    "reranking": reranking,
    "transcripts": transcripts,
    "passages": passages,
}


def load_folder(folder: Path) -> FolderRetrieval:
    """Load a task folder as a task of mteb."""
    task = load_task(folder)
    kinds = {entry.audio is None for entry in task.corpus.values()}
    if len(kinds) == 2:
        return MixedCorpusRetrieval(task)
    if kinds == {True} and all(entry.audio for entry in task.queries.values()):
        return SpokenQuestionRetrieval(load_task(folder, query_modality="audio"))
    return FolderRetrieval(task)


def run(embedder: str, task: Any) -> dict[str, Any]:
    """Run a task, and return its main score and recall."""
    result = mteb.evaluate(MTEBModel(embedder), task, cache=None, show_progress_bar=False)
    (scores,) = result.task_results[0].scores[task.metadata.eval_splits[0]]
    names = dict.fromkeys((task.metadata.main_score, "ndcg_at_10", "recall_at_1", "recall_at_10"))
    return {
        "embedder": embedder,
        "task": task.metadata.name,
        "type": task.metadata.type,
        "category": task.metadata.category,
        "scores": {name: round(scores[name], 4) for name in dict.fromkeys(names) if name in scores},
    }


def format_line(figures: dict[str, Any]) -> str:
    """Format the scores of a task."""
    scores = "  ".join(f"{name} {value:.3f}" for name, value in figures["scores"].items())
    return f"{figures['embedder']:18} {figures['task']:44} {scores}"


def main() -> None:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="DATA_DIR")
    parser.add_argument("--only", nargs="+", choices=TASKS, metavar="NAME", help=", ".join(TASKS))
    parser.add_argument("--mteb-task", nargs="+", type=Path, default=[], metavar="TASK_DIR")
    parser.add_argument("--embedder", nargs="+", required=True, metavar="NAME")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.data is None and (options.only or not options.mteb_task):
        parser.error("name the folder of the data with --data")
    datasets.disable_progress_bars()
    names = (options.only or list(TASKS)) if options.data else []
    results = []
    for embedder in options.embedder:
        task_data = (TASKS[name](options.data) for name in names)
        for task in chain(task_data, map(load_folder, options.mteb_task)):
            results.append(run(embedder, task))
            if not options.json:
                print(format_line(results[-1]), flush=True)
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
