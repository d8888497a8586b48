"""Where sentences begin and end."""

from __future__ import annotations

LANGUAGE = "en"  # its abbreviations do not end a sentence; stops of other scripts do


def sentences(text: str) -> list[tuple[int, int]]:
    """Character spans of the sentences of a text, in order, without white space around them."""
    from sentencex import get_sentence_boundaries

    spans = []
    for found in get_sentence_boundaries(LANGUAGE, text):
        sentence: str = found["text"]
        stripped = sentence.strip()
        if stripped:
            start: int = found["start_index"] + sentence.index(stripped[0])
            spans.append((start, start + len(stripped)))
    return spans
