"""One answer a passage, then one of these answers: an option beside reading all at once.

A small model that loses its way among several sources reads one at a time. It wraps any generator
and is one itself.
"""

from __future__ import annotations

from collections.abc import Generator as Pieces
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
from wavrag.generate.citations import attribute, parse_citations
from wavrag.generate.prompts import declines, question_of, sources_of
from wavrag.text import sentences
from wavrag.types import Usage

PREFIX = "map-reduce:"


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """What one passage gave.

    Attributes:
        source: the passage under its number.
        text: the answer from it alone, without marks.
    """

    source: SourcePart
    text: str


class MapReduceGenerator(Generator):
    """Asks a generator about each source alone, and then about what it answered.

    Sources from which nothing was answered are left out; if one answered, its answer stands. The
    marks of the whole name the original sources: each partial answer keeps the number of its own.

    Args:
        generator: writes the partial answers and the whole.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    @property
    def spec(self) -> GeneratorSpec:
        """Capabilities of the generator, without batches."""
        spec = self._generator.spec
        return replace(spec, name=f"{PREFIX}{spec.name}", follows_instructions=False, parallel=1)

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Stream[str]:
        """The answer in one piece, every statement with the mark of a passage that gave it.

        The tokens are those of all that was written for it.

        Raises:
            GenerationError: there is no question, or the generator failed.
        """
        question_of(messages)
        calls = _Calls(self._generator, options)
        return Stream(_pieces(messages, calls), calls.cancel)

    def partials(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[Partial]:
        """The answer from each source alone, where there is one, in the order of the sources."""
        return _partials(messages, _Calls(self._generator, options))

    def close(self) -> None:
        """Release the generator's model, if it holds one."""
        self._generator.close()


class _Calls:
    """Calls of a generator one after the other, which any thread may cancel.

    Attributes:
        usage: tokens of the calls that have told them; None as long as none has.
    """

    def __init__(self, generator: Generator, options: GenerateOptions) -> None:
        self.usage: Usage | None = None
        self._generator = generator
        self._options = options
        self._stop = StopSignal()

    def write(self, messages: Sequence[Message]) -> str:
        """All that the generator writes; what it has written when it is cancelled."""
        pieces = Stream.of(self._generator.stream(messages, self._options))
        with self._stop.notify(pieces.close), closing(pieces):
            text = "".join(pieces).strip()
        if pieces.usage is not None:
            before = self.usage or Usage(0, 0)
            self.usage = Usage(
                before.input + pieces.usage.input, before.output + pieces.usage.output
            )
        return text

    @property
    def cancelled(self) -> bool:
        """Whether nothing more is to be written."""
        return self._stop.is_set

    def cancel(self) -> None:
        """End the call that is under way, and make no more."""
        self._stop.set()


def _pieces(messages: Sequence[Message], calls: _Calls) -> Pieces[str, None, Usage | None]:
    partials = list(_partials(messages, calls))
    if len(partials) > 1 and not calls.cancelled:
        whole = _combined(messages, partials, calls)
    else:
        whole = "".join(_marked(one.text, one.source.number) for one in partials)
    if whole and not calls.cancelled:
        yield whole
    return calls.usage


def _partials(messages: Sequence[Message], calls: _Calls) -> Iterator[Partial]:
    for source in sources_of(messages):
        if calls.cancelled:
            return
        written = calls.write(_with_sources(messages, {source.number: source}))
        text = parse_citations(written, []).text
        if text and not declines(text):
            yield Partial(source, text)


def _combined(messages: Sequence[Message], partials: Sequence[Partial], calls: _Calls) -> str:
    """The answer from the partial answers, which stand where their sources stood."""
    answers = {one.source.number: _as_source(one) for one in partials}
    written = calls.write(_with_sources(messages, answers))
    sources = list(answers.values())
    if declines(written):
        return written
    return parse_citations(attribute(written, sources), sources).text


def _with_sources(messages: Sequence[Message], sources: dict[int, SourcePart]) -> list[Message]:
    """The messages with these sources in the places of those with their numbers, and no others."""
    made = []
    for message in messages:
        parts = [
            sources.get(part.number) if isinstance(part, SourcePart) else part
            for part in message.parts
        ]
        made.append(Message(message.role, tuple(part for part in parts if part is not None)))
    return made


def _as_source(partial: Partial) -> SourcePart:
    """The partial answer in the place of its passage's words; the sound has been heard."""
    hit = partial.source.hit
    words = replace(hit.passage, text=partial.text)
    return SourcePart(partial.source.number, replace(hit, passage=words))


def _marked(text: str, number: int) -> str:
    """A text with a mark at the end of each sentence."""
    pieces = [text[start:end] for start, end in sentences(text)]
    return " ".join(f"{piece} [{number}]" for piece in pieces)
