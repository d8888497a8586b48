"""Test data of the store kits: passages, filters and concurrent writers."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from wavrag.store import Store, StoredPassage
from wavrag.types import Float32, Metadata, Passage, Scalar, ScoredPassage
from wavrag.where import format_value

DIM = 8

OpenStore = Callable[[int], Store]

# Quotes, wildcards, SQL, the separators of ids and facets, and the empty id.
ODD_IDS = (
    "it's", 'say "hi"', "a#0", "100%_\\", "line\nbreak", "') OR (1 = 1", "日本/é.wav", "",
    "null\x00byte", "sep\x1e\x1farator",
)  # fmt: skip

# Query syntax of common full-text engines, which a store must read as plain words.
ODD_QUESTIONS = (
    '"zebra"', "zebra:", "+zebra -crossing", "(zebra", "zebra)", "zebra AND (", "zebra*", "zebra~2",
    "NOT zebra", "title:zebra^9", "zebra\\", "'; DROP TABLE passages; -- zebra", "\x00zebra\n",
    "zebra?!",
)  # fmt: skip


def unit_vector(seed: int, dim: int = DIM) -> Float32:
    """A unit vector, reproducible by its seed."""
    vector = np.random.default_rng(seed).standard_normal(dim)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def text_records(
    document_id: str,
    words: Sequence[str],
    *,
    seed: int = 0,
    metadata: Metadata | None = None,
    content_hash: str = "hash",
) -> list[StoredPassage]:
    """A text document with a passage for each item of `words`."""
    return [
        StoredPassage(
            Passage(
                document_id,
                ordinal,
                text,
                char_start=100 * ordinal,
                char_end=100 * ordinal + len(text),
                source=document_id,
                metadata=metadata or {},
            ),
            # Documents of different seeds share no vector, up to 1,000 passages.
            unit_vector(1000 * seed + ordinal),
            text,
            content_hash,
        )
        for ordinal, text in enumerate(words)
    ]


def ids(hits: Iterable[ScoredPassage]) -> list[str]:
    """Passage ids of a leg."""
    return [hit.passage.id for hit in hits]


def contents(store: Store) -> list[tuple[Passage, list[float], str, str]]:
    """The content of a store, in comparable form."""
    return [
        (record.passage, record.vector.tolist(), record.lexical, record.content_hash)
        for record in store.scan()
    ]


def plain(records: Iterable[StoredPassage]) -> list[tuple[Passage, list[float], str, str]]:
    """Passages in the form of `contents`."""
    rows = sorted(records, key=lambda r: (r.passage.document_id, r.passage.ordinal))
    return [(r.passage, r.vector.tolist(), r.lexical, r.content_hash) for r in rows]


def vocabulary_counts(store: Store) -> tuple[dict[str, int], dict[str, int]]:
    """Passages of each word, and occurrences of each pair of words."""
    vocabulary = store.vocabulary()
    words = vocabulary.words
    pairs = [f"{words[before]} {words[after]}" for before, after in vocabulary.pairs.tolist()]
    return (
        dict(zip(words, vocabulary.counts.tolist(), strict=True)),
        dict(zip(pairs, vocabulary.pair_counts.tolist(), strict=True)),
    )


def with_types(metadata: Metadata) -> dict[str, tuple[type, Scalar]]:
    """Metadata with types, because 1, 1.0 and True are equal in Python."""
    return {key: (type(value), value) for key, value in metadata.items()}


def broken_records() -> Mapping[str, list[StoredPassage]]:
    """Invalid documents by defect; every store must reject them."""
    good = text_records("broken", ["one", "two", "three"])

    def changed(index: int, **changes: Any) -> list[StoredPassage]:
        return [replace(r, **changes) if i == index else r for i, r in enumerate(good)]

    def with_metadata(metadata: Mapping[str, Any]) -> list[StoredPassage]:
        return [replace(r, passage=replace(r.passage, metadata=metadata)) for r in good]

    return {
        "nan vector": changed(1, vector=np.full(DIM, np.nan, dtype=np.float32)),
        "zero vector": changed(1, vector=np.zeros(DIM, dtype=np.float32)),
        "long vector": changed(2, vector=2 * unit_vector(1)),
        "other dim": changed(2, vector=unit_vector(1, DIM + 1)), "gap": [good[0], good[2]],
        "twice": [*good, good[0]], "two hashes": changed(2, content_hash="other"),
        "two metadatas": changed(2, passage=replace(good[2].passage, metadata={"a": 1})),
        "nested metadata": with_metadata({"a": {"b": 1}}),
        "null metadata": with_metadata({"a": None}),
        "nan metadata": with_metadata({"a": float("nan")}),
        "huge metadata": with_metadata({"a": 2**63}),
        "undecodable id": text_records("caf\udce9.txt", ["one"]),
    }  # fmt: skip


# Keys that need quoting, and some that look like built-in keys.
FILTER_KEYS = ("year", "lang", "x y", 'quote"d', "it's", "é", "sep\x1e\x1f", "Year", "start.end")
FILTER_OWN_KEYS = ("id", "source", "title", "modality", "section", "page", "start", "end")
# Around the limits of 64-bit integers and of floats (2**53), values equal across types, characters
# special in SQL, regular expressions and LIKE, and control characters as used for separators.
FILTER_VALUES: tuple[Scalar, ...] = (
    0, 1, -1, 2, 10, 2**53, 2**53 + 1, 2**63 - 1, -(2**63),
    0.0, 1.0, 1.5, -0.5, 9e15, 1e300, 5e-324,
    True, False,
    "", "a", "A", "ab", "abc", "b", "é", "e", "日本", "1", "true", "it's", "text", "audio",
    "100%", "a_b", "a\\b", "a.b", "a\nb", " ", "$^(.*)[]",
    "\x00", "\x1c", "\x1d", "\x1e", "\x1f", "\x1d1", "a\x1fsb",
)  # fmt: skip
# Fragments of LIKE patterns: wildcards, escaped wildcards, and characters special elsewhere.
FILTER_PIECES = (
    "%", "_", "%", "a", "b", "é", ".", "\\\\", "\\%", "\\_", "\\a", "'", "1",
    "[", "$", "\n", "\x1d", "1%",
)  # fmt: skip


def random_passages(chance: random.Random, count: int) -> list[Passage]:
    """Documents of one passage with random metadata, some under built-in keys."""
    passages = []
    for number in range(count):
        keys = chance.sample([*FILTER_KEYS, *FILTER_OWN_KEYS], chance.randrange(8))
        spoken = chance.random() < 0.4
        texts = [value for value in FILTER_VALUES if isinstance(value, str)]
        passages.append(
            Passage(
                document_id=f"{number}{chance.choice(texts)}",
                ordinal=0,
                start=chance.choice([0.0, 1.5, 9.25]) if spoken else None,
                end=chance.choice([10.0, 12.5]) if spoken else None,
                section=chance.choice(texts),
                page=chance.choice([None, 1, 2, 10]),
                source=chance.choice(texts),
                copies=tuple(chance.sample(texts, max(0, chance.randrange(-3, 3)))),
                title=chance.choice(texts),
                metadata={key: chance.choice(FILTER_VALUES) for key in keys},
            )
        )
    return passages


def random_filter(chance: random.Random, depth: int = 3) -> str:
    """A random expression of the filter language over the keys and values above."""
    shape = chance.randrange(8) if depth else 0
    if shape == 1:
        return f"not ({random_filter(chance, depth - 1)})"
    if shape in (2, 3):
        word = "and" if shape == 2 else "or"
        return f"({random_filter(chance, depth - 1)} {word} {random_filter(chance, depth - 1)})"
    key = chance.choice([*FILTER_KEYS, *FILTER_OWN_KEYS, "missing"])
    key = '"' + key.replace('"', '""') + '"'
    match chance.randrange(6):
        case 0:
            values = [
                format_value(chance.choice(FILTER_VALUES)) for _ in range(chance.randrange(1, 4))
            ]
            return f"{key} {chance.choice(['', 'not '])}in ({', '.join(values)})"
        case 1:
            pattern = "".join(chance.choices(FILTER_PIECES, k=chance.randrange(4)))
            return f"{key} {chance.choice(['', 'not '])}like {format_value(pattern)}"
        case 2:
            return f"{key} is {chance.choice(['', 'not '])}null"
    operator = chance.choice(["=", "!=", "<>", "<", "<=", ">", ">="])
    return f"{key} {operator} {format_value(chance.choice(FILTER_VALUES))}"


def writer(store: Store, name: str) -> Callable[[], None]:
    """A writer of documents of its own and of one shared by all writers."""

    def write() -> None:
        for turn in range(5):
            store.upsert(
                text_records(f"{name}{turn}", ["w"] * 3)
                + text_records("shared", [f"by {name}"] * (turn + 1), content_hash=f"{name}{turn}")
            )

    return write


def check_writers(store: Store, names: str) -> None:
    """Check the documents of all writers; the shared one must not mix their versions."""
    documents = {document.id: document for document in store.documents()}
    assert set(documents) == {"shared", *(f"{name}{turn}" for name in names for turn in range(5))}
    shared = documents.pop("shared")
    # The hash ends with the turn of its writer, and in turn n it has n + 1 passages.
    assert shared.passages == int(shared.content_hash[-1]) + 1
    assert {document.passages for document in documents.values()} == {3}
    assert store.verify() == []


def run_together(calls: Sequence[Callable[[], None]]) -> None:
    """Run calls in concurrent threads and raise the first error."""
    barrier = threading.Barrier(len(calls))
    errors: list[BaseException] = []

    def run(call: Callable[[], None]) -> None:
        barrier.wait()  # so that the calls overlap, however slowly threads start
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
