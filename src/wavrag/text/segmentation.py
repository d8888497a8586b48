"""Split text into sentences."""

from __future__ import annotations

LANGUAGE = "en"  # for its list of abbreviations; full stops of other scripts count, too


def sentences(text: str) -> list[tuple[int, int]]:
    """Return the character spans of the sentences of a text, without surrounding white space.

    Example:
        >>> sentences("One bell. Two bells.")
        [(0, 9), (10, 20)]
    """
    from sentencex import get_sentence_boundaries

    spans = []
    for boundary in get_sentence_boundaries(LANGUAGE, text):
        sentence: str = boundary["text"]
        core = sentence.strip()
        if core:
            start: int = boundary["start_index"] + sentence.index(core[0])
            spans.append((start, start + len(core)))
    return spans
