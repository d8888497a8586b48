"""What of a question the lexical leg looks for."""

from __future__ import annotations

import re

from wavrag.text import FUNCTION_WORDS

_WORD = re.compile(r"[^\W_]+")

# What contractions such as "don't" leave when they are cut at the apostrophe.
_REMNANTS = frozenset(
    "d ll m re s t ve don didn doesn isn wasn weren aren couldn wouldn shouldn hasn haven hadn"
    " tell".split()
)
_DROPPED = FUNCTION_WORDS | _REMNANTS


def words_of(text: str) -> list[str]:
    """The words of a text as written: runs of letters and digits."""
    return _WORD.findall(text)


def query_words(text: str) -> str:
    """A question without its function words, or as it is when it has no others.

    Passages are indexed with all their words, so that a name made of function words ("The Who")
    stays findable; questions lose them, because a passage that shares only "what is the" with a
    question is no evidence, yet would take a rank in the fusion. Words in capitals ("IT", "WHO")
    are kept: they are more often acronyms.
    """
    kept = _WORD.sub(_drop_function_word, text)
    return kept if _WORD.search(kept) else text


def _drop_function_word(match: re.Match[str]) -> str:
    word = match.group()
    acronym = len(word) > 1 and word.isupper()
    return word if acronym or word.lower() not in _DROPPED else ""
