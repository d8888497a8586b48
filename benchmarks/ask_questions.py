"""Ask questions of a fresh knowledge base with the version of WavRAG on the path.

    python ask_questions.py JOB.json

The job has `documents` (id, title, text) and `questions` (text, or path of a recording). Prints one
JSON line per question: the text of the answer without marks, and its short answer, if the version
has one. `extractive_answers.py` runs it on two versions, so it uses what both have.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path

from wavrag import Document, WavRAG

MARKS = re.compile(r"\s*\[\d+\]")


def main() -> None:
    """Answer the questions of the job."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder, WavRAG.open(Path(folder) / "kb") as rag:
        documents = [
            Document(row["id"], text=row["text"], title=row["title"]) for row in job["documents"]
        ]
        rag.kb.add(documents)
        for question in job["questions"]:
            answer = rag.ask(question["text"] or Path(question["audio"]))
            text = MARKS.sub("", answer.text) if answer.found else ""
            print(json.dumps({"text": text, "short": getattr(answer, "short", "")}), flush=True)


if __name__ == "__main__":
    main()
