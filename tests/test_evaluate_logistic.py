"""Logistic regression."""

import numpy as np
import pytest

from wavrag.evaluate import fit_logistic


def test_the_weights_are_those_of_the_frequencies() -> None:
    # A binary feature: the log odds are those of the labels without it, and the difference.
    features = np.array([[1.0, 0.0]] * 10 + [[1.0, 1.0]] * 10)
    labels = np.array([1.0] * 2 + [0.0] * 8 + [1.0] * 9 + [0.0])
    bias, weight = fit_logistic(features, labels)
    assert bias == pytest.approx(np.log(2 / 8), abs=1e-4)
    assert bias + weight == pytest.approx(np.log(9 / 1), abs=1e-4)
