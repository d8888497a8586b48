"""A writer for the attacks on durability, and the check of what it left.

    python benchmarks/attack/commits.py KB FIRST COUNT

Adds, replaces and removes documents. Each line of the output acknowledges a change: `add 7` or
`remove 7`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from wavrag import Document, KnowledgeBase

SECTIONS = 3  # passages of a document


def text_of(number: int) -> str:
    """The text of a document: one passage per section."""
    words = f"Document {number} says {number * 7919 % 10_007}. "
    return "\n\n".join(f"# Part {part}\n\n{words * 20}" for part in range(SECTIONS))


def write_commits(folder: Path, first: int, count: int) -> None:
    """Change the knowledge base and print each change once it is acknowledged."""
    with KnowledgeBase.open(folder, embedder="fake") as kb:
        acknowledge("ready")
        for number in range(first, first + count):
            report = kb.add([Document(str(number), text=text_of(number))])
            assert report.added or report.updated or report.unchanged
            acknowledge(f"add {number}")
            if number % 10 == 9:
                kb.remove([str(number - 5)])
                acknowledge(f"remove {number - 5}")


def acknowledge(line: str) -> None:
    """Print a line in one system call, so that a kill cannot cut it."""
    os.write(1, f"{line}\n".encode())


def expected_documents(lines: Iterable[str]) -> dict[str, str]:
    """Whether each document must be present (`add`) or absent (`remove`)."""
    return {number: verb for verb, _, number in (line.partition(" ") for line in lines) if number}


def find_faults(folder: Path, expected: dict[str, str]) -> list[str]:
    """Open a knowledge base after a crash and describe everything that is wrong."""
    with KnowledgeBase.open(folder, create=False) as kb:
        faults = kb.verify()
        texts: dict[str, list[str]] = {}
        for row in kb.scan():
            texts.setdefault(row.passage.document_id, []).append(row.passage.text or "")
    for number, verb in expected.items():
        if verb == "add" and number not in texts:
            faults.append(f"document {number} was acknowledged and is lost")
        if verb == "remove" and number in texts:
            faults.append(f"document {number} was removed and is back")
    for number, passages in texts.items():
        words = f"Document {number} says {int(number) * 7919 % 10_007}."
        if len(passages) != SECTIONS or not all(words in text for text in passages):
            faults.append(f"document {number} is not whole")
    return faults


if __name__ == "__main__":
    write_commits(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
