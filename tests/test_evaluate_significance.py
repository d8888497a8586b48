"""Paired tests by hand, against each other, and against what theory says of them."""

import math

import numpy as np
import pytest

from wavrag.errors import InputError
from wavrag.evaluate.significance import holm, paired_bootstrap, paired_randomisation


def test_randomisation_by_hand() -> None:
    # b is above a by 1, 1, 1: of the 8 ways of swapping, two (none and all) have |mean| >= 1.
    found = paired_randomisation([0, 0, 0], [1, 1, 1])
    assert (found.difference, found.p, found.n) == (1.0, 2 / 8, 3)
    # Differences 3, -1, 1: the sum is 3. Signed sums: +-5 once each, +-3 twice, +-1 once: with
    # |sum| >= 3 there are 2 + 4 of 8.
    found = paired_randomisation([0, 1, 0], [3, 0, 1])
    assert found.difference == pytest.approx(1.0)
    assert found.p == 6 / 8


def test_queries_that_are_equal_change_the_mean_and_not_p() -> None:
    few = paired_randomisation([0, 0, 0], [1, 1, 1])
    many = paired_randomisation([0, 0, 0, *[1] * 27], [1, 1, 1, *[1] * 27])
    assert many.difference == pytest.approx(0.1)
    assert many.p == few.p


def test_bootstrap_by_hand() -> None:
    # Differences 0 and 1, mean .5. Two are drawn: means 0, .5, .5, 1, each a quarter; moved to the
    # null hypothesis -.5, 0, 0, .5: half of them are as far from 0 as .5.
    found = paired_bootstrap([0, 0], [0, 1])
    assert found.difference == 0.5
    assert found.ci95 == (0.0, 1.0)
    # Standard error of the share: sqrt(.25 / 10,000) = .005.
    assert found.p == pytest.approx(0.5, abs=0.02)


def test_p_is_that_of_the_normal_approximation_where_it_holds() -> None:
    # 400 queries, of which b wins 60 and a wins 40: mean .05. The sign test's p is twice the
    # binomial P(X >= 60 of 100) = .0569. The bootstrap's spread is that of the differences:
    # sqrt(.25 - .05^2) / 20 = .02487, so z = 2.0101 and p = .0444; a sum of +-1 moves in steps,
    # which adds about half of P(sum = 20), .003.
    a = [0.0] * 60 + [1.0] * 40 + [0.5] * 300
    b = [1.0] * 60 + [0.0] * 40 + [0.5] * 300
    flipped, resampled = paired_randomisation(a, b), paired_bootstrap(a, b)
    assert flipped.difference == resampled.difference == pytest.approx(0.05)
    assert flipped.p == pytest.approx(0.0569, abs=0.01)
    assert resampled.p == pytest.approx(0.047, abs=0.01)
    low, high = resampled.ci95
    assert low == pytest.approx(0.05 - 1.96 * 0.02487, abs=0.006)
    assert high == pytest.approx(0.05 + 1.96 * 0.02487, abs=0.006)


def test_drawn_signs_agree_with_all_of_them() -> None:
    generator = np.random.default_rng(3)
    a = generator.random(13)
    b = a + generator.normal(0.1, 0.3, 13)
    exact = paired_randomisation(a.tolist(), b.tolist())
    # A 14th query that hardly differs brings the test to drawing, and changes p by next to nothing.
    drawn = paired_randomisation([*a, 0.0], [*b, 1e-9])
    assert 0.01 < exact.p < 0.99
    assert drawn.p == pytest.approx(exact.p, abs=0.02)


def test_swapping_the_systems_turns_the_sign_only() -> None:
    a, b = [0.2, 0.9, 0.4, 0.1] * 10, [0.3, 0.7, 0.9, 0.6] * 10
    for test in (paired_bootstrap, paired_randomisation):
        one, other = test(a, b), test(b, a)
        assert one.difference == pytest.approx(-other.difference)
        assert one.p == pytest.approx(other.p, abs=0.01)
        assert one == test(a, b), "seeded"


def test_equal_systems_do_not_differ() -> None:
    for test in (paired_bootstrap, paired_randomisation):
        found = test([0.5, 1.0], [0.5, 1.0])
        assert (found.difference, found.ci95, found.p) == (0.0, (0.0, 0.0), 1.0)


def test_p_is_never_0() -> None:
    found = paired_bootstrap([0.0] * 50, [1.0] * 50)
    assert found.p == 1 / 10_001


def test_p_of_the_null_hypothesis_is_below_a_level_as_often_as_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wavrag.evaluate.significance.DRAWS", 400)
    generator = np.random.default_rng(0)
    rows = [generator.random((2, 40)) for _ in range(200)]
    ps = [paired_randomisation(*row.tolist()).p for row in rows]
    # 200 tests at the level .1: 20 expected, standard deviation sqrt(18) = 4.2.
    assert abs(sum(p <= 0.1 for p in ps) - 20) < 13


def test_holm_by_hand() -> None:
    # Sorted .01, .02, .03, .5: times 4, 3, 2, 1 gives .04, .06, .06, .5; none below one before.
    raised = holm({"d": 0.5, "b": 0.02, "c": 0.03, "a": 0.01})
    assert list(raised) == ["d", "b", "c", "a"]
    assert raised == pytest.approx({"a": 0.04, "b": 0.06, "c": 0.06, "d": 0.5})
    # .02 * 3 = .06, then .025 * 2 = .05 is held at .06, then 1 is left at 1.
    assert holm({"a": 0.02, "b": 0.025, "c": 1.0}) == pytest.approx(
        {"a": 0.06, "b": 0.06, "c": 1.0}
    )
    assert holm({}) == {}
    assert holm({"a": 0.4, "b": 0.6}) == {"a": 0.8, "b": 0.8}


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([], [], "at least one query"),
        ([1.0], [1.0, 2.0], "1 and 2 values cannot be paired"),
        ([1.0, math.nan], [1.0, 2.0], "value 1 is nan and 2.0"),
    ],
)
@pytest.mark.parametrize("test", [paired_bootstrap, paired_randomisation])
def test_what_cannot_be_paired_is_refused(test, a: list, b: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        test(a, b)
