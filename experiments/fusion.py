"""Answers from one to ten passages: read together, selected, read one by one, or quoted.

The paper reports worse answers beyond two documents (arXiv 2502.14727, section 4.3). The strategies
are those of the product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments import plots
from experiments.base import Cell, Column, Context, Estimate, Experiment, Results, Table, estimate
from experiments.questions import (
    SCORES,
    CachingGenerator,
    QuestionWithHits,
    answer_all,
    find_passages,
    generator_name,
    scores,
)
from wavrag.answer import ContextOptions, build_context
from wavrag.generate import (
    ExtractiveGenerator,
    GenerateOptions,
    Generator,
    MapReduceGenerator,
    QuestionPart,
    answer_messages,
)
from wavrag.types import Hit

PASSAGES = (1, 2, 3, 5, 10)
ALL, SELECTED, ONE_BY_ONE = "all at once", "chosen context", "map-reduce"
STRATEGIES = (ALL, SELECTED, ONE_BY_ONE)
QUOTED, GOLD = "quotes", "right passage alone"
Answers = Sequence[Mapping[str, Any]]


def run(context: Context) -> Results:
    """Answer with an increasing number of passages, and compare."""
    questions = find_passages(context, context.size(int(context.options["quoted"]), 4))
    read = questions[: context.size(int(context.options["questions"]), 1)]
    tokens = context.size(int(context.options["answer_tokens"]), 16)

    def answer(model: CachingGenerator, question: QuestionWithHits) -> dict[str, Any]:
        return _answers(model, question, tokens)

    answers = answer_all(context, read, answer, {"answer tokens": tokens})
    quotes = [_quotes(question) for question in questions]
    figure = context.out / "passages.png"
    _draw(figure, read, answers, questions, quotes)
    return Results(
        tables=(
            _read_table(read, answers),
            _differences(read, answers),
            _quoted(questions, quotes),
        ),
        figures={"passages": figure.name},
        captions={"passages": "Answers that contain a gold answer, against passages given"},
        findings=_findings(read, answers, questions, quotes),
        left_out=(
            f"Models larger than {generator_name(context)}: none can be had here; name one with"
            " --model generator=FILE.gguf.",
        ),
        timings=(_times(answers),),
    )


def key(strategy: str, count: int) -> str:
    """Name a strategy with a number of passages."""
    return f"{strategy}, {count}"


def _answers(model: CachingGenerator, question: QuestionWithHits, tokens: int) -> dict[str, Any]:
    greedy = GenerateOptions(max_tokens=tokens, seed=0)
    results = {}
    for count in PASSAGES:
        hits = question.hits[:count]
        selected = build_context(hits, ContextOptions(max_passages=count)).hits
        results[key(ALL, count)] = _generate(model, model, question, hits, greedy)
        results[key(SELECTED, count)] = _generate(model, model, question, selected, greedy)
        map_reduce = MapReduceGenerator(model)
        results[key(ONE_BY_ONE, count)] = _generate(map_reduce, model, question, hits, greedy)
    gold = [hit for hit in question.hits if hit.passage.document_id in question.gold.passages][:1]
    results[GOLD] = _generate(
        model, model, question, [replace(hit, rank=1) for hit in gold], greedy
    )
    return results


def _generate(
    generator: Generator,
    model: CachingGenerator,
    question: QuestionWithHits,
    hits: Sequence[Hit],
    options: GenerateOptions,
) -> dict[str, Any]:
    """Generate an answer, and count the tokens and time of the model behind the generator."""
    model.take_calls()
    messages = answer_messages(QuestionPart(question.gold.question), hits)
    text = "".join(generator.stream(messages, options)) if hits else ""
    calls = model.take_calls()
    return {
        "text": text,
        "passages": len(hits),
        "read": sum(call.prompt_tokens for call in calls),
        "written": sum(call.completion_tokens for call in calls),
        "ms": sum(call.ms for call in calls),
    }


def _quotes(question: QuestionWithHits) -> dict[int, str]:
    """Quote from each number of passages."""
    results = {}
    for count in PASSAGES:
        generator = ExtractiveGenerator(max_sources=count)
        messages = answer_messages(QuestionPart(question.gold.question), question.hits[:count])
        results[count] = "".join(generator.stream(messages, GenerateOptions()))
    return results


def _values(
    questions: Sequence[QuestionWithHits], answers: Answers, name: str, score: str
) -> list[float]:
    return [
        scores(answer[name]["text"], question.gold)[score]
        for question, answer in zip(questions, answers, strict=True)
    ]


def _read_table(questions: Sequence[QuestionWithHits], answers: Answers) -> Table:
    rows: list[tuple[Cell, ...]] = []
    names = [
        (strategy, count, key(strategy, count)) for strategy in STRATEGIES for count in PASSAGES
    ]
    for strategy, count, name in [*names, (GOLD, 1, GOLD)]:
        means = [
            float(np.mean([answer[name][quantity] for answer in answers]))
            for quantity in ("passages", "read", "written")
        ]
        rows.append(
            (
                strategy,
                count,
                *(estimate(_values(questions, answers, name, s)) for s in SCORES),
                *means,
            )
        )
    return Table(
        "read",
        f"What the model answers to {len(questions)} questions",
        (
            Column("strategy"),
            Column("passages found"),
            *(Column(score) for score in SCORES),
            Column("passages given", 1),
            Column("tokens read", 0),
            Column("tokens written", 0),
        ),
        tuple(rows),
        "`right passage alone` is what perfect retrieval of one passage would give. Tokens are"
        " means over questions.",
    )


def _differences(questions: Sequence[QuestionWithHits], answers: Answers) -> Table:
    rows: list[tuple[Cell, ...]] = []
    first = key(ALL, PASSAGES[0])
    for strategy in STRATEGIES:
        for count in PASSAGES:
            if (strategy, count) == (ALL, PASSAGES[0]):
                continue
            gains = [
                estimate(
                    np.subtract(
                        _values(questions, answers, key(strategy, count), score),
                        _values(questions, answers, first, score),
                    ).tolist()
                )
                for score in SCORES
            ]
            rows.append((strategy, count, *gains))
    return Table(
        "differences",
        "Difference from one passage, for the same questions",
        (Column("strategy"), Column("passages found"), *(Column(score) for score in SCORES)),
        tuple(rows),
    )


def _quoted(questions: Sequence[QuestionWithHits], quotes: Sequence[Mapping[int, str]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for count in PASSAGES:
        quote_scores = [
            scores(quote[count], question.gold)
            for question, quote in zip(questions, quotes, strict=True)
        ]
        rows.append(
            (
                count,
                estimate(_retrieved(questions, count)),
                *(estimate([values[score] for values in quote_scores]) for score in SCORES),
                float(np.mean([len(quote[count].split()) for quote in quotes])),
            )
        )
    return Table(
        "quoted",
        f"What is found and quoted for {len(questions)} questions",
        (
            Column("passages"),
            Column("right passage found"),
            *(Column(score) for score in SCORES),
            Column("words quoted", 1),
        ),
        tuple(rows),
    )


def _retrieved(questions: Sequence[QuestionWithHits], count: int) -> list[float]:
    return [float(question.answered_in(question.hits[:count])) for question in questions]


def _times(answers: Answers) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for strategy in STRATEGIES:
        for count in PASSAGES:
            seconds = [answer[key(strategy, count)]["ms"] / 1e3 for answer in answers]
            p50, p95 = np.percentile(seconds, [50, 95])
            rows.append((strategy, count, float(p50), float(p95)))
    return Table(
        "seconds",
        "Seconds from prompt to answer",
        (Column("strategy"), Column("passages found"), Column("p50, s", 1), Column("p95, s", 1)),
        tuple(rows),
        "One thread, calls one after another; other processes were running.",
    )


def _findings(
    questions: Sequence[QuestionWithHits],
    answers: Answers,
    quoted: Sequence[QuestionWithHits],
    quotes: Sequence[Mapping[int, str]],
) -> tuple[str, ...]:
    def curve(strategy: str) -> str:
        means = [
            float(np.mean(_values(questions, answers, key(strategy, count), "contains")))
            for count in PASSAGES
        ]
        return ", ".join(f"{value:.2f}" for value in means)

    counts = ", ".join(map(str, PASSAGES))
    shares = ", ".join(
        f"{np.mean(_contains_answer(quoted, quotes, count)):.2f}" for count in PASSAGES
    )
    return (
        *(
            f"Answers of the model that contain a gold answer with {counts} passages, {strategy}:"
            f" {curve(strategy)}."
            for strategy in STRATEGIES
        ),
        f"Quotes that contain one, on {len(quoted)} questions: {shares}.",
    )


def _contains_answer(
    questions: Sequence[QuestionWithHits], quotes: Sequence[Mapping[int, str]], count: int
) -> list[float]:
    return [
        scores(quote[count], question.gold)["contains"]
        for question, quote in zip(questions, quotes, strict=True)
    ]


def _draw(
    path: Path,
    questions: Sequence[QuestionWithHits],
    answers: Answers,
    quoted: Sequence[QuestionWithHits],
    quotes: Sequence[Mapping[int, str]],
) -> None:
    with plots.drawing(path, 9.6, 3.7, columns=3) as (read_panel, quote_panel, cost):
        plots.lines(
            read_panel,
            PASSAGES,
            {
                strategy: [
                    estimate(_values(questions, answers, key(strategy, count), "contains"))
                    for count in PASSAGES
                ]
                for strategy in STRATEGIES
            },
            xlabel="passages found",
            ylabel="answers that contain a gold answer",
            title=f"Read by the model, {len(questions)} questions",
        )
        gold = float(np.mean(_values(questions, answers, GOLD, "contains")))
        read_panel.axhline(gold, color="#666666", linewidth=1, linestyle=":", label=GOLD)
        series: dict[str, list[Estimate | float | None]] = {
            "right passage found": [estimate(_retrieved(quoted, count)) for count in PASSAGES],
            "quote contains the answer": [
                estimate(_contains_answer(quoted, quotes, count)) for count in PASSAGES
            ],
        }
        plots.lines(
            quote_panel,
            PASSAGES,
            series,
            xlabel="passages found",
            ylabel="share of questions",
            title=f"Found and quoted, {len(quoted)} questions",
        )
        plots.lines(
            cost,
            PASSAGES,
            {
                strategy: [
                    float(
                        np.mean(
                            [
                                answer[key(strategy, count)]["read"]
                                + answer[key(strategy, count)]["written"]
                                for answer in answers
                            ]
                        )
                    )
                    for count in PASSAGES
                ]
                for strategy in STRATEGIES
            },
            xlabel="passages found",
            ylabel="tokens read and written a question",
            title="What it takes",
        )
        for panel in (read_panel, quote_panel):
            panel.set_ylim(0, 1.02)
        for panel in (read_panel, quote_panel, cost):
            panel.set_xticks(PASSAGES)
        cost.set_ylim(bottom=0)
        read_panel.legend(loc="upper left")
        quote_panel.legend(loc="lower right")
        cost.legend(loc="upper left")


EXPERIMENT = Experiment(
    name="fusion",
    title="One to ten retrieved passages",
    question="Do more retrieved passages improve or harm answers, and does it help to select among"
    " them, to read them one by one, or to quote?",
    version=1,
    run=run,
    options={"questions": 15, "quoted": 200, "answer_tokens": 96},
)
