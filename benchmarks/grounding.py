"""The thresholds of docs/grounding.md: the citation check, silence, and how many passages.

    python benchmarks/grounding.py [--pairs FILE.jsonl] [--questions 300] [--json]

Check: sentences of the demo corpus against the passage that holds them (those of recordings as
written, against what was recognised), against the most similar other passage, and with a number or
a negation changed. Silence: the demo's questions with all passages, and without those of the
document that answers them. `--pairs` measures the same, and what is left of the right paragraph
in contexts of different sizes, on a file of `question`, `answers`, `paragraph` and `title`
(Google's QED): a statement is the question with its own answer, or with that of another question.
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
from corpus import DOCUMENTS, QUESTIONS, RECORDINGS

from wavrag import Document, KnowledgeBase, Query
from wavrag.answer import CANDIDATES, should_abstain
from wavrag.answer.citation_check import CitationCheckOptions, check_citations
from wavrag.answer.context import ContextOptions, build_context
from wavrag.answer.numerals import find_numbers, is_negated
from wavrag.generate import SourcePart
from wavrag.search import remove_overlaps
from wavrag.text.segmentation import sentences
from wavrag.types import EmbedInput, Float32, Hit, Passage, Support

TIMELINES = Path(__file__).parent.parent / "tools" / "demo_corpus" / "timelines.json"
LEXICAL = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
DENSE = (None, 0.4, 0.5, 0.6, 0.7)
COSINES = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
SIZES = (1, 2, 3, 5)
ANYTHING = CitationCheckOptions(lexical=0.0, dense=-1.0, numbers=False, negation=False)
_AUXILIARY = re.compile(r"\b(is|are|was|were|will|can|may|must|has|had|should)\b(?! not)")
_WORD_UP = {"two": "three", "three": "five", "four": "six", "five": "eight", "six": "nine",
            "seven": "four", "eight": "eleven", "nine": "twelve", "ten": "fifteen",
            "twelve": "eighteen", "fifteen": "forty", "twenty": "thirty", "thirty": "fifty",
            "forty": "sixty"}  # fmt: skip


class Pair(NamedTuple):
    """A statement, the passages that it cites, and whether they say it."""

    kind: str
    supported: bool
    statement: str
    passages: Sequence[Passage]


class Texts:
    """Vectors of texts, each embedded once."""

    def __init__(self, kb: KnowledgeBase) -> None:
        self._embedder = kb.embedder
        self._known: dict[str, Float32] = {}

    def __call__(self, texts: Sequence[str]) -> Float32:
        """Unit rows, shape = (n_texts, dim)."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            rows = self._embedder.embed([EmbedInput(text=text) for text in new], "passage")
            self._known.update(zip(new, rows, strict=True))
        return np.stack([self._known[text] for text in texts])


def sources(passages: Iterable[Passage]) -> list[SourcePart]:
    """Passages as they are cited."""
    return [SourcePart(n, Hit(p, n, 1.0, {})) for n, p in enumerate(passages, start=1)]


def with_marks(statement: str, count: int) -> str:
    """A statement that cites the first so many sources."""
    return f"{statement.rstrip('.?! ')} {''.join(f'[{n + 1}]' for n in range(count))}."


def other_number(sentence: str) -> str | None:
    """The sentence with its first number changed; None if it has none."""
    if found := re.search(r"\d+", sentence):
        changed = f"{sentence[: found.start()]}{int(found[0]) + 3}{sentence[found.end() :]}"
    else:
        pattern = rf"\b({'|'.join(_WORD_UP)})\b"
        changed = re.sub(pattern, lambda word: _WORD_UP[word[0]], sentence, count=1)
    return changed if find_numbers(changed) != find_numbers(sentence) else None


def opposite(sentence: str) -> str | None:
    """The sentence with a `not` more or less; None if it offers no place."""
    if " not " in sentence:
        changed = sentence.replace(" not ", " ", 1)
    else:
        changed = _AUXILIARY.sub(r"\1 not", sentence, count=1)
    return changed if is_negated(changed) != is_negated(sentence) else None


