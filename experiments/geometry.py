"""How two clouds of unit vectors lie to each other: pure functions.

The measures are those by which contrastive spaces are described.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wavrag.types import Float32

Float64 = npt.NDArray[np.float64]


def alignment(first: Float32, second: Float32) -> Float64:
    """Squared distance of each matched pair (Wang and Isola 2020, arXiv 2005.10242, alpha = 2).

    Args:
        first: unit rows, shape = (n, dim).
        second: the partner of each, of the same shape.

    Returns:
        From 0, where partners are one, to 4; shape = (n,). Their mean is the alignment.
    """
    return np.asarray(((first.astype(np.float64) - second) ** 2).sum(1), np.float64)


def uniformity(vectors: Float32) -> float:
    """Log of the mean of exp(-2 d^2) over all pairs of different rows (Wang and Isola 2020, t = 2).

    Args:
        vectors: unit rows, at least 2, shape = (n, dim).

    Returns:
        0 where all rows are one; lower is more even, down to about -4 on a sphere of many
        dimensions.
    """
    rows = vectors.astype(np.float64)
    squared = np.maximum(2 - 2 * rows @ rows.T, 0.0)
    above = np.triu_indices(len(rows), 1)
    return float(np.log(np.exp(-2 * squared[above]).mean()))


def modality_gap(first: Float32, second: Float32) -> float:
    """Distance between the centres of two clouds (Liang et al. 2022, arXiv 2203.02053)."""
    return float(np.linalg.norm(first.mean(0, np.float64) - second.mean(0, np.float64)))


def gap_by_chance(first: Float32, second: Float32, *, draws: int = 200, seed: int = 0) -> float:
    """The gap that 95 % of random swaps within pairs stay below.

    If it did not matter which of a pair is the recording, the gap would be one of these.

    Args:
        first: unit rows, shape = (n, dim).
        second: the partner of each.
        draws: random swaps.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    difference = first.astype(np.float64) - second
    signs = rng.choice([-1.0, 1.0], (draws, len(difference)))
    gaps = np.linalg.norm(signs @ difference / len(difference), axis=1)
    return float(np.percentile(gaps, 95))


def separation(similarities: Float64, matched: npt.NDArray[np.bool_]) -> Float64:
    """For each row, the share of its unmatched columns that are less similar than a matched one.

    Args:
        similarities: shape = (n, m).
        matched: which columns are partners of a row, at least one and not all; the same shape.

    Returns:
        Shape = (n,): 1 where every partner is nearer than all others, 0.5 by chance; ties count
        half. It is the area under the ROC curve of the row.
    """
    shares = []
    for scores, partners in zip(similarities, matched, strict=True):
        higher = scores[partners][:, None] - scores[~partners][None, :]
        shares.append(float(((higher > 0) + 0.5 * (higher == 0)).mean()))
    return np.array(shares)


def centred(vectors: Float32) -> Float32:
    """The cloud moved so that its centre is the origin, on the sphere again."""
    moved = vectors - vectors.mean(0, keepdims=True)
    return np.asarray(
        moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12), np.float32
    )
