"""Hits that say little beyond a better one are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wavrag.types import Hit, Passage

SHARE = 0.5  # of a hit's own span; a hit that shares more with a better one goes


def drop_overlapping(hits: Sequence[Hit]) -> list[Hit]:
    """Leave out hits whose span, in seconds or characters, lies mostly within a better one's.

    Args:
        hits: best first.

    Returns:
        Best first, ranked anew.
    """
    kept: list[Hit] = []
    for hit in hits:
        if all(_covered(hit.passage, better.passage) <= SHARE for better in kept):
            kept.append(hit)
    return [replace(hit, rank=rank) for rank, hit in enumerate(kept, start=1)]


def _covered(passage: Passage, other: Passage) -> float:
    """The part of the passage's span that lies within the other's."""
    mine, its = _span(passage), _span(other)
    if passage.document_id != other.document_id or mine is None or its is None:
        return 0.0
    shared = min(mine[1], its[1]) - max(mine[0], its[0])
    return max(0.0, shared) / max(mine[1] - mine[0], 1e-9)


def _span(passage: Passage) -> tuple[float, float] | None:
    """Where the passage lies, in seconds or characters; None if it does not say."""
    if passage.start is not None and passage.end is not None:
        return passage.start, passage.end
    if passage.char_start is not None and passage.char_end is not None:
        return passage.char_start, passage.char_end
    return None
