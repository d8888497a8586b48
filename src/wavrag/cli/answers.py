"""`wavrag answers`: measures answers to questions with known answers."""

from __future__ import annotations

import argparse
from functools import partial

from wavrag.cli.command import Command
from wavrag.cli.options import GENERATOR, JSON_FILE, KB, Option
from wavrag.cli.output import json_file, print_json, save_json
from wavrag.cli.progress import ProgressBar


def answers(arguments: argparse.Namespace) -> int:
    """Ask every question, then print or write the figures."""
    from wavrag.answer import ReasoningOptions
    from wavrag.evaluate import answers_to_dict, evaluate_answers, format_answers, load_questions
    from wavrag.generate import load_generator
    from wavrag.rag import WavRAG

    target = json_file(arguments.json)
    questions = load_questions(arguments.questions, arguments.limit)
    quiet = arguments.json == "-"
    # With one path the generator answers directly.
    reasoning = ReasoningOptions(paths=arguments.paths) if arguments.paths > 1 else None
    # Loaded before hours of asking, so that a wrong name fails at once.
    judge = load_generator(arguments.judge) if arguments.judge else None
    with (
        WavRAG.open(arguments.kb, generator=arguments.generator, create=False) as rag,
        ProgressBar("asking", "questions", quiet) as bar,
    ):
        report = evaluate_answers(
            partial(rag.ask, reasoning=reasoning),
            questions,
            generator=rag.generator.spec.name,
            paths=arguments.paths,
            judge=judge,
            on_question=bar,
        )
    figures = answers_to_dict(report)
    if judge is not None:
        figures["judge"] = judge.spec.name
    if target is not None:
        save_json(target, figures)
    if quiet:
        print_json(figures)
    else:
        print(format_answers(report))
    return 0


COMMAND = Command(
    "answers",
    "measure answers to questions with known answers",
    answers,
    (
        Option("questions", "QUESTIONS.jsonl", "questions with their known answers"),
        GENERATOR,
        Option("--paths", "N", "reasoning paths per question", default=1, minimum=1),
        Option("--judge", "SPEC", "generator that checks claims against citations", unset="none"),
        Option("--limit", "N", "use only the first N questions", unset="all", minimum=1),
        KB,
        JSON_FILE,
    ),
    (
        "wavrag answers questions.jsonl --kb my-kb --json answers.json",
        "wavrag answers questions.jsonl --kb my-kb --generator local --paths 5 --limit 100",
        "wavrag answers questions.jsonl --generator openai:gpt-4o-mini --judge openai:gpt-4o",
    ),
)  # fmt: skip
