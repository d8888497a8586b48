"""Progress and result of indexing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Stage: TypeAlias = Literal["reading", "loading", "embedding"]


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of an indexing run.

    All files are read first, to find changes and copies; the models load before the first passage.
    """

    documents: int  # number of documents stored, unchanged or skipped so far
    total: int  # number of documents to index
    passages: int  # number of passages embedded so far
    audio_seconds: float  # total duration of the recorded passages embedded so far
    current: str  # source of the document being read
    fraction: float = 0.0  # share of a long document that is embedded, from 0 to 1, estimated
    seconds_left: float | None = None  # estimate for all documents; None if it is not known yet
    stage: Stage = "embedding"


ProgressCallback: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class UnreadFiles:
    """Files in the folders of a kind that is not read."""

    kind: str  # suffix in lower case; empty for files without one
    reason: str  # why they are not read, and the remedy
    files: tuple[str, ...]  # their paths


@dataclass(slots=True)
class AddReport:
    """Result of indexing; `added` and `updated` documents are on disk."""

    added: list[str] = field(default_factory=list)  # ids of new documents
    # Ids of documents with new content or metadata.
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)  # ids of documents stored before
    # Ids of documents whose file was moved or renamed.
    moved: list[str] = field(default_factory=list)
    # Paths of files with the content of another document, or of another file of this run.
    copies: list[str] = field(default_factory=list)
    # Ids of documents whose files were deleted (only when pruning).
    removed: list[str] = field(default_factory=list)
    # Source of each document that cannot be indexed, and the reason.
    skipped: list[tuple[str, str]] = field(default_factory=list)
    # Source of each document with a defect, and the remark.
    notes: list[tuple[str, str]] = field(default_factory=list)
    unread: list[UnreadFiles] = field(default_factory=list)
    passages: int = 0  # number of passages stored in this run
    # Total duration of the recordings stored in this run, up to their last passage.
    audio_seconds: float = 0.0
    seconds: float = 0.0  # duration of the run


@dataclass(frozen=True, slots=True)
class Removal:
    """Result of a removal by path."""

    removed: list[str]  # ids of removed documents
    kept: list[str]  # ids of documents that have another path
    passages: int  # number of removed passages
