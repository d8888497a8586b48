"""Index documents: read and split them, embed the passages, write them to the store on disk.

Reading runs ahead of embedding on a second thread. Passages are embedded in batches across
documents, and complete documents are written together in one transaction of the store.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from wavrag.audio import SAMPLE_RATE
from wavrag.embed import Embedder, EmbedderSpec, LanguageScore, is_foreign
from wavrag.errors import InputError, StoreError
from wavrag.kb.estimate import TimeEstimate, measure_length
from wavrag.kb.passages import PendingPassage, check_document, content_hash, split_document
from wavrag.kb.prefetch import prefetch
from wavrag.kb.report import AddReport, Progress, ProgressCallback
from wavrag.store import Store, StoredPassage
from wavrag.types import Document, Float32

BATCH = 32  # texts in a batch of the embedder
CLIP_WEIGHT = 4  # texts that a clip counts for: bounds memory and keeps progress moving
QUEUE_SIZE = 32  # events read ahead of embedding
COMMIT_PASSAGES = 1_000  # shares the fixed cost of a commit among many small documents
COMMIT_SECONDS = 5.0  # bounds the work that a killed process loses
FOREIGN_SPEECH = (
    "its speech is probably in a language that {spec.name} does not know, so it is hard to find:"
    " index it into another knowledge base with an embedder for its language"
    " (wavrag index --language CODE)"
)
OPTIMIZE_PASSAGES = 20_000  # search slows down as small files accumulate in a long run


@dataclass(frozen=True, slots=True, eq=False)
class BeginDocument:
    """The next passages belong to this document."""

    document: Document
    content_hash: str
    length: float | None = None  # see `measure_length`


@dataclass(frozen=True, slots=True, eq=False)
class EndDocument:
    """The end of a document."""

    document: Document
    notes: tuple[str, ...] = ()  # remarks for the report
    unchanged: bool = False  # it is stored already; there were no passages
    skip_reason: str | None = None  # why it cannot be indexed; its passages so far are void


Event = BeginDocument | PendingPassage | EndDocument


def add_documents(
    documents: Sequence[Document],
    embedder: Embedder,
    store: Store,
    on_progress: ProgressCallback | None = None,
) -> AddReport:
    """Index documents; see `KnowledgeBase.add`."""
    start = time.monotonic()
    hashes = {document.id: document.content_hash for document in store.documents()}
    writer = _DocumentWriter(store, hashes, documents, on_progress)
    events = read_documents(documents, hashes, embedder.spec.sampling_rate or SAMPLE_RATE)
    try:
        with closing(prefetch(events, QUEUE_SIZE)) as queue:
            for batch in split_batches(queue, BATCH):
                writer.process(batch, embedder)
    except StoreError:
        # The store failed: another commit would fail as well, and hide the reason.
        raise
    except BaseException:
        # Interrupted, or the embedder failed: complete documents are kept.
        writer.commit()
        raise
    writer.commit()
    # Without changes the indexes are up to date, and a run over unchanged files stays fast.
    if writer.report.added or writer.report.updated:
        store.optimize()
    writer.report.seconds = time.monotonic() - start
    return writer.report


def read_documents(
    documents: Sequence[Document], hashes: dict[str, str], sample_rate: int
) -> Iterator[Event]:
    """Read documents and yield their events in order; `hashes` are those of the stored ones."""
    ids: set[str] = set()
    for document in documents:
        notes: list[str] = []
        try:
            if document.id in ids:
                raise InputError("its id was given twice: only the first is added")
            ids.add(document.id)
            check_document(document)
            digest = content_hash(document)
            if hashes.get(document.id) == digest:
                yield EndDocument(document, unchanged=True)
                continue
            yield BeginDocument(document, digest, measure_length(document))
            yield from split_document(document, sample_rate, notes.append)
            yield EndDocument(document, tuple(_name_origin(note, document) for note in notes))
        except InputError as error:
            yield EndDocument(document, skip_reason=_name_origin(str(error), document))


def _name_origin(message: str, document: Document) -> str:
    """A message about a downloaded file with its URL."""
    return message.replace(document.path, document.origin) if document.path else message


def split_batches(events: Iterator[Event], size: int) -> Iterator[list[Event]]:
    """Split events into batches of at most about `size` texts, or fewer clips."""
    batch: list[Event] = []
    weight = 0
    for event in events:
        batch.append(event)
        if isinstance(event, PendingPassage):
            weight += 1 if event.embed_input.clip is None else CLIP_WEIGHT
        # The second limit reports progress on long stretches of unchanged documents.
        if weight >= size or len(batch) == 4 * size:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


class _DocumentWriter:
    """Assembles documents from embedded passages and writes complete ones to the store."""

    def __init__(
        self,
        store: Store,
        hashes: dict[str, str],
        documents: Sequence[Document],
        on_progress: ProgressCallback | None,
    ) -> None:
        self.report = AddReport()
        self._store = store
        self._hashes = hashes
        self._on_progress = on_progress
        self._progress = Progress(0, len(documents), 0, 0.0, "")
        self._estimate = TimeEstimate(documents)
        self._hash = ""
        self._passages: list[StoredPassage] = []  # of the current document
        self._languages: list[LanguageScore | None] = []  # of these passages
        self._complete: list[tuple[EndDocument, list[StoredPassage]]] = []  # not yet stored
        self._complete_passages = 0
        self._passages_since_optimize = 0
        self._commit_time = time.monotonic()

    def process(self, events: Sequence[Event], embedder: Embedder) -> None:
        """Embed the passages of a batch and handle its events in order."""
        inputs = [event.embed_input for event in events if isinstance(event, PendingPassage)]
        result = embedder.embed_with_texts(inputs, "passage")
        languages = result.languages or (None,) * len(inputs)
        rows = zip(result.vectors, result.texts, languages, strict=True)
        for event in events:
            match event:
                case BeginDocument():
                    # Passages of a document that failed in the middle are discarded here.
                    self._hash, self._passages, self._languages = event.content_hash, [], []
                    self._estimate.begin(event.document, event.length)
                    self._report_progress(current=event.document.origin)
                case PendingPassage():
                    self._add_passage(event, *next(rows))
                case EndDocument():
                    self._end_document(event, embedder.spec)
        elapsed = time.monotonic() - self._commit_time
        due = self._complete_passages >= COMMIT_PASSAGES or elapsed > COMMIT_SECONDS
        if self._complete and due:
            self.commit()

    def _add_passage(
        self,
        pending: PendingPassage,
        vector: Float32,
        text: str | None,
        language: LanguageScore | None,
    ) -> None:
        passage = pending.passage
        if passage.modality == "audio":
            # The embedder can recognise words where voice activity detection found no speech.
            passage = replace(passage, text=text, speech=bool(text) or passage.speech)
        lexical = "\n".join(filter(None, (passage.title, passage.section, passage.text)))
        self._passages.append(StoredPassage(passage, vector, lexical, self._hash))
        self._languages.append(language)
        self._estimate.advance(passage)
        seconds = (passage.end or 0.0) - (passage.start or 0.0)
        self._report_progress(
            passages=self._progress.passages + 1,
            audio_seconds=self._progress.audio_seconds + seconds,
        )

    def _end_document(self, end: EndDocument, spec: EmbedderSpec) -> None:
        if end.unchanged:
            self.report.unchanged.append(end.document.id)
        elif end.skip_reason is not None:
            self.report.skipped.append((end.document.origin, end.skip_reason))
        else:
            if is_foreign(self._languages):
                end = replace(end, notes=(*end.notes, FOREIGN_SPEECH.format(spec=spec)))
            self._complete.append((end, self._passages))
            self._complete_passages += len(self._passages)
            self._passages = []
            return
        self._passages = []
        self._report_progress(documents=self._progress.documents + 1)

    def commit(self) -> None:
        """Write the complete documents; only then does the report list them."""
        if self._complete:
            self._store.upsert([row for _, passages in self._complete for row in passages])
        for end, passages in self._complete:
            document = end.document
            target = self.report.updated if document.id in self._hashes else self.report.added
            target.append(document.id)
            self.report.notes += [(document.origin, note) for note in end.notes]
            self.report.passages += len(passages)
            self.report.audio_seconds += max(row.passage.end or 0.0 for row in passages)
        self._passages_since_optimize += self._complete_passages
        if self._passages_since_optimize >= OPTIMIZE_PASSAGES:
            self._store.optimize()
            self._passages_since_optimize = 0
        self._report_progress(documents=self._progress.documents + len(self._complete))
        self._complete, self._complete_passages = [], 0
        self._commit_time = time.monotonic()

    def _report_progress(self, **changes: int | float | str) -> None:
        self._progress = replace(self._progress, **changes)  # type: ignore[arg-type]
        if self._on_progress is not None:
            estimate = self._estimate
            self._progress = replace(
                self._progress, fraction=estimate.fraction, seconds_left=estimate.seconds_left()
            )
            self._on_progress(self._progress)
