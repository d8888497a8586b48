"""The generator seam: messages in, text out as a stream.

A message is made of parts. Sources stay structured until a generator renders them, so that one
that quotes can quote, one that reads can read, and one that hears can listen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from wavrag.types import Clip, Hit, Modality


@dataclass(frozen=True, slots=True)
class TextPart:
    """Instructions or other words, given to the model as they are."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class QuestionPart:
    """What is asked: words, the recording of them, or both."""

    text: str | None
    clip: Clip | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SourcePart:
    """A retrieved passage under the number by which an answer cites it, from 1."""

    number: int
    hit: Hit
    clip: Clip | None = None


Part: TypeAlias = TextPart | QuestionPart | SourcePart


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the conversation."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class GenerateOptions:
    """How to write.

    Attributes:
        max_tokens: longest answer.
        temperature: 0 is greedy.
        seed: for sampling, where the model takes one.
        stop: strings that end the answer.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


@runtime_checkable
class Generator(Protocol):
    """Writes answers."""

    @property
    def name(self) -> str:
        """As `load_generator` takes it."""
        ...

    @property
    def modalities(self) -> frozenset[Modality]:
        """`audio` is in it if it hears clips."""
        ...

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[str]:
        """Pieces of the answer as they are written; joined they are the answer.

        An empty stream says that the sources do not support an answer.

        Raises:
            GenerationError: the model could not be reached or failed.
        """
        ...
