"""Word error rate of a recogniser.

Source: the NIST definition: substitutions, deletions and insertions of the shortest edit from
reference to hypothesis, divided by the number of reference words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wavrag.errors import InputError
from wavrag.evaluate.metrics import percentile_interval, resample_means
from wavrag.text import edit_distance

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Word errors over a set of recordings."""

    errors: int  # words substituted, deleted or inserted
    words: int  # reference words
    # lower and upper end of the bootstrap interval of the rate, over recordings
    ci95: tuple[float, float]
    recordings: int  # number of recordings with a reference transcript

    @property
    def rate(self) -> float:
        """Errors per reference word; insertions can raise it above 1."""
        return self.errors / self.words


def spoken_words(text: str) -> list[str]:
    """Split a text into lower-case words without punctuation; `it's` is one word.

    Numbers stay as written: `1969` differs from `nineteen sixty nine`.
    """
    # NFKC maps full-width letters and ligatures of published transcripts to plain letters.
    plain = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    return _WORD.findall(plain)


def count_word_errors(references: Sequence[str], hypotheses: Sequence[str]) -> WordErrors:
    """Count the word errors of all recordings together, so that long recordings weigh more.

    Args:
        references: correct transcript of each recording.
        hypotheses: recognised transcript of each recording, in the same order.

    Raises:
        InputError: all references are empty.
    """
    pairs = [
        (spoken_words(reference), spoken_words(hypothesis))
        for reference, hypothesis in zip(references, hypotheses, strict=True)
    ]
    counts = np.array([(edit_distance(a, b), len(a)) for a, b in pairs], np.float64)
    counts = counts.reshape(-1, 2).T  # two rows even without pairs
    errors, words = counts.sum(1)
    if not words:
        raise InputError("no recording has a reference transcript: there is nothing to get wrong")
    mean_errors, mean_words = resample_means(counts)
    # A sample may draw only recordings without reference words: avoid a division by zero.
    ci95 = percentile_interval(mean_errors / np.maximum(mean_words, 1e-12))
    return WordErrors(int(errors), int(words), ci95, len(pairs))
