"""Make questions for `wavrag answers` and the documents that answer them; none is committed.

    python tools/make_questions.py OUT_DIR --data DATA_DIR [--questions N] [--unanswerable SHARE]
                                   [--documents N] [--seed N]

Reads `text/qed_eval.jsonl` of DATA_DIR: web questions with a Wikipedia paragraph and answers
(Google's QED, development set). Writes `questions.jsonl`, a Markdown file a paragraph in
`documents/`, and `provenance.json`. A question is made unanswerable by leaving out every paragraph
of its article. The others of the set are there to be confused with.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

from experiments.questions import gold_answers

Row = dict[str, Any]


def make(rows: list[Row], out: Path, arguments: argparse.Namespace) -> None:
    """Draw the questions and write everything."""
    draw = random.Random(arguments.seed)
    asked = draw.sample(rows, min(arguments.questions, len(rows)))
    left_out = round(arguments.unanswerable * len(asked))
    titles = {row["title"] for row in asked[:left_out]}
    names = {
        paragraph: f"paragraph-{number:04d}.md"
        for number, paragraph in enumerate(dict.fromkeys(row["paragraph"] for row in rows))
    }
    kept = {row["paragraph"]: row["title"] for row in reversed(rows) if row["title"] not in titles}
    needed = [row["paragraph"] for row in asked if row["paragraph"] in kept]
    others = sorted(set(kept) - set(needed), key=names.__getitem__)
    draw.shuffle(others)
    room = len(others) if arguments.documents is None else arguments.documents - len(set(needed))
    chosen = {*needed, *others[: max(room, 0)]}
    folder = out / "documents"
    if folder.exists():
        raise SystemExit(f"{folder} is there already: name another folder, or remove it")
    folder.mkdir(parents=True)
    for paragraph in chosen:
        text = f"# {kept[paragraph]}\n\n{paragraph}\n"
        (folder / names[paragraph]).write_text(text, encoding="utf-8")
    draw.shuffle(asked)  # so that the first N are of both kinds
    with (out / "questions.jsonl").open("w", encoding="utf-8") as file:
        for row in asked:
            answerable = row["paragraph"] in chosen
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
        "questions": len(asked),
        "unanswerable": sum(row["paragraph"] not in chosen for row in asked),
        "documents": len(chosen),
        "seed": arguments.seed,
    }
    (out / "provenance.json").write_text(json.dumps(provenance, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(provenance))


def main() -> None:
    """Read the arguments and make."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--data", type=Path, required=True, metavar="DATA_DIR")
    parser.add_argument("--questions", type=int, default=100, metavar="N")
    parser.add_argument("--unanswerable", type=float, default=0.3, metavar="SHARE")
    parser.add_argument("--documents", type=int, metavar="N", help="most documents (all)")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    arguments = parser.parse_args()
    with (arguments.data / "text" / "qed_eval.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    make(rows, arguments.out, arguments)


if __name__ == "__main__":
    main()
