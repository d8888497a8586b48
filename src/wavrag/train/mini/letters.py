"""The letters that the speech head writes, and how a text is spelled in them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from wavrag.embed import BLANK, LETTER_INDEX, LETTERS

CLASSES = len(LETTERS) + 1

_DROPPED = re.compile(r"[.,?!;:\"()`]")
_QUOTES = re.compile(r"(?<![a-z0-9])'|'(?![a-z0-9])")


def spell_text(text: str) -> str | None:
    """A text in the head's letters: lower case, no punctuation; None if it has other symbols.

    A sign that is read aloud as a word (`%`, `$`, `&`) has no spelling here, nor have letters
    with accents: such a text cannot be a target.
    """
    text = text.lower().replace("\u2019", "'").replace("-", " ").replace("\u2014", " ")
    text = " ".join(_QUOTES.sub(" ", _DROPPED.sub(" ", text)).split())
    return text if text and all(letter in LETTER_INDEX for letter in text) else None


def numbers(spelled: str) -> list[int]:
    """Classes of a spelled text."""
    return [LETTER_INDEX[letter] for letter in spelled]


def collapse_classes(classes: Sequence[int]) -> str:
    """The text of the best class of every frame: repeats joined, blanks dropped.

    Source: Graves et al., "Connectionist Temporal Classification", ICML 2006.
    """
    kept = [
        value
        for at, value in enumerate(classes)
        if value != BLANK and (at == 0 or classes[at - 1] != value)
    ]
    return "".join(LETTERS[value - 1] for value in kept)
