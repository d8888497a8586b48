"""Measure retrieval on your own recordings: spoken questions, and the texts that answer them.

    python examples/evaluate_own_task.py FOLDER wavretriever cascade

FOLDER holds pairs: `NAME.wav` (or another audio format), a spoken question, and `NAME.txt`, the
text that answers it. Every other text of the folder counts as wrong. Each embedder is measured
through the real knowledge base, in a temporary folder.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from wavrag.audio import AUDIO_SUFFIXES
from wavrag.data import load_task
from wavrag.evaluate import evaluate_embedder, format_report


def write_task(folder: Path, target: Path) -> None:
    """Write the pairs of a folder as a task in the BEIR layout."""
    recordings = sorted(p for p in folder.iterdir() if p.suffix.lower() in AUDIO_SUFFIXES)
    texts = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.txt")}
    queries = [{"_id": p.stem, "audio": str(p.resolve())} for p in recordings if p.stem in texts]
    # An entry with the id of the query would never count as its hit, so the ids differ.
    corpus = [{"_id": f"{name}.txt", "text": text} for name, text in sorted(texts.items())]
    for name, lines in (("corpus", corpus), ("queries", queries)):
        document = "".join(json.dumps(line) + "\n" for line in lines)
        (target / f"{name}.jsonl").write_text(document, encoding="utf-8")
    (target / "qrels").mkdir()
    judgements = "".join(f"{query['_id']}\t{query['_id']}.txt\t1\n" for query in queries)
    (target / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judgements}")


def main(folder: str, *embedders: str) -> None:
    """Print a table of figures with 95 % intervals."""
    with tempfile.TemporaryDirectory() as target:
        write_task(Path(folder), Path(target))
        task = load_task(target)
        systems = [
            system
            for embedder in embedders or ("wavretriever",)
            for system in evaluate_embedder(task, embedder, ["fused"])
        ]
        print(format_report(task, systems))


if __name__ == "__main__":
    main(*sys.argv[1:])
