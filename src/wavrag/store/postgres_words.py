"""Inverted lists for the lexical leg of a PostgreSQL store, and their BM25 scores.

A row of the table `postings` has the passages of one term and one commit, or of many commits after
a merge: 8 bytes a passage. A search fetches the rows of its terms and adds up scores with NumPy,
because a table with a row for each word of each passage would be ten times larger, and the words
of most questions are in so many passages that the server would take seconds to join them.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from wavrag.store.lexical import split_words, weighted_words
from wavrag.store.memory import BM25_B, BM25_K1
from wavrag.types import Int64, LexicalQuery

Float64: TypeAlias = npt.NDArray[np.float64]
Postings: TypeAlias = npt.NDArray[np.void]

# A passage of a term: its number, and occurrences of the term and of all terms in it. Both are at
# most 65,535: BM25 hardly changes beyond.
POSTING = np.dtype([("number", "<u4"), ("tf", "<u2"), ("length", "<u2")])
_PACK = struct.Struct("<IHH").pack
_LIMIT = 0xFFFF

MAX_TERM = 64  # characters; a key of an index has at most 2,700 bytes

# Scores are added up in an array over all numbers between the lowest and the highest one, unless
# that is this many times longer than the lists.
MAX_SPARSITY = 16

# Scripts without spaces between words; LanceDB's index splits them by a dictionary.
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]+)"
)


def terms_of(text: str) -> list[str]:
    """Terms of a text: stems without accents in lower case, and pairs of Chinese characters."""
    return [term for word in split_words(text.lower()) for term in _terms_of_word(word)]


def weighted_terms(query: str | LexicalQuery) -> dict[str, float]:
    """Distinct terms of a query with their weights."""
    weights: dict[str, float] = defaultdict(float)
    for text, weight in weighted_words(query):
        for term in sorted(set(terms_of(text))):
            weights[term] += weight
    return weights


def build_postings(passages: Iterable[tuple[int, list[str]]]) -> dict[str, bytes]:
    """Inverted lists of passages, given as numbers with terms."""
    postings: dict[str, bytearray] = defaultdict(bytearray)
    for number, terms in passages:
        length = min(len(terms), _LIMIT)
        for term, tf in Counter(terms).items():
            postings[term] += _PACK(number, min(tf, _LIMIT), length)
    return {term: bytes(data) for term, data in postings.items()}


def read_postings(rows: Iterable[bytes]) -> Postings:
    """Parse the rows of a term."""
    return np.frombuffer(b"".join(rows), POSTING)


def without_numbers(postings: Postings, removed: Int64) -> Postings:
    """Postings without those of removed passages."""
    return postings[~np.isin(postings["number"], removed)] if len(removed) else postings


def score_bm25(
    postings: Mapping[str, Postings], weights: Mapping[str, float], passages: int, words: int
) -> tuple[Int64, Float64]:
    """Numbers of the passages with any of the terms, ascending, and their scores.

    The formula is that of `wavrag.store.bm25`.

    Args:
        postings: by term, without removed passages.
        weights: by term.
        passages: number of passages in the store.
        words: number of terms of all passages.
    """
    mean = words / passages if words and passages else 1.0
    numbers, scores = [], []
    for term in sorted(postings):
        rows = postings[term]
        tf = rows["tf"].astype(np.float64)
        norm = BM25_K1 * (1 - BM25_B + BM25_B * rows["length"] / mean)
        idf = math.log(1 + (passages - len(rows) + 0.5) / (len(rows) + 0.5))
        numbers.append(rows["number"].astype(np.int64))
        scores.append(weights[term] * idf * tf * (BM25_K1 + 1) / (tf + norm))
    return _sum_scores(numbers, scores)


def best_slices(numbers: Int64, scores: Float64, sizes: Iterable[int]) -> Iterator[Any]:
    """Slices of passages from best to worst, each with all that tie with its last one.

    Args:
        numbers: of passages, shape = (n,).
        scores: shape = (n,).
        sizes: of the slices; the last one has all the others.
    """
    positive = scores > 0
    numbers, scores = numbers[positive], scores[positive]
    for size in sizes:
        if size >= len(scores):
            break
        threshold = np.partition(scores, len(scores) - size)[len(scores) - size]
        is_best = scores >= threshold
        yield numbers[is_best], scores[is_best]
        numbers, scores = numbers[~is_best], scores[~is_best]
    if len(scores):
        yield numbers, scores


def _sum_scores(numbers: list[Int64], scores: list[Float64]) -> tuple[Int64, Float64]:
    parts = [(n, s) for n, s in zip(numbers, scores, strict=True) if len(n)]
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0)
    first = min(int(n.min()) for n, _ in parts)
    span = max(int(n.max()) for n, _ in parts) - first + 1
    if span > MAX_SPARSITY * sum(len(n) for n, _ in parts):
        distinct, inverse = np.unique(np.concatenate([n for n, _ in parts]), return_inverse=True)
        sums = np.bincount(inverse, np.concatenate([s for _, s in parts]))
        return distinct, sums.astype(np.float64)
    total = np.zeros(span)
    for n, s in parts:
        total[n - first] += s  # a term has each passage once
    present = np.flatnonzero(total)
    return present + first, total[present]


@lru_cache(maxsize=200_000)
def _terms_of_word(word: str) -> tuple[str, ...]:
    terms: list[str] = []
    for index, run in enumerate(_UNSPACED.split(word)):
        if index % 2:
            terms += [run[i : i + 2] for i in range(len(run) - 1)] or [run]
        elif run:
            terms.append(_shorten(_stemmer().stemWord(_fold(run))))
    return tuple(terms)


def _fold(word: str) -> str:
    """A word without accents."""
    if word.isascii():
        return word
    decomposed = unicodedata.normalize("NFKD", word)
    return "".join(char for char in decomposed if not unicodedata.combining(char)).lower()


def _shorten(term: str) -> str:
    if len(term) <= MAX_TERM:
        return term
    return hashlib.blake2b(term.encode("utf-8", "replace"), digest_size=MAX_TERM // 2).hexdigest()


@cache
def _stemmer() -> Any:
    from snowballstemmer import stemmer

    return stemmer("english")
