"""How answers are made from hits, whatever the generator."""

from __future__ import annotations

from dataclasses import dataclass, field

from wavrag.answer.context import QUOTED, ContextOptions
from wavrag.answer.grounding import MIN_DENSE, AbstainOptions, GroundingOptions
from wavrag.answer.history import HistoryOptions

ANY_COSINE = -1.0  # no gate: cosines of this embedder were not measured


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """What a generator is given, and what becomes of what it writes.

    Attributes:
        context: which hits a generator reads; None for `QUOTED` if it quotes, and the defaults of
            `ContextOptions` if it writes.
        history: how much of a conversation is kept in mind.
        grounding: when a sentence counts as supported.
        abstain: when nothing is answered; None for the least cosine that was measured for the
            embedder (`MIN_DENSE`), and none for others.
        recognise: whether recordings without words that can be quoted are recognised when they
            are to be read. The recogniser is English.
    """

    context: ContextOptions | None = None
    history: HistoryOptions = field(default_factory=HistoryOptions)
    grounding: GroundingOptions = field(default_factory=GroundingOptions)
    abstain: AbstainOptions | None = None
    recognise: bool = True

    def context_for(self, quotes: bool) -> ContextOptions:
        """Which hits a generator reads that quotes them, or that writes from them."""
        return self.context or (QUOTED if quotes else ContextOptions())

    def abstain_for(self, embedder: str) -> AbstainOptions:
        """When nothing is answered over the vectors of the embedder of that name."""
        return self.abstain or AbstainOptions(min_dense=MIN_DENSE.get(embedder, ANY_COSINE))
