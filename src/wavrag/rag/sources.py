"""Hits as a generator is given them: with their words, their sound, and what was measured of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wavrag.audio.facts import facts
from wavrag.errors import AudioError
from wavrag.kb import KnowledgeBase
from wavrag.types import Clip, Hit

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """What is given of each hit.

    Attributes:
        hits: with their words, recognised where they had none.
        clips: the sound of each recording; None for texts, and where it cannot be read.
        facts: what was measured of each recording; empty for others.
    """

    hits: tuple[Hit, ...]
    clips: tuple[Clip | None, ...]
    facts: tuple[str, ...]

    @classmethod
    def words(cls, hits: Sequence[Hit]) -> Sources:
        """The hits with nothing but their words."""
        return cls(tuple(hits), (None,) * len(hits), ("",) * len(hits))


def with_words(kb: KnowledgeBase, hits: Sequence[Hit]) -> list[Hit]:
    """The hits, of which recordings have words that can be quoted, recognised where need be.

    A recording that cannot be read any more keeps the words that it has.
    """
    return [_with_words(kb, hit) for hit in hits]


def heard(kb: KnowledgeBase, hits: Sequence[Hit]) -> Sources:
    """The hits with the sound of recordings, and what was measured of it.

    A recording that cannot be read any more is given without, with a warning in the log.
    """
    clips = [_clip(kb, hit) for hit in hits]
    told = [facts(clip) if clip is not None else "" for clip in clips]
    return Sources(tuple(hits), tuple(clips), tuple(told))


def _with_words(kb: KnowledgeBase, hit: Hit) -> Hit:
    if hit.passage.modality == "text":
        return hit
    try:
        words = kb.words_of(hit.passage)
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
