"""From hits to a checked answer.

`pipeline` lists the stages; `context` selects the hits, `history` resolves follow-ups, `sources`
loads audio, `reasoning` samples and chooses, `citation_check` compares an answer with the passages
that it cites, and `abstention` decides when to say nothing.
"""

from wavrag.answer.abstention import should_abstain
from wavrag.answer.answerability import (
    MIN_PROBABILITY,
    AnswerFeatures,
    answer_features,
    estimate_answerability,
)
from wavrag.answer.citation_check import (
    CitationCheckOptions,
    EmbedTexts,
    check_citations,
    flag_unsupported_sentences,
)
from wavrag.answer.context import EXTRACTIVE_CONTEXT, ContextOptions, build_context
from wavrag.answer.pipeline import (
    CANDIDATES,
    NOTHING_FOUND,
    AnswerOptions,
    AnswerPipeline,
    AnswerRequest,
)
from wavrag.answer.reasoning import ReasoningOptions, reason
from wavrag.answer.sampling import PathCallback
from wavrag.answer.stream import AnswerStream, RetrievalResult
from wavrag.answer.votes import normalise as normalise_answer

__all__ = [
    "CANDIDATES", "EXTRACTIVE_CONTEXT", "MIN_PROBABILITY", "NOTHING_FOUND",
    "AnswerFeatures", "AnswerOptions", "AnswerPipeline", "AnswerRequest", "AnswerStream",
    "CitationCheckOptions", "ContextOptions", "EmbedTexts", "PathCallback", "ReasoningOptions",
    "RetrievalResult", "answer_features", "build_context", "check_citations",
    "estimate_answerability", "flag_unsupported_sentences", "normalise_answer", "reason",
    "should_abstain",
]  # fmt: skip
