"""Apply corrections of words to a question and to its lexical query."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from wavrag.types import Correction, Int64, LexicalQuery


def apply_corrections(text: str, corrections: Sequence[Correction]) -> str:
    """Replace the words of each correction by its best alternative, in their case."""
    best = {c.word: match_case(c.alternatives[0].text, c.word) for c in corrections}
    return _substitute(text, corrections, lambda match: best[match.group()])


def lexical_query(text: str, corrections: Sequence[Correction]) -> LexicalQuery:
    """Replace the words of all corrections by their weighted alternatives."""
    alternatives = tuple(word for c in corrections for word in c.alternatives)
    return LexicalQuery(_substitute(text, corrections, lambda match: " "), alternatives)


def is_replacement(correction: Correction) -> bool:
    """Return whether the best alternative differs from the words of the query."""
    return correction.alternatives[0].text.casefold() != correction.word.casefold()


def match_case(word: str, model: str) -> str:
    """Give a word in lower case the capitals of another: none, the first, or all."""
    if word.casefold() == model.casefold():
        return model
    if model.isupper():
        return word.upper()
    return word[:1].upper() + word[1:] if model[:1].isupper() else word


def look_up_counts(keys: Int64, counts: Int64, queries: Int64) -> Int64:
    """Return the count of each query, 0 for a missing key, shape = (len(queries),).

    Args:
        keys: sorted, shape = (n_keys,).
        counts: shape = (n_keys,).
        queries: keys in any order.
    """
    if not len(keys):
        return np.zeros(len(queries), np.int64)
    positions = np.minimum(np.searchsorted(keys, queries), len(keys) - 1)
    return np.where(keys[positions] == queries, counts[positions], 0)


def _substitute(
    text: str, corrections: Sequence[Correction], replace: Callable[[re.Match[str]], str]
) -> str:
    if not corrections:
        return text
    # The longest first: a correction of several words contains those of single ones.
    words = sorted({c.word for c in corrections}, key=lambda word: (-len(word), word))
    pattern = "|".join(map(re.escape, words))
    return re.sub(rf"(?<![^\W_])(?:{pattern})(?![^\W_])", replace, text)
