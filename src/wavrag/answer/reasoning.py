"""Reasoning: chain of thought, several paths of it, and the choice among them.

Zero-shot chain of thought asks for the reasoning first. Universal Self-Consistency (arXiv
2311.17311) samples several paths, shows all of them to the model, and lets it choose the most
consistent. `sampling` runs the paths,
and `votes` reads what was written.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from wavrag.answer import votes
from wavrag.answer.sampling import STOPPED, PathSink, Sampling, milliseconds_since
from wavrag.errors import GenerationError, InputError
from wavrag.generate import (
    INSTRUCTION,
    NO_ANSWER,
    GenerateOptions,
    Generator,
    Message,
    StopSignal,
    TextPart,
    question_of,
)
from wavrag.types import ChosenBy, ReasoningPath, Usage

THINK = "Let's think step by step."
REASONING = (
    "Reason from the sources above only. Then write a last line that begins with {marker} and"
    " answers in one short sentence, which ends with the number of its source in brackets. If the"
    f" sources do not answer the question, that sentence is: {NO_ANSWER}"
)
CHOOSER = "You compare answers to a question."
CHOOSE = (
    "Above are {count} responses to the question. Select the most consistent response, based on"
    " what most of them agree on. Begin with: The most consistent response is Response"
)
CHOICE_TOKENS = 64  # a choice with a reason


@dataclass(frozen=True, slots=True)
class ReasoningOptions:
    """How a model reasons before its answer is shown.

    Attributes:
        paths: answers that are sampled; with one there is nothing to choose.
        think: ask for the reasoning before the answer; otherwise a path is the answer itself.
        temperature: of the sampling of several paths; one alone has that of `GenerateOptions`.
        max_tokens: longest path.
        budget: seconds after which no path is waited for, and none is chosen by the model.
        concurrency: requests that a server gets at a time; a model in this process writes as many
            paths in a batch, as far as it can; None for all that can be.
        adaptive: stop sampling when the paths to come cannot change which answer most give.
        thought: words that ask for the reasoning.
        marker: what the answer begins with, after the reasoning.
    """

    paths: int = 5
    think: bool = True
    temperature: float = 0.7
    max_tokens: int = 512
    budget: float | None = None
    concurrency: int | None = None
    adaptive: bool = True
    thought: str = THINK
    marker: str = votes.MARKER

    def __post_init__(self) -> None:
        if self.paths < 1:
            raise InputError(f"{self.paths} paths: sample at least 1")
        if self.temperature < 0:
            raise InputError(f"a temperature of {self.temperature}: give 0 or more")
        if self.max_tokens < 1:
            raise InputError(f"paths of {self.max_tokens} tokens: allow at least 1")
        if self.budget is not None and self.budget <= 0:
            raise InputError(f"a budget of {self.budget} s: give more than 0")
        if self.concurrency is not None and self.concurrency < 1:
            raise InputError(f"a concurrency of {self.concurrency}: allow at least 1")
        if not self.marker.strip():
            raise InputError("the marker of the answer is empty: name one, such as Answer:")


@dataclass(frozen=True, slots=True)
class Reasoned:
    """What the paths came to.

    Attributes:
        paths: those that were begun, in order.
        chosen: index of the one whose answer is shown.
        chosen_by: what decided.
        saved: paths that were not begun, or not written to their end, because the others decided.
        timings: milliseconds for `sample`, and for `choose` where the model was asked.
        usage: tokens for the same stages, where the generator reports them.
    """

    paths: tuple[ReasoningPath, ...]
    chosen: int
    chosen_by: ChosenBy
    saved: int
    timings: Mapping[str, float]
    usage: Mapping[str, Usage]


def reason(
    generator: Generator,
    messages: Sequence[Message],
    options: GenerateOptions,
    how: ReasoningOptions,
    *,
    stop: StopSignal | None = None,
    on_path: PathSink | None = None,
) -> Reasoned:
    """Sample paths and choose one.

    The model's choice counts first. It is not asked where one path finished, where all that
    finished give one answer, or when the budget is spent. What most paths answer counts next, and
    then the first that finished, in the order of the paths.

    Args:
        generator: what writes.
        messages: as `answer_messages` makes them.
        options: how to write; the seed of a path is this seed (0 if None) plus its index.
        how: how to reason.
        stop: ends the sampling, from any thread.
        on_path: told of each path when it ends.

    Raises:
        InputError: the generator cannot reason.
        GenerationError: no path finished, or somebody asked to stop.
    """
    if not generator.spec.follows_instructions:
        raise InputError(
            f"the generator {generator.spec.name!r} cannot reason: use local, local:FILE.gguf,"
            " openai:MODEL or qwen2-audio:FOLDER"
        )
    stop = stop or StopSignal()
    started = time.perf_counter()
    deadline = None if how.budget is None else started + how.budget
    written = replace(
        options,
        max_tokens=how.max_tokens,
        temperature=how.temperature if how.paths > 1 else options.temperature,
        seed=options.seed or 0,
    )
    sent = thinking(messages, how) if how.think else list(messages)
    sampling = Sampling(
        generator,
        sent,
        written,
        how.paths,
        at_once=how.concurrency,
        adaptive=how.adaptive,
        answer_of=partial(votes.parse_answer, marker=how.marker) if how.think else str.strip,
    )
    end = sampling.run(deadline, stop, on_path)
    paths = sampling.paths()
    timings = {"sample": milliseconds_since(started)}
    usage = {"sample": _total(paths)}
    finished = [index for index, path in enumerate(paths) if path.finished]
    if not finished:
        raise GenerationError(_none_finished(generator, how, paths))
    answers = [votes.normalise(paths[index].answer) for index in finished]
    at: int | None = None
    chosen_by: ChosenBy = "choice"
    if len(set(answers)) > 1 and end != "time":
        started = time.perf_counter()
        responses = [paths[index].text for index in finished]
        choice = _choice(generator, choosing(messages, responses), options, deadline, stop)
        timings["choose"] = milliseconds_since(started)
        usage["choose"] = choice.usage
        at = votes.parse_choice(choice.text, len(finished)) if choice.finished else None
    if at is None:
        at, chosen_by = votes.majority(answers), "majority"
    if at is None:
        at, chosen_by = 0, "first"
    return Reasoned(
        paths=paths,
        chosen=finished[at],
        chosen_by=chosen_by,
        saved=how.paths - len(finished) - sampling.failed if end == "decided" else 0,
        timings=timings,
        usage={stage: tokens for stage, tokens in usage.items() if tokens is not None},
    )


def thinking(messages: Sequence[Message], how: ReasoningOptions) -> list[Message]:
    """The messages with the instruction to reason, and the words that begin it at their end."""
    ask = TextPart(REASONING.format(marker=how.marker.strip()))
    *before, last = messages
    parts = tuple(ask if part == TextPart(INSTRUCTION) else part for part in last.parts)
    if ask not in parts:
        parts = (*parts, ask)
    return [*before, Message(last.role, (*parts, TextPart(how.thought)))]


def choosing(messages: Sequence[Message], responses: Sequence[str]) -> list[Message]:
    """Messages that show the responses to the question, numbered from 1, and ask for a choice."""
    shown = (
        TextPart(f"Response {number}: {text.strip()}")
        for number, text in enumerate(responses, start=1)
    )
    ask = TextPart(CHOOSE.format(count=len(responses)))
    return [
        Message("system", (TextPart(CHOOSER),)),
        Message("user", (question_of(messages), *shown, ask)),
    ]


def _choice(
    generator: Generator,
    messages: Sequence[Message],
    options: GenerateOptions,
    deadline: float | None,
    stop: StopSignal,
) -> ReasoningPath:
    """What the model writes when it is asked to choose; not finished if it failed."""
    greedy = replace(options, temperature=0.0, max_tokens=CHOICE_TOKENS, stop=())
    sampling = Sampling(generator, messages, greedy)
    sampling.run(deadline, stop)
    (path,) = sampling.paths() or (ReasoningPath("", finished=False),)
    return path


def _none_finished(
    generator: Generator, how: ReasoningOptions, paths: Sequence[ReasoningPath]
) -> str:
    where = generator.spec.endpoint or generator.spec.name
    reasons = list(dict.fromkeys(path.error for path in paths if path.error != STOPPED))
    if not reasons:
        return (
            f"{where}: none of {how.paths} paths was finished within {how.budget:g} s: allow more"
            " time, or ask a faster model"
        )
    return f"{where}: none of {how.paths} paths was finished: {'; '.join(reasons)}"


def _total(paths: Sequence[ReasoningPath]) -> Usage | None:
    told = [path.usage for path in paths if path.usage is not None]
    if not told:
        return None
    return Usage(sum(one.input for one in told), sum(one.output for one in told))
