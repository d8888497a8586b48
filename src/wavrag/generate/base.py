"""The generator interface: messages in, a stream of text out.

A message consists of parts. Sources stay structured until a generator renders them: an extractive
generator quotes their sentences, a language model reads them, and an audio-capable model gets their
audio.
"""

from __future__ import annotations

import math
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

from wavrag.errors import GenerationError, InputError
from wavrag.types import Clip, Hit, Modality, ToolCall, Usage

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class TextPart:
    """Instructions or other text, passed to the model unchanged."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class QuestionPart:
    """A question as text, as a clip, or as both."""

    text: str | None
    clip: Clip | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SourcePart:
    """A retrieved passage under its citation number.

    Attributes:
        number: citation number, from 1.
        hit: the retrieved passage.
        clip: its audio, for generators with an audio budget.
        facts: measurements of its audio in words (duration, level, speech); empty for text.
    """

    number: int
    hit: Hit
    clip: Clip | None = None
    facts: str = ""


MessagePart: TypeAlias = TextPart | QuestionPart | SourcePart


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[MessagePart, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function of the user that a generator may call.

    Attributes:
        name: its name.
        description: its purpose, for the model.
        parameters: JSON schema of its arguments.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a call; results with the same `round` were called together."""

    call: ToolCall
    output: str
    round: int = 0


@dataclass(frozen=True, slots=True)
class GenerateOptions:
    """Decoding options.

    Attributes:
        max_tokens: maximum length of an answer.
        temperature: sampling temperature; 0 is greedy decoding.
        seed: random seed of the sampling, if the model accepts one.
        stop: strings that end the answer.
        prices: price of a million input tokens and of a million output tokens; None leaves the
            cost out.
        instructions: further instructions of the user, for a generator that follows them.
        tools: tools that the generator may call, if its spec has `calls_tools`.
        tool_choice: `auto`, `none`, `required`, or the name of the tool to call.
        tool_results: results of earlier calls for the same question, in order.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    prices: tuple[float, float] | None = None
    instructions: str = ""
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    tool_results: tuple[ToolResult, ...] = ()

    @property
    def uses_tools(self) -> bool:
        """True if tools can be called, or have been."""
        return bool(self.tools or self.tool_results)

    def cost(self, usages: Iterable[Usage]) -> float | None:
        """Total cost of the tokens, in the currency of the prices; None without prices."""
        if self.prices is None:
            return None
        input_price, output_price = self.prices
        return sum(u.input * input_price + u.output * output_price for u in usages) / 1e6


@dataclass(frozen=True, slots=True)
class AudioBudget:
    """Limits on the audio in one request.

    Attributes:
        max_clip_seconds: maximum duration of a clip.
        max_seconds: maximum total duration of all clips.
        max_tokens: maximum number of audio tokens.
        tokens_per_second: audio tokens per second of a clip.
        padded_seconds: the model pads clips to a multiple of this duration; 0 for no padding.
        max_clips: maximum number of clips.
    """

    max_clip_seconds: float = 30.0
    max_seconds: float = 120.0
    max_tokens: int = 3_000
    tokens_per_second: float = 25.0
    padded_seconds: float = 0.0
    max_clips: int = 8

    def __post_init__(self) -> None:
        if min(self.max_clip_seconds, self.max_seconds, self.tokens_per_second) <= 0:
            raise InputError(f"{self}: give seconds and tokens a second more than 0")
        if min(self.max_tokens, self.max_clips) < 1 or self.padded_seconds < 0:
            raise InputError(f"{self}: allow at least 1 clip and 1 token, padded to 0 s or more")

    def tokens(self, seconds: float) -> int:
        """Audio tokens of a clip of this duration."""
        if self.padded_seconds:
            seconds = math.ceil(seconds / self.padded_seconds) * self.padded_seconds
        # Rounded first: 0.28 s x 25 tokens/s is 7.000000000000001 in floating point.
        return math.ceil(round(seconds * self.tokens_per_second, 6))


@dataclass(frozen=True, slots=True)
class GeneratorSpec:
    """Identity and capabilities of a generator.

    Attributes:
        name: its name in `load_generator`.
        follows_instructions: True for a language model with instruction tuning; it can be asked to
            reason step by step and to choose among answers.
        quotes: True for an extractive generator: it ranks and quotes sentences, and writes no text
            of its own.
        parallel: number of answers to one prompt in a batch of `stream_many`.
        audio_budget: limits on the audio in a request; None for text only.
        endpoint: address of the server in error messages; empty for a model in this process.
        calls_tools: True if it may call the tools of `GenerateOptions`.
    """

    name: str
    follows_instructions: bool = True
    quotes: bool = False
    parallel: int = 1
    audio_budget: AudioBudget | None = None
    endpoint: str = ""
    calls_tools: bool = False

    @property
    def modalities(self) -> frozenset[Modality]:
        """`text`, and `audio` with an audio budget."""
        return frozenset({"text"} if self.audio_budget is None else {"text", "audio"})


class Stream(Generic[T_co]):
    """Output of a generator as it is produced.

    Attributes:
        usage: token counts, known after the last piece; None if the generator does not report them.
        tool_calls: calls of tools, known after the last piece.
    """

    def __init__(self, output: Iterator[T_co], abort: Callable[[], object] | None = None) -> None:
        """Wrap an iterator.

        Args:
            output: text; a Python generator returns its `Usage`, or an `AnswerEnd`.
            abort: unblocks a thread that waits for the next piece; any thread may call it.
        """
        self.usage: Usage | None = None
        self.tool_calls: tuple[ToolCall, ...] = ()
        self._output = output
        self._abort = abort
        self._closed = False

    @classmethod
    def of(cls, output: Iterator[T_co]) -> Stream[T_co]:
        """Wrap an iterator, unless it is a `Stream` already."""
        return output if isinstance(output, Stream) else Stream(iter(output))

    def __iter__(self) -> Iterator[T_co]:
        return self

    def __next__(self) -> T_co:
        if self._closed:
            raise StopIteration
        try:
            return next(self._output)
        except StopIteration as end:
            match end.value:
                case Usage():
                    self.usage = end.value
                case AnswerEnd():
                    self.usage, self.tool_calls = end.value.usage, end.value.tool_calls
            raise
        except GenerationError:
            # A connection that `close` has cut fails in the reading thread: that is the end.
            if self._closed:
                raise StopIteration from None
            raise

    def close(self) -> None:
        """Stop the generation, from any thread; a thread that waits for a piece reaches the end."""
        self._closed = True
        if self._abort is not None:
            self._abort()
        close = getattr(self._output, "close", None)  # Python generators have it, iterators do not
        if close is not None:
            with suppress(ValueError):  # it is running in another thread, which will end it
                close()


@dataclass(frozen=True, slots=True)
class AnswerEnd:
    """The end of an answer, in the output of `stream_many` or returned by a Python generator."""

    usage: Usage | None = None
    tool_calls: tuple[ToolCall, ...] = ()


class StopSignal:
    """A request to stop. Any thread may set it; listeners are called at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], object]] = []
        self.is_set = False

    def set(self) -> None:
        """Request the stop."""
        with self._lock:
            self.is_set = True
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    @contextmanager
    def notify(self, listener: Callable[[], object]) -> Iterator[None]:
        """Call a function if the signal is set before or while the block runs."""
        with self._lock:
            self._listeners.append(listener)
            is_set = self.is_set
        if is_set:
            listener()
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)


