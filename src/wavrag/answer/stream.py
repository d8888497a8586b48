"""An answer as a stream: its text as the generator writes it, then the checked answer."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from wavrag.errors import GenerationError
from wavrag.generate import StopSignal, Stream
from wavrag.types import Answer, Hit


@dataclass(frozen=True, slots=True)
class RetrievalResult:
    """The sources of an answer, before it is written."""

    question: str | None  # the question as typed or as recognised; None without a transcript
    hits: tuple[Hit, ...]  # the passages for the generator, best first
    timings: dict[str, float]  # milliseconds of each stage so far
    # text of a typed question with corrected spelling, which was searched too
    suggestion: str | None = None


class AnswerStream:
    """An answer in progress: iterate over its text, then read `answer`.

    The text of `answer` can differ from the streamed text: marks without a source are removed,
    missing marks are added, and an answer without support is replaced by `NOTHING_FOUND`.

    Example:
        >>> stream = rag.stream("Are dogs allowed on the ferry?")
        >>> for text in stream:
        ...     print(text, end="", flush=True)
        >>> print(stream.answer.citations)
    """

    def __init__(
        self, outputs: Generator[str | RetrievalResult | Answer, None, None], stop: StopSignal
    ) -> None:
        self._outputs = Stream(outputs, stop.set)
        self._retrieval: RetrievalResult | None = None
        self._answer: Answer | None = None

    def __iter__(self) -> Iterator[str]:
        for output in self._outputs:
            match output:
                case RetrievalResult():
                    self._retrieval = output
                case Answer():
                    self._answer = output
                case _:
                    yield output

    def close(self) -> None:
        """Stop the answer, from any thread.

        A waiting thread reaches the end of the stream. Requests to a server are cancelled.
        """
        self._outputs.close()

    @property
    def retrieval(self) -> RetrievalResult:
        """The sources of the answer; searches first if nothing has been read from the stream.

        Raises:
            GenerationError: the stream was closed before.
        """
        if self._retrieval is None:
            output = next(self._outputs, None)
            if not isinstance(output, RetrievalResult):
                raise GenerationError("the stream was closed before the search: ask again")
            self._retrieval = output
        return self._retrieval

    @property
    def answer(self) -> Answer:
        """The complete, checked answer; reads the stream to its end.

        Raises:
            GenerationError: the generator failed, or the stream was closed before its end.
        """
        for _ in self:
            pass
        if self._answer is None:
            raise GenerationError("the stream was closed before the answer was complete: ask again")
        return self._answer
