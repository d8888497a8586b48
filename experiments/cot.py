"""Does reasoning help: an answer at once, chain of thought, and self-consistency over paths.

Zero-shot chain of thought and Universal Self-Consistency (arXiv 2311.17311) as the paper uses them
(arXiv 2502.14727, section 3.3), by the code of `wavrag ask --paths`. The paths of a question are
sampled once: self-consistency at 3 chooses among the first 3 of the 5.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments import plots
from experiments.base import (
    Cell,
    Column,
    Context,
    Experiment,
    Results,
    Table,
    estimate,
)
from experiments.reading import (
    GENERATOR,
    SCORES,
    Asked,
    Call,
    Remembering,
    answer_all,
    ask,
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
BATCHED = 3  # questions whose paths are sampled twice in a batch, to see whether they repeat


def sampled(paths: int) -> str:
    """The name of self-consistency at so many paths."""
    return f"self-consistency, {paths} path{'s' * (paths > 1)}"


SYSTEMS = (PLAIN, THINKING, *map(sampled, PATHS))


def run(context: Context) -> Results:
    """Answer every question every way, and compare."""
    asked = ask(context, context.size(int(context.options["questions"]), 1))
    tokens = context.size(int(context.options["path_tokens"]), 24)
    about = {"path tokens": tokens}

    def answer(model: Remembering, one: Asked) -> dict[str, Any]:
        return _answers(model, one, context.seed, tokens)

    answers = answer_all(context, asked, answer, about)
    values = {
        name: [
            scores(each[name]["text"], one.question)
            for each, one in zip(answers, asked, strict=True)
        ]
        for name in SYSTEMS
    }
    tables = (
        _table(values, answers),
        _differences(values),
        _choices(asked, answers),
    )
    batched = context.step(
        "batched", lambda: _batched(context, asked, tokens), about | {"threads": threads()}
    )
    figure = context.out / "answers.png"
    _draw(figure, values, answers)
    return Results(
        tables=tables,
        figures={"answers": figure.name},
        captions={"answers": "Quality of each way to answer, and tokens that it takes"},
        findings=_findings(values, answers, asked),
        left_out=(
            f"Models larger than {generator_name(context)}: none can be had here; name one with"
            " --model generator=FILE.gguf.",
        ),
        timings=(_times(answers), batched_table(batched)),
    )


def _answers(model: Remembering, asked: Asked, seed: int, tokens: int) -> dict[str, Any]:
    """What each way answers, and what it took."""
    hits = build_context(asked.hits).hits
    messages = answer_messages(QuestionPart(asked.question.question), hits)
    greedy = GenerateOptions(max_tokens=tokens, seed=seed)
    model.taken()
    made = {PLAIN: {"text": "".join(model.stream(messages, greedy)), **_cost(model.taken())}}
    drawn = GenerateOptions(max_tokens=tokens, seed=seed, temperature=TEMPERATURE)
    ways = {THINKING: (1, greedy), **{sampled(paths): (paths, drawn) for paths in PATHS}}
    for name, (paths, options) in ways.items():
        made[name] = _reasoned(model, messages, paths, options)
    return made


def _reasoned(
    model: Remembering, messages: Sequence[Message], paths: int, options: GenerateOptions
) -> dict[str, Any]:
    how = ReasoningOptions(
        paths=paths,
        temperature=TEMPERATURE,
        max_tokens=options.max_tokens,
        concurrency=1,
        adaptive=False,
    )
    try:
        found = reason(model, messages, options, how)
    except GenerationError as error:  # no path came to an answer
        return {"text": "", "by": "none", "error": str(error), "paths": [], **_cost(model.taken())}
    agreed = len({normalise_answer(path.answer) for path in found.paths if path.finished}) == 1
    return {
        "text": found.paths[found.chosen].answer,
        "by": "agreed" if agreed else found.chosen_by,
        "paths": [path.answer for path in found.paths],
        **_cost(model.taken()),
    }


def _cost(calls: Sequence[Call]) -> dict[str, float]:
    return {
        "read": sum(call.read for call in calls),
        "written": sum(call.written for call in calls),
        "ms": sum(call.ms for call in calls),
    }


def _table(values: Mapping[str, Sequence[Mapping[str, float]]], answers: Sequence[Any]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name in SYSTEMS:
        figures = [estimate([one[score] for one in values[name]]) for score in SCORES]
        tokens = [
            float(np.mean([one[name][key] for one in answers])) for key in ("read", "written")
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
                        one[score] - plain[score]
                        for one, plain in zip(values[name], values[PLAIN], strict=True)
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


def _choices(asked: Sequence[Asked], answers: Sequence[Any]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for paths in PATHS[1:]:
        made = [each[sampled(paths)] for each in answers]
        by = Counter(each["by"] for each in made)
        pairs = list(zip(asked, made, strict=True))
        right = [
            [contains(path, one.question.answers) for path in each["paths"]] for one, each in pairs
        ]
        rows.append(
            (
                sampled(paths),
                estimate(
                    [float(contains(each["text"], one.question.answers)) for one, each in pairs]
                ),
                estimate([float(np.mean(each or [False])) for each in right]),
                estimate([float(any(each)) for each in right]),
                *(by[name] for name in ("agreed", "choice", "majority", "first", "none")),
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
        seconds = [one[name]["ms"] / 1e3 for one in answers]
        p50, p95 = np.percentile(seconds, [50, 95])
        rows.append((name, float(p50), float(p95)))
    return Table(
        "seconds",
        "Seconds from prompt to answer",
        (Column("way"), Column("p50, s", 1), Column("p95, s", 1)),
        tuple(rows),
        "One thread, paths one after another; other processes were running.",
    )


def _batched(context: Context, asked: Sequence[Asked], tokens: int) -> list[dict[str, Any]]:
    """Paths of a few questions as users get them: all in a batch, on all threads; twice."""
    from wavrag.generate import LocalGenerator, LocalOptions

    path = context.models.get(GENERATOR)
    # Threads of llama.cpp wait for each other by spinning, which a busy machine makes long.
    how_run = LocalOptions(threads=1 if context.quick else None)
    generator = LocalGenerator(str(path) if path else None, how_run)
    most = max(PATHS)
    how = ReasoningOptions(paths=most, temperature=TEMPERATURE, max_tokens=tokens, adaptive=False)
    made = []
    try:
        for number, one in enumerate(asked[: context.size(BATCHED, 1)]):
            context.on_progress("batches", number, BATCHED)
            messages = answer_messages(
                QuestionPart(one.question.question), build_context(one.hits).hits
            )
            runs, seconds = [], []
            for _ in range(2):
                started = time.perf_counter()
                found = reason(generator, messages, GenerateOptions(seed=context.seed), how)
                seconds.append(time.perf_counter() - started)
                runs.append([path.text for path in found.paths])
            same = sum(first == second for first, second in zip(*runs, strict=True))
            made.append({"same": same, "paths": most, "seconds": seconds})
    finally:
        generator.close()
    return made


def batched_table(batched: Sequence[Mapping[str, Any]]) -> Table:
    """How many paths of a batch were the same in a second run, and how long a batch took."""
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
            (number, each["same"], *each["seconds"]) for number, each in enumerate(batched, start=1)
        ),
        "With the choice, on all threads, as `wavrag ask` does it. What is written together is"
        " computed together, and rounding follows the company: paths need not repeat.",
    )


def _findings(
    values: Mapping[str, Sequence[Mapping[str, float]]],
    answers: Sequence[Any],
    asked: Sequence[Asked],
) -> tuple[str, ...]:
    def held(name: str) -> float:
        return estimate([one["contains"] for one in values[name]]).mean

    best = max(SYSTEMS, key=lambda name: (held(name), -SYSTEMS.index(name)))
    most = sampled(max(PATHS))
    cost = sum(one[most]["read"] + one[most]["written"] for one in answers) / max(
        1, sum(one[PLAIN]["read"] + one[PLAIN]["written"] for one in answers)
    )
    given = sum(one.answered_in(build_context(one.hits).hits) for one in asked)
    return (
        f"The paragraph that answers was among the passages given for {given} of {len(asked)}"
        " questions.",
        f"Most answers that contain a gold answer: {best}, {held(best):.2f}; plain has"
        f" {held(PLAIN):.2f}.",
        f"{most} takes {cost:.1f} times the tokens of the plain answer.",
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
                score: [estimate([one[score] for one in values[name]]) for name in SYSTEMS]
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
                    float(np.mean([one[name][key] for one in answers])) for name in SYSTEMS
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
    question="Do chain of thought and self-consistency over 1, 3 and 5 paths give better answers"
    " than one answer at once, and at what price?",
    version=1,
    run=run,
    options={"questions": 20, "path_tokens": 160},
)
