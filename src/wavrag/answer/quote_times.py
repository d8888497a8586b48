"""Times of quotes: the seconds of a recording that a citation rests on."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace

from wavrag.errors import AudioError
from wavrag.kb import KnowledgeBase
from wavrag.types import Citation, Float32

logger = logging.getLogger(__name__)

_WORD = re.compile(r"\S+")


def add_quote_times(
    kb: KnowledgeBase, citations: Sequence[Citation], vector: Float32 | None
) -> tuple[Citation, ...]:
    """Add the times of the quotes to citations of recordings.

    A citation whose recording can no longer be read keeps the times of its passage; a warning goes
    to the log.

    Args:
        kb: the knowledge base.
        citations: citations of an answer.
        vector: vector of the question, to find the cited part of a sound, shape = (dim,); None to
            leave sounds out.
    """
    return tuple(_add_times(kb, citation, vector) for citation in citations)


def _add_times(kb: KnowledgeBase, citation: Citation, vector: Float32 | None) -> Citation:
    passage, quote = citation.passage, citation.quote
    try:
        if passage.text and quote:
            first, last = quote_words(passage.text, quote)
            words = kb.word_times(passage)[first:last]
            if words:
                return replace(citation, start=words[0].start, end=words[-1].end, words=words)
        elif passage.modality == "audio" and not passage.text and vector is not None:
            span = kb.find_sound(passage, vector)
            if span is not None:
                return replace(citation, start=span[0], end=span[1])
    except AudioError as error:
        logger.warning("the times of a quote are unknown: %s", error)
    return citation


def quote_words(text: str, quote: str) -> tuple[int, int]:
    """Positions of the first word of a quote in a text and of the word after its last one.

    Example:
        >>> quote_words("One bell. Two bells.", "Two bells.")
        (2, 4)
    """
    start = text.find(quote)
    if start < 0:
        return 0, 0
    spans = [match.span() for match in _WORD.finditer(text)]
    # A quote may begin inside a word: sentences can meet without a space.
    first = sum(end <= start for _, end in spans)
    return first, sum(begin < start + len(quote) for begin, _ in spans)
