"""One to ten retrieved passages: read at once, chosen, read one by one, or quoted.

The paper finds that answers get worse beyond two documents (arXiv 2502.14727, section 4.3). The
strategies are those of the product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments import plots
from experiments.base import (
    Cell,
    Column,
    Context,
    Estimate,
    Experiment,
    Results,
    Table,
    estimate,
)
from experiments.reading import (
    SCORES,
    Asked,
    Remembering,
    answer_all,
    ask,
    generator_name,
    scores,
)
from wavrag.answer import ContextOptions, build_context
from wavrag.generate import (
    ExtractiveGenerator,
    ExtractiveOptions,
    GenerateOptions,
    Generator,
    MapReduceGenerator,
    QuestionPart,
    answer_messages,
)
from wavrag.types import Hit

PASSAGES = (1, 2, 3, 5, 10)
ALL, CHOSEN, ONE_BY_ONE = "all at once", "chosen context", "map-reduce"
STRATEGIES = (ALL, CHOSEN, ONE_BY_ONE)
QUOTED, GOLD = "quotes", "right passage alone"
Answers = Sequence[Mapping[str, Any]]


def run(context: Context) -> Results:
    """Answer with more and more passages, and compare."""
    asked = ask(context, context.size(int(context.options["quoted"]), 4))
    read = asked[: context.size(int(context.options["questions"]), 1)]
    tokens = context.size(int(context.options["answer_tokens"]), 16)

    def answer(model: Remembering, one: Asked) -> dict[str, Any]:
        return _answers(model, one, tokens)

    answers = answer_all(context, read, answer, {"answer tokens": tokens})
    quotes = [_quotes(one) for one in asked]
    figure = context.out / "passages.png"
    _draw(figure, read, answers, asked, quotes)
    return Results(
        tables=(_read_table(read, answers), _differences(read, answers), _quoted(asked, quotes)),
        figures={"passages": figure.name},
        captions={"passages": "Answers that contain a gold answer, against passages given"},
        findings=_findings(read, answers, asked, quotes),
        left_out=(
            f"Models larger than {generator_name(context)}: none can be had here; name one with"
            " --model generator=FILE.gguf.",
        ),
        timings=(_times(answers),),
    )


def key(strategy: str, count: int) -> str:
    """Names what a strategy gave with so many passages."""
    return f"{strategy}, {count}"


def _answers(model: Remembering, asked: Asked, tokens: int) -> dict[str, Any]:
    greedy = GenerateOptions(max_tokens=tokens, seed=0)
    made = {}
    for count in PASSAGES:
        given = asked.hits[:count]
        chosen = build_context(given, ContextOptions(max_passages=count)).hits
        made[key(ALL, count)] = _written(model, model, asked, given, greedy)
        made[key(CHOSEN, count)] = _written(model, model, asked, chosen, greedy)
        each = MapReduceGenerator(model)
        made[key(ONE_BY_ONE, count)] = _written(each, model, asked, given, greedy)
    gold = [hit for hit in asked.hits if hit.passage.document_id in asked.question.passages][:1]
    made[GOLD] = _written(model, model, asked, [replace(hit, rank=1) for hit in gold], greedy)
    return made


def _written(
    generator: Generator,
    model: Remembering,
    asked: Asked,
    hits: Sequence[Hit],
    options: GenerateOptions,
) -> dict[str, Any]:
    """The answer of a generator, and what the model behind it took."""
    model.taken()
    messages = answer_messages(QuestionPart(asked.question.question), hits)
    text = "".join(generator.stream(messages, options)) if hits else ""
    calls = model.taken()
    return {
        "text": text,
        "passages": len(hits),
        "read": sum(call.read for call in calls),
        "written": sum(call.written for call in calls),
        "ms": sum(call.ms for call in calls),
    }


def _quotes(asked: Asked) -> dict[int, str]:
    """What is quoted from so many passages."""
    made = {}
    for count in PASSAGES:
        generator = ExtractiveGenerator(ExtractiveOptions(sources=count))
        messages = answer_messages(QuestionPart(asked.question.question), asked.hits[:count])
        made[count] = "".join(generator.stream(messages, GenerateOptions()))
    return made


def _values(asked: Sequence[Asked], answers: Answers, name: str, score: str) -> list[float]:
    return [
        scores(each[name]["text"], one.question)[score]
        for one, each in zip(asked, answers, strict=True)
    ]


def _read_table(asked: Sequence[Asked], answers: Answers) -> Table:
    rows: list[tuple[Cell, ...]] = []
    names = [
        (strategy, count, key(strategy, count)) for strategy in STRATEGIES for count in PASSAGES
    ]
    for strategy, count, name in [*names, (GOLD, 1, GOLD)]:
        means = [
            float(np.mean([each[name][what] for each in answers]))
            for what in ("passages", "read", "written")
        ]
        rows.append(
            (strategy, count, *(estimate(_values(asked, answers, name, s)) for s in SCORES), *means)
        )
    return Table(
        "read",
        f"What the model answers to {len(asked)} questions",
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


def _differences(asked: Sequence[Asked], answers: Answers) -> Table:
    rows: list[tuple[Cell, ...]] = []
    first = key(ALL, PASSAGES[0])
    for strategy in STRATEGIES:
        for count in PASSAGES:
            if (strategy, count) == (ALL, PASSAGES[0]):
                continue
            gains = [
                estimate(
                    np.subtract(
                        _values(asked, answers, key(strategy, count), score),
                        _values(asked, answers, first, score),
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


def _quoted(asked: Sequence[Asked], quotes: Sequence[Mapping[int, str]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for count in PASSAGES:
        found = [scores(each[count], one.question) for one, each in zip(asked, quotes, strict=True)]
        rows.append(
            (
                count,
                estimate(_found(asked, count)),
                *(estimate([one[score] for one in found]) for score in SCORES),
                float(np.mean([len(each[count].split()) for each in quotes])),
            )
        )
    return Table(
        "quoted",
        f"What is found and quoted for {len(asked)} questions",
        (
            Column("passages"),
            Column("right passage found"),
            *(Column(score) for score in SCORES),
            Column("words quoted", 1),
        ),
        tuple(rows),
    )


def _found(asked: Sequence[Asked], count: int) -> list[float]:
    return [float(one.answered_in(one.hits[:count])) for one in asked]


def _times(answers: Answers) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for strategy in STRATEGIES:
        for count in PASSAGES:
            seconds = [each[key(strategy, count)]["ms"] / 1e3 for each in answers]
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
    asked: Sequence[Asked],
    answers: Answers,
    quoted: Sequence[Asked],
    quotes: Sequence[Mapping[int, str]],
) -> tuple[str, ...]:
    def curve(strategy: str) -> str:
        means = [
            float(np.mean(_values(asked, answers, key(strategy, count), "contains")))
            for count in PASSAGES
        ]
        return ", ".join(f"{value:.2f}" for value in means)

    counts = ", ".join(map(str, PASSAGES))
    quoting = ", ".join(f"{np.mean(_contained(quoted, quotes, count)):.2f}" for count in PASSAGES)
    return (
        *(
            f"Answers of the model that contain a gold answer with {counts} passages, {strategy}:"
            f" {curve(strategy)}."
            for strategy in STRATEGIES
        ),
        f"Quotes that contain one, on {len(quoted)} questions: {quoting}.",
    )


def _contained(
    asked: Sequence[Asked], quotes: Sequence[Mapping[int, str]], count: int
) -> list[float]:
    return [
        scores(each[count], one.question)["contains"]
        for one, each in zip(asked, quotes, strict=True)
    ]


def _draw(
    path: Path,
    asked: Sequence[Asked],
    answers: Answers,
    quoted: Sequence[Asked],
    quotes: Sequence[Mapping[int, str]],
) -> None:
    with plots.drawing(path, 9.6, 3.7, columns=3) as (reading, quoting, cost):
        plots.lines(
            reading,
            PASSAGES,
            {
                strategy: [
                    estimate(_values(asked, answers, key(strategy, count), "contains"))
                    for count in PASSAGES
                ]
                for strategy in STRATEGIES
            },
            xlabel="passages found",
            ylabel="answers that contain a gold answer",
            title=f"Read by the model, {len(asked)} questions",
        )
        gold = float(np.mean(_values(asked, answers, GOLD, "contains")))
        reading.axhline(gold, color="#666666", linewidth=1, linestyle=":", label=GOLD)
        series: dict[str, list[Estimate | float | None]] = {
            "right passage found": [estimate(_found(quoted, count)) for count in PASSAGES],
            "quote contains the answer": [
                estimate(_contained(quoted, quotes, count)) for count in PASSAGES
            ],
        }
        plots.lines(
            quoting,
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
                                each[key(strategy, count)]["read"]
                                + each[key(strategy, count)]["written"]
                                for each in answers
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
        for panel in (reading, quoting):
            panel.set_ylim(0, 1.02)
        for panel in (reading, quoting, cost):
            panel.set_xticks(PASSAGES)
        cost.set_ylim(bottom=0)
        reading.legend(loc="upper left")
        quoting.legend(loc="lower right")
        cost.legend(loc="upper left")


EXPERIMENT = Experiment(
    name="fusion",
    title="One to ten retrieved passages",
    question="Do more retrieved passages make answers better or worse, and does it help to choose"
    " among them, to read them one by one, or to quote?",
    version=1,
    run=run,
    options={"questions": 15, "quoted": 200, "answer_tokens": 96},
)
