"""Geometry of two clouds of unit vectors: standard measures of contrastive spaces."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wavrag.types import Float32

Float64 = npt.NDArray[np.float64]
SWAPS = 200  # random draws of swaps within pairs


def alignment(first: Float32, second: Float32) -> Float64:
    """Compute the squared distance of each pair.

    Source: Wang and Isola 2020, arXiv 2005.10242, with alpha = 2.

    Args:
        first: unit vectors, shape = (n, dim).
        second: partner of each vector, of the same shape.

    Returns:
        Distances from 0 (equal) to 4, shape = (n,); their mean is the alignment.
    """
    return np.asarray(((first.astype(np.float64) - second) ** 2).sum(1), np.float64)


def uniformity(vectors: Float32) -> float:
    """Compute the log of the mean of exp(-2 d^2) over all pairs of rows.

    Source: Wang and Isola 2020, arXiv 2005.10242, with t = 2.

    Args:
        vectors: unit vectors, at least 2, shape = (n, dim).

    Returns:
        0 for equal rows; lower is more uniform, down to about -4 in high dimensions.
    """
    rows = vectors.astype(np.float64)
    squared_distances = np.maximum(2 - 2 * rows @ rows.T, 0.0)
    above = np.triu_indices(len(rows), 1)
    return float(np.log(np.exp(-2 * squared_distances[above]).mean()))


def modality_gap(first: Float32, second: Float32) -> float:
    """Compute the distance between two centroids (Liang et al. 2022, arXiv 2203.02053)."""
    return float(np.linalg.norm(first.mean(0, np.float64) - second.mean(0, np.float64)))


def gap_by_chance(first: Float32, second: Float32) -> float:
    """Compute the 95th percentile of the gap under random swaps within pairs.

    A smaller gap is consistent with no difference between the two clouds.

    Args:
        first: unit vectors, shape = (n, dim).
        second: partner of each vector.
    """
    rng = np.random.default_rng(0)
    difference = first.astype(np.float64) - second
    signs = rng.choice([-1.0, 1.0], (SWAPS, len(difference)))
    gaps = np.linalg.norm(signs @ difference / len(difference), axis=1)
    return float(np.percentile(gaps, 95))


def separation(similarities: Float64, matched: npt.NDArray[np.bool_]) -> Float64:
    """Compute the area under the ROC curve of each row.

    It is the share of pairs of a matching and another column in which the matching column is more
    similar; ties count half.

    Args:
        similarities: shape = (n, m).
        matched: True for the matching columns of a row, at least one and not all; same shape.

    Returns:
        Shape = (n,): 1 for a perfect separation, 0.5 by chance.
    """
    shares = []
    for scores, partners in zip(similarities, matched, strict=True):
        higher = scores[partners][:, None] - scores[~partners][None, :]
        shares.append(float(((higher > 0) + 0.5 * (higher == 0)).mean()))
    return np.array(shares)


def centred(vectors: Float32) -> Float32:
    """Move the centroid to the origin, and normalise the vectors again."""
    shifted = vectors - vectors.mean(0, keepdims=True)
    return np.asarray(
        shifted / np.maximum(np.linalg.norm(shifted, axis=1, keepdims=True), 1e-12), np.float32
    )
