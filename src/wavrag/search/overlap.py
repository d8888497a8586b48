"""Remove hits with little content beyond a better hit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wavrag.types import Hit, Passage

MAX_SHARE = 0.5  # neighbouring passages overlap by far less, so they stay


def remove_overlaps(hits: Sequence[Hit]) -> list[Hit]:
    """Return hits, best first, without those whose span is mostly in a better hit's span."""
    distinct: list[Hit] = []
    for hit in hits:
        if all(_shared_fraction(hit.passage, better.passage) <= MAX_SHARE for better in distinct):
            distinct.append(hit)
    return [replace(hit, rank=rank) for rank, hit in enumerate(distinct, start=1)]


def _shared_fraction(passage: Passage, better: Passage) -> float:
    """Share of a passage's span, from 0 to 1, that lies in a better passage's span."""
    span, better_span = _span(passage), _span(better)
    if _origin(passage) != _origin(better) or span is None or better_span is None:
        return 0.0
    shared = min(span[1], better_span[1]) - max(span[0], better_span[0])
    return max(0.0, shared) / max(span[1] - span[0], 1e-9)


def _origin(passage: Passage) -> tuple[str, int | None, int | None, str]:
    """The sound or text that the spans of a document refer to."""
    return passage.document_id, passage.track, passage.channel, passage.modality


def _span(passage: Passage) -> tuple[float, float] | None:
    """Span in seconds or characters; None if the passage has none."""
    if passage.start is not None and passage.end is not None:
        return passage.start, passage.end
    if passage.char_start is not None and passage.char_end is not None:
        return passage.char_start, passage.char_end
    return None
