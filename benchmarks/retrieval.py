"""Recall of spoken and written questions over a corpus, by leg and fused.

    python benchmarks/retrieval.py [--corpus FILE.jsonl --questions FILE.jsonl] [--json]

Prints recall at 1, 5 and 10. By default, it uses the demo corpus and its twenty spoken questions,
and a hit must overlap the answering passage. A corpus file has objects with `id`, `title` and
`context`; a question file has objects with `text`, `audio` (a path relative to the parent of the
file's folder) and `positive` (an id), and a hit must be of that document.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import corpus

from wavrag import Document, KnowledgeBase, Query
from wavrag.audio import load
from wavrag.kb import find_files
from wavrag.types import Hit, Passage

DEPTHS = (1, 5, 10)
Relevant = Callable[[Passage], bool]


def demo_questions() -> list[tuple[str, Path, Relevant]]:
    """Read text, recording and relevance of the demo questions."""
    spoken = json.loads((corpus.QUESTIONS / "questions.json").read_text(encoding="utf-8"))["spoken"]

    def relevance(question: dict[str, Any]) -> Relevant:
        def relevant(passage: Passage) -> bool:
            if not passage.source.endswith(question["answer_source"]):
                return False
            if passage.start is None or passage.end is None:
                return question["answer_contains"] in " ".join((passage.text or "").split())
            within: bool = (
                passage.start < question["answer_end"] and passage.end > question["answer_start"]
            )
            return within

        return relevant

    return [(q["text"], corpus.QUESTIONS / q["file"], relevance(q)) for q in spoken]


def file_questions(path: Path) -> list[tuple[str, Path, Relevant]]:
    """Read text, recording and relevance of the questions in a file."""

    def relevance(positive: str) -> Relevant:
        return lambda passage: passage.document_id == positive

    rows = [json.loads(line) for line in path.open(encoding="utf-8")]
    return [
        (row["text"], path.parent.parent / row["audio"], relevance(row["positive"])) for row in rows
    ]


def recalls(rankings: Sequence[Sequence[Hit]], relevant: Sequence[Relevant]) -> dict[str, float]:
    """Compute the share of questions with a relevant hit among the first k."""
    ranks = [
        next((rank for rank, hit in enumerate(hits, 1) if is_relevant(hit.passage)), 10**9)
        for hits, is_relevant in zip(rankings, relevant, strict=True)
    ]
    return {f"R@{k}": round(sum(rank <= k for rank in ranks) / len(ranks), 3) for k in DEPTHS}


def by_leg(hits: Sequence[Hit], leg: Any) -> list[Hit]:
    """Select the hits of a leg, in its order."""
    return sorted((hit for hit in hits if leg in hit.legs), key=lambda hit: -hit.legs[leg])


def measure(kb: KnowledgeBase, questions: Sequence[tuple[str, Path, Relevant]]) -> dict[str, Any]:
    """Measure recall of written and spoken questions."""
    relevant = [is_relevant for _, _, is_relevant in questions]
    figures = {}
    for kind in ("written", "spoken"):
        queries = [
            Query(text) if kind == "written" else Query(clip=load(recording))
            for text, recording, _ in questions
        ]
        rankings = [kb.search(query, 100) for query in queries]
        figures[f"{kind}, dense"] = recalls([by_leg(hits, "dense") for hits in rankings], relevant)
        figures[f"{kind}, lexical"] = recalls(
            [by_leg(hits, "lexical") for hits in rankings], relevant
        )
        figures[f"{kind}, fused"] = recalls(rankings, relevant)
    return figures


def main() -> None:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, metavar="FILE.jsonl")
    parser.add_argument("--questions", type=Path, metavar="FILE.jsonl")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, KnowledgeBase.open(folder) as kb:
        if arguments.corpus:
            rows = [json.loads(line) for line in arguments.corpus.open(encoding="utf-8")]
            kb.add([Document(r["id"], text=r["context"], title=r["title"]) for r in rows])
            questions = file_questions(arguments.questions)
        else:
            kb.add(find_files([corpus.DATA / "corpus"]).documents)
            questions = demo_questions()
        passages = kb.count()
        figures = measure(kb, questions)
    if arguments.json:
        print(json.dumps({"questions": len(questions), "passages": passages, **figures}, indent=2))
        return
    print(f"{len(questions)} questions, {passages} passages")
    for name, values in figures.items():
        print(f"{name:18} " + "  ".join(f"{key} {value:.3f}" for key, value in values.items()))


if __name__ == "__main__":
    main()
