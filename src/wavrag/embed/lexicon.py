"""Decode words from the letter probabilities of a CTC model, with a word list.

Greedy decoding yields letters. A word outside the list, or with uncertain letters, is compared with
similar words of the list by the acoustic likelihood of its frames. Each word is decoded
independently of its context.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wavrag.embed.ctc import LETTER_INDEX, WordSpan, likelihoods, word_spans
from wavrag.types import Float32, Int64

REPEAT_SHIFT = 37  # from the bit of a letter to the bit of its second occurrence
LONGEST_WORD = 32  # letters; longer words are never proposed
MAX_CANDIDATES = 40  # words of the list compared by likelihood, which costs time per candidate
MAX_LETTER_DIFFERENCE = 4  # letters, in any order, by which a candidate may differ
MAX_LENGTH_DIFFERENCE = 2
FREQUENCY_RANK = 0.2  # letters of difference that a log frequency is worth among candidates
# A listed word with this mean letter probability is accepted without comparison.
ACCEPTANCE_PROBABILITY = 0.8
# Chosen on 498 spoken training questions, clean and in babble: recall@1 changes by at most .01 for
# weights from .25 to .5, and for log frequencies from -18 down.
FREQUENCY_WEIGHT = 0.3  # weight of the log frequency beside the log likelihood
UNLISTED_FREQUENCY = -30.0  # log frequency assumed for words outside the list
MARGIN_FRAMES = 1  # frames; CTC may place letters this far outside the greedy span


class WordList:
    """Words with frequencies, and an index that finds words with similar letters."""

    def __init__(self, words: Sequence[str], log_frequencies: Float32) -> None:
        """Index words in the letters of the model.

        Args:
            words: distinct words without spaces.
            log_frequencies: natural logarithms of relative frequencies, shape = (len(words),).
        """
        lengths = np.array([len(word) for word in words], np.int64)
        order = np.argsort(lengths, kind="stable")
        self.words: list[str] = [words[index] for index in order]
        self.log_frequencies: Float32 = log_frequencies[order]
        self._starts = np.searchsorted(lengths[order], np.arange(LONGEST_WORD + 2))
        self._signatures = _signatures(self.words)

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each word."""
        return {word: index for index, word in enumerate(self.words)}

    def find_similar(self, letters: str) -> Int64:
        """Return positions of at most `MAX_CANDIDATES` words with the most letters in common."""
        shortest = min(max(1, len(letters) - MAX_LENGTH_DIFFERENCE), LONGEST_WORD)
        longest = min(len(letters) + MAX_LENGTH_DIFFERENCE, LONGEST_WORD)
        first, end = int(self._starts[shortest]), int(self._starts[longest + 1])
        signature = np.uint64(_signature(letters))
        difference = np.bitwise_count(self._signatures[first:end] ^ signature)
        near = np.flatnonzero(difference <= min(MAX_LETTER_DIFFERENCE, max(2, len(letters))))
        if len(near) > MAX_CANDIDATES:
            rank = difference[near] - FREQUENCY_RANK * self.log_frequencies[first + near]
            near = near[np.argpartition(rank, MAX_CANDIDATES)[:MAX_CANDIDATES]]
        return first + near


class Lexicon:
    """Word list of a language, to choose between words with similar sound."""

    def __init__(self, words: Sequence[str], log_frequencies: Float32) -> None:
        self._list = WordList(words, log_frequencies)

    @classmethod
    def read(cls, path: Path) -> Lexicon:
        """Read a file with lines `word count`, most frequent first."""
        rows = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
        counts = np.array([int(count) for _, count in rows], np.float32)
        return cls([word for word, _ in rows], np.log(counts / counts.sum()).astype(np.float32))

    def words(self, log_posteriors: Float32) -> list[str]:
        """Decode the words of a clip, in order.

        Args:
            log_posteriors: natural logarithms of letter probabilities, shape =
                (n_frames, n_letters + 1), blank first.
        """
        return [self._choose(log_posteriors, span) for span in word_spans(log_posteriors)]

    def _choose(self, log_posteriors: Float32, span: WordSpan) -> str:
        index = self._list.index.get(span.letters)
        if index is not None and span.probability >= ACCEPTANCE_PROBABILITY:
            return span.letters
        similar = self._list.find_similar(span.letters)
        similar = similar[similar != index]
        candidates = [span.letters, *(self._list.words[at] for at in similar)]
        frequency = UNLISTED_FREQUENCY if index is None else self._list.log_frequencies[index]
        frequencies = np.concatenate(([frequency], self._list.log_frequencies[similar]))
        frames = log_posteriors[max(0, span.start - MARGIN_FRAMES) : span.end + MARGIN_FRAMES]
        scores = likelihoods(frames, candidates) + FREQUENCY_WEIGHT * frequencies
        best: str = candidates[int(scores.argmax())]
        return best


def _signature(word: str) -> int:
    """Return a 64-bit set of the letters of a word, with bits for repeated letters a to z.

    The number of differing bits approximates the number of differing letters of two words, and
    takes one instruction to compute.
    """
    signature = 0
    for letter in word:
        bit = 1 << LETTER_INDEX[letter] - 1
        is_repeated = signature & bit and letter.isalpha()
        signature |= bit << REPEAT_SHIFT if is_repeated else bit
    return signature


def _signatures(words: Sequence[str]) -> Any:
    """Compute `_signature` of many words at once."""
    width = min(max(map(len, words), default=1), LONGEST_WORD)
    codes = np.array(words, dtype=f"<U{width}").view(np.uint32).reshape(len(words), width)
    bits = np.zeros(128, np.uint64)
    for letter, index in LETTER_INDEX.items():
        bits[ord(letter)] = np.uint64(1) << np.uint64(index - 1)
    repeatable = np.bitwise_or.reduce(bits[ord("a") : ord("z") + 1])
    signatures = np.zeros(len(words), np.uint64)
    for column in codes.T:
        bit = bits[column]
        repeat = bit & signatures & repeatable
        signatures |= (bit & ~repeat) | repeat << np.uint64(REPEAT_SHIFT)
    return signatures
