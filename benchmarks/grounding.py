"""Thresholds of docs/grounding.md: the citation check and the context size.

    python benchmarks/grounding.py [--pairs FILE.jsonl] [--questions 300] [--json]

Prints precision and recall of the citation check by threshold: sentences of the demo corpus against
their own passage (for recordings: reference against recognised words), against the most similar
other passage, and with a changed number or negation. `--pairs` runs the same on a file with
`question`, `answers`, `paragraph` and `title` (Google's QED), with the question and a right or
wrong answer as the statement, and also prints how often contexts of several sizes contain the
answer.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from corpus import DOCUMENTS, RECORDINGS

from wavrag import Document, KnowledgeBase, Query
from wavrag.answer import CANDIDATES
from wavrag.answer.citation_check import CitationCheckOptions, check_citations
from wavrag.answer.context import ContextOptions, build_context
from wavrag.answer.numerals import find_numbers, has_negation
from wavrag.generate import SourcePart
from wavrag.search import remove_overlaps
from wavrag.text.segmentation import sentences
from wavrag.types import EmbedInput, Float32, Hit, Passage, Support

TIMELINES = Path(__file__).parent.parent / "tools" / "demo_corpus" / "timelines.json"
LEXICAL = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
DENSE = (None, 0.4, 0.5, 0.6, 0.7)
SIZES = (1, 2, 3, 5)
ANYTHING = CitationCheckOptions(lexical=0.0, dense=-1.0, numbers=False, negation=False)
_AUXILIARY = re.compile(r"\b(is|are|was|were|will|can|may|must|has|had|should)\b(?! not)")
_WORD_UP = {"two": "three", "three": "five", "four": "six", "five": "eight", "six": "nine",
            "seven": "four", "eight": "eleven", "nine": "twelve", "ten": "fifteen",
            "twelve": "eighteen", "fifteen": "forty", "twenty": "thirty", "thirty": "fifty",
            "forty": "sixty"}  # fmt: skip


class Pair(NamedTuple):
    """A statement, its cited passages, and whether they support it."""

    kind: str
    supported: bool
    statement: str
    passages: Sequence[Passage]


class TextVectors:
    """Vectors of texts, with a cache."""

    def __init__(self, kb: KnowledgeBase) -> None:
        self._embedder = kb.embedder
        self._vectors: dict[str, Float32] = {}

    def __call__(self, texts: Sequence[str]) -> Float32:
        """Return unit vectors, shape = (n_texts, dim)."""
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if new:
            rows = self._embedder.embed([EmbedInput(text=text) for text in new], "passage")
            self._vectors.update(zip(new, rows, strict=True))
        return np.stack([self._vectors[text] for text in texts])


def sources(passages: Iterable[Passage]) -> list[SourcePart]:
    """Convert passages to numbered sources."""
    return [SourcePart(n, Hit(p, n, 1.0, {})) for n, p in enumerate(passages, start=1)]


def with_marks(statement: str, count: int) -> str:
    """Add citations of the first sources to a statement."""
    return f"{statement.rstrip('.?! ')} {''.join(f'[{n + 1}]' for n in range(count))}."


def change_number(sentence: str) -> str | None:
    """Change the first number of a sentence; None if it has none."""
    if number := re.search(r"\d+", sentence):
        changed = f"{sentence[: number.start()]}{int(number[0]) + 3}{sentence[number.end() :]}"
    else:
        pattern = rf"\b({'|'.join(_WORD_UP)})\b"
        changed = re.sub(pattern, lambda word: _WORD_UP[word[0]], sentence, count=1)
    return changed if find_numbers(changed) != find_numbers(sentence) else None


def negate(sentence: str) -> str | None:
    """Add or remove a `not`; None if the sentence does not allow it."""
    if " not " in sentence:
        changed = sentence.replace(" not ", " ", 1)
    else:
        changed = _AUXILIARY.sub(r"\1 not", sentence, count=1)
    return changed if has_negation(changed) != has_negation(sentence) else None


def list_statements(passages: Sequence[Passage]) -> list[tuple[str, list[Passage]]]:
    """List the sentences of the demo corpus with their passages."""
    statements = []
    for passage in passages:
        text = passage.text or ""
        if passage.modality == "text":
            statements += [(text[a:b], [passage]) for a, b in sentences(text)]
    for name, timeline in json.loads(TIMELINES.read_text("utf-8")).items():
        recording_passages = [p for p in passages if p.source.endswith(name)]
        for text, start, end in timeline:
            if within := [p for p in recording_passages if overlaps(p, start, end)]:
                statements.append((text, within))
    return [
        (" ".join(text.split()), passages_with_it)
        for text, passages_with_it in statements
        if len(text.split()) > 4
    ]


def overlaps(passage: Passage, start: float, end: float) -> bool:
    """Tell whether a passage of a recording overlaps a span by over a tenth of a second."""
    return min(passage.end or 0.0, end) - max(passage.start or 0.0, start) > 0.1


def demo_pairs(passages: Sequence[Passage], embed: TextVectors) -> list[Pair]:
    """Build supported and unsupported statements over the demo corpus."""
    with_words = [passage for passage in passages if passage.text]
    matrix = embed([passage.text or "" for passage in with_words])
    pairs = []
    for sentence, passages_with_it in list_statements(passages):
        is_recording = passages_with_it[0].modality == "audio"
        pairs.append(
            Pair("recording" if is_recording else "document", True, sentence, passages_with_it)
        )
        documents = {passage.document_id for passage in passages_with_it}
        order = np.argsort(-(matrix @ embed([sentence])[0]), kind="stable")
        other_row = next(with_words[i] for i in order if with_words[i].document_id not in documents)
        pairs.append(Pair("other passage", False, sentence, [other_row]))
        if changed := change_number(sentence):
            pairs.append(Pair("other number", False, changed, passages_with_it))
        if changed := negate(sentence):
            pairs.append(Pair("opposite", False, changed, passages_with_it))
    return pairs


def qed_pairs(rows: list[dict[str, Any]]) -> list[Pair]:
    """Build statements from questions and answers, against the paragraph of the question."""
    pairs = []
    for row, other_row in zip(rows, rows[1:] + rows[:1], strict=True):
        right, wrong = (answer_row["answers"][0][0]["string"] for answer_row in (row, other_row))
        own = [Passage("own", 0, row["paragraph"], title=row["title"])]
        another = [Passage("other", 0, other_row["paragraph"], title=other_row["title"])]
        pairs.append(Pair("right answer", True, f"{row['question']} {right}", own))
        pairs.append(Pair("other passage", False, f"{row['question']} {right}", another))
        if wrong.casefold() not in row["paragraph"].casefold():
            pairs.append(Pair("other answer", False, f"{row['question']} {wrong}", own))
    return pairs


def check_pairs(pairs: Sequence[Pair], embed: TextVectors) -> list[tuple[Pair, Support]]:
    """Measure each pair, without statements of several sentences."""
    statements = []
    for pair in pairs:
        text = with_marks(pair.statement, len(pair.passages))
        supports = check_citations(text, sources(pair.passages), ANYTHING, embed=embed)
        if len(supports) == 1:
            statements.append((pair, supports[0]))
    return statements


def passes(support: Support, options: CitationCheckOptions) -> bool:
    """Tell whether measurements pass under other options."""
    return (
        support.lexical >= options.lexical
        and (support.dense or 0.0) >= options.dense
        and (support.same_numbers or not options.numbers)
        and (support.same_negation or not options.negation)
    )


def check_figures(statements: Sequence[tuple[Pair, Support]]) -> list[dict[str, Any]]:
    """Compute precision, recall and pass rates by kind, for each threshold."""
    rows = []
    for dense in DENSE:
        for lexical in LEXICAL:
            options = CitationCheckOptions(lexical=lexical, dense=-1.0 if dense is None else dense)
            rows.append(figures(statements, options))
    default = CitationCheckOptions()
    return [
        *rows,
        figures(statements, default)
        | {"pairs": dict(Counter(pair.kind for pair, _ in statements))},
        figures(statements, replace(default, numbers=False)) | {"without": "numbers"},
        figures(statements, replace(default, negation=False)) | {"without": "negation"},
    ]


def figures(
    statements: Sequence[tuple[Pair, Support]], options: CitationCheckOptions
) -> dict[str, Any]:
    """Compute a row of the table."""
    verdicts = [(pair, passes(support, options)) for pair, support in statements]
    right = sum(ok for pair, ok in verdicts if pair.supported)
    kinds = dict.fromkeys(pair.kind for pair, _ in verdicts)
    return {
        "lexical": options.lexical,
        "dense": options.dense if options.dense >= 0 else None,
        "precision": round(right / max(sum(ok for _, ok in verdicts), 1), 3),
        "recall": share([ok for pair, ok in verdicts if pair.supported]),
        "passes": {
            kind: share([ok for pair, ok in verdicts if pair.kind == kind]) for kind in kinds
        },
    }


def context_figures(kb: KnowledgeBase, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Measure how often contexts of several sizes contain the answer, and their length."""
    statements = [
        (remove_overlaps(kb.retrieve(Query(row["question"]), CANDIDATES).hits), row) for row in rows
    ]
    results = []
    for size in SIZES:
        for gap in (0.05, 0.1, 0.15, 0.2, 1.0):
            options = ContextOptions(max_passages=size, max_gap=gap / 2, max_gap_agreed=gap)
            contexts = [(build_context(hits, options).hits, row) for hits, row in statements]
            answers = [any(has_answer(h.passage, row) for h in hits) for hits, row in contexts]
            results.append(
                {
                    "max_passages": size,
                    "max_gap_agreed": gap,
                    "holds_answer": share(answers),
                    "passages": round(float(np.mean([len(hits) for hits, _ in contexts])), 2),
                    "chars": round(
                        float(np.mean([sum(len(h.passage.text or "") for h in hits)
                                       for hits, _ in contexts]))
                    ),
                }
            )  # fmt: skip
    return results


