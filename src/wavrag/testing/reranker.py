"""Conformance kit for the reranker interface: subclass it and provide one fixture."""

from __future__ import annotations

import numpy as np

from wavrag.search import Reranker

QUERY = "where do bees dance?"
PASSAGES = (
    "Bees dance to show where flowers are.",
    "Wer schrieb Hamlet? 谁写的?",
    # Longer than the context of any cross-encoder, which must not truncate it.
    "many words " * 400,
    "bees",
)


class RerankerConformance:
    """Tests of the reranker interface.

    A subclass provides the fixture `reranker`. If scores may differ between a batch and single
    passages, it also sets `batch_tolerance`, the largest difference.

    Example:
        >>> from wavrag.embed import FakeReranker
        >>> class TestFakeReranker(RerankerConformance):
        ...     @pytest.fixture
        ...     def reranker(self) -> FakeReranker:
        ...         return FakeReranker()
    """

    batch_tolerance = 0.0

    def test_scores_are_from_0_to_1(self, reranker: Reranker) -> None:
        scores = reranker.score(QUERY, PASSAGES)
        assert scores.shape == (len(PASSAGES),)
        assert scores.dtype == np.float32
        assert ((scores >= 0) & (scores <= 1)).all()

    def test_no_passages_give_no_scores(self, reranker: Reranker) -> None:
        assert reranker.score(QUERY, []).shape == (0,)

    def test_a_batch_equals_one_by_one(self, reranker: Reranker) -> None:
        single = np.concatenate([reranker.score(QUERY, [passage]) for passage in PASSAGES])
        batch = reranker.score(QUERY, PASSAGES)
        np.testing.assert_allclose(batch, single, atol=self.batch_tolerance)

    def test_a_long_query_is_scored(self, reranker: Reranker) -> None:
        assert np.isfinite(reranker.score("many words " * 400, PASSAGES[:1])).all()
