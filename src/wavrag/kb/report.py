"""Progress and result of indexing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of an indexing run.

    Attributes:
        documents: number of documents stored, unchanged or skipped so far.
        total: number of documents to index.
        passages: number of passages embedded so far.
        audio_seconds: total duration of the recorded passages embedded so far.
        current: source of the document being read.
    """

    documents: int
    total: int
    passages: int
    audio_seconds: float
    current: str


ProgressCallback: TypeAlias = Callable[[Progress], None]


@dataclass(slots=True)
class AddReport:
    """Result of indexing; `added` and `updated` documents are on disk.

    Attributes:
        added: ids of new documents.
        updated: ids of documents with new content or metadata.
        unchanged: ids of documents stored before.
        removed: ids of documents whose files were deleted (only when pruning).
        skipped: source of each document that cannot be indexed, and the reason.
        notes: source of each document with a defect, and the remark.
        passages: number of passages stored in this run.
        audio_seconds: total duration of the recordings stored in this run, up to their last
            passage.
        seconds: duration of the run.
    """

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    passages: int = 0
    audio_seconds: float = 0.0
    seconds: float = 0.0
