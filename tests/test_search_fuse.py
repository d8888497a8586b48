"""Fusion by ranks and by scores, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavrag.search import FusionWeights, reciprocal_rank_fusion, score_fusion
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


# Without the certainty of the lexical leg, and with log odds that equal the fused score.
PLAIN = FusionWeights(lexical=math.log(10), certainty=0.0, bias=0.0, best=1.0, gap=1.0)


def log_odds(hits):
    return {h.passage.document_id: math.log(h.score / (1 - h.score)) for h in hits}


def test_scores_by_hand():
    # 8 passages: the BM25 weight is ln 10 / ln (2 + 8) = 1. c has no cosine, so it gets .2.
    legs = {"dense": leg("a", "b", scores=[0.6, 0.2]), "lexical": leg("b", "c", scores=[0.5, 0.1])}
    hits = score_fusion(legs, 8, weights=PLAIN)
    assert [h.passage.document_id for h in hits] == ["b", "a", "c"]
    assert log_odds(hits) == pytest.approx({"b": 0.7, "a": 0.6, "c": 0.3})
    assert hits[0].legs == {"dense": 0.2, "lexical": 0.5}


def test_a_clear_winner_of_the_lexical_leg_weighs_more():
    # The best of ten is ahead of the tenth by 1 - 1/4: its weight is 1 + 2 * 3/4 = 2.5.
    weights = FusionWeights(lexical=math.log(10), certainty=2.0, bias=0.0, best=1.0, gap=1.0)
    hits = score_fusion(
        {"lexical": leg(*"abcdefghij", scores=[0.4] + [0.1] * 9)}, 8, weights=weights
    )
    assert log_odds(hits) == pytest.approx({"a": 1.0, **dict.fromkeys("bcdefghij", 0.25)})
    # Nothing else has any of its words: the weight is 1 + 2.
    hits = score_fusion({"lexical": leg("a", scores=[0.4])}, 8, weights=weights)
    assert log_odds(hits) == pytest.approx({"a": 1.2})


def test_cosines_of_another_scale_are_mapped_to_the_usual_range():
    # .9 and .8 become .58 and .22.
    legs = {"dense": leg("a", "b", scores=[0.9, 0.8])}
    assert log_odds(score_fusion(legs, 8, calibrated=False, weights=PLAIN)) == pytest.approx(
        {"a": 0.58, "b": 0.22}
    )


def test_a_name_that_one_passage_has_beats_a_vague_likeness():
    legs = {
        "dense": leg("near", "named", scores=[0.45, 0.40]),
        "lexical": leg("named", *"cdefghijk", scores=[20.0, *[4.0] * 9]),
    }
    assert score_fusion(legs, 7_000)[0].passage.document_id == "named"
    assert reciprocal_rank_fusion(legs)[0].passage.document_id == "named"


@given(
    dense=st.lists(st.floats(-1, 1), max_size=20),
    lexical=st.lists(st.floats(0, 60), max_size=20),
    count=st.integers(0, 10**7),
    calibrated=st.booleans(),
)
def test_scores_are_probabilities_in_order(dense, lexical, count, calibrated):
    legs = {
        "dense": leg(*map(str, range(len(dense))), scores=sorted(dense, reverse=True)),
        "lexical": leg(*map(str, range(5, 5 + len(lexical))), scores=sorted(lexical, reverse=True)),
    }
    hits = score_fusion(legs, count, calibrated=calibrated)
    assert all(0 <= hit.score <= 1 for hit in hits)
    assert [hit.score for hit in hits] == sorted((h.score for h in hits), reverse=True)
    assert len({hit.passage.id for hit in hits}) == len(hits)


def test_nothing_to_fuse_by_score():
    assert score_fusion({}, 0) == []
