"""Count the words of passages, and keep the counts in a side file.

Counting is fast enough to be repeated for each version of a store (under 1 s for 10,000 passages:
`python benchmarks/vocabulary.py`), so no commit has to keep counts consistent. The side file spares
new processes the counting. Large stores keep a count until their size has changed noticeably.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np

from wavrag.disk import write_file
from wavrag.store.lexical import split_words
from wavrag.types import Int64, Vocabulary

MAX_PAIRS = 100_000
MAX_WORDS = 100_000
BLOCK = 1_000  # passages counted at once, which bounds the memory
# Counting 100,000 passages takes 6 to 9 s, too long after every change. A new word needs no count:
# words in the full-text index are never corrected.
EXACT_PASSAGES = 10_000  # up to this size, every version of a store is counted
# Change of the number of passages above which larger stores are counted again. All counts of a long
# run take as long as counting its passages three times; with 0.1 it would be eleven times.
MAX_CHANGE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class VocabularyCount:
    """A vocabulary and the state of the store for which it was counted."""

    version: int
    passages: int
    vocabulary: Vocabulary

    def is_valid(self, version: int, passages: int) -> bool:
        """True if the count can serve for a version with a number of passages."""
        change = abs(passages - self.passages)
        large = passages > EXACT_PASSAGES and change <= MAX_CHANGE * self.passages
        return large or version == self.version


def count_vocabulary(texts: Iterable[str]) -> Vocabulary:
    """Count the passages of each word, and the frequent pairs of adjacent words.

    Beyond `2 * MAX_WORDS` distinct words, and `4 * MAX_PAIRS` distinct pairs, the rarest are
    dropped while counting, which bounds the memory; counts of rare ones are then lower bounds.
    """
    index = _WordIndex()
    counts = np.zeros(0, np.int64)
    pairs = _PairCounts()
    texts = iter(texts)
    while block := [split_words(text.lower()) for text in islice(texts, BLOCK)]:
        codes = np.fromiter(map(index.__getitem__, chain.from_iterable(block)), np.int64)
        rows = np.repeat(np.arange(len(block)), [len(words) for words in block])
        # With counts, because `np.unique` then sorts: its hash table is ten times slower here.
        distinct, _ = np.unique(rows << 32 | codes, return_counts=True)
        counts = np.pad(counts, (0, len(index) - len(counts)))
        counts += np.bincount(distinct & 0xFFFFFFFF, minlength=len(index))
        adjacent = rows[1:] == rows[:-1]
        pairs.add(codes[:-1][adjacent] << 32 | codes[1:][adjacent])
        if len(index) > 2 * MAX_WORDS:
            frequent = np.sort(np.argsort(-counts, kind="stable")[:MAX_WORDS])
            new_codes = np.full(len(counts), -1, np.int64)
            new_codes[frequent] = np.arange(MAX_WORDS)
            counts = counts[frequent]
            pairs.rename(new_codes)
            words = (word for word, code in zip(index, new_codes, strict=True) if code >= 0)
            index = _WordIndex(zip(words, range(MAX_WORDS), strict=True))
    keys, pair_counts = pairs.most_frequent(MAX_PAIRS)
    halves = np.stack((keys >> 32, keys & 0xFFFFFFFF), axis=1)
    return Vocabulary(tuple(index), counts, halves, pair_counts)


class _WordIndex(dict[str, int]):
    """Codes of words; a new word gets the next one."""

    def __missing__(self, word: str) -> int:
        code = self[word] = len(self)
        return code


class _PairCounts:
    """Counts of pairs of words, each the code of the first word << 32 | that of the second."""

    def __init__(self) -> None:
        self._keys = self._counts = np.zeros(0, np.int64)
        self._blocks: list[tuple[Int64, Int64]] = []  # not merged yet
        self._size = 0  # of these blocks

    def add(self, keys: Int64) -> None:
        """Count pairs once for each occurrence."""
        distinct, counts = np.unique(keys, return_counts=True)
        self._blocks.append((distinct, counts))
        self._size += len(distinct)
        # A merge takes as long as there are pairs in all, so it waits until many are new.
        if self._size > MAX_PAIRS:
            self._merge()

    def _merge(self) -> None:
        keys = np.concatenate([self._keys, *(keys for keys, _ in self._blocks)])
        counts = np.concatenate([self._counts, *(counts for _, counts in self._blocks)])
        self._blocks, self._size = [], 0
        self._keys, inverse = np.unique(keys, return_inverse=True)
        self._counts = np.bincount(inverse, counts, len(self._keys)).astype(np.int64)
        self._keys, self._counts = _most_frequent(self._keys, self._counts, 4 * MAX_PAIRS)

    def rename(self, codes: Int64) -> None:
        """Give words new codes, by their old ones; pairs with a word of code -1 are dropped."""
        self._merge()
        first, second = codes[self._keys >> 32], codes[self._keys & 0xFFFFFFFF]
        is_frequent = (first >= 0) & (second >= 0)
        # Codes keep their order, so the pairs stay sorted.
        self._keys, self._counts = (first << 32 | second)[is_frequent], self._counts[is_frequent]

    def most_frequent(self, limit: int) -> tuple[Int64, Int64]:
        """The most frequent pairs, sorted, and their counts."""
        self._merge()
        return _most_frequent(self._keys, self._counts, limit)


def save_vocabulary(path: Path, count: VocabularyCount) -> None:
    """Write the side file in one step; on a read-only or full disk there is none."""
    with suppress(OSError):
        write_file(path, vocabulary_bytes(count))


def load_vocabulary(path: Path) -> VocabularyCount | None:
    """Read the side file; None if it is missing or damaged."""
    try:
        return parse_vocabulary(path.read_bytes())
    except OSError:
        return None


def vocabulary_bytes(count: VocabularyCount) -> bytes:
    """A count as the content of a file."""
    vocabulary = count.vocabulary
    words = np.frombuffer("\n".join(vocabulary.words).encode(), np.uint8)
    content = io.BytesIO()
    np.savez(
        content, version=count.version, passages=count.passages, words=words,
        counts=vocabulary.counts, pairs=vocabulary.pairs, pair_counts=vocabulary.pair_counts,
    )  # fmt: skip
    return content.getvalue()


def parse_vocabulary(data: bytes) -> VocabularyCount | None:
    """Invert `vocabulary_bytes`; None if the content is damaged."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            words = tuple(arrays["words"].tobytes().decode().split())
            counts = (arrays[name] for name in ("counts", "pairs", "pair_counts"))
            state = int(arrays["version"]), int(arrays["passages"])
            return VocabularyCount(*state, Vocabulary(words, *counts))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _most_frequent(pairs: Int64, counts: Int64, limit: int) -> tuple[Int64, Int64]:
    if len(pairs) <= limit:
        return pairs, counts
    order = np.sort(np.argsort(-counts, kind="stable")[:limit])
    return pairs[order], counts[order]
