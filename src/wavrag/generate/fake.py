"""A generator without a model, for tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wavrag.generate.base import GenerateOptions, Message
from wavrag.generate.prompts import question_of, sources_of
from wavrag.text.sentences import sentences
from wavrag.types import Modality


class FakeGenerator:
    """Answers with the first sentence of the first source and its mark, word by word."""

    @property
    def name(self) -> str:
        """As `load_generator` takes it."""
        return "fake"

    @property
    def modalities(self) -> frozenset[Modality]:
        """It takes sources of both kinds, and reads only their words."""
        return frozenset({"text", "audio"})

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[str]:
        """At most `options.max_tokens` words; nothing if there is no source."""
        question_of(messages)
        for source in sources_of(messages)[:1]:
            text = source.hit.passage.text or source.hit.passage.place
            start, end = next(iter(sentences(text)), (0, len(text)))
            words = [*text[start:end].split(), f"[{source.number}]"][: options.max_tokens]
            for index, word in enumerate(words):
                yield f"{' ' if index else ''}{word}"
