"""Decide whether speech is in a language of the embedder.

The letters of an English recogniser are uncertain for other languages, and spell few English words.
Noise makes English uncertain too, so neither is enough alone, and one passage is too short: a
recording is judged by all its passages together (docs/evaluate.md, "Speech in other languages").
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from wavrag.embed.ctc import word_spans
from wavrag.types import Float32

# Chosen on training speech by `benchmarks/languages.py`: no recording of clean English is called
# foreign, of English in noise at 5 dB at most 3 of 100.
CERTAINTY_WEIGHT = 0.5
THRESHOLD = 0.38
# About 17 s of English, or 35 s of a language with few letters. From 120, a tenth of the English
# recordings in babble would be called foreign.
MIN_LETTERS = 200
COMMON_WORDS = 20_000  # rarer words of the list resemble noise
# Letters of a word, at least: letters that spell nothing contain short words by chance.
WORD_LETTERS = 4


@dataclass(frozen=True, slots=True)
class LanguageScore:
    """Evidence on the language of a clip.

    Attributes:
        score: above 0 for a language of the embedder, below 0 for another.
        letters: number of recognised letters, the weight of the score.
    """

    score: float
    letters: int


def english_score(log_posteriors: Float32, common_words: Container[str]) -> LanguageScore | None:
    """Score a clip by the certainty of its letters and the share of them in common English words.

    Args:
        log_posteriors: natural logarithms of letter probabilities, shape =
            (n_frames, n_letters + 1), blank first.
        common_words: from `read_common_words`.

    Returns:
        The score, or None without letters.
    """
    words = word_spans(log_posteriors)
    letters = sum(len(word.letters) for word in words)
    if not letters:
        return None
    certainty = sum(len(word.letters) * word.probability for word in words) / letters
    common_letters = sum(
        len(word.letters)
        for word in words
        if len(word.letters) >= WORD_LETTERS and word.letters in common_words
    )
    return LanguageScore(
        CERTAINTY_WEIGHT * certainty + common_letters / letters - THRESHOLD, letters
    )


def is_foreign(scores: Iterable[LanguageScore | None]) -> bool:
    """Return True if a recording is not in a language of the embedder.

    Args:
        scores: scores of its passages; None for passages without speech.
    """
    valid = [score for score in scores if score is not None]
    letters = sum(score.letters for score in valid)
    # The mean over letters: one long passage says more than several short ones.
    total = sum(score.score * score.letters for score in valid)
    return letters >= MIN_LETTERS and total < 0


def read_common_words(path: Path, count: int = COMMON_WORDS) -> frozenset[str]:
    """Read the most frequent words of a word list with lines `word count`, most frequent first."""
    with path.open(encoding="ascii") as lines:
        return frozenset(line.split()[0] for line in islice(lines, count))
