"""`wavrag demo`: from files to cited answers on the packaged corpus."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wavrag.cli.command import Command
from wavrag.cli.options import JSON, Option
from wavrag.cli.output import (
    format_count,
    format_duration,
    note,
    note_files,
    print_citations,
    print_json,
    short_path,
)
from wavrag.cli.progress import IndexBar
from wavrag.config import redact_url
from wavrag.errors import WavRAGError

if TYPE_CHECKING:
    from wavrag.types import Answer


def demo(arguments: argparse.Namespace) -> int:
    """Index the corpus, ask a spoken and a typed question, and print commands to try next.

    Raises:
        WavRAGError: an answer has no citation; the installation is broken.
    """
    from wavrag.demo import DATA
    from wavrag.rag import WavRAG

    questions = json.loads((DATA / "questions" / "questions.json").read_text(encoding="utf-8"))
    recording = DATA / "questions" / questions["spoken"][0]["file"]
    typed_question = questions["typed"]["text"]
    with WavRAG.open(arguments.kb) as rag:
        note(f"Indexing recordings and documents from {short_path(str(DATA / 'corpus'))} …")
        with IndexBar(quiet=arguments.json) as bar:
            report = rag.add(DATA / "corpus", on_progress=bar)
        indexed = len(report.added) + len(report.updated)
        note(
            f"{format_count(indexed, 'file')} indexed, {len(report.unchanged)} unchanged:"
            f" {format_duration(report.audio_seconds)} of audio,"
            f" {format_count(report.passages, 'passage')}, in {report.seconds:.1f} s"
        )
        note_files("skipped", report.skipped)
        spoken_answer, typed_answer = rag.ask(recording), rag.ask(typed_question)
    # The corpus answers both questions, so an answer without citations shows a broken model.
    for answer in (spoken_answer, typed_answer):
        if not answer.citations:
            raise WavRAGError(
                "a demo answer has no citations: run `wavrag doctor` and report its output"
            )
    if arguments.json:
        from wavrag.shapes import AnswerShape

        answers = {"spoken": spoken_answer, "typed": typed_answer}
        print_json({name: AnswerShape.dump(answer) for name, answer in answers.items()})
        return 0
    _print_answer(f"Spoken question: {short_path(str(recording))}", spoken_answer)
    print(f"  (recognised as: {spoken_answer.question})")
    _print_answer(f"Typed question: {typed_question}", typed_answer)
    _print_next_steps(redact_url(arguments.kb), recording)
    return 0


def _print_answer(title: str, answer: Answer) -> None:
    print(f"\n{title}\n\n{answer.text}\n")
    print_citations(answer.citations, answer.text)


def _print_next_steps(kb: str, recording: Path) -> None:
    # In a virtual environment that is not activated, `wavrag` alone is not a command.
    wavrag = "wavrag" if shutil.which("wavrag") else short_path(sys.argv[0])
    print(f"""
Next:
  {wavrag} ask --kb {kb} "Can I bring a dog on the ferry?"
  {wavrag} search --kb {kb} --audio {short_path(str(recording))}
  {wavrag} index FOLDER && {wavrag} ask "a question about your own recordings and documents"
  {wavrag} doctor""")


COMMAND = Command(
    "demo",
    "index the packaged corpus and answer a spoken question",
    demo,
    (Option("--kb", "DIR", "folder of the demo knowledge base", default=".wavrag-demo"), JSON),
    ("wavrag demo", "wavrag demo --kb /tmp/demo --json"),
)  # fmt: skip
