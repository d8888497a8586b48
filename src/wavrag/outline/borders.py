"""Borders between the topics of a transcript, from the vectors of its sentences.

The borders minimise the scatter of the vectors within chapters plus a penalty for each chapter:
kernel change-point detection (Arlot, Celisse and Harchaoui, arXiv 1202.3878) with a linear kernel,
solved by dynamic programming.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wavrag.types import Float32

# A further chapter has to save PENALTY times the square of the mean scatter of a sentence in the
# recording: a talk about one subject is divided more finely than a mixture of subjects. Chosen with
# SMOOTHING on the training articles of `benchmarks/chapters.py`.
PENALTY = 6.0
SMOOTHING = 0.5  # weight of both neighbours of a sentence
# Savings for a border at a long pause, and where the speaker changes. Not fitted: no recordings
# with known chapters were at hand.
PAUSE_BONUS, PAUSE_SECONDS = 0.5, 3.0
SPEAKER_BONUS = 0.3
MIN_SENTENCES, MIN_SECONDS = 3, 30.0
MAX_SECONDS = 600.0


def find_borders(
    vectors: Float32, starts: Sequence[float], ends: Sequence[float], speakers: Sequence[str] = ()
) -> list[int]:
    """Return the indices of the sentences that begin a chapter, except the first.

    Args:
        vectors: unit vectors of the sentences in order, shape = (n_sentences, dim).
        starts: their start times in seconds.
        ends: their end times in seconds.
        speakers: their speakers; empty if unknown.
    """
    count = len(vectors)
    if not count:
        return []
    rows = _smooth(vectors)
    sums = np.vstack([np.zeros(rows.shape[1]), np.cumsum(rows, 0)])
    squares = np.concatenate([[0.0], np.cumsum((rows**2).sum(1))])
    savings = _border_savings(starts, ends, speakers)
    penalty = PENALTY * float(squares[-1] / count - ((sums[-1] / count) ** 2).sum()) ** 2
    costs = np.full(count + 1, np.inf)
    costs[0] = 0.0
    previous = np.zeros(count + 1, np.int64)
    times = np.asarray(starts)
    for end in range(1, count + 1):
        first = int(np.searchsorted(times, ends[end - 1] - MAX_SECONDS))
        candidates = np.arange(min(first, end - 1), end)
        scatter = squares[end] - squares[candidates]
        scatter -= ((sums[end] - sums[candidates]) ** 2).sum(1) / (end - candidates)
        # Chapters may be too short only if nothing else is possible, as in a short recording.
        is_short = (end - candidates < MIN_SENTENCES) | (
            ends[end - 1] - times[candidates] < MIN_SECONDS
        )
        totals = costs[candidates] + scatter + penalty - savings[candidates] + 1e6 * is_short
        best = int(totals.argmin())
        costs[end], previous[end] = totals[best], candidates[best]
    borders = []
    at = int(previous[count])
    while at:
        borders.append(at)
        at = int(previous[at])
    return borders[::-1]


def _smooth(vectors: Float32) -> npt.NDArray[np.float64]:
    rows = vectors.astype(np.float64)
    smooth = rows.copy()
    smooth[1:] += SMOOTHING * rows[:-1]
    smooth[:-1] += SMOOTHING * rows[1:]
    lengths = np.linalg.norm(smooth, axis=1, keepdims=True)
    return np.asarray(smooth / np.maximum(lengths, 1e-9))


def _border_savings(
    starts: Sequence[float], ends: Sequence[float], speakers: Sequence[str]
) -> npt.NDArray[np.float64]:
    pauses = np.clip(np.asarray(starts)[1:] - np.asarray(ends)[:-1], 0.0, PAUSE_SECONDS)
    savings = np.zeros(len(starts))
    savings[1:] = PAUSE_BONUS * pauses / PAUSE_SECONDS
    if speakers:
        savings[1:] += SPEAKER_BONUS * (np.asarray(speakers[1:]) != np.asarray(speakers[:-1]))
    return savings
