"""Decode words from the letter probabilities of a CTC model, with a word list.

Greedy decoding yields letters. A word outside the list, or with uncertain letters, is compared with
similar words of the list by the acoustic likelihood of its frames. Each word is decoded
independently of its context.

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
REPEAT_SHIFT = len(LETTERS) - 1  # from the bit of a letter to the bit of its second occurrence
MAX_CANDIDATES = 48  # words of the list compared by likelihood, which costs time per candidate
MAX_LETTER_DIFFERENCE = 4  # letters, in any order, by which a candidate may differ
# A listed word with this mean letter probability is accepted without comparison.
ACCEPTANCE_PROBABILITY = 0.8
FREQUENCY_WEIGHT = 0.6  # weight of the log frequency beside the log likelihood
OUT_OF_LIST_FREQUENCY = -14.0  # log frequency assumed for words outside the list
# Frames between rescalings of the forward probabilities, which would underflow float64 in long
# words.
RESCALE_INTERVAL = 8
MIN_PROBABILITY = 1e-300  # in place of a probability of 0, whose logarithm does not exist
MARGIN_FRAMES = 1  # frames; CTC may place letters this far outside the greedy span


@dataclass(frozen=True, slots=True)
class RecognisedWord:
    """A word of the transcript."""

    text: str  # the most likely word
    letters: str  # decoded greedily
    weight: float  # mean probability of the letters, from 0 to 1
    start: int  # first frame
    end: int  # frame after the last


class Lexicon:
    """Word list with frequencies, to choose between words with similar sound."""

    def __init__(self, words: Sequence[str], log_frequencies: Float32) -> None:
        self._words = list(words)
        self._log_frequencies = log_frequencies
        self._index = {word: index for index, word in enumerate(self._words)}
        self._lengths = np.array([len(word) for word in self._words], np.int16)
        self._signatures = np.array([signature(word) for word in self._words], np.uint64)

    @classmethod
    def read(cls, path: Path) -> Lexicon:
        """Read a file with lines `word count`, most frequent first."""
        rows = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
        counts = np.array([int(count) for _, count in rows], np.float32)
        return cls([word for word, _ in rows], np.log(counts / counts.sum()).astype(np.float32))

    def words(self, log_posteriors: Float32) -> list[RecognisedWord]:
        """Decode the words of a clip, in order.

        Args:
            log_posteriors: natural logarithms of letter probabilities, shape =
                (n_frames, n_letters + 1), blank first.
        """
        return [self._choose(log_posteriors, *span) for span in word_spans(log_posteriors)]

    def _choose(
        self, log_posteriors: Float32, letters: str, start: int, end: int, weight: float
    ) -> RecognisedWord:
        index = self._index.get(letters)
        similar = self._similar(letters) if index is None or weight < ACCEPTANCE_PROBABILITY else ()
        if not len(similar):
            return RecognisedWord(letters, letters, weight, start, end)
        candidates = [letters, *(self._words[at] for at in similar)]
        frequency = OUT_OF_LIST_FREQUENCY if index is None else self._log_frequencies[index]
        frequencies = np.concatenate(([frequency], self._log_frequencies[similar]))
        frames = log_posteriors[max(0, start - MARGIN_FRAMES) : end + MARGIN_FRAMES]
        scores = likelihoods(frames, candidates) + FREQUENCY_WEIGHT * frequencies
        return RecognisedWord(candidates[int(scores.argmax())], letters, weight, start, end)

    def _similar(self, letters: str) -> Any:
        """Return indices of the words in the list with the most letters in common."""
        difference = np.bitwise_count(self._signatures ^ np.uint64(signature(letters)))
        indices = np.flatnonzero(
            (difference <= min(MAX_LETTER_DIFFERENCE, len(letters)))
            & (np.abs(self._lengths - len(letters)) <= 2)
        )
        rank = difference[indices] - 0.2 * self._log_frequencies[indices]
        if len(indices) > MAX_CANDIDATES:
            indices = indices[np.argpartition(rank, MAX_CANDIDATES)[:MAX_CANDIDATES]]
        return indices


def signature(word: str) -> int:
    """Return a 64-bit set of the letters of a word, with bits for repeated letters from a to z.

    The number of differing bits approximates the number of differing letters of two words, and
    takes one instruction to compute.
    """
    bits = 0
    for letter in word:
        bit = 1 << (LETTER_INDEX[letter] - 2)
        repeat = bit << REPEAT_SHIFT
        bits |= repeat if bits & bit and letter.isalpha() else bit
    return bits


def word_spans(log_posteriors: Float32) -> list[tuple[str, int, int, float]]:
    """Decode greedily into words: letters, first frame, end, mean probability."""
    best = log_posteriors.argmax(1)
    log_probabilities = log_posteriors.max(1)
    words: list[tuple[str, int, int, float]] = []
    letters: list[str] = []
    logs: list[float] = []
    start = end = 0
    for at in range(len(best) + 1):
        value = int(best[at]) if at < len(best) else SPACE
        if value == SPACE:
            if letters:
                words.append(("".join(letters), start, end, float(np.exp(np.mean(logs)))))
                letters, logs = [], []
        elif value != BLANK:
            if not letters:
                start = at
            # CTC: a letter over several frames counts once; a double letter has a blank between.
            if at == 0 or best[at - 1] != value:
                letters.append(LETTERS[value - 1])
            logs.append(float(log_probabilities[at]))
            end = at + 1
    return words


def likelihoods(log_posteriors: Float32, words: Sequence[str]) -> Float32:
    """Return the log likelihood of each word given the frames, by the CTC forward algorithm.

    `log_posteriors` has shape = (n_frames, n_letters + 1), the result shape = (len(words),).
    """
    lengths = np.array([len(word) for word in words])
    states = np.zeros((len(words), 2 * int(lengths.max()) + 1), np.int64)
    for row, word in enumerate(words):
        states[row, 1 : 2 * len(word) : 2] = [LETTER_INDEX[letter] for letter in word]
    # The blank between two letters is optional, unless the letters are equal.
    skips = (states[:, 2:] != BLANK) & (states[:, 2:] != states[:, :-2])
    frames = np.exp(log_posteriors.astype(np.float64))
    blank_or_space = np.maximum(frames[:, BLANK], frames[:, SPACE])
    emissions = np.where(states[None] == BLANK, blank_or_space[:, None, None], frames[:, states])
    alpha = np.zeros(states.shape)
    alpha[:, :2] = emissions[0, :, :2]
    scale = 0.0
    for at, frame in enumerate(emissions[1:], start=1):
        following = alpha.copy()
        following[:, 1:] += alpha[:, :-1]
        following[:, 2:] += alpha[:, :-2] * skips
        alpha = following * frame
        if at % RESCALE_INTERVAL == 0:
            largest = max(float(alpha.max()), MIN_PROBABILITY)
            alpha /= largest
            scale += np.log(largest)
    rows = np.arange(len(words))
    ends = alpha[rows, 2 * lengths] + alpha[rows, 2 * lengths - 1]
    result: Float32 = (np.log(np.maximum(ends, MIN_PROBABILITY)) + scale).astype(np.float32)
    return result
