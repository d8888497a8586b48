"""The decision to answer "I don't know" instead of an answer without support."""

from __future__ import annotations

from collections.abc import Sequence

from wavrag.types import Abstention, Hit, Support


def should_abstain(
    hits: Sequence[Hit],
    support: Sequence[Support] | None = None,
    *,
    probability: float = 1.0,
    min_probability: float = 0.0,
) -> Abstention | None:
    """Decide whether to abstain, from the hits and from the check of the answer.

    Args:
        hits: retrieved passages.
        support: result of `check_citations`; None before there is an answer.
        probability: estimate that the hits answer the question (`estimate_answerability`).
        min_probability: minimum of it.

    Returns:
        The reason to abstain, or None. One supported sentence is enough for an answer; uncheckable
        sentences do not count.
    """
    if not hits:
        return Abstention("nothing retrieved", "no passage was found")
    if probability < min_probability:
        detail = (
            f"the probability that these passages answer it is {probability:.2f}, below"
            f" {min_probability:.2f}"
        )
        return Abstention("weak retrieval", detail)
    verdicts = [sentence.supported for sentence in support or () if sentence.checkable]
    if verdicts and not any(verdicts):
        detail = f"0 of {len(verdicts)} sentences are supported by their citations"
        return Abstention("nothing supported", detail)
    return None
