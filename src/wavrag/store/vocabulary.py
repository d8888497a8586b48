"""Count the words of passages, and keep the counts in a side file.

Counting is fast enough to be repeated for each version of a store (under 1 s for 10,000 passages:
`python benchmarks/vocabulary.py`), so no commit has to keep counts consistent. The side file spares
new processes the counting; if its version is not that of the store, it is ignored.
"""

from __future__ import annotations

import os
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path

import numpy as np

from wavrag.store.lexical import split_words
from wavrag.types import Int64, Vocabulary

MAX_PAIRS = 200_000
BLOCK = 10_000  # passages counted at once, which bounds the memory


def count_vocabulary(texts: Iterable[str]) -> Vocabulary:
    """Count the passages of each word, and the frequent pairs of adjacent words.

    Beyond `4 * MAX_PAIRS` distinct pairs, the rarest are dropped while counting, so counts of
    rare pairs are lower bounds.
    """
    index: defaultdict[str, int] = defaultdict(lambda: len(index))
    counts = np.zeros(0, np.int64)
    pairs = pair_counts = np.zeros(0, np.int64)
    texts = iter(texts)
    while block := [split_words(text.lower()) for text in islice(texts, BLOCK)]:
        codes = np.fromiter(map(index.__getitem__, chain.from_iterable(block)), np.int64)
        rows = np.repeat(np.arange(len(block)), [len(words) for words in block])
        # With counts, because `np.unique` then sorts: its hash table is ten times slower here.
        distinct, _ = np.unique(rows << 32 | codes, return_counts=True)
        counts = np.pad(counts, (0, len(index) - len(counts)))
        counts += np.bincount(distinct & 0xFFFFFFFF, minlength=len(index))
        adjacent = rows[1:] == rows[:-1]
        keys, times = np.unique(
            codes[:-1][adjacent] << 32 | codes[1:][adjacent], return_counts=True
        )
        pairs, inverse = np.unique(np.concatenate((pairs, keys)), return_inverse=True)
        totals = np.zeros(len(pairs), np.int64)
        np.add.at(totals, inverse, np.concatenate((pair_counts, times)))
        pairs, pair_counts = _most_frequent(pairs, totals, 4 * MAX_PAIRS)
    pairs, pair_counts = _most_frequent(pairs, pair_counts, MAX_PAIRS)
    halves = np.stack((pairs >> 32, pairs & 0xFFFFFFFF), axis=1)
    return Vocabulary(tuple(index), counts, halves, pair_counts)


def save_vocabulary(path: Path, vocabulary: Vocabulary, version: int) -> None:
    """Write the side file in one step; on a read-only or full disk there is none."""
    words = np.frombuffer("\n".join(vocabulary.words).encode(), np.uint8)
    with suppress(OSError):
        # A name of its own, because several processes may write at once.
        part = path.with_suffix(f".{os.getpid()}.part")
        with part.open("wb") as file:
            np.savez(
                file, version=version, words=words, counts=vocabulary.counts,
                pairs=vocabulary.pairs, pair_counts=vocabulary.pair_counts,
            )  # fmt: skip
        part.replace(path)


def load_vocabulary(path: Path, version: int) -> Vocabulary | None:
    """Read the side file; None if it is missing, damaged, or of another version."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if int(arrays["version"]) != version:
                return None
            words = arrays["words"].tobytes().decode().split()
            return Vocabulary(
                tuple(words), arrays["counts"], arrays["pairs"], arrays["pair_counts"]
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _most_frequent(pairs: Int64, counts: Int64, limit: int) -> tuple[Int64, Int64]:
    if len(pairs) <= limit:
        return pairs, counts
    order = np.sort(np.argsort(-counts, kind="stable")[:limit])
    return pairs[order], counts[order]
