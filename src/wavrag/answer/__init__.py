"""From hits to a checked answer: context, history, reasoning, grounding, abstention, streaming."""

from wavrag.answer.context import QUOTED, ContextOptions, build_context
from wavrag.answer.grounding import (
    MIN_DENSE,
    AbstainOptions,
    GroundingOptions,
    check,
    mark_unsupported,
    should_abstain,
)
from wavrag.answer.history import HistoryOptions
from wavrag.answer.options import AnswerOptions
from wavrag.answer.pipeline import CANDIDATES, NOTHING_FOUND, AnswerPipeline, AnswerRequest
from wavrag.answer.reasoning import ReasoningOptions, reason
from wavrag.answer.sampling import PathSink
from wavrag.answer.stream import AnswerStream, RetrievalResult
from wavrag.answer.votes import normalise as normalise_answer

__all__ = [
    "CANDIDATES",
    "MIN_DENSE",
    "NOTHING_FOUND",
    "QUOTED",
    "AbstainOptions",
    "AnswerOptions",
    "AnswerPipeline",
    "AnswerRequest",
    "AnswerStream",
    "ContextOptions",
    "GroundingOptions",
    "HistoryOptions",
    "PathSink",
    "ReasoningOptions",
    "RetrievalResult",
    "build_context",
    "check",
    "mark_unsupported",
    "normalise_answer",
    "reason",
    "should_abstain",
]
