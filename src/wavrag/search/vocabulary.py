"""Correct the spelling of a question with the vocabulary of a knowledge base."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from wavrag.corrections import look_up_counts
from wavrag.text import FUNCTION_WORDS
from wavrag.types import Correction, Int64, Vocabulary, WeightedWord

_WORD = re.compile(r"[^\W_]+")

# Shorter words have too many neighbours: of the words of three letters, most differ by one letter.
MIN_LETTERS = 4
# Longer words are rare, and their distances would not fit the 64 bits of a machine word.
MAX_LETTERS = 32
TWO_SLIPS_LETTERS = 8  # words of at least this length may differ by two edits, others by one

# Chosen on 500 training questions of SQuAD with a misspelled word each, among 7,679 passages. Half
# or twice of any of these changes recall@10 by at most .004.
MAX_ALTERNATIVES = 3
EDIT_COST = 4.0  # of each edit, in units of a log probability
FREQUENCY_WEIGHT = 0.4  # of the log of the number of passages
PAIR_WEIGHT = 1.0  # of the log of the count of a pair with the word before or after


class WordIndex:
    """Index over the words of a vocabulary that finds words at a small edit distance."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._position = {word: index for index, word in enumerate(vocabulary.words)}

    def correct(self, text: str, is_known: Callable[[str], bool]) -> list[Correction]:
        """Find alternatives for the unknown words of a question.

        Words with digits, short words and function words are left alone.

        Args:
            text: the question.
            is_known: called for each word without an entry in the vocabulary; True if the store
                finds the word nevertheless, such as an inflected form of a word.
        """
        words = _WORD.findall(text)
        corrections: dict[str, Correction] = {}
        for at, word in enumerate(words):
            if word in corrections or self._is_listed(word) or is_known(word):
                continue
            neighbours = [
                self._position.get(words[position].lower()) if 0 <= position < len(words) else None
                for position in (at - 1, at + 1)
            ]
            alternatives = self._rank(fold(word), *neighbours)
            if alternatives:
                corrections[word] = Correction(word, alternatives)
        return list(corrections.values())

    def near_words(self, word: str) -> tuple[Int64, Int64]:
        """Return the indices of all words at a small distance of a folded one, and their distances.

        The distance is the optimal string alignment: insertions, deletions, substitutions, and
        transpositions of adjacent letters.
        """
        order, starts, letters, signatures = self._letters
        limit = 2 if len(word) >= TWO_SLIPS_LETTERS else 1
        first = starts[max(MIN_LETTERS, len(word) - limit)]
        last = starts[min(MAX_LETTERS, len(word) + limit) + 1]
        # An edit changes at most two bits of a signature.
        signature = _signatures(np.array([[ord(letter) % 2**16] for letter in word]))[0]
        differences = np.bitwise_count(signatures[first:last] ^ signature)
        candidates = first + np.flatnonzero(differences <= 2 * limit)
        distances = edit_distances(word, letters[: len(word) + limit, candidates])
        near = distances <= limit
        return order[candidates[near]], distances[near]

    @cached_property
    def _letters(self) -> tuple[Int64, Int64, np.ndarray, np.ndarray]:
        """Words by length: their indices, start of each length, letter codes, signatures."""
        spellings = [fold(word) for word in self._vocabulary.words]
        lengths = np.array([len(word) if word.isalpha() else 0 for word in spellings], np.int64)
        lengths[lengths > MAX_LETTERS] = 0
        order = np.argsort(lengths, kind="stable")
        starts = np.searchsorted(lengths[order], np.arange(MAX_LETTERS + 2))
        codes = _letter_codes([spellings[index] for index in order])
        return order, starts, codes, _signatures(codes)

    @cached_property
    def _pairs(self) -> Int64:
        return self._vocabulary.pairs[:, 0] << 32 | self._vocabulary.pairs[:, 1]

    def _is_listed(self, word: str) -> bool:
        word = word.lower()
        if not MIN_LETTERS <= len(word) <= MAX_LETTERS or not word.isalpha():
            return True
        return word in self._position or word in FUNCTION_WORDS

    def _rank(self, word: str, before: int | None, after: int | None) -> tuple[WeightedWord, ...]:
        indices, distances = self.near_words(word)
        if not len(indices):
            return ()
        scores = FREQUENCY_WEIGHT * np.log(self._vocabulary.counts[indices])
        scores -= EDIT_COST * distances
        if before is not None:
            scores += PAIR_WEIGHT * np.log1p(self._count_pairs(before << 32 | indices))
        if after is not None:
            scores += PAIR_WEIGHT * np.log1p(self._count_pairs(indices << 32 | after))
        best = np.lexsort((indices, -scores))[:MAX_ALTERNATIVES]
        weights = np.exp(scores[best] - scores[best[0]])
        weights /= weights.sum()
        return tuple(
            WeightedWord(self._vocabulary.words[index], round(float(weight), 4))
            for index, weight in zip(indices[best], weights, strict=True)
        )

    def _count_pairs(self, keys: Int64) -> Int64:
        return look_up_counts(self._pairs, self._vocabulary.pair_counts, keys)


