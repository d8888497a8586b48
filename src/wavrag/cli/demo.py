"""`wavrag demo`: the whole way from files to cited answers, on the packaged corpus."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wavrag.cli.command import Command
from wavrag.cli.index import ProgressBar
from wavrag.cli.options import add_json
from wavrag.cli.output import counted, duration, note, print_citations, print_json, short_path
from wavrag.errors import WavRAGError

if TYPE_CHECKING:
    from wavrag.types import Answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `wavrag demo`."""
    parser.add_argument(
        "--kb",
        metavar="DIR",
        default=".wavrag-demo",
        help="folder of the demo knowledge base (default: %(default)s)",
    )
    add_json(parser)


def demo(arguments: argparse.Namespace) -> int:
    """Index, ask a recorded question and a typed one, and say what to type next.

    Raises:
        WavRAGError: an answer has no citation, so that a broken installation does not look well.
    """
    from wavrag.demo import DATA
    from wavrag.rag import WavRAG

    questions = json.loads((DATA / "questions" / "questions.json").read_text(encoding="utf-8"))
    recording = DATA / "questions" / questions["spoken"][0]["file"]
    typed = questions["typed"]["text"]
    with WavRAG.open(arguments.kb) as rag:
        note(f"Indexing recordings and documents from {short_path(str(DATA / 'corpus'))} …")
        with ProgressBar(quiet=arguments.json) as bar:
            report = rag.add(DATA / "corpus", on_progress=bar)
        indexed = len(report.added) + len(report.updated)
        note(
            f"{counted(indexed, 'file')} indexed, {len(report.unchanged)} unchanged:"
            f" {duration(report.audio_seconds)} of audio, {counted(report.passages, 'passage')},"
            f" in {report.seconds:.1f} s"
        )
        for source, reason in report.skipped:
            note(f"skipped: {short_path(source)}: {reason}")
        spoken_answer, typed_answer = rag.ask(recording), rag.ask(typed)
    for answer in (spoken_answer, typed_answer):
        if not answer.citations:
            raise WavRAGError(
                "the demo found no answer: run `wavrag doctor` and report what it says"
            )
    if arguments.json:
        from wavrag.shapes import AnswerShape

        answers = {"spoken": spoken_answer, "typed": typed_answer}
        print_json({name: AnswerShape.dump(answer) for name, answer in answers.items()})
        return 0
    _show(f"Spoken question: {short_path(str(recording))}", spoken_answer)
    print(f"  (heard as: {spoken_answer.question})")
    _show(f"Typed question: {typed}", typed_answer)
    _next_steps(arguments.kb, recording)
    return 0


def _show(title: str, answer: Answer) -> None:
    print(f"\n{title}\n\n{answer.text}\n")
    print_citations(answer.citations)


def _next_steps(kb: str, recording: Path) -> None:
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
    add_arguments,
    ("wavrag demo", "wavrag demo --kb /tmp/demo --json"),
)