def told(passages: Sequence[Passage]) -> list[tuple[str, list[Passage]]]:
    """Sentences of the demo corpus with the passages that hold them."""
    found = []
    for passage in passages:
        text = passage.text or ""
        if passage.modality == "text":
            found += [(text[a:b], [passage]) for a, b in sentences(text)]
    for name, timeline in json.loads(TIMELINES.read_text("utf-8")).items():
        of_it = [p for p in passages if p.source.endswith(name)]
        for text, start, end in timeline:
            if within := [p for p in of_it if shares(p, start, end)]:
                found.append((text, within))
    return [(" ".join(text.split()), where) for text, where in found if len(text.split()) > 4]


def shares(passage: Passage, start: float, end: float) -> bool:
    """Whether a recording's passage has over a tenth of a second of a span."""
    return min(passage.end or 0.0, end) - max(passage.start or 0.0, start) > 0.1


def demo_pairs(passages: Sequence[Passage], embed: Texts) -> list[Pair]:
    """Supported and unsupported statements over the demo corpus."""
    with_words = [passage for passage in passages if passage.text]
    matrix = embed([passage.text or "" for passage in with_words])
    pairs = []
    for sentence, where in told(passages):
        heard = where[0].modality == "audio"
        pairs.append(Pair("recording" if heard else "document", True, sentence, where))
        documents = {passage.document_id for passage in where}
        order = np.argsort(-(matrix @ embed([sentence])[0]), kind="stable")
        other = next(with_words[i] for i in order if with_words[i].document_id not in documents)
        pairs.append(Pair("other passage", False, sentence, [other]))
        if changed := other_number(sentence):
            pairs.append(Pair("other number", False, changed, where))
        if changed := opposite(sentence):
            pairs.append(Pair("opposite", False, changed, where))
    return pairs


def qed_pairs(rows: list[dict[str, Any]]) -> list[Pair]:
    """Questions with an answer as statements, against the paragraph of the question."""
    pairs = []
    for row, other in zip(rows, rows[1:] + rows[:1], strict=True):
        right, wrong = (one["answers"][0][0]["string"] for one in (row, other))
        own = [Passage("own", 0, row["paragraph"], title=row["title"])]
        another = [Passage("other", 0, other["paragraph"], title=other["title"])]
        pairs.append(Pair("right answer", True, f"{row['question']} {right}", own))
        pairs.append(Pair("other passage", False, f"{row['question']} {right}", another))
        if wrong.casefold() not in row["paragraph"].casefold():
            pairs.append(Pair("other answer", False, f"{row['question']} {wrong}", own))
    return pairs


def judged(pairs: Sequence[Pair], embed: Texts) -> list[tuple[Pair, Support]]:
    """The measurements of each pair; a statement that falls into several sentences is left out."""
    found = []
    for pair in pairs:
        text = with_marks(pair.statement, len(pair.passages))
        supports = check_citations(text, sources(pair.passages), ANYTHING, embed=embed)
        if len(supports) == 1:
            found.append((pair, supports[0]))
    return found


def passes(support: Support, options: CitationCheckOptions) -> bool:
    """Whether measurements suffice under other options."""
    return (
        support.lexical >= options.lexical
        and (support.dense or 0.0) >= options.dense
        and (support.same_numbers or not options.numbers)
        and (support.same_negation or not options.negation)
    )


def of_check(found: Sequence[tuple[Pair, Support]]) -> list[dict[str, Any]]:
    """Precision and recall of `supported`, and what of each kind passes, for each threshold."""
    rows = []
    for dense in DENSE:
        for lexical in LEXICAL:
            options = CitationCheckOptions(lexical=lexical, dense=-1.0 if dense is None else dense)
            rows.append(figures(found, options))
    default = CitationCheckOptions()
    return [
        *rows,
        figures(found, default) | {"pairs": dict(Counter(pair.kind for pair, _ in found))},
        figures(found, replace(default, numbers=False)) | {"without": "numbers"},
        figures(found, replace(default, negation=False)) | {"without": "negation"},
    ]


