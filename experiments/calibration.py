"""Calibration of the scores of recordings and texts, as pure functions.

Cosines of a query with texts and with recordings have different distributions. Each pair of query
and passage modality has a mean and a standard deviation, and a calibrated score is a z-score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from wavrag.types import Float32, Modality

MIN_SCORES = 8  # for a scale
Float64: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scale:
    """Distribution of the scores of irrelevant passages.

    Attributes:
        mean: mean score.
        deviation: standard deviation of the scores, above 0.
    """

    mean: float
    deviation: float


Scales: TypeAlias = Mapping[tuple[Modality, Modality], Scale]
"""Scales by the modalities of query and passage."""


def scale_of(scores: Float64) -> Scale | None:
    """Compute a scale; None for fewer than `MIN_SCORES` scores, or for equal scores."""
    if len(scores) < MIN_SCORES or float(scores.std()) < 1e-9:
        return None
    return Scale(float(scores.mean()), float(scores.std()))


def index_scales(
    vectors: Float32, modalities: Sequence[Modality], documents: Sequence[str]
) -> Scales:
    """Estimate scales from an index alone, with its passages as queries.

    Args:
        vectors: unit vectors of the passages, shape = (n, dim).
        modalities: modality of each passage.
        documents: document of each passage; passages of the same document are not compared.

    Returns:
        A scale for each pair of modalities with enough passages.
    """
    kinds, owners = np.array(modalities), np.array(documents)
    scores = vectors.astype(np.float64) @ vectors.T
    strangers = owners[:, None] != owners[None, :]
    scales: dict[tuple[Modality, Modality], Scale] = {}
    both: tuple[Modality, Modality] = ("text", "audio")
    for query_kind in both:
        for passage_kind in both:
            pairs = strangers & (kinds == query_kind)[:, None] & (kinds == passage_kind)[None, :]
            if (scale := scale_of(scores[pairs])) is not None:
                scales[query_kind, passage_kind] = scale
    return scales


def own_scales(scores: Float64, modalities: Sequence[Modality], query: Modality) -> Scales:
    """Estimate scales from the scores of one query with every passage.

    Args:
        scores: score of each passage, shape = (n,).
        modalities: modality of each passage.
        query: modality of the query.
    """
    kinds = np.array(modalities)
    both: tuple[Modality, Modality] = ("text", "audio")
    scales = {(query, kind): scale_of(scores[kinds == kind]) for kind in both}
    return {pair: scale for pair, scale in scales.items() if scale is not None}


def calibrate(
    scores: Float64, modalities: Sequence[Modality], query: Modality, scales: Scales
) -> Float64:
    """Convert scores to z-scores of their pair of modalities.

    Scores are unchanged if all passages have one modality, or if a modality has no scale.

    Args:
        scores: score of each passage, shape = (n,).
        modalities: modality of each passage.
        query: modality of the query.
        scales: from `index_scales` or `own_scales`.
    """
    present = dict.fromkeys(modalities)
    if len(present) < 2 or any((query, kind) not in scales for kind in present):
        return scores
    means = np.array([scales[query, kind].mean for kind in modalities])
    deviations = np.array([scales[query, kind].deviation for kind in modalities])
    return np.asarray((scores - means) / deviations, np.float64)
