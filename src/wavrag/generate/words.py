"""Words by which sentences are compared: stems, without function words.

The function words and endings are English; text of another language is compared by whole words.
"""

from __future__ import annotations

import re
import unicodedata

from wavrag.text import FUNCTION_WORDS

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")


def content_words(text: str) -> list[str]:
    """Stems of the words that carry meaning, in the order in which they stand.

    A text of nothing but function words ("who are you") keeps them all.
    """
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    kept = [word for word in words if word not in FUNCTION_WORDS]
    return [stem(word) for word in kept or words]


def stem(word: str) -> str:
    """A word in lower case without its English ending: `bridges`, `bridge` and `bridged` agree."""
    word = word.replace("\u2019", "'").split("'")[0]
    if not word.isascii() or not word.isalpha() or len(word) < 4:
        return word
    if word.endswith("ies"):
        word = word[:-3] + "y"
    elif word.endswith(("sses", "shes", "ches", "xes", "zes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed", "ly"):
        if word.endswith(ending) and len(word) >= len(ending) + 3:
            word = _undouble(word[: -len(ending)])
            break
    if word.endswith("y") and len(word) > 3:
        return word[:-1] + "i"
    return word.removesuffix("e") if len(word) > 3 else word


def _undouble(word: str) -> str:
    """`stopp` gives `stop`; `fall`, `miss` and `buzz` keep both letters."""
    if word[-1] == word[-2] and word[-1] not in "aeioulsz":
        return word[:-1]
    return word
