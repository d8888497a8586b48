"""Validate passages before a store writes them and after it reads them back.

Pure functions on plain data, shared by all stores.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Container, Iterable, Iterator

import numpy as np

from wavrag.errors import FilterError, IndexMismatchError, StoreError
from wavrag.store.base import StoredPassage
from wavrag.types import Float32, Metadata, Passage
from wavrag.where import Node, parse

# Tolerated deviation of a vector's length from 1: float32 and 16-bit encoders round.
UNIT_TOLERANCE = 1e-3

# Metadata integers lie in [-INT_LIMIT, INT_LIMIT), the range of most JSON readers.
INT_LIMIT = 2**63


def check_records(
    records: Iterable[StoredPassage], dim: int, document_ids: Container[str] | None = None
) -> None:
    """Reject passages that a store could not return unchanged; see `RecordChecker`."""
    for _ in checked(records, dim, document_ids):
        pass


def checked(
    records: Iterable[StoredPassage], dim: int, document_ids: Container[str] | None = None
) -> Iterator[StoredPassage]:
    """Yield passages after checking each of them; see `RecordChecker`."""
    checker = RecordChecker(dim, document_ids)
    for record in records:
        checker.check(record)
        yield record
    checker.finish()


class RecordChecker:
    """Rejects passages that a store could not return unchanged, one by one.

    Raises:
        IndexMismatchError: a vector has another length than `dim`.
        StoreError: a document's ordinals are not 0 to n - 1, its content hash or metadata differ
            between passages, or a vector, text or metadata value cannot be stored. The message
            names the passage.
    """

    def __init__(self, dim: int, document_ids: Container[str] | None = None) -> None:
        """Check passages with `dim` dimensions, of these documents only if ids are given."""
        self._dim = dim
        self._document_ids = document_ids
        self._first: dict[str, StoredPassage] = {}
        # The ordinals of a document up to here are complete; those beyond it are few if its
        # passages come in order, so that memory does not grow with a long document.
        self._next: dict[str, int] = {}
        self._beyond: dict[str, set[int]] = {}

    def check(self, record: StoredPassage) -> None:
        """Check the next passage."""
        passage = record.passage
        document_id = passage.document_id
        if self._document_ids is not None and document_id not in self._document_ids:
            raise StoreError(f"{passage.id} is of another document: leave it out")
        check_vector(record.vector, self._dim, passage.id)
        texts = (
            passage.text, passage.section, passage.source, passage.title, record.lexical,
            *passage.copies,
        )  # fmt: skip
        check_unicode(document_id, *(text for text in texts if text))
        self._check_ordinal(passage)
        head = self._first.setdefault(document_id, record)
        if head is record:
            check_metadata(passage.metadata, document_id)
        # Both are stored with every row; `documents` reads them from the first one only.
        elif (record.content_hash, passage.metadata, passage.copies) != (
            head.content_hash, head.passage.metadata, head.passage.copies,
        ):  # fmt: skip
            raise StoreError(
                f"{passage.id} differs from {head.passage.id} in content hash, metadata or copies:"
                " passages of one document share all three"
            )

    def _check_ordinal(self, passage: Passage) -> None:
        expected = self._next.setdefault(passage.document_id, 0)
        beyond = self._beyond.setdefault(passage.document_id, set())
        if 0 <= passage.ordinal < expected or passage.ordinal in beyond:
            raise StoreError(f"{passage.id} was given twice: give every passage once")
        beyond.add(passage.ordinal)
        while expected in beyond:
            beyond.remove(expected)
            expected += 1
        self._next[passage.document_id] = expected

    def finish(self) -> None:
        """Check that no passage is missing."""
        for document_id, beyond in self._beyond.items():
            if beyond:
                raise StoreError(
                    f"{document_id} has no passage {self._next[document_id]}, but"
                    f" {reprlib.repr(sorted(beyond))}: give all its passages, numbered from 0"
                )


def check_vector(vector: Float32, dim: int, name: str) -> None:
    """Reject a vector with another dimension or without unit length."""
    if vector.shape != (dim,):
        raise IndexMismatchError(
            f"the vector of {name} has shape {vector.shape}, but this store has ({dim},):"
            " use the embedder of the store, or index again into a new directory"
        )
    defect = vector_defect(vector)
    if defect:
        raise StoreError(f"the vector of {name} {defect}: normalise it before it is stored")


def vector_defect(vector: Float32) -> str:
    """Predicate that describes the defect of a vector; empty if there is none."""
    length = float(np.linalg.norm(vector))
    if not math.isfinite(length):
        return "is not finite"
    if abs(length - 1) > UNIT_TOLERANCE:
        return f"has length {length:.3f}, not 1"
    return ""


def check_unicode(document_id: str, *texts: str) -> None:
    """Reject text that cannot be encoded as UTF-8, such as an undecodable file name."""
    try:
        for text in (document_id, *texts):
            text.encode()
    except UnicodeEncodeError as error:
        raise StoreError(
            f"{document_id!r} holds {error.object[error.start : error.end]!r}, which is not valid"
            " Unicode: rename the file or correct the text"
        ) from error


def is_unicode(text: str) -> bool:
    """True if a text can be encoded as UTF-8; no store contains any other text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_filter(where: str | Node | None) -> Node | None:
    """Parse a filter, if there is one that is not parsed yet."""
    if not isinstance(where, str):
        return where
    if not is_unicode(where):
        raise FilterError(f"the filter {where!r} is not valid Unicode: correct it")
    return parse(where)


def check_metadata(metadata: Metadata, document_id: str) -> None:
    """Reject metadata that is not flat JSON."""
    for key, value in metadata.items():
        check_unicode(document_id, *(text for text in (key, value) if isinstance(text, str)))
        if not isinstance(key, str) or type(value) not in (str, int, float, bool):
            raise StoreError(
                f"the metadata {key!r} of {document_id} is a {type(value).__name__}:"
                " give str, int, float or bool"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise StoreError(f"the metadata {key!r} of {document_id} is {value}: give a number")
        # `type`, because a bool is an int, too.
        if type(value) is int and not -INT_LIMIT <= value < INT_LIMIT:
            raise StoreError(
                f"the metadata {key!r} of {document_id} exceeds 64 bits: give it as text"
            )


def find_defects(records: Iterable[StoredPassage], dim: int) -> list[str]:
    """Describe each defect of a store, whose passages are ordered by document id and ordinal."""
    defects: list[str] = []
    document_id: str | None = None
    expected, content_hash = 0, ""
    for record in records:
        passage = record.passage
        if passage.document_id != document_id:
            document_id, expected, content_hash = passage.document_id, 0, record.content_hash
        if passage.ordinal != expected:
            defects.append(
                f"{document_id} has passage {passage.ordinal} where {expected} is expected:"
                " index it again"
            )
        expected = passage.ordinal + 1
        if record.content_hash != content_hash:
            defects.append(f"{passage.id} is of another version of its document: index it again")
        flaw = f"has shape {record.vector.shape}, not ({dim},)"
        if record.vector.shape == (dim,):
            flaw = vector_defect(record.vector)
        if flaw:
            defects.append(f"the vector of {passage.id} {flaw}: index the document again")
    return defects
