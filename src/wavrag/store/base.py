"""The store interface: keep passages with their vectors, and search them.

A store knows no models; its callers pass vectors and words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

from wavrag.types import (
    Float32,
    Leg,
    LexicalQuery,
    Metadata,
    Modality,
    Passage,
    ScoredPassage,
    Vocabulary,
)  # fmt: skip
from wavrag.where import Node


@dataclass(frozen=True, slots=True, eq=False)
class StoredPassage:
    """A passage as it is stored."""

    passage: Passage
    vector: Float32  # unit vector, float32, shape = (dim,)
    lexical: str  # words for the full-text index; empty for none
    content_hash: str  # content hash of the document, to recognise an unchanged one


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """Summary of a document's stored passages."""

    id: str
    content_hash: str  # hex digest of the indexed content
    source: str  # path or URI
    title: str  # for display
    modality: Modality  # of its passages
    passages: int  # number of passages
    seconds: float  # end of its last passage; 0 for text
    metadata: Metadata = field(default_factory=dict)
    copies: tuple[str, ...] = ()  # paths of further files with the same content

    @property
    def paths(self) -> tuple[str, ...]:
        """The source and its copies."""
        return (self.source, *self.copies)


# From the stored passages of documents to the new ones, both by document id and ordinal.
Change: TypeAlias = Callable[[Iterator[StoredPassage]], Iterable[StoredPassage]]


@runtime_checkable
class Store(Protocol):
    """Keeps passages. After a call returns, its changes survive a killed process."""

    def upsert(self, records: Sequence[StoredPassage]) -> None:
        """Replace whole documents in one atomic step.

        Afterwards each document has exactly the given passages. If the call fails, nothing has
        changed.

        Raises:
            StoreError: the passages cannot be stored; the message has the reason and the remedy.
        """
        ...

    def replace(self, document_id: str, records: Iterable[StoredPassage]) -> None:
        """Replace one document of any length in one atomic step, as `upsert` does.

        Args:
            document_id: the document.
            records: all its passages in order. They are taken one by one while other writers wait,
                so they should be at hand. A store on disk never holds all of them in memory.

        Raises:
            StoreError: the passages cannot be stored, or are of another document.
        """
        ...

    def update(self, document_ids: Sequence[str], change: Change) -> None:
        """Change documents in one atomic step that depends on their stored passages.

        No other change of these documents comes between the reading and the writing, whether by
        another thread, process or machine.

        Args:
            document_ids: the documents; all together are held in memory, unless there is only one.
            change: returns all passages of the documents, at hand as for `replace`; a document
                without passages is removed. It may be called again after a conflict, must not
                change the store, and should be fast, because other writers may wait. If it raises
                an exception, nothing has changed.

        Raises:
            StoreError: the passages cannot be stored, or are of another document.
        """
        ...

    def delete(self, document_ids: Sequence[str]) -> int:
        """Remove documents and return the number of removed passages; unknown ids are ignored."""
        ...

    def search(
        self,
        vector: Float32 | None,
        text: str | LexicalQuery | None,
        k: int,
        where: str | Node | None = None,
    ) -> Mapping[Leg, list[ScoredPassage]]:
        """Return the best k passages of each requested leg, best first, ties by passage id.

        Args:
            vector: unit query vector for the `dense` leg, scored by cosine; None for no such leg.
            text: words for the `lexical` leg, scored by BM25, with weighted alternatives in a
                `LexicalQuery`; None for no such leg. Punctuation has no syntax.
            k: maximum number of passages per leg.
            where: filter expression of `wavrag.where`, as text or parsed.

        Raises:
            FilterError: the expression cannot be parsed.
        """
        ...

    def get(self, passage_ids: Sequence[str]) -> list[Passage]:
        """Return passages by id, in the given order; unknown ids are left out."""
        ...

    def content_hash(self, document_id: str) -> str | None:
        """Return the content hash of a document; None for an unknown one."""
        ...

    def count(self, where: Node | None = None) -> int:
        """Return the number of passages, or of those that match a filter."""
        ...

    def scan(self, document_ids: Sequence[str] | None = None) -> Iterator[StoredPassage]:
        """Yield a snapshot, ordered by document id and ordinal, without loading it at once.

        Args:
            document_ids: yield the passages of these documents only; unknown ids are ignored.
        """
        ...

    def documents(self) -> list[StoredDocument]:
        """Return all documents, ordered by id."""
        ...

    def vocabulary(self, where: Node | None = None) -> Vocabulary:
        """Return the words of all passages, as of the last commit.

        The same object is returned until they are counted again.

        Args:
            where: count the words of matching passages only. Nothing is kept of this count.
        """
        ...

    def optimize(self) -> None:
        """Update the indexes and free disk space of old versions."""
        ...

    def verify(self, share: float = 1.0) -> list[str]:
        """Read everything back and return a sentence for each defect.

        Args:
            share: share of the data to read, from 0 to 1, chosen at random, if that is faster.
        """
        ...

    def close(self) -> None:
        """Release resources; further calls raise `StoreError`."""
        ...
