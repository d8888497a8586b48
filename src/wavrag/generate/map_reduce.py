"""One answer a passage, then one of these answers: an option beside reading all at once.

A small model that loses its way among several sources reads one at a time. It wraps any generator
and is one itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from wavrag.generate.base import GenerateOptions, Generator, Message, SourcePart
from wavrag.generate.citations import attribute, parse_citations
from wavrag.generate.hearing import HearingOptions, hearing_of
from wavrag.generate.prompts import declines, question_of, sources_of
from wavrag.text.sentences import sentences
from wavrag.types import Modality


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """What one passage gave.

    Attributes:
        source: the passage under its number.
        text: the answer from it alone, without marks.
    """

    source: SourcePart
    text: str


class MapReduceGenerator:
    """Asks a generator about each source alone, and then about what it answered.

    Sources from which nothing was answered are left out; if one answered, its answer stands. The
    marks of the whole name the original sources: each partial answer keeps the number of its own.

    Args:
        generator: writes the partial answers and the whole.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    @property
    def name(self) -> str:
        """That of the generator, with `map-reduce:` before it."""
        return f"map-reduce:{self._generator.name}"

    @property
    def modalities(self) -> frozenset[Modality]:
        """Those of the generator."""
        return self._generator.modalities

    @property
    def hearing(self) -> HearingOptions | None:
        """How much sound the generator is given; None if it only reads."""
        return hearing_of(self._generator)

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[str]:
        """The answer in one piece, every statement with the mark of a passage that gave it.

        Raises:
            GenerationError: there is no question, or the generator failed.
        """
        question_of(messages)
        partials = list(self.partials(messages, options))
        if len(partials) > 1:
            whole = self._combined(messages, partials, options)
        else:
            whole = "".join(_marked(one.text, one.source.number) for one in partials)
        if whole:
            yield whole

    def partials(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[Partial]:
        """The answer from each source alone, where there is one, in the order of the sources."""
        for source in sources_of(messages):
            written = "".join(
                self._generator.stream(_with_sources(messages, {source.number: source}), options)
            ).strip()
            text = parse_citations(written, []).text
            if text and not declines(text):
                yield Partial(source, text)

    def _combined(
        self, messages: Sequence[Message], partials: Sequence[Partial], options: GenerateOptions
    ) -> str:
        """The answer from the partial answers, which stand where their sources stood."""
        answers = {one.source.number: _as_source(one) for one in partials}
        written = "".join(self._generator.stream(_with_sources(messages, answers), options)).strip()
        sources = list(answers.values())
        if declines(written):
            return written
        return parse_citations(attribute(written, sources), sources).text

    def close(self) -> None:
        """Release the generator's model, if it holds one."""
        close = getattr(self._generator, "close", None)
        if close is not None:
            close()


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
