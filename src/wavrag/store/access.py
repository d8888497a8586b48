"""Access labels of documents, and a store that holds only the documents of some labels.

The labels of a document are in its metadata: `access` lists them, and there is a key for each, so
that a filter finds a label by equality: `{"access": "hr,legal", "access.hr": true, ...}`. A
document without `access` is for everybody.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from wavrag.errors import InputError, StoreError
from wavrag.store.base import Change, Store, StoredDocument, StoredPassage
from wavrag.store.checks import read_filter
from wavrag.types import (
    Float32,
    Leg,
    LexicalQuery,
    Metadata,
    Passage,
    Scalar,
    ScoredPassage,
    Vocabulary,
)  # fmt: skip
from wavrag.where import And, Compare, IsNull, Node, Or, matches

ACCESS = "access"
"""Metadata key of the labels of a document."""

PUBLIC = "public"
"""In place of labels: the document is for everybody."""

MAX_LABELS = 50  # of a document or a reader: each is a condition of every search
_LABEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def parse_labels(text: str) -> frozenset[str]:
    """Parse labels that are separated by commas; `public` stands for none.

    Raises:
        InputError: one of them is no label, or there are too many.

    Example:
        >>> sorted(parse_labels("hr, legal"))
        ['hr', 'legal']
    """
    labels = [label.strip() for label in text.split(",")]
    if labels == [PUBLIC]:
        return frozenset()
    return check_labels(labels)


def check_labels(labels: Iterable[str]) -> frozenset[str]:
    """Return labels as a set.

    Raises:
        InputError: one of them is no label, or there are too many.
    """
    checked = frozenset(labels)
    for label in sorted(checked):
        if not _LABEL.fullmatch(label) or label == PUBLIC:
            raise InputError(
                f"{label[:80]!r} is no access label: use up to 63 lower-case letters, digits and"
                f" . _ -, or {PUBLIC!r} alone for no label"
            )
    if len(checked) > MAX_LABELS:
        raise InputError(f"{len(checked)} access labels are too many: give at most {MAX_LABELS}")
    return checked


def labels_of(metadata: Metadata) -> frozenset[str]:
    """The labels of a stored document; empty if it is for everybody."""
    return frozenset(
        key.removeprefix(f"{ACCESS}.") for key in metadata if key.startswith(f"{ACCESS}.")
    )


def without_labels(metadata: Metadata) -> dict[str, Scalar]:
    """Metadata without access labels, which a file must not bring along."""
    return {
        key: value for key, value in metadata.items() if key.partition(".")[0] != ACCESS
    }  # fmt: skip


def with_labels(metadata: Metadata, labels: Collection[str]) -> dict[str, Scalar]:
    """Metadata with access labels in place of earlier ones."""
    plain = without_labels(metadata)
    if not labels:
        return plain
    keys: dict[str, Scalar] = {f"{ACCESS}.{label}": True for label in sorted(labels)}
    return {**plain, ACCESS: ",".join(sorted(labels)), **keys}


def access_filter(labels: Iterable[str]) -> Node:
    """The filter for documents without labels, and for those with one of these labels."""
    public = IsNull(ACCESS)
    keys = [Compare(f"{ACCESS}.{label}", "=", True) for label in sorted(check_labels(labels))]
    return Or((public, *keys)) if keys else public


@dataclass(slots=True)
class _Words:
    """Words of the visible passages, and those of the whole store when they were counted."""

    all: Vocabulary
    passages: int  # visible ones at that time: large stores rarely count all words
    visible: Vocabulary


class VisibleStore:
    """The part of a store that a reader with some labels may see.

    Everything is read as if the store held nothing else, except that BM25 weighs words by their
    frequency in the whole store. Hidden documents can neither be changed nor replaced.

    Args:
        store: the whole store; it stays open.
        labels: labels of the reader.
    """

    def __init__(self, store: Store, labels: Collection[str]) -> None:
        self._store = store
        self._filter = access_filter(labels)
        self._words: _Words | None = None

    def upsert(self, records: Sequence[StoredPassage]) -> None:
        """Replace whole documents; see `Store.upsert`."""
        self._check_visible({record.passage.document_id for record in records})
        self._store.upsert(records)

    def replace(self, document_id: str, records: Iterable[StoredPassage]) -> None:
        """Replace a document; see `Store.replace`."""
        self._check_visible([document_id])
        self._store.replace(document_id, records)

    def update(self, document_ids: Sequence[str], change: Change) -> None:
        """Change documents; see `Store.update`. Hidden ones are unknown, and none is created."""

        def change_visible(stored: Iterator[StoredPassage]) -> Iterable[StoredPassage]:
            return change(self._require_visible(record) for record in stored)

        self._store.update(self._visible(document_ids), change_visible)

    def _require_visible(self, record: StoredPassage) -> StoredPassage:
        if not matches(self._filter, record.passage):
            raise StoreError("the access labels were changed at the same time: try again")
        return record

    def delete(self, document_ids: Sequence[str]) -> int:
        """Remove documents; see `Store.delete`. Hidden ones are unknown."""
        return self._store.delete(self._visible(document_ids))

    def search(
        self,
        vector: Float32 | None,
        text: str | LexicalQuery | None,
        k: int,
        where: str | Node | None = None,
    ) -> Mapping[Leg, list[ScoredPassage]]:
        """Search; see `Store.search`."""
        return self._store.search(vector, text, k, self._restrict(read_filter(where)))

    def get(self, passage_ids: Sequence[str]) -> list[Passage]:
        """Return passages by id; see `Store.get`."""
        passages = self._store.get(passage_ids)
        return [passage for passage in passages if matches(self._filter, passage)]

    def content_hash(self, document_id: str) -> str | None:
        """Return the content hash of a document; see `Store.content_hash`."""
        return self._store.content_hash(document_id) if self._visible([document_id]) else None

    def count(self, where: Node | None = None) -> int:
        """Return the number of passages; see `Store.count`."""
        return self._store.count(self._restrict(where))

    def scan(self, document_ids: Sequence[str] | None = None) -> Iterator[StoredPassage]:
        """Yield a snapshot; see `Store.scan`."""
        records = self._store.scan(document_ids)
        return (record for record in records if matches(self._filter, record.passage))

    def documents(self) -> list[StoredDocument]:
        """Return all documents, ordered by id."""
        return [
            document
            for document in self._store.documents()
            if matches(self._filter, Passage(document.id, 0, metadata=document.metadata))
        ]

    def vocabulary(self, where: Node | None = None) -> Vocabulary:
        """Count the words; see `Store.vocabulary`."""
        if where is not None:
            return self._store.vocabulary(self._restrict(where))
        state = self._store.vocabulary(), self.count()
        words = self._words
        if words is None or (words.all is not state[0]) or words.passages != state[1]:
            words = _Words(*state, self._store.vocabulary(self._filter))
            self._words = words
        return words.visible

    def optimize(self) -> None:
        """Update the indexes; see `Store.optimize`."""
        self._store.optimize()

    def verify(self, share: float = 1.0) -> list[str]:
        """Report no defects, since they may be those of hidden documents."""
        return []

    def close(self) -> None:
        """Do nothing: the whole store stays open."""

    def _restrict(self, where: Node | None) -> Node:
        if where is None:
            return self._filter
        # A flat list, because stores limit the nesting of a filter.
        terms = where.terms if isinstance(where, And) else (where,)
        return And((*terms, self._filter))

    def _visible(self, document_ids: Iterable[str]) -> list[str]:
        """The ids of those documents that are visible."""
        heads = self.get([f"{document_id}#0" for document_id in document_ids])
        return [passage.document_id for passage in heads]

    def _check_visible(self, document_ids: Iterable[str]) -> None:
        heads = [f"{document_id}#0" for document_id in document_ids]
        if any(not matches(self._filter, passage) for passage in self._store.get(heads)):
            raise StoreError("a document of this id cannot be changed: choose another id")
