"""Chain of thought and self-consistency: sample reasoning paths, then choose an answer.

Zero-shot chain of thought asks for the reasoning first (arXiv 2205.11916). Universal
Self-Consistency (arXiv 2311.17311) samples several paths and lets the model choose the most
consistent one. `sampling` runs the paths, `votes` reads and counts their answers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from wavrag.answer import votes
from wavrag.answer.sampling import STOPPED, PathCallback, PathSampler, milliseconds_since
from wavrag.errors import GenerationError, InputError
from wavrag.generate import (
    INSTRUCTION,
    NO_ANSWER,
    GenerateOptions,
    Generator,
    Message,
    StopSignal,
    TextPart,
    find_question,
)
from wavrag.types import ChosenBy, ReasoningPath, Usage

COT_TRIGGER = "Let's think step by step."
# It follows the sources, because small models forget instructions in front of them.
REASONING_INSTRUCTION = TextPart(
    f"Reason from the sources above only. Then write a last line that begins with {votes.MARKER}"
    " and answers in one short sentence, which ends with the number of its source in brackets. If"
    f" the sources do not answer the question, that sentence is: {NO_ANSWER}"
)
CHOICE_SYSTEM = "You compare answers to a question."
CHOICE_INSTRUCTION = (
    "Above are {count} responses to the question. Select the most consistent response, based on"
    " what most of them agree on. Begin with: The most consistent response is Response"
)
CHOICE_TOKENS = 64  # a choice with a short reason


@dataclass(frozen=True, slots=True)
class ReasoningOptions:
    """Options of reasoning.

    Attributes:
        paths: number of answers to sample; with one there is no choice.
        think: ask for the reasoning before the answer; otherwise a path is the answer itself.
        temperature: sampling temperature of several paths; a single path uses the temperature of
            `GenerateOptions`.
        max_tokens: maximum length of a path.
        budget: time limit in seconds; at the limit, unfinished paths are dropped and the model is
            not asked to choose.
        concurrency: maximum number of requests to a server at a time, or of paths in a batch of a
            local model; None for no limit.
        adaptive: stop when the remaining paths cannot change the majority.
    """

    paths: int = 5
    think: bool = True
    temperature: float = 0.7
    max_tokens: int = 512
    budget: float | None = None
    concurrency: int | None = None
    adaptive: bool = True

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


@dataclass(frozen=True, slots=True)
class ReasoningResult:
    """The sampled paths and the choice."""

    paths: tuple[ReasoningPath, ...]  # all started paths, in order
    chosen: int  # index of the chosen path
    chosen_by: ChosenBy  # method of the choice
    saved: int  # paths skipped or cancelled because the others had decided
    timings: Mapping[str, float]  # milliseconds of `sample`, and of `choose` if the model was asked
    usage: Mapping[str, Usage]  # tokens of the same stages, if the generator reports them


def reason(
    generator: Generator,
    messages: Sequence[Message],
    options: GenerateOptions,
    reasoning: ReasoningOptions,
    *,
    stop: StopSignal | None = None,
    on_path: PathCallback | None = None,
) -> ReasoningResult:
    """Sample paths and choose one.

    The model chooses, unless only one path finished, all answers agree, or the time is up. Without
    a valid choice the majority wins, and without a majority the first finished path.

    Args:
        generator: the model.
        messages: messages of `answer_messages`.
        options: decoding options; the seed of a path is this seed (0 if None) plus its index.
        reasoning: number, length and sampling of the paths.
        stop: cancels the sampling, from any thread.
        on_path: called with each path when it ends.

    Raises:
        InputError: the generator does not follow instructions.
        GenerationError: no path finished, or `stop` was set.
    """
    _check_generator(generator)
    stop = stop or StopSignal()
    started = time.perf_counter()
    deadline = None if reasoning.budget is None else started + reasoning.budget
    sampler = _create_sampler(generator, messages, options, reasoning)
    end = sampler.run(deadline, stop, on_path)
    paths = sampler.paths()
    timings = {"sample": milliseconds_since(started)}
    usage = {"sample": _total_usage(paths)}
    finished = [index for index, path in enumerate(paths) if path.finished]
    if not finished:
        raise GenerationError(_explain_failure(generator, reasoning, paths))
    answers = [votes.normalise(paths[index].answer) for index in finished]
    winner: int | None = None
    # Equal answers need no choice, and after the deadline there is no time for another request.
    if len(set(answers)) > 1 and end != "time":
        started = time.perf_counter()
        texts = [paths[index].text for index in finished]
        choice = _ask_choice(generator, messages, texts, options, deadline=deadline, stop=stop)
        timings["choose"] = milliseconds_since(started)
        usage["choose"] = choice.usage
        winner = votes.parse_choice(choice.text, len(finished)) if choice.finished else None
    chosen_by: ChosenBy = "choice"
    if winner is None:
        winner, chosen_by = _vote(answers)
    return ReasoningResult(
        paths=paths,
        chosen=finished[winner],
        chosen_by=chosen_by,
        saved=reasoning.paths - len(finished) - sampler.failures if end == "decided" else 0,
        timings=timings,
        usage={stage: tokens for stage, tokens in usage.items() if tokens is not None},
    )


def _check_generator(generator: Generator) -> None:
    if not generator.spec.follows_instructions:
        raise InputError(
            f"the generator {generator.spec.name!r} cannot reason: use local, local:FILE.gguf,"
            " openai:MODEL or qwen2-audio:FOLDER"
        )


def _vote(answers: Sequence[str]) -> tuple[int, ChosenBy]:
    """Index of an answer of the majority, or of the first answer without one."""
    winner = votes.majority(answers)
    return (0, "first") if winner is None else (winner, "majority")


def reasoning_messages(messages: Sequence[Message]) -> list[Message]:
    """Replace the instruction by one to reason, and append the chain-of-thought trigger."""
    *earlier, last = messages
    instruction = TextPart(INSTRUCTION)
    parts = tuple(REASONING_INSTRUCTION if part == instruction else part for part in last.parts)
    if REASONING_INSTRUCTION not in parts:
        parts = (*parts, REASONING_INSTRUCTION)
    return [*earlier, Message(last.role, (*parts, TextPart(COT_TRIGGER)))]


def choice_messages(messages: Sequence[Message], responses: Sequence[str]) -> list[Message]:
    """Build the messages of Universal Self-Consistency: question, numbered responses, choice."""
    response_parts = (
        TextPart(f"Response {number}: {text.strip()}")
        for number, text in enumerate(responses, start=1)
    )
    instruction = TextPart(CHOICE_INSTRUCTION.format(count=len(responses)))
    return [
        Message("system", (TextPart(CHOICE_SYSTEM),)),
        Message("user", (find_question(messages), *response_parts, instruction)),
    ]


def _create_sampler(
    generator: Generator,
    messages: Sequence[Message],
    options: GenerateOptions,
    reasoning: ReasoningOptions,
) -> PathSampler:
    path_options = replace(
        options,
        max_tokens=reasoning.max_tokens,
        temperature=reasoning.temperature if reasoning.paths > 1 else options.temperature,
        # A fixed default: the same question gives the same paths again.
        seed=options.seed or 0,
    )
    return PathSampler(
        generator,
        reasoning_messages(messages) if reasoning.think else list(messages),
        path_options,
        reasoning.paths,
        concurrency=reasoning.concurrency,
        adaptive=reasoning.adaptive,
        parse_answer=votes.parse_answer if reasoning.think else str.strip,
    )


def _ask_choice(
    generator: Generator,
    messages: Sequence[Message],
    responses: Sequence[str],
    options: GenerateOptions,
    *,
    deadline: float | None,
    stop: StopSignal,
) -> ReasoningPath:
    """Ask the model to choose; the result is unfinished if it failed or ran out of time."""
    # A sampler of one path, for its deadline and its cancellation.
    greedy = replace(options, temperature=0.0, max_tokens=CHOICE_TOKENS, stop=())
    sampler = PathSampler(generator, choice_messages(messages, responses), greedy)
    sampler.run(deadline, stop)
    (path,) = sampler.paths() or (ReasoningPath("", finished=False),)
    return path


def _explain_failure(
    generator: Generator, reasoning: ReasoningOptions, paths: Sequence[ReasoningPath]
) -> str:
    model = generator.spec.endpoint or generator.spec.name
    errors = list(dict.fromkeys(path.error for path in paths if path.error != STOPPED))
    if not errors:
        return (
            f"{model}: none of {reasoning.paths} paths was finished within {reasoning.budget:g} s:"
            " allow more time, or ask a faster model"
        )
    return f"{model}: none of {reasoning.paths} paths was finished: {'; '.join(errors)}"


def _total_usage(paths: Sequence[ReasoningPath]) -> Usage | None:
    usages = [path.usage for path in paths if path.usage is not None]
    if not usages:
        return None
    return Usage(sum(usage.input for usage in usages), sum(usage.output for usage in usages))
