"""What every store asks of records before it keeps them, and of rows when it reads them back.

Pure functions on plain data; knows no storage.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from wavrag.errors import FilterError, IndexMismatchError, StoreError
from wavrag.store.base import StoredDocument, StoredPassage
from wavrag.types import Float32, Metadata
from wavrag.where import Node, parse

UNIT_TOLERANCE = 1e-3
"""How far the length of a stored vector may be from 1."""

INT_LIMIT = 2**63
"""Metadata integers lie in [-INT_LIMIT, INT_LIMIT), as in most JSON readers and databases."""


def check_records(records: Sequence[StoredPassage], dim: int) -> None:
    """Refuse records that could not be found again as they were given.

    Raises:
        IndexMismatchError: a vector is not `dim` long.
        StoreError: a document's ordinals are not 0..n-1, its content hash or metadata differ
            between its passages, or a vector, text or metadata value cannot be kept. The message
            names the passage.
    """
    ordinals: dict[str, set[int]] = {}
    first: dict[str, StoredPassage] = {}
    for record in records:
        passage = record.passage
        check_vector(record.vector, dim, passage.id)
        texts = (passage.text, passage.section, passage.source, passage.title, record.lexical)
        check_unicode(passage.document_id, *(text for text in texts if text))
        ordinal_set = ordinals.setdefault(passage.document_id, set())
        if passage.ordinal in ordinal_set:
            raise StoreError(f"{passage.id} was given twice: give every passage once")
        ordinal_set.add(passage.ordinal)
        head = first.setdefault(passage.document_id, record)
        if head is record:
            check_metadata(passage.metadata, passage.document_id)
        elif record.content_hash != head.content_hash or passage.metadata != head.passage.metadata:
            raise StoreError(
                f"{passage.id} differs from {head.passage.id} in content hash or metadata:"
                " passages of one document share both"
            )
    for document_id, found in ordinals.items():
        if found != set(range(len(found))):
            raise StoreError(
                f"{document_id} has the ordinals {_few(sorted(found))}: give all its passages,"
                f" numbered 0 to {len(found) - 1}"
            )


def check_vector(vector: Float32, dim: int, name: str) -> None:
    """Refuse a vector of another length, or that is not a unit vector."""
    if vector.shape != (dim,):
        raise IndexMismatchError(
            f"the vector of {name} has shape {vector.shape}, and this store keeps ({dim},):"
            " use the embedder that it was made with, or index again into a new directory"
        )
    defect = vector_defect(vector)
    if defect:
        raise StoreError(f"the vector of {name} {defect}: normalise it before it is stored")


def vector_defect(vector: Float32) -> str:
    """What is wrong with a vector, as the end of a sentence; empty when nothing is."""
    length = float(np.linalg.norm(vector))
    if not math.isfinite(length):
        return "is not finite"
    if abs(length - 1) > UNIT_TOLERANCE:
        return f"has length {length:.3f}, not 1"
    return ""


def check_unicode(document_id: str, *texts: str) -> None:
    """Refuse what cannot be written as UTF-8, such as a file name that could not be decoded."""
    try:
        for text in (document_id, *texts):
            text.encode()
    except UnicodeEncodeError as error:
        raise StoreError(
            f"{document_id!r} holds {error.object[error.start : error.end]!r}, which is not valid"
            " Unicode: rename the file or clean the text"
        ) from error


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8; one that cannot is in no store."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_filter(where: str | None) -> Node | None:
    """The tree of a filter, if there is one.

    Raises:
        FilterError: it cannot be understood.
    """
    if where is not None and not is_unicode(where):
        raise FilterError(f"the filter {where!r} is not valid Unicode: write it anew")
    return None if where is None else parse(where)


def check_metadata(metadata: Metadata, document_id: str) -> None:
    """Refuse metadata that is not flat JSON."""
    for key, value in metadata.items():
        check_unicode(document_id, *(text for text in (key, value) if isinstance(text, str)))
        if not isinstance(key, str) or type(value) not in (str, int, float, bool):
            raise StoreError(
                f"the metadata {key!r} of {document_id} is a {type(value).__name__}:"
                " give str, int, float or bool"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise StoreError(f"the metadata {key!r} of {document_id} is {value}: give a number")
        if type(value) is int and not -INT_LIMIT <= value < INT_LIMIT:
            raise StoreError(
                f"the metadata {key!r} of {document_id} is beyond 64 bits: give it as text"
            )


def summarise(records: Iterable[StoredPassage]) -> list[StoredDocument]:
    """Documents of records, in order of id."""
    grouped: dict[str, list[StoredPassage]] = {}
    for record in records:
        grouped.setdefault(record.passage.document_id, []).append(record)
    documents = []
    for document_id in sorted(grouped):
        rows = grouped[document_id]
        head = min(rows, key=lambda row: row.passage.ordinal)
        documents.append(
            StoredDocument(
                id=document_id,
                content_hash=head.content_hash,
                source=head.passage.source,
                title=head.passage.title,
                modality=head.passage.modality,
                passages=len(rows),
                seconds=max(row.passage.end or 0.0 for row in rows),
                metadata=head.passage.metadata,
            )
        )
    return documents


def find_defects(records: Iterable[StoredPassage], dim: int) -> list[str]:
    """One sentence for each defect of records that come in order of document id and ordinal."""
    defects: list[str] = []
    document_id: str | None = None
    expected, content_hash = 0, ""
    for record in records:
        passage = record.passage
        if passage.document_id != document_id:
            document_id, expected, content_hash = passage.document_id, 0, record.content_hash
        if passage.ordinal != expected:
            defects.append(
                f"{document_id} has passage {passage.ordinal} where {expected} is due:"
                " index it again"
            )
        expected = passage.ordinal + 1
        if record.content_hash != content_hash:
            defects.append(f"{passage.id} is of another version of its document: index it again")
        flaw = (
            f"has shape {record.vector.shape}, not ({dim},)"
            if record.vector.shape != (dim,)
            else vector_defect(record.vector)
        )
        if flaw:
            defects.append(f"the vector of {passage.id} {flaw}: index the document again")
    return defects


def _few(values: Sequence[int]) -> str:
    shown = ", ".join(map(str, values[:8]))
    return f"{shown}, ..." if len(values) > 8 else shown
