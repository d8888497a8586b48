"""Write questions for `wavrag answers` and documents with their answers; none is committed.

    python tools/make_questions.py OUT_DIR --data DATA_DIR [--questions N] [--unanswerable SHARE]
                                   [--documents N] [--seed N]

Reads `text/qed_eval.jsonl` of DATA_DIR: web questions with a Wikipedia paragraph and answers
(Google's QED, development set). Writes `questions.jsonl`, one Markdown file per paragraph in
`documents/`, and `provenance.json`. A question becomes unanswerable by omitting all paragraphs of
its article. Paragraphs of other questions serve as distractors.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from typing import Any

# `experiments` is no installed package: it lies beside this folder.
sys.path.insert(0, str(Path(__file__).parent.parent))

from experiments.questions import gold_answers

Row = dict[str, Any]


def write_questions(rows: list[Row], out: Path, arguments: argparse.Namespace) -> None:
    """Sample the questions and write all files."""
    draw = random.Random(arguments.seed)
    questions = draw.sample(rows, min(arguments.questions, len(rows)))
    left_out = round(arguments.unanswerable * len(questions))
    titles = {row["title"] for row in questions[:left_out]}
    names = {
        paragraph: f"paragraph-{number:04d}.md"
        for number, paragraph in enumerate(dict.fromkeys(row["paragraph"] for row in rows))
    }
    titles_by_paragraph = {
        row["paragraph"]: row["title"] for row in reversed(rows) if row["title"] not in titles
    }
    required = [row["paragraph"] for row in questions if row["paragraph"] in titles_by_paragraph]
    distractors = sorted(set(titles_by_paragraph) - set(required), key=names.__getitem__)
    draw.shuffle(distractors)
    count = (
        len(distractors)
        if arguments.documents is None
        else arguments.documents - len(set(required))
    )
    selection = {*required, *distractors[: max(count, 0)]}
    folder = out / "documents"
    if folder.exists():
        raise SystemExit(f"{folder} is there already: name another folder, or remove it")
    folder.mkdir(parents=True)
    for paragraph in selection:
        text = f"# {titles_by_paragraph[paragraph]}\n\n{paragraph}\n"
        (folder / names[paragraph]).write_text(text, encoding="utf-8")
    draw.shuffle(questions)  # so that the first N include unanswerable ones
    with (out / "questions.jsonl").open("w", encoding="utf-8") as file:
        for row in questions:
            answerable = row["paragraph"] in selection
            line = {
                "id": row["id"],
                "question": row["question"],
                "answers": gold_answers(row) if answerable else [],
                "passages": [names[row["paragraph"]]] if answerable else [],
                "answerable": answerable,
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    provenance = {
        "source": "QED, development set",
        "questions": len(questions),
        "unanswerable": sum(row["paragraph"] not in selection for row in questions),
        "documents": len(selection),
        "seed": arguments.seed,
    }
    (out / "provenance.json").write_text(json.dumps(provenance, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(provenance))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--data", type=Path, required=True, metavar="DATA_DIR")
    parser.add_argument("--questions", type=int, default=100, metavar="N")
    parser.add_argument("--unanswerable", type=float, default=0.3, metavar="SHARE")
    parser.add_argument(
        "--documents", type=int, metavar="N", help="maximum number of documents (default: all)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    arguments = parser.parse_args()
    with (arguments.data / "text" / "qed_eval.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    write_questions(rows, arguments.out, arguments)


if __name__ == "__main__":
    main()
