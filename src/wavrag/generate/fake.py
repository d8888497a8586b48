"""A generator without a model, for tests."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from wavrag.generate import base
from wavrag.generate.base import AudioBudget, GenerateOptions, GeneratorSpec, Message
from wavrag.generate.prompts import find_question, list_sources
from wavrag.text import sentences
from wavrag.types import Usage


class FakeGenerator(base.Generator):
    """Answers with the first sentence of the first source and its mark, word by word.

    Its tokens are words: it counts those of the sources as input.
    """

    # With audio, so that tests of everything above the seam can pass clips to it.
    spec = GeneratorSpec("fake", audio_budget=AudioBudget())

    def stream(
        self, messages: Sequence[Message], options: GenerateOptions
    ) -> Generator[str, None, Usage]:
        """Generate at most `options.max_tokens` words; nothing without sources."""
        find_question(messages)  # raises an error if there is none, as every generator does
        sources = list_sources(messages)
        input_tokens = sum(len((source.hit.passage.text or "").split()) for source in sources)
        output_tokens = 0
        for source in sources[:1]:
            text = source.hit.passage.text or source.hit.passage.location
            start, end = next(iter(sentences(text)), (0, len(text)))
            words = [*text[start:end].split(), f"[{source.number}]"][: options.max_tokens]
            for index, word in enumerate(words):
                output_tokens += 1
                yield f"{' ' if index else ''}{word}"
        return Usage(input_tokens, output_tokens)
