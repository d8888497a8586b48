"""The generator seam: messages in, text out as a stream.

A message is made of parts. Sources stay structured until a generator renders them, so that one
that quotes can quote, one that reads can read, and one that hears can listen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

from wavrag.errors import GenerationError
from wavrag.types import Clip, Hit, Modality, Usage

Written_co = TypeVar("Written_co", covariant=True)


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
    """A retrieved passage under the number by which an answer cites it, from 1.

    Attributes:
        number: that the answer cites it by.
        hit: the passage.
        clip: its sound, for generators that hear.
        facts: what was measured of its sound, in words; empty for text.
    """

    number: int
    hit: Hit
    clip: Clip | None = None
    facts: str = ""


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
        prices: of a million tokens that are read and written; None leaves the cost out.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    prices: tuple[float, float] | None = None

    def cost(self, usage: Iterable[Usage]) -> float | None:
        """What the tokens cost, in the currency of the prices; None without prices."""
        if self.prices is None:
            return None
        read, written = self.prices
        return sum(one.input * read + one.output * written for one in usage) / 1e6


class Stream(Generic[Written_co]):
    """What a model writes, piece by piece.

    Attributes:
        usage: tokens that it took, known when the stream has ended; None if nothing tells them.
    """

    def __init__(
        self, pieces: Iterator[Written_co], abort: Callable[[], object] | None = None
    ) -> None:
        """Wrap an iterator.

        Args:
            pieces: what is written; a `Usage` that a Python generator returns is kept.
            abort: wakes a thread that waits for the next piece; called by any thread.
        """
        self.usage: Usage | None = None
        self._pieces = pieces
        self._abort = abort
        self._closed = False

    @classmethod
    def of(cls, pieces: Iterator[Written_co]) -> Stream[Written_co]:
        """The stream itself, or one of what any other iterator gives."""
        return pieces if isinstance(pieces, Stream) else Stream(iter(pieces))

    def __iter__(self) -> Iterator[Written_co]:
        return self

    def __next__(self) -> Written_co:
        if self._closed:
            raise StopIteration
        try:
            return next(self._pieces)
        except StopIteration as end:
            if isinstance(end.value, Usage):
                self.usage = end.value
            raise
        except GenerationError:
            if self._closed:
                raise StopIteration from None
            raise

    def close(self) -> None:
        """End the work, from any thread; a thread that waits for a piece finds the stream ended."""
        self._closed = True
        if self._abort is not None:
            self._abort()
        close = getattr(self._pieces, "close", None)
        if close is not None:
            try:
                close()
            except ValueError:
                return  # another thread is in it, and ends it


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of one of several answers that are written at a time."""

    usage: Usage | None = None


class Stop:
    """A request to stop that any thread may make, and that reaches who listens."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], object]] = []
        self.asked = False

    def ask(self) -> None:
        """Ask to stop."""
        with self._lock:
            self.asked = True
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    @contextmanager
    def tells(self, listener: Callable[[], object]) -> Iterator[None]:
        """Call a function when somebody asks to stop while the block runs, or did before."""
        with self._lock:
            self._listeners.append(listener)
            asked = self.asked
        if asked:
            listener()
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)


@runtime_checkable
class Generator(Protocol):
    """Writes answers.

    A generator may have more, which is used where it is there:

    - `reasons`, True if it follows instructions, so that it can be asked to think and to choose;
    - `quotes`, True if it writes nothing of its own, and ranks what it is given itself;
    - `parallel` and `stream_many(messages, options, count)`: a stream of `(index, piece)`, where
      the last of an index is `Ended`: `count` answers to messages that are read once, at most
      `parallel`; their seeds follow `options.seed`;
    - `endpoint`, what an error calls it by;
    - `close()`, which frees its model.
    """

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

        An empty stream says that the sources do not support an answer. A `Stream` tells the tokens
        too, and can be closed by any thread.

        Raises:
            GenerationError: the model could not be reached or failed.
        """
        ...
