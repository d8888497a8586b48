"""`wavrag answers`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wavrag.cli.output import (
    GENERATOR_HELP,
    Bar,
    UsageError,
    check_target,
    print_json,
    write_figures,
)

if TYPE_CHECKING:
    from wavrag.rag import WavRAG
    from wavrag.types import Answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("questions", metavar="QUESTIONS.jsonl", help="questions with gold answers")
    parser.add_argument(
        "--kb", metavar="DIR", help="knowledge base (default: $WAVRAG_KB, or .wavrag)"
    )
    parser.add_argument(
        "--generator",
        metavar="SPEC",
        help=GENERATOR_HELP,
    )
    parser.add_argument(
        "--paths", type=int, default=1, metavar="N", help="reasoning paths to sample (1)"
    )
    parser.add_argument(
        "--judge",
        metavar="SPEC",
        help="generator that judges the claims of answers against what they cite (default: none)",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N questions")
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write the figures as one JSON document; - prints it, and nothing else",
    )


def answers(arguments: argparse.Namespace) -> int:
    """Ask every question, and print and write how good the answers are."""
    from wavrag.evaluate import answers_to_dict, evaluate_answers, format_answers, load_questions
    from wavrag.generate import load_generator
    from wavrag.rag import WavRAG

    for name in ("paths", "limit"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name} is {value}: give a number from 1")
    target = None if arguments.json in (None, "-") else Path(arguments.json)
    if target is not None:
        check_target(target)
    questions = load_questions(arguments.questions, arguments.limit)
    quiet = arguments.json == "-"
    judge = load_generator(arguments.judge) if arguments.judge else None
    with (
        WavRAG.open(arguments.kb, generator=arguments.generator, create=False) as rag,
        Bar("asking", "queries", quiet) as bar,
    ):
        report = evaluate_answers(
            _asking(rag, arguments.paths),
            questions,
            generator=rag.generator.name,
            paths=arguments.paths,
            judge=judge,
            on_question=bar,
        )
    figures = answers_to_dict(report)
    if judge is not None:
        figures["judge"] = judge.name
    if target is not None:
        write_figures(target, figures)
    if quiet:
        print_json(figures)
    else:
        print(format_answers(report))
    return 0


def _asking(rag: WavRAG, paths: int) -> Callable[[str], Answer]:
    """`rag.ask`, with so many paths of reasoning; one is the answer at once."""
    if paths == 1:
        return rag.ask
    from wavrag.answer import ReasoningOptions

    return partial(rag.ask, reasoning=ReasoningOptions(paths=paths))
