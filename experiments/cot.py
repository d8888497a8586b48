"""Reasoning: direct answers against chain of thought and self-consistency.

Zero-shot chain of thought and Universal Self-Consistency (arXiv 2311.17311), as in the paper (arXiv
2502.14727, section 3.3) and with the code of `wavrag ask --paths`. The paths of a question are
sampled once, so that self-consistency with 3 paths selects among the first 3 of 5.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments import plots
from experiments.base import Cell, Column, Context, Experiment, Results, Table, estimate
from experiments.questions import (
    GENERATOR,
    SCORES,
    CachingGenerator,
    Call,
    QuestionWithHits,
    answer_all,
    find_passages,
    generator_name,
    scores,
)
from wavrag.answer import ReasoningOptions, build_context, normalise_answer, reason
from wavrag.config import threads
from wavrag.errors import GenerationError
from wavrag.evaluate import contains
from wavrag.generate import GenerateOptions, Message, QuestionPart, answer_messages

PATHS = (1, 3, 5)
TEMPERATURE = 0.7
PLAIN, THINKING = "plain", "chain of thought, greedy"
BATCH_QUESTIONS = 3  # questions with two batches of paths, to test their reproducibility


def sampled(paths: int) -> str:
    """Name self-consistency with a number of paths."""
    return f"self-consistency, {paths} path{'s' * (paths > 1)}"


SYSTEMS = (PLAIN, THINKING, *map(sampled, PATHS))


def run(context: Context) -> Results:
    """Answer every question by every method, and compare."""
    questions = find_passages(context, context.size(int(context.options["questions"]), 1))
    tokens = context.size(int(context.options["path_tokens"]), 24)
    about = {"path tokens": tokens}

    def answer(model: CachingGenerator, question: QuestionWithHits) -> dict[str, Any]:
        return _answers(model, question, context.seed, tokens)

    answers = answer_all(context, questions, answer, about)
    values = {
        name: [
            scores(answer[name]["text"], question.gold)
            for answer, question in zip(answers, questions, strict=True)
        ]
        for name in SYSTEMS
    }
    tables = (_table(values, answers), _differences(values), _choices(questions, answers))
    batched = context.step(
        "batched", lambda: _batched(context, questions, tokens), about | {"threads": threads()}
    )
    figure = context.out / "answers.png"
    _draw(figure, values, answers)
    return Results(
        tables=tables,
        figures={"answers": figure.name},
        captions={"answers": "Quality of each way to answer, and tokens that it takes"},
        findings=_findings(values, answers, questions),
        left_out=(
            f"Models larger than {generator_name(context)}: none can be had here; name one with"
            " --model generator=FILE.gguf.",
        ),
        timings=(_times(answers), batched_table(batched)),
    )


def _answers(
    model: CachingGenerator, question: QuestionWithHits, seed: int, tokens: int
) -> dict[str, Any]:
    """Answer a question by every method, with the tokens and time of each."""
    hits = build_context(question.hits).hits
    messages = answer_messages(QuestionPart(question.gold.question), hits)
    greedy = GenerateOptions(max_tokens=tokens, seed=seed)
    model.take_calls()
    results = {
        PLAIN: {"text": "".join(model.stream(messages, greedy)), **_cost(model.take_calls())}
    }
    sampling = GenerateOptions(max_tokens=tokens, seed=seed, temperature=TEMPERATURE)
    ways = {THINKING: (1, greedy), **{sampled(paths): (paths, sampling) for paths in PATHS}}
    for name, (paths, options) in ways.items():
        results[name] = _reason(model, messages, paths, options)
    return results


def _reason(
    model: CachingGenerator, messages: Sequence[Message], paths: int, options: GenerateOptions
) -> dict[str, Any]:
    reasoning_options = ReasoningOptions(
        paths=paths,
        temperature=TEMPERATURE,
        max_tokens=options.max_tokens,
        concurrency=1,
        adaptive=False,
    )
    try:
        reasoning = reason(model, messages, options, reasoning_options)
    except GenerationError as error:  # no path reached an answer
        return {
            "text": "",
            "by": "none",
            "error": str(error),
            "paths": [],
            **_cost(model.take_calls()),
        }
    agreed = len({normalise_answer(path.answer) for path in reasoning.paths if path.finished}) == 1
    return {
        "text": reasoning.paths[reasoning.chosen].answer,
        "by": "agreed" if agreed else reasoning.chosen_by,
        "paths": [path.answer for path in reasoning.paths],
        **_cost(model.take_calls()),
    }


def _cost(calls: Sequence[Call]) -> dict[str, float]:
    return {
        "read": sum(call.prompt_tokens for call in calls),
        "written": sum(call.completion_tokens for call in calls),
        "ms": sum(call.ms for call in calls),
    }


def _table(values: Mapping[str, Sequence[Mapping[str, float]]], answers: Sequence[Any]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name in SYSTEMS:
        figures = [estimate([result[score] for result in values[name]]) for score in SCORES]
        tokens = [
            float(np.mean([answer[name][key] for answer in answers])) for key in ("read", "written")
        ]
        rows.append((name, *figures, *tokens))
    return Table(
        "answers",
        f"Answers to {len(answers)} questions",
        (
            Column("way"),
            *(Column(name) for name in SCORES),
            Column("tokens read", 0),
            Column("tokens written", 0),
        ),
        tuple(rows),
        "Tokens are means over questions. Every path reads the prompt again, and the choice among"
        " paths reads all of them.",
    )


def _differences(values: Mapping[str, Sequence[Mapping[str, float]]]) -> Table:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            name,
            *(
                estimate(
                    [
                        result[score] - plain[score]
                        for result, plain in zip(values[name], values[PLAIN], strict=True)
                    ]
                )
                for score in SCORES
            ),
        )
        for name in SYSTEMS[1:]
    )
    return Table(
        "differences",
        "Difference from the plain answer to the same question",
        (Column("way"), *(Column(name) for name in SCORES)),
        rows,
    )


def _choices(questions: Sequence[QuestionWithHits], answers: Sequence[Any]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for paths in PATHS[1:]:
        results = [answer[sampled(paths)] for answer in answers]
        criteria = Counter(result["by"] for result in results)
        pairs = list(zip(questions, results, strict=True))
        correct = [
            [contains(path, question.gold.answers) for path in result["paths"]]
            for question, result in pairs
        ]
        rows.append(
            (
                sampled(paths),
                estimate(
                    [
                        float(contains(result["text"], question.gold.answers))
                        for question, result in pairs
                    ]
                ),
                estimate([float(np.mean(path_flags or [False])) for path_flags in correct]),
                estimate([float(any(path_flags)) for path_flags in correct]),
                *(criteria[name] for name in ("agreed", "choice", "majority", "first", "none")),
            )
        )
    heads = ("chosen", "a random path", "the best path")
    return Table(
        "choices",
        "What the choice among paths is worth: share that contains a gold answer",
        (
            Column("way"),
            *(Column(head) for head in heads),
            *(Column(f"by {name}") for name in ("agreement", "the model", "majority", "order")),
            Column("no path"),
        ),
        tuple(rows),
        "The best path is what a perfect choice would give. Counts say what decided, in questions.",
    )


def _times(answers: Sequence[Any]) -> Table:
    rows = []
    for name in SYSTEMS:
        seconds = [answer[name]["ms"] / 1e3 for answer in answers]
        p50, p95 = np.percentile(seconds, [50, 95])
        rows.append((name, float(p50), float(p95)))
    return Table(
        "seconds",
        "Seconds from prompt to answer",
        (Column("way"), Column("p50, s", 1), Column("p95, s", 1)),
        tuple(rows),
        "One thread, paths one after another; other processes were running.",
    )


def _batched(
    context: Context, questions: Sequence[QuestionWithHits], tokens: int
) -> list[dict[str, Any]]:
    """Sample the paths of a few questions twice, as users do: in a batch, on all threads."""
    from wavrag.generate import LocalGenerator, LocalOptions

    path = context.models.get(GENERATOR)
    # Threads of llama.cpp spin while they wait for each other, which is slow on a busy machine.
    local_options = LocalOptions(threads=1 if context.quick else None)
    generator = LocalGenerator(str(path) if path else None, local_options)
    max_paths = max(PATHS)
    reasoning_options = ReasoningOptions(
        paths=max_paths, temperature=TEMPERATURE, max_tokens=tokens, adaptive=False
    )
    results = []
    try:
        for number, question in enumerate(questions[: context.size(BATCH_QUESTIONS, 1)]):
            context.on_progress("batches", number, BATCH_QUESTIONS)
            messages = answer_messages(
                QuestionPart(question.gold.question), build_context(question.hits).hits
            )
            runs, seconds = [], []
            for _ in range(2):
                started = time.perf_counter()
                reasoning = reason(
                    generator, messages, GenerateOptions(seed=context.seed), reasoning_options
                )
                seconds.append(time.perf_counter() - started)
                runs.append([path.text for path in reasoning.paths])
            equal = sum(first == second for first, second in zip(*runs, strict=True))
            results.append({"same": equal, "paths": max_paths, "seconds": seconds})
    finally:
        generator.close()
    return results


def batched_table(batched: Sequence[Mapping[str, Any]]) -> Table:
    """Tabulate how many paths of a batch were equal in a second run, and the times."""
    return Table(
        "batched",
        f"{max(PATHS)} paths in one batch, sampled twice with one seed",
        (
            Column("question"),
            Column("paths that repeated"),
            Column("first, s", 1),
            Column("second, s", 1),
        ),
        tuple(
            (number, batch["same"], *batch["seconds"])
            for number, batch in enumerate(batched, start=1)
        ),
        "With the choice, on all threads, as `wavrag ask` does it. What is written together is"
        " computed together, and rounding follows the company: paths need not repeat.",
    )


def _findings(
    values: Mapping[str, Sequence[Mapping[str, float]]],
    answers: Sequence[Any],
    questions: Sequence[QuestionWithHits],
) -> tuple[str, ...]:
    def share_correct(name: str) -> float:
        return estimate([result["contains"] for result in values[name]]).mean

    best = max(SYSTEMS, key=lambda name: (share_correct(name), -SYSTEMS.index(name)))
    longest = sampled(max(PATHS))
    cost = sum(answer[longest]["read"] + answer[longest]["written"] for answer in answers) / max(
        1, sum(answer[PLAIN]["read"] + answer[PLAIN]["written"] for answer in answers)
    )
    with_answer = sum(
        question.answered_in(build_context(question.hits).hits) for question in questions
    )
    return (
        f"The paragraph that answers was among the passages given for {with_answer} of"
        f" {len(questions)} questions.",
        f"Most answers that contain a gold answer: {best}, {share_correct(best):.2f}; plain has"
        f" {share_correct(PLAIN):.2f}.",
        f"{longest} takes {cost:.1f} times the tokens of the plain answer.",
    )


def _draw(
    path: Any, values: Mapping[str, Sequence[Mapping[str, float]]], answers: Sequence[Any]
) -> None:
    labels = ("plain", "CoT", *(f"USC {paths}" for paths in PATHS))
    with plots.drawing(path, 8.2, 3.6, columns=2) as (quality, cost):
        plots.bars(
            quality,
            labels,
            {
                score: [estimate([result[score] for result in values[name]]) for name in SYSTEMS]
                for score in SCORES
            },
            ylabel="mean over questions, 95 % interval",
            title="Is the answer right?",
        )
        quality.set_ylim(0, min(1.0, 1.4 * quality.get_ylim()[1]))  # room for the legend
        quality.legend(loc="upper left", ncols=3)
        plots.bars(
            cost,
            labels,
            {
                f"tokens {key}": [
                    float(np.mean([answer[name][key] for answer in answers])) for name in SYSTEMS
                ]
                for key in ("read", "written")
            },
            ylabel="tokens a question, mean",
            title="What does it take?",
        )
        cost.legend(loc="upper left")


EXPERIMENT = Experiment(
    name="cot",
    title="Reasoning before answering",
    question="Do chain of thought and self-consistency over 1, 3 and 5 paths improve answers over a"
    " direct answer, and at what cost?",
    version=1,
    run=run,
    options={"questions": 20, "path_tokens": 160},
)
