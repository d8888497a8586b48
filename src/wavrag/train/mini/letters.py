"""The letters of the speech head, and conversion between texts and letters."""

from __future__ import annotations

import re
from collections.abc import Sequence

from wavrag.embed import BLANK, LETTER_INDEX, LETTERS

CLASSES = len(LETTERS) + 1

_PUNCTUATION = re.compile(r"[.,?!;:\"()`]")
_QUOTES = re.compile(r"(?<![a-z0-9])'|'(?![a-z0-9])")


def spell_text(text: str) -> str | None:
    """Convert a text to letters, in lower case without punctuation; None if it has other symbols.

    Such a text cannot be a target: signs like `%`, `$` and `&` are spoken as words, and the letters
    have no accents.

    Example:
        >>> spell_text("It's high-speed, isn't it?")
        "it's high speed isn't it"
    """
    text = text.lower().replace("\u2019", "'").replace("-", " ").replace("\u2014", " ")
    text = " ".join(_QUOTES.sub(" ", _PUNCTUATION.sub(" ", text)).split())
    return text if text and all(letter in LETTER_INDEX for letter in text) else None


def text_to_classes(text: str) -> list[int]:
    """Return the class of each letter of a text."""
    return [LETTER_INDEX[letter] for letter in text]


def collapse_classes(classes: Sequence[int]) -> str:
    """Decode the best class of every frame: merge repeats, then drop blanks.

    Source: Graves et al., "Connectionist Temporal Classification", ICML 2006.
    """
    letters = [
        value
        for at, value in enumerate(classes)
        if value != BLANK and (at == 0 or classes[at - 1] != value)
    ]
    return "".join(LETTERS[value - 1] for value in letters)
