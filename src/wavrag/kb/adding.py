"""Adding documents: read ahead, embed in batches, store whole documents a few at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from wavrag.audio import SAMPLE_RATE
from wavrag.embed import Embedder
from wavrag.errors import InputError, StoreError
from wavrag.kb.ingest import IngestOptions, Unit, check_document, content_hash, passages_of
from wavrag.kb.prefetch import prefetch
from wavrag.kb.report import AddReport, Progress, ProgressSink
from wavrag.store import Store, StoredPassage
from wavrag.types import Document, Float32

BATCH = 32  # texts embedded together
CLIP_WEIGHT = 4  # texts that a clip counts for: keeps memory small and progress moving
AHEAD = 32  # passages that wait, read, while others are embedded
COMMIT_PASSAGES = 1_000  # stored at once
COMMIT_SECONDS = 5.0  # longest that finished documents wait to be stored
OPTIMIZE_PASSAGES = 20_000  # stored before the indexes are brought up to date in a long run


@dataclass(frozen=True, slots=True, eq=False)
class Begin:
    """The passages of a document follow."""

    document: Document
    content_hash: str


@dataclass(frozen=True, slots=True, eq=False)
class End:
    """A document is done with.

    Attributes:
        document: which one.
        notes: remarks for the report.
        unchanged: it was there already; no passages came.
        skipped: why it cannot be added; passages that came are void.
    """

    document: Document
    notes: tuple[str, ...] = ()
    unchanged: bool = False
    skipped: str | None = None


Event = Begin | Unit | End


def add_documents(
    documents: Sequence[Document],
    embedder: Embedder,
    store: Store,
    options: IngestOptions,
    on_progress: ProgressSink | None = None,
) -> AddReport:
    """See `KnowledgeBase.add`."""
    started = time.monotonic()
    known = {document.id: document.content_hash for document in store.documents()}
    run = _Run(store, known, len(documents), on_progress)
    events = read(documents, known, embedder.spec.sampling_rate or SAMPLE_RATE, options)
    try:
        with closing(prefetch(events, ahead=AHEAD)) as ahead:
            for batch in batches(ahead, BATCH):
                run.take(batch, embedder)
    except StoreError:
        raise
    except BaseException:
        # Interrupted, or the embedder failed: documents that are whole are kept.
        run.commit()
        raise
    run.commit()
    if run.report.added or run.report.updated:
        store.optimize()
    run.report.seconds = time.monotonic() - started
    return run.report


def read(
    documents: Sequence[Document], known: dict[str, str], sample_rate: int, options: IngestOptions
) -> Iterator[Event]:
    """The events of each document, in order.

    Args:
        documents: to read.
        known: content hash of every document that is stored already.
        sample_rate: Hz of the clips.
        options: how to cut.
    """
    seen: set[str] = set()
    for document in documents:
        notes: list[str] = []
        try:
            if document.id in seen:
                raise InputError("its id was given twice: only the first is added")
            seen.add(document.id)
            check_document(document)
            digest = content_hash(document, options)
            if known.get(document.id) == digest:
                yield End(document, unchanged=True)
                continue
            yield Begin(document, digest)
            yield from passages_of(document, sample_rate, options, notes.append)
            yield End(document, tuple(notes))
        except InputError as error:
            yield End(document, skipped=str(error))


def batches(events: Iterator[Event], size: int) -> Iterator[list[Event]]:
    """Events in order, cut after every `size` texts, fewer clips, or many documents of neither."""
    batch: list[Event] = []
    units = 0
    for event in events:
        batch.append(event)
        if isinstance(event, Unit):
            units += 1 if event.item.clip is None else CLIP_WEIGHT
        if units >= size or len(batch) == 4 * size:
            yield batch
            batch, units = [], 0
    if batch:
        yield batch


class _Run:
    """Puts documents together from embedded passages, and stores them once whole."""

    def __init__(
        self,
        store: Store,
        known: dict[str, str],
        total: int,
        on_progress: ProgressSink | None,
    ) -> None:
        self.report = AddReport()
        self._store = store
        self._known = known
        self._on_progress = on_progress
        self._progress = Progress(0, total, 0, 0.0, "")
        self._hash = ""
        self._records: list[StoredPassage] = []  # of the document that is being read
        self._whole: list[tuple[End, list[StoredPassage]]] = []  # documents that wait to be stored
        self._waiting = 0  # passages in `_whole`
        self._unindexed = 0  # passages stored since the indexes were brought up to date
        self._committed = time.monotonic()

    def take(self, events: Sequence[Event], embedder: Embedder) -> None:
        """Embed the passages among the events, and act on each event in order."""
        units = [event for event in events if isinstance(event, Unit)]
        views = embedder.embed_with_texts([unit.item for unit in units], "passage")
        embedded = zip(views.vectors, views.texts, strict=True)
        for event in events:
            match event:
                case Begin():
                    self._hash, self._records = event.content_hash, []
                    self._tell(current=event.document.path or event.document.id)
                case Unit():
                    self._add(event, *next(embedded))
                case End():
                    self._end(event)
        elapsed = time.monotonic() - self._committed
        if self._waiting >= COMMIT_PASSAGES or (self._whole and elapsed > COMMIT_SECONDS):
            self.commit()

    def _add(self, unit: Unit, vector: Float32, words: str | None) -> None:
        passage = unit.passage
        if passage.modality == "audio":
            # The embedder can hear words where voice activity detection missed them.
            passage = replace(passage, text=words, speech=bool(words) or passage.speech)
        lexical = "\n".join(part for part in (passage.title, passage.section, passage.text) if part)
        self._records.append(StoredPassage(passage, vector, lexical, self._hash))
        seconds = (passage.end or 0.0) - (passage.start or 0.0)
        self._tell(
            passages=self._progress.passages + 1,
            audio_seconds=self._progress.audio_seconds + seconds,
        )

    def _end(self, end: End) -> None:
        if end.unchanged:
            self.report.unchanged.append(end.document.id)
        elif end.skipped is not None:
            self.report.skipped.append((end.document.path or end.document.id, end.skipped))
        else:
            self._whole.append((end, self._records))
            self._waiting += len(self._records)
            self._records = []
            return
        self._records = []
        self._tell(documents=self._progress.documents + 1)

    def commit(self) -> None:
        """Store the documents that are whole; only then does the report list them."""
        if self._whole:
            self._store.upsert([record for _, records in self._whole for record in records])
        for end, records in self._whole:
            document = end.document
            target = self.report.updated if document.id in self._known else self.report.added
            target.append(document.id)
            self.report.notes += [(document.path or document.id, note) for note in end.notes]
            self.report.passages += len(records)
            last = records[-1].passage
            self.report.audio_seconds += last.end or 0.0
        self._unindexed += self._waiting
        if self._unindexed >= OPTIMIZE_PASSAGES:
            self._store.optimize()
            self._unindexed = 0
        self._tell(documents=self._progress.documents + len(self._whole))
        self._whole, self._waiting = [], 0
        self._committed = time.monotonic()

    def _tell(self, **changes: int | float | str) -> None:
        self._progress = replace(self._progress, **changes)  # type: ignore[arg-type]
        if self._on_progress is not None:
            self._on_progress(self._progress)
