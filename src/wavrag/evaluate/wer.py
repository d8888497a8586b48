"""How many words a recogniser gets wrong.

Source: the word error rate as NIST scores it: substitutions, deletions and insertions of the
shortest way from what was said to what was heard, over the words that were said.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wavrag.errors import InputError
from wavrag.evaluate.metrics import CONFIDENCE, RESAMPLES, SEED, resampled_means

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Errors over a set of recordings.

    Attributes:
        wrong: words substituted, left out or added.
        words: that were said.
        ci95: ends of the bootstrap interval of the rate, over recordings.
        clips: recordings whose words are known.
    """

    wrong: int
    words: int
    ci95: tuple[float, float]
    clips: int

    @property
    def rate(self) -> float:
        """Errors a word said; above 1 where more words were added than said."""
        return self.wrong / self.words


def edits(a: Sequence[object], b: Sequence[object]) -> int:
    """Levenshtein distance: of letters for the character error rate, of words for the word one."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


def spoken_words(text: str) -> list[str]:
    """Words as they are compared: lower case, without punctuation, `it's` one word.

    Numbers stay as they are written: `1969` is not `nineteen sixty nine`.
    """
    plain = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    return _WORD.findall(plain)


def word_errors(said: Sequence[str], heard: Sequence[str]) -> WordErrors:
    """The errors of all recordings together; longer ones weigh more.

    Args:
        said: the words of each recording.
        heard: what was recognised in each, in the same order.

    Raises:
        InputError: nothing was said in any.
    """
    pairs = [
        (spoken_words(one), spoken_words(other)) for one, other in zip(said, heard, strict=True)
    ]
    counts = np.array([(edits(a, b), len(a)) for a, b in pairs], np.float64).reshape(-1, 2).T
    wrong, words = counts.sum(1)
    if not words:
        raise InputError("no recording has words that are known: there is nothing to get wrong")
    resampled = resampled_means(counts, resamples=RESAMPLES, seed=SEED)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(resampled[0] / np.maximum(resampled[1], 1e-12), [tail, 100 - tail])
    return WordErrors(int(wrong), int(words), (float(low), float(high)), len(pairs))
