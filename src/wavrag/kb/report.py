"""What adding documents did while it happens and at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands.

    Attributes:
        documents: stored, unchanged or skipped so far, of `total`.
        total: documents given.
        passages: embedded so far.
        audio_seconds: sum of the passages of recordings embedded so far.
        current: source that is being read.
    """

    documents: int
    total: int
    passages: int
    audio_seconds: float
    current: str


ProgressSink: TypeAlias = Callable[[Progress], None]


@dataclass(slots=True)
class AddReport:
    """What happened to each document; what is listed as added or updated is on disk.

    Attributes:
        added: ids of documents that are new.
        updated: ids of documents whose content or metadata changed.
        unchanged: ids of documents that were there already.
        removed: ids of documents that are gone from disk (only when pruning).
        skipped: source and reason of what could not be added.
        notes: source and remark of what was added with a reservation.
        passages: stored in this run.
        audio_seconds: length of the recordings stored in this run, up to their last passage.
        seconds: that the run took.
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
