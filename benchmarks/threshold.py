"""The threshold of extractive answers: how often they speak up, and how often they should not.

    python benchmarks/threshold.py --pairs FILE.jsonl [--questions 700] [--json]

The file has objects with `question`, `paragraph` and `title`. All paragraphs are indexed. A
question is answerable as it is; without the hits of its own title it is not, and the right answer
is that nothing was found. For each threshold: the share of answerable questions that are answered,
the share whose first quote is of the right paragraph, and the share of the others met by silence.
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


def best(question: str | None, hits: Sequence[Hit]) -> tuple[float, str]:
    """Evidence and document of the best quote; 0 if there is none."""
    kept = build_context(remove_overlaps(hits), EXTRACTIVE_CONTEXT).hits
    sources = [SourcePart(number, hit) for number, hit in enumerate(kept, start=1)]
    found = ExtractiveGenerator().candidates(question, sources)
    return (found[0].evidence, found[0].source.hit.passage.document_id) if found else (0.0, "")


def measure(rows: list[dict[str, str]], questions: int) -> list[dict[str, float]]:
    """A row of figures for each threshold."""
    paragraphs = {row["paragraph"]: row for row in rows}
    ids = {paragraph: f"p{number}" for number, paragraph in enumerate(paragraphs)}
    documents = [
        Document(ids[paragraph], text=paragraph, title=row.get("title", ""))
        for paragraph, row in paragraphs.items()
    ]
    answerable, others = [], []
    with tempfile.TemporaryDirectory() as folder, KnowledgeBase.open(folder) as kb:
        kb.add(documents)
        for row in rows[:questions]:
            found = kb.retrieve(
                Query(row["question"]), CANDIDATES + EXTRACTIVE_CONTEXT.max_passages
            )
            evidence, document = best(found.words, found.hits[:CANDIDATES])
            answerable.append((evidence, document == ids[row["paragraph"]]))
            rest = [hit for hit in found.hits if hit.passage.title != row.get("title", "")]
            others.append(best(found.words, rest[:CANDIDATES])[0])
    return [
        {
            "threshold": threshold,
            "answered": share([evidence >= threshold for evidence, _ in answerable]),
            "right": share([right and evidence >= threshold for evidence, right in answerable]),
            "silent": share([evidence < threshold for evidence in others]),
        }
        for threshold in THRESHOLDS
    ]


def share(values: Sequence[bool]) -> float:
    """Of those that are true."""
    return round(sum(values) / len(values), 3)


def main() -> None:
    """Measure and print."""
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
