"""The decision to answer "I don't know" instead of an answer without support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from wavrag.types import Abstention, Hit, Support

# Thresholds of the cosine between question and best hit, by embedder: the ones that
# `benchmarks/grounding.py` measured. Cosines of other embedders are on another scale.
MIN_DENSE: Mapping[str, float] = MappingProxyType(
    dict.fromkeys(("wavretriever", "wavretriever-fast", "cascade", "minilm"), 0.4)
)
NO_THRESHOLD = -1.0


def should_abstain(
    hits: Sequence[Hit],
    support: Sequence[Support] | None = None,
    *,
    min_dense: float = NO_THRESHOLD,
) -> Abstention | None:
    """Decide whether to abstain, from the hits and from the check of the answer.

    Args:
        hits: retrieved passages.
        support: result of `check_citations`; None before there is an answer.
        min_dense: minimum cosine between question and best hit. Hits of the lexical leg alone have
            no cosine and pass.

    Returns:
        The reason to abstain, or None. One supported sentence is enough for an answer; uncheckable
        sentences do not count.
    """
    if not hits:
        return Abstention("nothing retrieved", "no passage was found")
    cosines = [hit.legs["dense"] for hit in hits if "dense" in hit.legs]
    if cosines and max(cosines) < min_dense:
        detail = f"the best cosine is {max(cosines):.2f}, below {min_dense:.2f}"
        return Abstention("weak retrieval", detail)
    verdicts = [sentence.supported for sentence in support or () if sentence.checkable]
    if verdicts and not any(verdicts):
        detail = f"0 of {len(verdicts)} sentences are supported by their citations"
        return Abstention("nothing supported", detail)
    return None
