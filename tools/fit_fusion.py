"""Fit the weights of score fusion (`wavrag.search.FusionWeights`) on training questions.

    python tools/fit_fusion.py --data ../shared/data [--spoken QUESTIONS.jsonl] [--embedder NAME]

The corpus are the paragraphs of `text/squad_dev_train.jsonl` among `text/wiki_passages.jsonl`; the
typed questions are one of each paragraph. `--spoken` adds spoken questions about these paragraphs,
one JSON object per line with `audio` (relative to the file) and `positive` (paragraph id). Prints
recall for a grid of the leg weights, then the calibration of the scores for the chosen weights.
Evaluation sets are never read.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from tqdm import tqdm

from wavrag import Document, KnowledgeBase, Query
from wavrag.audio import load
from wavrag.data import read_rows
from wavrag.evaluate import fit_logistic
from wavrag.search import FusionWeights, reciprocal_rank_fusion, score_fusion
from wavrag.types import Hit, Leg, ScoredPassage

# The legs of the search for a question, and the id of the paragraph it asks about.
LegSet: TypeAlias = tuple[Mapping[Leg, Sequence[ScoredPassage]], str]

LEXICAL = (1 / 7, 1 / 14, 1 / 28, 1 / 56)
CERTAINTY = (0.0, 2.0, 5.0, 10.0, 20.0, 40.0)
TOP = 10  # hits per question that the calibration is fitted on


def collect_legs(kb: KnowledgeBase, queries: Sequence[tuple[Query, str]]) -> list[LegSet]:
    """Run the searches whose results are to be fused."""
    return [(kb.retrieve(query, 1).legs, positive) for query, positive in tqdm(queries)]


def recall(rankings: Sequence[Sequence[Hit]], positives: Sequence[str], k: int) -> float:
    """Share of questions with the right paragraph among the first k hits."""
    return float(
        np.mean(
            [
                any(hit.passage.document_id == positive for hit in hits[:k])
                for hits, positive in zip(rankings, positives, strict=True)
            ]
        )
    )


def calibration_data(
    legs: Sequence[LegSet], count: int, weights: FusionWeights
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features (1, best, gap), labels and estimates of the first hits of every question."""
    features, labels, estimates = [], [], []
    for leg_set, positive in legs:
        hits = score_fusion(leg_set, count, weights=weights)[:TOP]
        log_odds = [float(np.log(hit.score / (1 - hit.score))) for hit in hits]
        # The scores are a known function of the sums: undo it.
        best = (log_odds[0] - weights.bias) / weights.best
        for hit, odds in zip(hits, log_odds, strict=True):
            features.append((1.0, best, (odds - log_odds[0]) / weights.gap))
            labels.append(hit.passage.document_id == positive)
            estimates.append(hit.score)
    return np.array(features), np.array(labels, float), np.array(estimates)


def main() -> None:
    """Print the grid and the calibration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--spoken", type=Path, metavar="FILE.jsonl")
    parser.add_argument("--embedder", default="wavretriever", metavar="NAME")
    parser.add_argument("--limit", type=int, metavar="N", help="use only N questions per set")
    arguments = parser.parse_args()
    paragraphs = list(read_rows(arguments.data / "text" / "squad_dev_train.jsonl"))
    documents = [
        Document(row["id"], text=row["context"], title=row["title"].replace("_", " "))
        for row in paragraphs
    ] + [
        Document(row["id"], text=row["text"], title=row["title"])
        for row in read_rows(arguments.data / "text" / "wiki_passages.jsonl")
    ]
    choice = random.Random(1)
    questions = {
        "typed": [(Query(choice.choice(row["questions"])), row["id"]) for row in paragraphs]
    }
    if arguments.spoken:
        folder = arguments.spoken.parent
        questions["spoken"] = [
            (Query(clip=load(str(folder / row["audio"]))), row["positive"])
            for row in read_rows(arguments.spoken)
        ]
    with (
        tempfile.TemporaryDirectory() as folder_name,
        KnowledgeBase.open(folder_name, embedder=arguments.embedder) as kb,
    ):
        kb.add(documents)
        count = kb.count()
        legs = {
            name: collect_legs(kb, queries[: arguments.limit])
            for name, queries in questions.items()
        }

    def show(label: str, rankings: Mapping[str, Sequence[Sequence[Hit]]]) -> None:
        figures = [
            f"{name} R@1 {recall(hits, positives, 1):.3f} R@10 {recall(hits, positives, 10):.3f}"
            for name, hits in rankings.items()
            for positives in [[positive for _, positive in legs[name]]]
        ]
        print(f"{label:<34}{'   '.join(figures)}")

    show("reciprocal ranks", {
        name: [reciprocal_rank_fusion(each) for each, _ in sets] for name, sets in legs.items()
    })  # fmt: skip
    for lexical in LEXICAL:
        for certainty in CERTAINTY:
            weights = FusionWeights(lexical=lexical, certainty=certainty)
            show(f"lexical 1/{1 / lexical:.0f}, certainty {certainty:.0f}", {
                name: [score_fusion(each, count, weights=weights) for each, _ in sets]
                for name, sets in legs.items()
            })  # fmt: skip
    chosen = FusionWeights()
    every = [leg_set for sets in legs.values() for leg_set in sets]
    features, labels, estimates = calibration_data(every, count, chosen)
    bias, best, gap = fit_logistic(features, labels)
    print(f"fitted for the chosen weights: bias {bias:.2f}, best {best:.2f}, gap {gap:.1f}")
    print("score    hits  relevant")
    for low in np.arange(0.0, 1.0, 0.1):
        chunk = labels[(estimates >= low) & (estimates < low + 0.1)]
        print(
            f"{low:.1f}-{low + 0.1:.1f}  {len(chunk):5d}  {chunk.mean() if len(chunk) else 0:.2f}"
        )


if __name__ == "__main__":
    main()
