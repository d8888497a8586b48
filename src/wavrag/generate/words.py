"""Stems of content words, for comparing sentences.

Function words and endings are English; text of other languages is compared by whole words.
"""

from __future__ import annotations

import re
import unicodedata

from wavrag.text import FUNCTION_WORDS

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")


def content_words(text: str) -> list[str]:
    """Stems of the content words of a text, in order.

    A text of function words alone ("who are you") keeps them all.
    """
    all_words = words(text)
    content = [word for word in all_words if word not in FUNCTION_WORDS]
    return [stem(word) for word in content or all_words]


def words(text: str) -> list[str]:
    """Words of a text in lower case, in order."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def stem(word: str) -> str:
    """Strip the English ending of a word in lower case: `bridges` and `bridged` become `bridg`."""
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
            word = word[: -len(ending)]
            # `stopp` becomes `stop`; `fall`, `miss` and `buzz` keep both letters.
            if word[-1] == word[-2] and word[-1] not in "aeioulsz":
                word = word[:-1]
            break
    if word.endswith("y") and len(word) > 3:
        return word[:-1] + "i"
    # A final "e" goes, so that `bridge` agrees with `bridging`.
    return word.removesuffix("e") if len(word) > 3 else word