def fold(word: str) -> str:
    """Lower case, without accents, as in the full-text index."""
    word = word.lower()
    if word.isascii():
        return word
    letters = unicodedata.normalize("NFKD", word)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def edit_distances(word: str, letters: np.ndarray) -> Int64:
    """Compute the distance of a word to many words, by the bit-parallel algorithm of Hyyrö.

    Source: Hyyrö, "A Bit-Vector Algorithm for Computing Levenshtein and Damerau Edit Distances",
    Nordic Journal of Computing, 2003, figure 8.

    Args:
        word: at most 64 letters.
        letters: codes of the letters of the other words, 0 after the end, shape =
            (max_length, n_words).

    Returns:
        shape = (n_words,).
    """
    one = np.uint64(1)
    matches = np.zeros(2**16, np.uint64)  # for each letter, its positions in the word as bits
    for at, letter in enumerate(word):
        matches[ord(letter) % 2**16] |= one << np.uint64(at)
    last = np.uint64(len(word) - 1)
    n_words = letters.shape[1]
    positive, negative = np.full(n_words, ~np.uint64(0)), np.zeros(n_words, np.uint64)
    diagonal, previous = np.zeros_like(negative), np.zeros_like(negative)
    distance = np.full(n_words, len(word), np.int64)
    for codes in letters:
        inside = codes != 0
        match = matches[codes]
        transpositions = ((~diagonal & match) << one) & previous
        diagonal = (((match & positive) + positive) ^ positive) | match | negative | transpositions
        rises = negative | ~(diagonal | positive)
        falls = diagonal & positive
        change = ((rises >> last) & one).astype(np.int64) - ((falls >> last) & one).astype(np.int64)
        distance += np.where(inside, change, 0)
        rises = (rises << one) | one
        positive = (falls << one) | ~(diagonal | rises)
        negative = rises & diagonal
        previous = match
    return distance


def _letter_codes(words: Sequence[str]) -> np.ndarray:
    """Code points of words, 0 after the end, uint16, shape = (MAX_LETTERS, n_words)."""
    # Code points beyond 16 bits are cut off: equal codes for different letters do no harm here.
    fixed = np.array(words, dtype=f"<U{MAX_LETTERS}").reshape(-1, 1)
    codes = fixed.view(np.uint32).astype(np.uint16)
    return np.ascontiguousarray(codes.T)


def _signatures(codes: np.ndarray) -> np.ndarray:
    """Sets of letters as bits: 32 for the first occurrence of a letter, 32 for further ones."""
    signatures = np.zeros(codes.shape[1], np.uint64)
    for row in codes:
        bits = np.where(row == 0, 0, np.uint64(1) << (row % 32).astype(np.uint64))
        bits = bits.astype(np.uint64)
        signatures |= bits | (signatures & bits) << np.uint64(32)
    return signatures
