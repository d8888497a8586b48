"""Map-reduce over sources: one answer from each source, then one answer from these.

For small models, easily confused by several sources. It wraps any writing generator.
"""

from __future__ import annotations

from collections import abc
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

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
from wavrag.generate.prompts import find_question, is_refusal, list_sources, replace_sources
from wavrag.text import sentences
from wavrag.types import Usage

PREFIX = "map-reduce:"


class MapReduceGenerator(Generator):
    """Queries a generator with each source separately, then with the partial answers.

    Sources without an answer are left out; a single partial answer is final. Each partial answer
    keeps the number of its source, so marks refer to the original sources.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    @property
    def spec(self) -> GeneratorSpec:
        """Capabilities of the generator, without batches and reasoning."""
        spec = self._generator.spec
        return replace(
            spec, name=f"{PREFIX}{spec.name}", follows_instructions=False, parallel=1,
            calls_tools=False,
        )  # fmt: skip

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Stream[str]:
        """Generate the answer as one string; its token counts include all partial answers.

        Raises:
            GenerationError: there is no question, or the generator failed.
        """
        find_question(messages)
        calls = _CallSequence(self._generator, options)
        return Stream(_generate(messages, calls), calls.stop.set)

    def close(self) -> None:
        """Free the model of the generator."""
        self._generator.close()


class _CallSequence:
    """Consecutive calls of a generator."""

    def __init__(self, generator: Generator, options: GenerateOptions) -> None:
        self.stop = StopSignal()  # ends the current call, and prevents the next
        self.usage: Usage | None = None  # total tokens; None if no call has reported any
        self._generator = generator
        self._options = options

    def run(self, messages: Sequence[Message]) -> str:
        """Return the complete output, or the output so far if it is stopped."""
        stream = Stream.of(self._generator.stream(messages, self._options))
        with self.stop.notify(stream.close), closing(stream):
            text = "".join(stream).strip()
        if stream.usage is not None:
            total = self.usage or Usage(0, 0)
            self.usage = Usage(total.input + stream.usage.input, total.output + stream.usage.output)
        return text


def _generate(
    messages: Sequence[Message], calls: _CallSequence
) -> abc.Generator[str, None, Usage | None]:
    partials = list(_map_sources(messages, calls))
    if len(partials) > 1 and not calls.stop.is_set:
        answer = calls.run(replace_sources(messages, partials))
        if not is_refusal(answer):
            answer = parse_citations(attribute(answer, partials), partials).text
    else:
        answer = "".join(map(_cite, partials))
    if answer and not calls.stop.is_set:
        yield answer
    return calls.usage


def _map_sources(messages: Sequence[Message], calls: _CallSequence) -> Iterator[SourcePart]:
    """Sources with their partial answers as text, without clips."""
    for source in list_sources(messages):
        if calls.stop.is_set:
            return
        output = calls.run(replace_sources(messages, [source]))
        # Its marks are removed: `_cite` or `attribute` adds the number of the source later.
        text = parse_citations(output, []).text
        if text and not is_refusal(text):
            passage = replace(source.hit.passage, text=text)
            yield SourcePart(source.number, replace(source.hit, passage=passage))


def _cite(partial: SourcePart) -> str:
    """Add a mark to each sentence of a partial answer."""
    text = partial.hit.passage.text or ""
    return " ".join(f"{text[start:end]} [{partial.number}]" for start, end in sentences(text))