def figures(found: Sequence[tuple[Pair, Support]], options: CitationCheckOptions) -> dict[str, Any]:
    """A row of the table."""
    passed = [(pair, passes(support, options)) for pair, support in found]
    right = sum(ok for pair, ok in passed if pair.supported)
    kinds = dict.fromkeys(pair.kind for pair, _ in passed)
    return {
        "lexical": options.lexical,
        "dense": options.dense if options.dense >= 0 else None,
        "precision": round(right / max(sum(ok for _, ok in passed), 1), 3),
        "recall": share([ok for pair, ok in passed if pair.supported]),
        "passes": {kind: share([ok for pair, ok in passed if pair.kind == kind]) for kind in kinds},
    }


def of_silence(kb: KnowledgeBase, asked: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Share of questions that go on, with and without the passages of the answer, by cosine."""
    answerable, others = [], []
    for question, answer in asked:
        hits = kb.retrieve(Query(question), 2 * CANDIDATES).hits
        answerable.append(hits[:CANDIDATES])
        rest = [h for h in hits if answer not in (h.passage.title, Path(h.passage.source).name)]
        others.append(rest[:CANDIDATES])
    rows = []
    for cosine in COSINES:
        goes_on = share([should_abstain(hits, min_dense=cosine) is None for hits in answerable])
        silent = share([should_abstain(hits, min_dense=cosine) is not None for hits in others])
        rows.append({"min_dense": cosine, "answered": goes_on, "silent": silent})
    return rows


def of_context(kb: KnowledgeBase, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What contexts of different sizes keep of the right paragraph, and what they cost."""
    found = [
        (remove_overlaps(kb.retrieve(Query(row["question"]), CANDIDATES).hits), row) for row in rows
    ]
    made = []
    for size in SIZES:
        for gap in (0.05, 0.1, 0.15, 0.2, 1.0):
            options = ContextOptions(max_passages=size, max_gap=gap / 2, max_gap_agreed=gap)
            contexts = [(build_context(hits, options).hits, row) for hits, row in found]
            answers = [any(holds(h.passage, row) for h in hits) for hits, row in contexts]
            made.append(
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
    return made


def holds(passage: Passage, row: dict[str, Any]) -> bool:
    """Whether a passage of the right article has an answer."""
    answers = [span["string"] for one in row["answers"] for span in one]
    return passage.title == row["title"] and any(a in (passage.text or "") for a in answers)


def share(values: Sequence[bool]) -> float:
    """Of those that are true."""
    return round(sum(values) / max(len(values), 1), 3)


def demo() -> dict[str, Any]:
    """Everything over the demo corpus."""
    with tempfile.TemporaryDirectory() as folder, KnowledgeBase.open(folder) as kb:
        files = sorted([*RECORDINGS.iterdir(), *DOCUMENTS.iterdir()])
        kb.add([Document(str(path), path=str(path)) for path in files])
        passages = [record.passage for record in kb.scan()]
        embed = Texts(kb)
        listed = json.loads((QUESTIONS / "questions.json").read_text("utf-8"))
        listed = [*listed["spoken"], listed["typed"]]
        asked = [(one["text"], Path(one["answer_source"]).name) for one in listed]
        return {
            "check": of_check(judged(demo_pairs(passages, embed), embed)),
            "silence": of_silence(kb, asked),
        }


def qed(rows: list[dict[str, Any]], questions: int) -> dict[str, Any]:
    """Everything over a file of pairs."""
    paragraphs = {row["paragraph"]: row["title"] for row in rows}
    documents = [Document(f"p{n}", text=p, title=t) for n, (p, t) in enumerate(paragraphs.items())]
    with tempfile.TemporaryDirectory() as folder, KnowledgeBase.open(folder) as kb:
        kb.add(documents)
        embed = Texts(kb)
        asked = rows[:questions]
        return {
            "check": of_check(judged(qed_pairs(asked), embed)),
            "silence": of_silence(kb, [(row["question"], row["title"]) for row in asked]),
            "context": of_context(kb, asked),
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, metavar="FILE.jsonl")
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.pairs is None:
        measured = demo()
    else:
        rows = [json.loads(line) for line in arguments.pairs.open(encoding="utf-8")]
        measured = qed(rows, arguments.questions)
    if arguments.json:
        print(json.dumps(measured, indent=2))
        return
    for name, table in measured.items():
        print(f"{name}:")
        for row in table:
            print("  " + "  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
