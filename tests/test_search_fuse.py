"""Reciprocal rank fusion against sums worked out by hand."""

from __future__ import annotations

import pytest

from wavrag.search import reciprocal_rank_fusion
from wavrag.types import Passage, ScoredPassage


def leg(*names, scores=None):
    values = scores or [1.0 - i / 10 for i in range(len(names))]
    return [ScoredPassage(Passage(name, 0), s) for name, s in zip(names, values, strict=True)]


def summary(hits):
    return [(hit.passage.document_id, hit.rank, hit.score) for hit in hits]


def test_by_hand():
    # a: 1/61 + 1/63, b: 1/62 + 1/61, c: 1/63, d: 1/62
    hits = reciprocal_rank_fusion({"dense": leg("a", "b", "c"), "lexical": leg("b", "d", "a")})
    assert summary(hits) == [
        ("b", 1, pytest.approx(1 / 62 + 1 / 61)),
        ("a", 2, pytest.approx(1 / 61 + 1 / 63)),
        ("d", 3, pytest.approx(1 / 62)),
        ("c", 4, pytest.approx(1 / 63)),
    ]


def test_scores_of_the_legs_are_kept():
    legs = {"dense": leg("a", scores=[0.5]), "lexical": leg("b", "a", scores=[7.0, 3.0])}
    found = {hit.passage.document_id: hit.legs for hit in reciprocal_rank_fusion(legs)}
    assert found == {"a": {"dense": 0.5, "lexical": 3.0}, "b": {"lexical": 7.0}}


def test_ties_go_by_passage_id():
    legs = {"dense": leg("b", "c"), "lexical": leg("a", "d")}
    assert [hit.passage.document_id for hit in reciprocal_rank_fusion(legs)] == list("abcd")
    swapped = {"lexical": leg("a", "d"), "dense": leg("b", "c")}
    assert summary(reciprocal_rank_fusion(swapped)) == summary(reciprocal_rank_fusion(legs))


def test_a_passage_found_twice_by_a_leg_counts_once():
    hits = reciprocal_rank_fusion({"dense": leg("a", "a", "b")})
    assert summary(hits) == [("a", 1, pytest.approx(1 / 61)), ("b", 2, pytest.approx(1 / 63))]


@pytest.mark.parametrize("legs", [{}, {"dense": []}, {"dense": [], "lexical": []}])
def test_nothing(legs):
    assert reciprocal_rank_fusion(legs) == []
