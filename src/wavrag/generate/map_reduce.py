"""Map-reduce over sources: one answer from each source, then one answer from these.

For small models, easily confused by several sources. It wraps any writing generator.
"""

from __future__ import annotations

from collections import abc
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from wavrag.generate.base import (
    GenerateOptions,
    Generator,
    GeneratorSpec,
    Message,
    SourcePart,
    StopSignal,
    Stream,
)
from wavrag.generate.citation_marks import attribute, parse_citations
from wavrag.generate.prompts import declines, question_of, sources_of
from wavrag.text import sentences
from wavrag.types import Usage

PREFIX = "map-reduce:"


@dataclass(frozen=True, slots=True, eq=False)
class PartialAnswer:
    """The answer from a single source.

    Attributes:
        source: the source.
        text: the answer, without marks.
    """

    source: SourcePart
    text: str


class MapReduceGenerator(Generator):
    """Queries a generator with each source separately, then with the partial answers.

    Sources without an answer are left out; a single partial answer is final. Each partial answer
    keeps the number of its source, so marks refer to the original sources.

    Args:
        generator: writes the partial answers and the final one.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    @property
    def spec(self) -> GeneratorSpec:
        """Capabilities of the generator, without batches and reasoning."""
        spec = self._generator.spec
        return replace(spec, name=f"{PREFIX}{spec.name}", follows_instructions=False, parallel=1)

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Stream[str]:
        """Generate the answer as one string; its token counts include all partial answers.

        Raises:
            GenerationError: there is no question, or the generator failed.
        """
        question_of(messages)
        calls = _CallSequence(self._generator, options)
        return Stream(_generate(messages, calls), calls.cancel)

    def close(self) -> None:
        """Free the model of the generator."""
        self._generator.close()


class _CallSequence:
    """Consecutive calls of a generator; any thread may cancel them.

    Attributes:
        usage: total tokens; None if no call has reported any.
    """

    def __init__(self, generator: Generator, options: GenerateOptions) -> None:
        self.usage: Usage | None = None
        self._generator = generator
        self._options = options
        self._stop = StopSignal()

    def run(self, messages: Sequence[Message]) -> str:
        """Return the complete output, or the output so far if it is cancelled."""
        stream = Stream.of(self._generator.stream(messages, self._options))
        with self._stop.notify(stream.close), closing(stream):
            text = "".join(stream).strip()
        if stream.usage is not None:
            total = self.usage or Usage(0, 0)
            self.usage = Usage(total.input + stream.usage.input, total.output + stream.usage.output)
        return text

    @property
    def cancelled(self) -> bool:
        """True after `cancel`."""
        return self._stop.is_set

    def cancel(self) -> None:
        """Stop the current call, and start no other."""
        self._stop.set()


def _generate(
    messages: Sequence[Message], calls: _CallSequence
) -> abc.Generator[str, None, Usage | None]:
    partials = list(_map_sources(messages, calls))
    if len(partials) > 1 and not calls.cancelled:
        answer = _reduce(messages, partials, calls)
    else:
        answer = "".join(_cite(partial.text, partial.source.number) for partial in partials)
    if answer and not calls.cancelled:
        yield answer
    return calls.usage


def _map_sources(messages: Sequence[Message], calls: _CallSequence) -> Iterator[PartialAnswer]:
    for source in sources_of(messages):
        if calls.cancelled:
            return
        output = calls.run(_replace_sources(messages, {source.number: source}))
        # Its marks are removed: `_cite` or `attribute` adds the number of the source later.
        text = parse_citations(output, []).text
        if text and not declines(text):
            yield PartialAnswer(source, text)


def _reduce(
    messages: Sequence[Message], partials: Sequence[PartialAnswer], calls: _CallSequence
) -> str:
    """Generate the answer from the partial answers, at the positions of their sources."""
    answers = {partial.source.number: _to_source(partial) for partial in partials}
    output = calls.run(_replace_sources(messages, answers))
    sources = list(answers.values())
    if declines(output):
        return output
    return parse_citations(attribute(output, sources), sources).text


def _replace_sources(messages: Sequence[Message], sources: dict[int, SourcePart]) -> list[Message]:
    """Replace the sources with these numbers, and remove all others."""
    output = []
    for message in messages:
        parts = [
            sources.get(part.number) if isinstance(part, SourcePart) else part
            for part in message.parts
        ]
        output.append(Message(message.role, tuple(part for part in parts if part is not None)))
    return output


def _to_source(partial: PartialAnswer) -> SourcePart:
    """The source with the partial answer as its text and without its clip."""
    hit = partial.source.hit
    passage = replace(hit.passage, text=partial.text)
    return SourcePart(partial.source.number, replace(hit, passage=passage))


def _cite(text: str, number: int) -> str:
    """Add a mark to each sentence."""
    return " ".join(f"{text[start:end]} [{number}]" for start, end in sentences(text))
