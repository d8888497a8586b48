"""Exact match and F1 of extractive answers, of two versions of the code in one run.

    python benchmarks/extractive_answers.py --data DATA (--baseline-tree DIR | --baseline COMMIT)
        [--questions N] [--cache DIR]

One knowledge base has the paragraphs of `text/qed_eval.jsonl` and `text/squad_dev_eval.jsonl`. Its
questions are typed, or spoken: those of QED by flite, those of SQuAD by the recordings of
`speech/squad_eval_kokoro.jsonl`. Both versions run with their defaults. An answer counts by its
short answer, or by its text if the version knows none; no answer counts 0. The table also has the
F1 of the whole text, and the share of texts that contain an annotated answer.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from code_runs import ROOT, CodeTree, check_out
from squad_answers import read_answered_questions, read_paragraphs

from wavrag.data import read_rows
from wavrag.evaluate import contains, exact_match, mean, paired_randomisation, token_f1
from wavrag.speech import write_answer

VOICES = ("awb", "kal16")  # of flite; no training uses them
METRICS = ("exact match", "F1", "F1 of the text", "text has the answer")
PROGRAM = Path(__file__).with_name("ask_questions.py")


@dataclass(frozen=True)
class GoldQuestion:
    """A question with its annotated answers; `audio` is empty for a typed one."""

    kind: str
    text: str
    audio: str
    answers: Sequence[str]


def select(items: Sequence[Any], count: int) -> list[Any]:
    """Select items at equal distances."""
    return [items[at * len(items) // count] for at in range(min(count, len(items)))]


def read_questions(data: Path, count: int, folder: Path) -> Iterator[GoldQuestion]:
    """Yield up to `count` questions of each kind; half as many are spoken."""
    qed = [
        (row["question"], [" ".join(a["string"] for a in answer) for answer in row["answers"]])
        for row in read_rows(data / "text" / "qed_eval.jsonl")
    ]
    for text, answers in select(qed, count):
        yield GoldQuestion("QED, typed", text, "", answers)
    for number, (text, answers) in enumerate(select(qed, count // 2)):
        path = folder / f"{number}.wav"
        write_answer(text, path, engine="flite", voice=VOICES[number % len(VOICES)])
        yield GoldQuestion("QED, spoken", text, str(path), answers)
    squad = list(read_answered_questions(data, read_paragraphs(data, "eval")))
    for item in select(squad, count):
        yield GoldQuestion("SQuAD, typed", item.question, "", item.answers)
    answers = {(item.paragraph, item.question): item.answers for item in squad}
    recordings = [
        (row, answers[row["positive"], row["text"]])
        for row in read_rows(data / "speech" / "squad_eval_kokoro.jsonl")
        if (row["positive"], row["text"]) in answers
    ]
    for row, golds in select(recordings, count // 2):
        yield GoldQuestion("SQuAD, spoken", row["text"], str(data / row["audio"]), golds)


def read_documents(data: Path) -> list[dict[str, str]]:
    """Read the paragraphs of both sets; a paragraph of several questions once."""
    texts = {row["paragraph"]: row for row in read_rows(data / "text" / "qed_eval.jsonl")}
    documents = [
        {"id": row["id"], "title": row["title"], "text": text} for text, row in texts.items()
    ]
    return documents + [
        {
            "id": str(row["id"]),
            "title": str(row["title"]).replace("_", " "),
            "text": str(row["context"]),
        }
        for row in read_paragraphs(data, "eval")
    ]


def answer(
    tree: CodeTree,
    documents: Sequence[Mapping[str, str]],
    questions: Sequence[GoldQuestion],
    cache: Path | None,
) -> list[Mapping[str, str]]:
    """Get the answers of a version; from the cache if the version and the job are known."""
    rows = [{"text": "" if q.audio else q.text, "audio": q.audio} for q in questions]
    asked = json.dumps([documents, [(q.kind, q.text) for q in questions]])
    key = hashlib.sha256(f"{tree.name}{asked}".encode()).hexdigest()[:16]
    file = cache / f"answers-{key}.json" if cache is not None else None
    if file is not None and file.exists():
        answers: list[Mapping[str, str]] = json.loads(file.read_text(encoding="utf-8"))
        return answers
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job.json"
        job.write_text(json.dumps({"documents": documents, "questions": rows}), encoding="utf-8")
        output = tree.run([str(PROGRAM), str(job)]).stdout
    answers = [json.loads(line) for line in output.splitlines()]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(answers), encoding="utf-8")
    return answers


def score(answer: Mapping[str, str], gold: Sequence[str]) -> dict[str, float]:
    """Compute the metrics of one answer."""
    text, short = answer["text"], answer["short"] or answer["text"]
    values = (
        exact_match(short, gold) if text else 0.0,
        token_f1(short, gold),
        token_f1(text, gold),
        float(contains(text, gold)),
    )
    return dict(zip(METRICS, values, strict=True))


def print_table(
    questions: Sequence[GoldQuestion],
    baseline: Sequence[Mapping[str, str]],
    present: Sequence[Mapping[str, str]],
) -> None:
    """Print each metric of both versions by kind of question, and the gain in F1 with its p."""
    print(f"| questions | {' | '.join(METRICS)} | gain in F1 (p) |\n|---|{'---|' * 5}")
    for kind in dict.fromkeys(question.kind for question in questions):
        at = [number for number, question in enumerate(questions) if question.kind == kind]
        before, now = (
            [score(answers[number], questions[number].answers) for number in at]
            for answers in (baseline, present)
        )
        cells = [
            f"{mean([row[name] for row in before]):.3f} -> {mean([row[name] for row in now]):.3f}"
            for name in METRICS
        ]
        gain = paired_randomisation([row["F1"] for row in before], [row["F1"] for row in now])
        result = f"{gain.difference:+.3f} ({gain.p:.4f})"
        print(f"| {kind}, {len(at)} | {' | '.join(cells)} | {result} |")


def main() -> None:
    """Run both versions and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    baselines = parser.add_mutually_exclusive_group(required=True)
    baselines.add_argument("--baseline", metavar="COMMIT")
    baselines.add_argument("--baseline-tree", type=Path, metavar="DIR")
    parser.add_argument("--questions", type=int, default=200, help="typed ones of each set")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep the baseline's answers")
    arguments = parser.parse_args()
    data = arguments.data.resolve()
    documents = read_documents(data)
    print(f"{len(documents):,} paragraphs")
    tree = arguments.baseline_tree
    baseline_tree = (
        nullcontext(CodeTree(tree.name, tree)) if tree else check_out(arguments.baseline)
    )
    with tempfile.TemporaryDirectory() as folder, baseline_tree as baseline:
        questions = list(read_questions(data, arguments.questions, Path(folder)))
        present = CodeTree("present", ROOT)
        baseline.check()
        present.check()
        answers = answer(baseline, documents, questions, arguments.cache)
        print_table(questions, answers, answer(present, documents, questions, None))


if __name__ == "__main__":
    main()
