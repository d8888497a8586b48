"""Options common to all answers of a `WavRAG`."""

from __future__ import annotations

from dataclasses import dataclass

from wavrag.answer.abstention import MIN_DENSE, NO_THRESHOLD
from wavrag.answer.context import EXTRACTIVE_CONTEXT, ContextOptions


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """Options of the answers of a `WavRAG`.

    Attributes:
        context: selection of the hits for the generator; None for `EXTRACTIVE_CONTEXT` with a
            generator that quotes and for the defaults of `ContextOptions` with any other.
        min_dense: minimum cosine between question and best hit of an answer; -1 for no minimum,
            None for the measured minimum of the embedder (`MIN_DENSE`).
        transcribe: transcribe questions and retrieved recordings without a transcript, if the
            generator needs one. The recogniser is English.
    """

    context: ContextOptions | None = None
    min_dense: float | None = None
    transcribe: bool = True

    def resolve_context(self, quotes: bool) -> ContextOptions:
        """Context options for a quoting or for a writing generator."""
        return self.context or (EXTRACTIVE_CONTEXT if quotes else ContextOptions())

    def resolve_min_dense(self, embedder: str) -> float:
        """Minimum cosine for an embedder, by name."""
        return MIN_DENSE.get(embedder, NO_THRESHOLD) if self.min_dense is None else self.min_dense
