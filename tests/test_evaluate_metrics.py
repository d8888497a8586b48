"""Metrics by hand, and against trec_eval's own implementation (which BEIR reports)."""

import math
import random
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest
import pytrec_eval

from wavrag.errors import InputError
from wavrag.evaluate.metrics import (
    METRICS,
    confidence_intervals,
    evaluate_run,
    mean,
    ndcg,
    rank_ids,
    recall,
    reciprocal_rank,
)


def test_recall_is_of_all_that_is_relevant() -> None:
    # Three relevant: a, c, d. The first two ranks hold one of them, the first four hold two.
    judgements = {"a": 1.0, "b": 0.0, "c": 2.0, "d": 1.0}
    ranked = ["b", "a", "x", "c"]
    assert recall(ranked, judgements, 1) == 0
    assert recall(ranked, judgements, 2) == 1 / 3
    assert recall(ranked, judgements, 4) == 2 / 3
    assert recall([], judgements, 10) == 0


def test_recall_at_1_cannot_reach_1_with_two_relevant() -> None:
    assert recall(["a", "b"], {"a": 1, "b": 1}, 1) == 0.5


def test_ndcg_by_hand() -> None:
    # Gains 1 and 2 at ranks 1 and 3: 1/log2(2) + 2/log2(4) = 1 + 1 = 2.
    # Best order is 2 then 1: 2/log2(2) + 1/log2(3) = 2 + .63093 = 2.63093. 2/2.63093 = .76019.
    value = ndcg(["a", "x", "c"], {"a": 1, "c": 2}, 10)
    assert value == pytest.approx(0.7601876, abs=1e-7)


def test_ndcg_normalises_by_what_fits_into_k() -> None:
    # Two relevant and k = 1: the best possible is 1/log2(2) = 1, and it is reached.
    assert ndcg(["a", "b"], {"a": 1, "b": 1}, 1) == 1


def test_ndcg_takes_a_negative_judgement_for_none() -> None:
    assert ndcg(["bad", "a"], {"a": 1, "bad": -2}, 10) == pytest.approx(1 / math.log2(3))


def test_reciprocal_rank_ends_at_k() -> None:
    ranked = [*"xyz", "a"]
    assert reciprocal_rank(ranked, {"a": 1}, 4) == 1 / 4
    assert reciprocal_rank(ranked, {"a": 1}, 3) == 0


def test_ties_are_broken_by_id() -> None:
    assert rank_ids({"b": 1.0, "a": 1.0, "c": 2.0}) == ["c", "a", "b"]


def test_a_query_that_found_nothing_counts_as_0() -> None:
    values = evaluate_run({"q1": ["a"]}, {"q1": {"a": 1}, "q2": {"a": 1}})
    assert values["recall@10"] == [1, 0]
    assert mean(values["mrr@10"]) == 0.5


@pytest.mark.parametrize(
    ("run", "qrels", "message"),
    [
        ({}, {"q": {"a": 0}}, "'q' has no relevant passage"),
        ({"q": ["a", "a"]}, {"q": {"a": 1}}, "'q' ranks an id twice"),
    ],
)
def test_what_has_no_value_is_refused(run: dict, qrels: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate_run(run, qrels)


@pytest.mark.parametrize("grades", [1_000, 3], ids=["no ties", "many ties"])
@pytest.mark.parametrize("seed", range(20))
def test_values_are_those_of_trec_eval(seed: int, grades: int) -> None:
    chance = random.Random(seed)
    ids = [f"d{number:02d}" for number in range(40)]
    # trec_eval ranks equal scores by id backwards, we forwards: it is given ids that run backwards.
    theirs_of = {id: f"d{99 - int(id[1:]):02d}" for id in ids}
    qrels: dict[str, dict[str, int]] = {}
    scores: dict[str, dict[str, float]] = {}
    for number in range(25):
        judged = {id: chance.choice([0, 0, 1, 1, 2, 3]) for id in chance.sample(ids, 12)}
        judged["d00"] = chance.choice([1, 2])
        qrels[f"q{number}"] = judged
        found = chance.sample(ids, chance.randrange(1, 40))
        scores[f"q{number}"] = {id: chance.randrange(grades) / grades for id in found}
    ranked = {query: rank_ids(found) for query, found in scores.items()}
    uncut = {"mrr": partial(reciprocal_rank, k=40)}
    mine = evaluate_run(ranked, qrels, {**METRICS, **uncut})

    def translated(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        return {
            query: {theirs_of[id]: value for id, value in row.items()}
            for query, row in rows.items()
        }

    measures = {"recall.1,5,10", "ndcg_cut.10", "recip_rank"}
    judge = pytrec_eval.RelevanceEvaluator(translated(qrels), measures)
    theirs = judge.evaluate(translated(scores))
    # trec_eval's recip_rank has no depth: for mrr@10 it is given the first ten only.
    tops = {query: {id: scores[query][id] for id in ranked[query][:10]} for query in ranked}
    first = judge.evaluate(translated(tops))

    names = {
        "recall@1": "recall_1",
        "recall@5": "recall_5",
        "recall@10": "recall_10",
        "ndcg@10": "ndcg_cut_10",
        "mrr": "recip_rank",
    }
    for name, theirs_name in names.items():
        expected = [theirs[query][theirs_name] for query in qrels]
        assert mine[name] == pytest.approx(expected, abs=1e-9), name
    expected = [first[query]["recip_rank"] for query in qrels]
    assert mine["mrr@10"] == pytest.approx(expected, abs=1e-9)


def test_metrics_are_those_that_the_report_names() -> None:
    assert list(METRICS) == ["recall@1", "recall@5", "recall@10", "ndcg@10", "mrr@10"]


def test_intervals_are_those_of_the_normal_approximation_where_it_holds() -> None:
    # 400 queries, half of them found: standard error sqrt(.25 / 400) = .025, so .5 -+ .049.
    values = {"recall@1": [0.0, 1.0] * 200}
    low, high = confidence_intervals(values)["recall@1"]
    assert low == pytest.approx(0.451, abs=0.01)
    assert high == pytest.approx(0.549, abs=0.01)


def test_intervals_do_not_change_from_run_to_run_and_are_paired() -> None:
    generator = np.random.default_rng(1)
    values = {"a": generator.random(50).tolist()}
    together = confidence_intervals({**values, "b": [v / 2 for v in values["a"]]})
    assert confidence_intervals(values)["a"] == pytest.approx(together["a"], abs=1e-12)
    # The same draws for both: half the values, half the ends.
    assert together["b"] == pytest.approx([end / 2 for end in together["a"]])


def test_an_interval_of_equal_values_is_a_point() -> None:
    assert confidence_intervals({"a": [1.0] * 7}) == {"a": (1.0, 1.0)}
