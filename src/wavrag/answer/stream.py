"""An answer while it is written."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from wavrag.errors import GenerationError
from wavrag.generate import StopSignal
from wavrag.types import Answer, Hit


@dataclass(frozen=True, slots=True)
class RetrievalResult:
    """What an answer is to rest on, before it is written.

    Attributes:
        question: the question in words: as typed, or as it was recognised, if it was.
        hits: the passages that the generator is given, best first.
        timings: milliseconds for each stage so far.
    """

    question: str | None
    hits: tuple[Hit, ...]
    timings: dict[str, float]


class AnswerStream:
    """An answer while it is written: iterate over its pieces, then read `answer`.

    Pieces are as the generator writes them. The text of `answer` may differ from them: marks that
    name no source are gone, sentences without one may have theirs, and where nothing that is cited
    supports what was written, the answer says that nothing was found.
    """

    def __init__(
        self, pieces: Generator[str | RetrievalResult | Answer, None, None], stop: StopSignal
    ) -> None:
        self._pieces = pieces
        self._stop = stop
        self._retrieval: RetrievalResult | None = None
        self._answer: Answer | None = None

    def __iter__(self) -> Iterator[str]:
        for piece in self._pieces:
            match piece:
                case RetrievalResult():
                    self._retrieval = piece
                case Answer():
                    self._answer = piece
                case _:
                    yield piece

    def close(self) -> None:
        """Stop all that is written for the answer, from any thread.

        A thread that waits for a piece finds the stream ended. What was asked of a server is
        cancelled there.
        """
        self._stop.set()
        try:
            self._pieces.close()
        except ValueError:
            return  # another thread is in it, and ends it

    @property
    def retrieval(self) -> RetrievalResult:
        """What the answer is to rest on; searches now if nothing of the stream was read before.

        Raises:
            GenerationError: the stream was closed before.
        """
        if self._retrieval is None:
            first = next(self._pieces, None)
            if not isinstance(first, RetrievalResult):
                raise GenerationError("the stream was closed before anything was found: ask again")
            self._retrieval = first
        return self._retrieval

    @property
    def answer(self) -> Answer:
        """The whole answer with its citations; reads what is left of the stream.

        Raises:
            GenerationError: the generator failed, or the stream was closed before its end.
        """
        for _ in self:
            pass
        if self._answer is None:
            raise GenerationError("the stream was closed before its answer was there: ask again")
        return self._answer
