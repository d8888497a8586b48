"""The probability that retrieved passages answer a question.

One logistic model decides for typed and spoken questions, texts and recordings, and every
generator. `benchmarks/answerability.py --fit` fits it on training questions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from wavrag.answer.context import EXTRACTIVE_CONTEXT, build_context
from wavrag.generate import SourcePart, rank_quotes
from wavrag.search import remove_overlaps
from wavrag.types import Hit

# Of an answer. On the training questions, 15 of 100 without an answer get one with this value.
# `benchmarks/answerability.py` measures it and others on held-out questions.
MIN_PROBABILITY = 0.3
NO_ESTIMATE = 0.5  # where neither scores nor words tell whether there is an answer
SMALLEST_SCORE = 1e-6  # the log odds of 0 and 1 are infinite


@dataclass(frozen=True, slots=True)
class AnswerFeatures:
    """Evidence that passages answer a question.

    Attributes:
        score: log odds of the best fused score (`wavrag.search.score_fusion`).
        evidence: of the best sentence: cosine of its passage, and weighted share of the question's
            words in it (`wavrag.generate.rank_quotes`).
        overlap: that share alone; None if the question or the best passage has no words.
    """

    score: float
    evidence: float
    overlap: float | None


@dataclass(frozen=True, slots=True)
class AnswerWeights:
    """Weights of the log odds that the passages answer the question."""

    bias: float
    score: float
    evidence: float
    overlap: float


# Features that did not help on training questions: coverage of the question's words by the best
# passage, the rarest missing word, an answer of the type asked for (who, when, how many), agreement
# of the legs, words outside the knowledge base, cosines of question and single sentences.
FITTED = AnswerWeights(bias=-3.16, score=1.28, evidence=11.0, overlap=0.0)
# Cosines on other scales are mapped to a fixed range per query: only words tell absence.
UNCALIBRATED = AnswerWeights(bias=0.71, score=2.0, evidence=0.0, overlap=4.0)
# Without words there are no training questions: a cosine of .4 reaches `MIN_PROBABILITY`.
WORDLESS = AnswerWeights(bias=-4.85, score=0.0, evidence=10.0, overlap=0.0)


def estimate_answerability(
    question: str | None, hits: Sequence[Hit], *, calibrated: bool = True
) -> float:
    """Estimate the probability from 0 to 1 that one of the passages answers the question.

    Args:
        question: typed or recognised; None without words.
        hits: retrieved passages, best first, with scores of `score_fusion`.
        calibrated: the cosines are on the scale of the training questions
            (`EmbedderSpec.calibrated`). Otherwise words decide, and without words the result is
            `NO_ESTIMATE`.
    """
    features = answer_features(question, hits)
    if features is None:
        return 0.0
    if features.overlap is None and not calibrated:
        return NO_ESTIMATE
    weights = FITTED if calibrated else UNCALIBRATED
    if features.overlap is None:
        weights = WORDLESS
    odds = weights.bias + weights.score * features.score + weights.evidence * features.evidence
    return 1 / (1 + math.exp(-odds - weights.overlap * (features.overlap or 0.0)))


def answer_features(question: str | None, hits: Sequence[Hit]) -> AnswerFeatures | None:
    """Compute the features of `estimate_answerability`; None without a passage to quote."""
    sources = build_context(remove_overlaps(hits), EXTRACTIVE_CONTEXT).hits
    quotes = rank_quotes(
        question, [SourcePart(number, hit) for number, hit in enumerate(sources, start=1)]
    )
    if not quotes:
        return None
    # Not that of the first hit: a reranker may have moved another one there.
    best = max(hit.score for hit in hits)
    score = min(max(best, SMALLEST_SCORE), 1 - SMALLEST_SCORE)
    overlaps = [quote.overlap for quote in quotes if quote.overlap is not None]
    if not hits[0].passage.text:
        overlaps = []
    return AnswerFeatures(
        score=math.log(score / (1 - score)),
        evidence=max(quote.evidence for quote in quotes),
        overlap=max(overlaps, default=None),
    )
