"""The store seam: passages with their vectors, kept and found again.

Knows nothing of models: it is given vectors and words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from wavrag.types import Float32, Leg, Metadata, Modality, Passage, ScoredPassage


@dataclass(frozen=True, slots=True, eq=False)
class StoredPassage:
    """One row.

    Attributes:
        passage: what is found.
        vector: unit vector, float32, shape = (dim,).
        lexical: the words that the full-text index holds; empty for none.
        content_hash: the document's, so that an unchanged one is recognised.
    """

    passage: Passage
    vector: Float32
    lexical: str
    content_hash: str


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as the rows tell it.

    Attributes:
        id: document id.
        content_hash: hex digest of the content that was indexed.
        source: path or URI.
        title: for people.
        modality: of its passages.
        passages: how many there are.
        seconds: end of its last passage; 0 for text.
        metadata: as given when it was added.
    """

    id: str
    content_hash: str
    source: str
    title: str
    modality: Modality
    passages: int
    seconds: float
    metadata: Metadata = field(default_factory=dict)


@runtime_checkable
class Store(Protocol):
    """Keeps records. What a call has acknowledged by returning survives a killed process."""

    def upsert(self, records: Sequence[StoredPassage]) -> None:
        """Replace whole documents in one atomic step.

        Every document that the records name is afterwards exactly the records given for it:
        all of them are there or, after a failure, none of the change is.

        Raises:
            StoreError: nothing was changed; the message says why and what to do.
        """
        ...

    def delete(self, document_ids: Sequence[str]) -> int:
        """Remove documents; unknown ids are ignored. Returns how many passages went."""
        ...

    def search(
        self, vector: Float32 | None, text: str | None, k: int, where: str | None = None
    ) -> Mapping[Leg, list[ScoredPassage]]:
        """The best k passages of each leg that was asked for, best first, ties by passage id.

        Args:
            vector: unit query vector for the `dense` leg, scored by cosine; None leaves it out.
            text: words for the `lexical` leg, scored by BM25; None leaves it out. Any characters
                are words, none is query syntax.
            k: at most so many per leg.
            where: filter expression of `wavrag.where`.

        Raises:
            FilterError: the expression cannot be understood.
        """
        ...

    def get(self, passage_ids: Sequence[str]) -> list[Passage]:
        """The passages with these ids, in the order asked for; unknown ids are left out."""
        ...

    def count(self) -> int:
        """Passages kept."""
        ...

    def scan(self) -> Iterator[StoredPassage]:
        """Every record, in order of document id and ordinal, without holding all in memory."""
        ...

    def documents(self) -> list[StoredDocument]:
        """Every document, in order of id."""
        ...

    def optimize(self) -> None:
        """Bring the indexes up to date and drop what old versions hold on disk."""
        ...

    def verify(self) -> list[str]:
        """Read everything back; one sentence for each defect, none when all is well."""
        ...

    def close(self) -> None:
        """Release what is held; further calls are errors."""
        ...
