"""From letter posteriors to words: what was said, how sure, and what else it could have been.

Knows a list of words with their frequencies; nothing of models or vectors. A word whose letters
are not in the list is compared with the words that are, by the likelihood of the frames that it
spans. Nothing here depends on the words before: every word is settled on its own.

Source of the likelihood: Graves et al., "Connectionist Temporal Classification", ICML 2006.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wavrag.types import Float32

LETTERS = " abcdefghijklmnopqrstuvwxyz0123456789'"
BLANK, SPACE = 0, 1
LETTER_INDEX = {letter: index + 1 for index, letter in enumerate(LETTERS)}
TWICE = len(LETTERS) - 1  # bits between a letter's own and that for its second time
NEAREST = 48  # words of the list that are compared with the frames
LETTER_DIFFERENCE = 4  # letters, counted without order, by which such a word may differ
SURE = 0.8  # mean probability of the letters from which on a listed word is not compared
FREQUENCY_WEIGHT = 0.6  # of the log frequency against the log likelihood
UNLISTED = -14.0  # log frequency of a word that is not in the list
RESCALED = 8  # frames after which probabilities are scaled, before they grow too small
TINY = 1e-300  # stands for a probability of 0
MARGIN = 1  # frames on either side of a word that its letters may take up


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word of speech.

    Attributes:
        text: the most likely word.
        letters: what its letters read, where that is another.
        weight: mean probability of the letters, 0 to 1.
        start: first frame.
        end: frame after the last.
    """

    text: str
    letters: str
    weight: float
    start: int
    end: int


class Lexicon:
    """Words by frequency, for choosing among those that sound alike."""

    def __init__(self, words: Sequence[str], log_frequencies: Float32) -> None:
        self._words = list(words)
        self._log_frequencies = log_frequencies
        self._place = {word: at for at, word in enumerate(self._words)}
        self._lengths = np.array([len(word) for word in self._words], np.int16)
        self._signatures = np.array([signature(word) for word in self._words], np.uint64)

    @classmethod
    def read(cls, path: Path) -> Lexicon:
        """A file of lines `word count`, most frequent first."""
        rows = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
        counts = np.array([int(count) for _, count in rows], np.float32)
        return cls([word for word, _ in rows], np.log(counts / counts.sum()).astype(np.float32))

    def words(self, log_posteriors: Float32) -> list[HeardWord]:
        """The words of speech, in order.

        Args:
            log_posteriors: natural logarithms, shape = (n_frames, n_letters + 1), blank first.
        """
        return [self._settle(log_posteriors, *span) for span in word_spans(log_posteriors)]

    def _settle(
        self, log_posteriors: Float32, letters: str, start: int, end: int, weight: float
    ) -> HeardWord:
        listed = self._place.get(letters)
        places = self._like(letters) if listed is None or weight < SURE else ()
        if not len(places):
            return HeardWord(letters, letters, weight, start, end)
        candidates = [letters, *(self._words[at] for at in places)]
        own = UNLISTED if listed is None else self._log_frequencies[listed]
        frequencies = np.concatenate(([own], self._log_frequencies[places]))
        frames = log_posteriors[max(0, start - MARGIN) : end + MARGIN]
        scores = likelihoods(frames, candidates) + FREQUENCY_WEIGHT * frequencies
        return HeardWord(candidates[int(scores.argmax())], letters, weight, start, end)

    def _like(self, letters: str) -> Any:
        """Places of the words of the list that share most letters with these."""
        difference = np.bitwise_count(self._signatures ^ np.uint64(signature(letters)))
        kept = np.flatnonzero(
            (difference <= min(LETTER_DIFFERENCE, len(letters)))
            & (np.abs(self._lengths - len(letters)) <= 2)
        )
        rank = difference[kept] - 0.2 * self._log_frequencies[kept]
        if len(kept) > NEAREST:
            kept = kept[np.argpartition(rank, NEAREST)[:NEAREST]]
        return kept


def signature(word: str) -> int:
    """64 bits: which letters a word has, and which of a to z at least twice.

    The bits in which two words differ are about the letters that one has and the other has not.
    """
    bits = 0
    for letter in word:
        bit = 1 << (LETTER_INDEX[letter] - 2)
        twice = bit << TWICE
        bits |= twice if bits & bit and letter.isalpha() else bit
    return bits


def word_spans(log_posteriors: Float32) -> list[tuple[str, int, int, float]]:
    """Words of the best letter of every frame: letters, first frame, end, mean probability."""
    best = log_posteriors.argmax(1)
    sure = log_posteriors.max(1)
    found: list[tuple[str, int, int, float]] = []
    letters: list[str] = []
    logs: list[float] = []
    start = end = 0
    for at in range(len(best) + 1):
        value = int(best[at]) if at < len(best) else SPACE
        if value == SPACE:
            if letters:
                found.append(("".join(letters), start, end, float(np.exp(np.mean(logs)))))
                letters, logs = [], []
        elif value != BLANK:
            if not letters:
                start = at
            if at == 0 or best[at - 1] != value:
                letters.append(LETTERS[value - 1])
            logs.append(float(sure[at]))
            end = at + 1
    return found


def likelihoods(log_posteriors: Float32, words: Sequence[str]) -> Float32:
    """Log likelihood of each word given the frames, by the forward algorithm.

    Args:
        log_posteriors: shape = (n_frames, n_letters + 1).
        words: at least one.

    Returns:
        float32, shape = (len(words),).
    """
    lengths = np.array([len(word) for word in words])
    states = np.zeros((len(words), 2 * int(lengths.max()) + 1), np.int64)
    for row, word in enumerate(words):
        states[row, 1 : 2 * len(word) : 2] = [LETTER_INDEX[letter] for letter in word]
    # A letter may follow the one before it without a blank between, unless they are the same.
    skips = (states[:, 2:] != BLANK) & (states[:, 2:] != states[:, :-2])
    frames = np.exp(log_posteriors.astype(np.float64))
    blank_or_space = np.maximum(frames[:, BLANK], frames[:, SPACE])
    emitted = np.where(states[None] == BLANK, blank_or_space[:, None, None], frames[:, states])
    alpha = np.zeros(states.shape)
    alpha[:, :2] = emitted[0, :, :2]
    scale = 0.0
    for at, frame in enumerate(emitted[1:], start=1):
        following = alpha.copy()
        following[:, 1:] += alpha[:, :-1]
        following[:, 2:] += alpha[:, :-2] * skips
        alpha = following * frame
        if at % RESCALED == 0:
            largest = max(float(alpha.max()), TINY)
            alpha /= largest
            scale += np.log(largest)
    rows = np.arange(len(words))
    ends = alpha[rows, 2 * lengths] + alpha[rows, 2 * lengths - 1]
    result: Float32 = (np.log(np.maximum(ends, TINY)) + scale).astype(np.float32)
    return result
