"""Logistic regression, for weights that turn evidence into probabilities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
STEPS = 50  # Newton's method converges in about ten
RIDGE = 1e-6  # keeps the system solvable


def fit_logistic(features: Float64, labels: Float64) -> Float64:
    """Fit a logistic regression by Newton's method.

    Args:
        features: shape = (n_examples, n_features), with a column of ones for the bias.
        labels: 0 or 1, shape = (n_examples,).

    Returns:
        Weights of the log odds, shape = (n_features,).
    """
    weights = np.zeros(features.shape[1])
    for _ in range(STEPS):
        estimates = 1 / (1 + np.exp(-features @ weights))
        curvature = (features.T * (estimates * (1 - estimates))) @ features
        ridge = RIDGE * np.eye(len(weights))
        weights -= np.linalg.solve(curvature + ridge, features.T @ (estimates - labels))
    return weights
