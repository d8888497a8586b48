"""Retrieval for follow-up questions over the demo corpus, with and without the history.

    python benchmarks/followups.py [--spoken] [--json]

Each conversation is a question, a follow-up that depends on it, and an unrelated question. Prints
the share of follow-ups and of unrelated questions with a right document in the first hit, and in
the first three: without the history, with it, and with every question joined to the previous one.
`--spoken` speaks the questions with the voice of `wavrag ask --speak`, and recognises them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import corpus

from wavrag import KnowledgeBase, Query
from wavrag.answer.history import is_follow_up, resolve_follow_up
from wavrag.kb import find_files
from wavrag.speech import best_engine, speak
from wavrag.types import HistoryTurn

# First question, follow-up, their document; unrelated question, its document.
CONVERSATIONS = (
    ("How often should I descale the espresso machine?", "And how long does it take?",
     "espresso-machine-manual.md", "What do I do when my orchid has flowered?",
     "houseplant-care.md"),
    ("How much ground coffee goes into a double espresso?", "What if it drips?",
     "espresso-machine-manual.md", "How do I find the hole in a bicycle tube?",
     "bicycle-repair.md"),
    ("How many beds does the Larch Hut have?", "Is there a telephone in it?",
     "ridge-path-hiking-guide.md", "How hot must the oven be for the rye loaf?",
     "rye-bread-recipe.md"),
    ("How high is the Saddle on the Ridge Path?", "And what if there is a thunderstorm?",
     "ridge-path-hiking-guide.md", "Which plant tells you when it is thirsty?",
     "houseplant-care.md"),
    ("How long does the dark rye loaf bake?", "How do I keep it?",
     "rye-bread-recipe.md", "When does a bicycle chain need replacing?", "bicycle-repair.md"),
    ("What should I do about fungus gnats?", "And against spider mites?",
     "houseplant-care.md", "What does the orange drop on the coffee machine mean?",
     "espresso-machine-manual.md"),
    ("How do I water a moth orchid?", "Where should I cut it after flowering?",
     "houseplant-care.md", "How much salt goes into the rye dough?", "rye-bread-recipe.md"),
    ("When should I change the brake pads of my bicycle?", "Why do they squeal?",
     "bicycle-repair.md", "Where is the only spring before the Larch Hut?",
     "ridge-path-hiking-guide.md"),
    ("How often should I measure a bicycle chain?", "How much oil does it get?",
     "bicycle-repair.md", "Can I descale the espresso machine with vinegar?",
     "espresso-machine-manual.md"),
    ("Where does the bus from Stonecrop leave?", "And at what times?",
     "ridge-path-hiking-guide.md", "Does a monstera like bright light?", "houseplant-care.md"),
    ("How long is the guarantee of the espresso machine?", "What about the boiler?",
     "espresso-machine-manual.md", "Who can sleep in the shelter at the iron cross?",
     "ridge-path-hiking-guide.md"),
    ("What does the sourdough starter smell of in the morning?", "How much of it do I need?",
     "rye-bread-recipe.md", "What tools should a cyclist carry?", "bicycle-repair.md"),
)  # fmt: skip

Search = Callable[[str, list[HistoryTurn]], str]  # question and history to search text


def ignore_history(question: str, history: list[HistoryTurn]) -> str:
    """Search for the question alone."""
    return question


def with_history(question: str, history: list[HistoryTurn]) -> str:
    """Resolve follow-ups as `WavRAG.ask` does."""
    return resolve_follow_up(question, history) or question


def prepend_question(question: str, history: list[HistoryTurn]) -> str:
    """Put the previous question before every question."""
    return f"{history[-1].question} {question}"


SEARCHES = {
    "without history": ignore_history,
    "with history": with_history,
    "always joined": prepend_question,
}


def main() -> None:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--spoken", action="store_true", help="speak and recognise the questions")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, KnowledgeBase.open(Path(folder)) as kb:
        kb.add(find_files([corpus.RECORDINGS, corpus.DOCUMENTS]).documents)

        def transcribe(question: str) -> str:
            if not arguments.spoken:
                return question
            clip = speak(question, best_engine())
            return kb.retrieve(Query(clip=clip), 1).words or ""

        conversations = [tuple(map(transcribe, (c[0], c[1], c[3]))) for c in CONVERSATIONS]
        figures = {
            "conversations": len(CONVERSATIONS),
            "spoken": best_engine().name if arguments.spoken else None,
            "follow-ups taken for such": _share(
                [is_follow_up(follow) for _, follow, _ in conversations]
            ),
            "others taken for follow-ups": _share(
                [is_follow_up(other) for _, _, other in conversations]
            ),
        }
        for name, search in SEARCHES.items():
            for kind, position, answer in (("follow-up", 1, 2), ("other", 2, 4)):
                matches = [
                    [
                        Path(hit.passage.source).name == conversation[answer]
                        for hit in kb.search(search(turn[position], [HistoryTurn(turn[0], "")]), 3)
                    ]
                    for conversation, turn in zip(CONVERSATIONS, conversations, strict=True)
                ]
                figures[f"{name}, {kind}, first"] = _share([hits[0] for hits in matches])
                figures[f"{name}, {kind}, in three"] = _share([any(hits) for hits in matches])
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    for name, figure in figures.items():
        print(f"{name:<36} {figure}")


def _share(truths: list[bool]) -> float:
    return round(sum(truths) / len(truths), 3)


if __name__ == "__main__":
    main()
