"""What recordings among the hits have for a generator: words, sound, what was measured of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wavrag.audio import facts
from wavrag.errors import AudioError
from wavrag.kb import KnowledgeBase
from wavrag.types import Clip, Hit

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """What there is of the sound of each hit.

    Attributes:
        clips: the sound of each recording; None for texts, and where it cannot be read.
        facts: what was measured of each recording; empty for others.
    """

    clips: tuple[Clip | None, ...]
    facts: tuple[str, ...]

    @classmethod
    def of(cls, hits: Sequence[Hit]) -> Sources:
        """Nothing of the sound of these hits."""
        return cls((None,) * len(hits), ("",) * len(hits))


def with_words(
    kb: KnowledgeBase, hits: Sequence[Hit], sources: Sources, wanted: Sequence[bool]
) -> list[Hit]:
    """The hits, of which wanted recordings have words to be quoted, recognised where need be.

    A recording that cannot be read any more keeps the words that it has.

    Args:
        kb: that the hits are of.
        hits: that were found.
        sources: what there is of their sound.
        wanted: of which of them the words are wanted.
    """
    found = zip(hits, sources.clips, wanted, strict=True)
    return [_with_words(kb, hit, clip) if wants else hit for hit, clip, wants in found]


def heard(kb: KnowledgeBase, hits: Sequence[Hit]) -> Sources:
    """The sound of recordings among the hits, and what was measured of it.

    One that cannot be read any more is left out, with a warning in the log.
    """
    clips = [_clip(kb, hit) for hit in hits]
    told = [facts(clip) if clip is not None else "" for clip in clips]
    return Sources(tuple(clips), tuple(told))


def _with_words(kb: KnowledgeBase, hit: Hit, clip: Clip | None) -> Hit:
    if hit.passage.modality == "text":
        return hit
    try:
        words = kb.words_of(hit.passage, clip)
    except AudioError as error:
        logger.warning("its words cannot be recognised: %s", error)
        return hit
    return replace(hit, passage=replace(hit.passage, text=words or hit.passage.text))


def _clip(kb: KnowledgeBase, hit: Hit) -> Clip | None:
    if hit.passage.modality != "audio":
        return None
    try:
        return kb.clip_of(hit.passage)
    except AudioError as error:
        logger.warning("its sound is not given to the generator: %s", error)
        return None