@runtime_checkable
class Generator(Protocol):
    """Writes answers. A subclass defines `spec` and `stream`; the rest has defaults.

    Example:
        >>> class Echo(Generator):
        ...     spec = GeneratorSpec("echo", follows_instructions=False)
        ...     def stream(self, messages, options):
        ...         for s in list_sources(messages):
        ...             yield f"{s.hit.passage.text} [{s.number}]"
    """

    @property
    @abstractmethod
    def spec(self) -> GeneratorSpec:
        """Identity and capabilities."""
        ...

    @abstractmethod
    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[str]:
        """Generate one answer as a stream of text pieces.

        An empty stream without tool calls means that the sources do not support an answer. Return a
        `Stream` to report token counts and to let any thread stop the generation.

        Raises:
            GenerationError: the model failed or could not be reached.
        """
        ...

    def stream_many(
        self, messages: Sequence[Message], options: GenerateOptions, count: int
    ) -> Iterator[tuple[int, str | AnswerEnd]]:
        """Generate several answers to one prompt as `(index, piece)`, each with an `AnswerEnd`.

        The seed of an answer is `options.seed` plus its index. By default, answers are generated
        one after the other; a generator with `spec.parallel` above 1 computes them in batches.

        Raises:
            GenerationError: as for `stream`.
        """
        for index in range(count):
            seed = None if options.seed is None else options.seed + index
            stream = Stream.of(self.stream(messages, replace(options, seed=seed)))
            for text in stream:
                yield index, text
            yield index, AnswerEnd(stream.usage)

    def close(self) -> None:
        """Free the model; the default does nothing."""
        # With an empty body, mypy would take the method for abstract.
        return
