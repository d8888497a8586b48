"""Summaries of the documents in a LanceDB table, kept in a log beside it.

A summary has a digest of the document's rows. After damage to the table, the log tells which
documents are whole, and from which files the others can be indexed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from operator import attrgetter

import numpy as np

from wavrag.store.base import StoredDocument, StoredPassage
from wavrag.types import Passage

_NUMBERS = (
    "ordinal",
    "start",
    "end",
    "char_start",
    "char_end",
    "page",
    "level",
    "channel",
    "track",
)
_OTHERS = tuple(
    field.name for field in fields(Passage) if field.name not in {*_NUMBERS, "metadata", "copies"}
)
_numbers, _others = attrgetter(*_NUMBERS), attrgetter(*_OTHERS)
_DIGESTS = 2**64  # sums of digests are taken modulo this number


@dataclass(slots=True)
class Tally:
    """A document's summary, and the sum of the digests of its rows, which has no order."""

    head: StoredDocument  # without the counts
    passages: int = 0
    seconds: float = 0.0
    digest: int = 0

    @property
    def document(self) -> StoredDocument:
        """The summary."""
        return replace(self.head, passages=self.passages, seconds=self.seconds)

    def to_line(self) -> str:
        """A line of the log."""
        document = self.document
        # Not `asdict`, which copies every value: it took half of the time of a commit.
        values = {field.name: getattr(document, field.name) for field in fields(document)}
        return json.dumps({**values, "digest": self.digest})

    def is_equal(self, tally: Tally | None) -> bool:
        """True if all rows are equal."""
        counts = tally and (tally.digest, tally.passages)
        return (self.digest, self.passages) == counts


class DocumentTallies(dict[str, Tally]):
    """Tallies by document id."""

    def count(self, records: Iterable[StoredPassage]) -> Iterator[StoredPassage]:
        """Pass records on and count them."""
        for record in records:
            self.add(record)
            yield record

    def add(self, record: StoredPassage) -> None:
        """Count a row."""
        passage = record.passage
        tally = self.get(passage.document_id)
        if tally is None:
            document = StoredDocument(
                passage.document_id, record.content_hash, passage.source, passage.title,
                passage.modality, 0, 0.0, dict(passage.metadata), tuple(passage.copies),
            )  # fmt: skip
            tally = self[passage.document_id] = Tally(document)
        tally.passages += 1
        tally.seconds = max(tally.seconds, float(passage.end or 0.0))
        tally.digest = (tally.digest + digest_row(record)) % _DIGESTS


def digest_row(record: StoredPassage) -> int:
    """A digest of everything that is stored of a passage."""
    passage = record.passage
    # As float: NumPy's numbers and Python's have the same value, but another `repr`.
    numbers = [None if value is None else float(value) for value in _numbers(passage)]
    words = (
        numbers, _others(passage), sorted(passage.metadata.items()), list(passage.copies),
        record.lexical, record.content_hash,
    )  # fmt: skip
    digest = hashlib.blake2b(repr(words).encode("utf-8", "backslashreplace"), digest_size=8)
    digest.update(np.ascontiguousarray(record.vector, "<f4").tobytes())
    return int.from_bytes(digest.digest(), "little")


def log_lines(tallies: Mapping[str, Tally], removed: Iterable[str]) -> bytes:
    """Lines for changed and removed documents."""
    lines = [tally.to_line() for tally in tallies.values()]
    lines += [json.dumps({"removed": id}) for id in removed]
    return "".join(f"{line}\n" for line in lines).encode()


def read_log(data: bytes) -> DocumentTallies:
    """The documents at the end of a log; lines that are damaged are left out."""
    tallies = DocumentTallies()
    for line in data.split(b"\n"):
        try:
            values = json.loads(line)
            if "removed" in values:
                tallies.pop(values["removed"], None)
                continue
            digest = int(values.pop("digest"))
            document = StoredDocument(**{**values, "copies": tuple(values["copies"])})
        except (ValueError, TypeError, KeyError):
            continue
        tallies[document.id] = Tally(document, document.passages, document.seconds, digest)
    return tallies


def unequal_documents(
    expected: Mapping[str, Tally], tallies: Mapping[str, Tally]
) -> list[StoredDocument]:
    """The expected documents that are missing, or differ in a row."""
    return [tally.document for id, tally in expected.items() if not tally.is_equal(tallies.get(id))]
