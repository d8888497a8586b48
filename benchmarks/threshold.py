"""Threshold of extractive answers: shares of answers and abstentions.

    python benchmarks/threshold.py --pairs FILE.jsonl [--questions 700] [--json]

The file has objects with `question`, `paragraph` and `title`. All paragraphs are indexed. Without
the hits of its own title, a question is unanswerable, and the right answer is an abstention. Prints
for each threshold the share of answerable questions with an answer, the share with the first quote
from the right paragraph, and the share of unanswerable questions with an abstention.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wavrag import Document, KnowledgeBase, Query
from wavrag.answer import CANDIDATES
from wavrag.answer.context import EXTRACTIVE_CONTEXT, build_context
from wavrag.generate import ExtractiveGenerator, SourcePart
from wavrag.search import remove_overlaps
from wavrag.types import Hit

THRESHOLDS = (0.30, 0.35, 0.40, 0.42, 0.45, 0.50, 0.55)


def best_quote(question: str | None, hits: Sequence[Hit]) -> tuple[float, str]:
    """Return evidence and document of the best quote; 0 without a quote."""
    context_hits = build_context(remove_overlaps(hits), EXTRACTIVE_CONTEXT).hits
    sources = [SourcePart(number, hit) for number, hit in enumerate(context_hits, start=1)]
    candidates = ExtractiveGenerator().candidates(question, sources)
    return (
        (candidates[0].evidence, candidates[0].source.hit.passage.document_id)
        if candidates
        else (0.0, "")
    )


def measure(rows: list[dict[str, str]], questions: int) -> list[dict[str, float]]:
    """Compute a row of figures for each threshold."""
    paragraphs = {row["paragraph"]: row for row in rows}
    ids = {paragraph: f"p{number}" for number, paragraph in enumerate(paragraphs)}
    documents = [
        Document(ids[paragraph], text=paragraph, title=row.get("title", ""))
        for paragraph, row in paragraphs.items()
    ]
    answerable, unanswerable = [], []
    with tempfile.TemporaryDirectory() as folder, KnowledgeBase.open(folder) as kb:
        kb.add(documents)
        for row in rows[:questions]:
            retrieval = kb.retrieve(
                Query(row["question"]), CANDIDATES + EXTRACTIVE_CONTEXT.max_passages
            )
            evidence, document = best_quote(retrieval.words, retrieval.hits[:CANDIDATES])
            answerable.append((evidence, document == ids[row["paragraph"]]))
            unrelated = [hit for hit in retrieval.hits if hit.passage.title != row.get("title", "")]
            unanswerable.append(best_quote(retrieval.words, unrelated[:CANDIDATES])[0])
    return [
        {
            "threshold": threshold,
            "answered": share([evidence >= threshold for evidence, _ in answerable]),
            "right": share(
                [is_correct and evidence >= threshold for evidence, is_correct in answerable]
            ),
            "silent": share([evidence < threshold for evidence in unanswerable]),
        }
        for threshold in THRESHOLDS
    ]


def share(values: Sequence[bool]) -> float:
    """Compute the share of true values."""
    return round(sum(values) / len(values), 3)


def main() -> None:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument("--questions", type=int, default=700)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = [json.loads(line) for line in arguments.pairs.open()]
    figures = measure(rows, arguments.questions)
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    print("threshold  answered  right quote  silent without an answer")
    for row in figures:
        print(
            f"{row['threshold']:9.2f}  {row['answered']:8.3f}  {row['right']:11.3f}"
            f"  {row['silent']:.3f}"
        )


if __name__ == "__main__":
    main()
