"""Prepare a question for the lexical leg."""

from __future__ import annotations

import re

from wavrag.text import FUNCTION_WORDS
from wavrag.types import LexicalQuery

_WORD = re.compile(r"[^\W_]+")

# Contractions such as "don't" leave these when the index splits them at the apostrophe.
_CONTRACTIONS = frozenset(
    "d ll m re s t ve don didn doesn isn wasn weren aren couldn wouldn shouldn hasn haven hadn"
    " tell".split()
)
_STOP_WORDS = FUNCTION_WORDS | _CONTRACTIONS


def split_words(text: str) -> list[str]:
    """Words of a text, in their case: runs of letters and digits."""
    return _WORD.findall(text)


def weighted_words(query: str | LexicalQuery) -> list[tuple[str, float]]:
    """Texts with their weights: the query without function words, then its alternatives."""
    if isinstance(query, str):
        query = LexicalQuery(query)
    return [(query_words(query.text), 1.0), *((w.text, w.weight) for w in query.alternatives)]


def query_words(text: str) -> str:
    """Remove the function words of a question, unless it has no other words.

    Passages are indexed with all their words, so a name such as "The Who" can be found. Questions
    lose them, because a passage that shares only "what is the" is no evidence, yet it would take a
    rank in the fusion. Words in capitals ("IT", "WHO") stay, because they are usually acronyms.
    """
    content = _WORD.sub(_drop_function_word, text)
    return content if _WORD.search(content) else text


def _drop_function_word(match: re.Match[str]) -> str:
    word = match.group()
    acronym = len(word) > 1 and word.isupper()
    return word if acronym or word.lower() not in _STOP_WORDS else ""
