"""A generator without a model, for tests."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from wavrag.generate import base
from wavrag.generate.base import AudioBudget, GenerateOptions, GeneratorSpec, Message, Stream
from wavrag.generate.prompts import question_of, sources_of
from wavrag.text import sentences
from wavrag.types import Usage


class FakeGenerator(base.Generator):
    """Answers with the first sentence of the first source and its mark, word by word.

    A token is a word: it reads those of the sources, and tells both counts.
    """

    # It accepts clips, so that tests of everything above the seam can pass some.
    spec = GeneratorSpec("fake", audio_budget=AudioBudget())

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Stream[str]:
        """At most `options.max_tokens` words; nothing if there is no source."""
        return Stream(self._pieces(messages, options))

    def _pieces(
        self, messages: Sequence[Message], options: GenerateOptions
    ) -> Generator[str, None, Usage]:
        question_of(messages)
        sources = sources_of(messages)
        read = sum(len((source.hit.passage.text or "").split()) for source in sources)
        written = 0
        for source in sources[:1]:
            text = source.hit.passage.text or source.hit.passage.location
            start, end = next(iter(sentences(text)), (0, len(text)))
            words = [*text[start:end].split(), f"[{source.number}]"][: options.max_tokens]
            for index, word in enumerate(words):
                written += 1
                yield f"{' ' if index else ''}{word}"
        return Usage(read, written)
