"""Scores of recordings and texts on one scale: pure functions.

Cosines of a text with texts and with recordings lie on different scales. Each pair of a query's
and a passage's modality has a mean and a deviation, and a score is told in deviations from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from wavrag.types import Float32, Modality

LEAST = 8  # scores of which a scale is made
Float64: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scale:
    """Where the scores of passages that do not answer lie.

    Attributes:
        mean: of the scores.
        deviation: their standard deviation, above 0.
    """

    mean: float
    deviation: float


Scales: TypeAlias = Mapping[tuple[Modality, Modality], Scale]
"""By the modality of the query and that of the passage."""


def scale_of(scores: Float64) -> Scale | None:
    """The scale of scores; None of fewer than `LEAST`, or of scores that are all the same."""
    if len(scores) < LEAST or float(scores.std()) < 1e-9:
        return None
    return Scale(float(scores.mean()), float(scores.std()))


def index_scales(
    vectors: Float32, modalities: Sequence[Modality], documents: Sequence[str]
) -> Scales:
    """Scales from an index alone: its passages are asked for, as if each were a query.

    Args:
        vectors: unit rows of the passages, shape = (n, dim).
        modalities: of each passage.
        documents: of each passage; passages of one document are not compared.

    Returns:
        A scale for each pair of modalities of which there are passages enough.
    """
    kinds, owners = np.array(modalities), np.array(documents)
    scores = vectors.astype(np.float64) @ vectors.T
    strangers = owners[:, None] != owners[None, :]
    scales: dict[tuple[Modality, Modality], Scale] = {}
    both: tuple[Modality, Modality] = ("text", "audio")
    for asked in both:
        for found in both:
            pairs = strangers & (kinds == asked)[:, None] & (kinds == found)[None, :]
            if (scale := scale_of(scores[pairs])) is not None:
                scales[asked, found] = scale
    return scales


def own_scales(scores: Float64, modalities: Sequence[Modality], query: Modality) -> Scales:
    """Scales from the scores of one query with every passage.

    Args:
        scores: shape = (n,).
        modalities: of each passage.
        query: modality of the query.
    """
    kinds = np.array(modalities)
    both: tuple[Modality, Modality] = ("text", "audio")
    made = {(query, kind): scale_of(scores[kinds == kind]) for kind in both}
    return {pair: scale for pair, scale in made.items() if scale is not None}


def calibrate(
    scores: Float64, modalities: Sequence[Modality], query: Modality, scales: Scales
) -> Float64:
    """Scores in deviations from the mean of their pair of modalities.

    Where a modality that is present has no scale, nothing can be compared, and the scores stay as
    they are; so they do where all passages are of one modality.

    Args:
        scores: of a query with passages, shape = (n,).
        modalities: of each passage.
        query: modality of the query.
        scales: as `index_scales` or `own_scales` makes them.
    """
    present = dict.fromkeys(modalities)
    if len(present) < 2 or any((query, kind) not in scales for kind in present):
        return scores
    means = np.array([scales[query, kind].mean for kind in modalities])
    deviations = np.array([scales[query, kind].deviation for kind in modalities])
    return np.asarray((scores - means) / deviations, np.float64)