def has_answer(passage: Passage, row: dict[str, Any]) -> bool:
    """Tell whether a passage is of the right article and contains an answer."""
    answers = [span["string"] for spans in row["answers"] for span in spans]
    return passage.title == row["title"] and any(a in (passage.text or "") for a in answers)


def share(values: Sequence[bool]) -> float:
    """Compute the share of true values."""
    return round(sum(values) / max(len(values), 1), 3)


def measure_demo() -> dict[str, Any]:
    """Run all measurements over the demo corpus."""
    with tempfile.TemporaryDirectory() as folder, KnowledgeBase.open(folder) as kb:
        files = sorted([*RECORDINGS.iterdir(), *DOCUMENTS.iterdir()])
        kb.add([Document(str(path), path=str(path)) for path in files])
        passages = [record.passage for record in kb.scan()]
        embed = TextVectors(kb)
        return {"check": check_figures(check_pairs(demo_pairs(passages, embed), embed))}


def measure_pairs(rows: list[dict[str, Any]], questions: int) -> dict[str, Any]:
    """Run all measurements over a file of pairs."""
    paragraphs = {row["paragraph"]: row["title"] for row in rows}
    documents = [Document(f"p{n}", text=p, title=t) for n, (p, t) in enumerate(paragraphs.items())]
    with tempfile.TemporaryDirectory() as folder, KnowledgeBase.open(folder) as kb:
        kb.add(documents)
        embed = TextVectors(kb)
        questions_asked = rows[:questions]
        return {
            "check": check_figures(check_pairs(qed_pairs(questions_asked), embed)),
            "context": context_figures(kb, questions_asked),
        }


def main() -> None:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, metavar="FILE.jsonl")
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.pairs is None:
        measured = measure_demo()
    else:
        rows = [json.loads(line) for line in arguments.pairs.open(encoding="utf-8")]
        measured = measure_pairs(rows, arguments.questions)
    if arguments.json:
        print(json.dumps(measured, indent=2))
        return
    for name, table in measured.items():
        print(f"{name}:")
        for row in table:
            print("  " + "  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
