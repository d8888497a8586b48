"""Index documents: read and split them, embed the passages, write them to the store on disk.

Reading runs ahead of embedding on a second thread. Passages are embedded in batches across
documents, and complete documents are written together in one transaction of the store. A long
document is read, embedded and written in pieces, so that memory does not grow with it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from wavrag.audio import SAMPLE_RATE
from wavrag.embed import Embedder, EmbedderSpec, EmbedResult, LanguageScore, is_foreign
from wavrag.errors import InputError, StoreError
from wavrag.kb.copies import IndexPlan, apply_paths, plan_run
from wavrag.kb.estimate import TimeEstimate, measure_length
from wavrag.kb.passages import PendingPassage, lexical_text, readable, split_document
from wavrag.kb.prefetch import prefetch
from wavrag.kb.report import AddReport, Progress, ProgressCallback
from wavrag.kb.speakers import SpeakerSplitter
from wavrag.kb.spool import PassageSpool
from wavrag.kb.transcript_corrections import TranscriptCorrections
from wavrag.store import Store, StoredDocument, StoredPassage
from wavrag.types import Clip, Document, EmbedInput, Float32

BATCH = 32  # texts in a batch of the embedder
CLIP_WEIGHT = 4  # texts that a clip counts for: bounds memory and keeps progress moving
QUEUE_SIZE = 2  # batches read ahead of embedding
COMMIT_PASSAGES = 1_000  # shares the fixed cost of a commit among many small documents
COMMIT_SECONDS = 5.0  # bounds the work that a killed process loses
FOREIGN_SPEECH = (
    "its speech is probably in a language that {spec.name} does not know, so it is hard to find:"
    " index it into another knowledge base with an embedder for its language"
    " (wavrag index --language CODE)"
)
# Searches beside a long run read the texts of all passages that are not indexed yet: 10,000 of them
# take ten times as long as all others together (`python benchmarks/bulk.py`).
OPTIMIZE_PASSAGES = 5_000


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
    skip_reason: str | None = None  # why it cannot be indexed; its passages so far are void


Event = BeginDocument | PendingPassage | EndDocument


def add_documents(
    documents: Sequence[Document],
    embedder: Embedder,
    store: Store,
    folder: Path,
    on_progress: ProgressCallback | None = None,
    *,
    corrections: TranscriptCorrections | None = None,
    speakers: SpeakerSplitter | None = None,
    max_hours: float | None = None,
    again: bool = False,
) -> AddReport:
    """Index documents; see `KnowledgeBase.add`.

    Args:
        documents: documents with distinct ids.
        embedder: the embedder of the knowledge base.
        store: its store.
        folder: its folder, for temporary files.
        on_progress: called after each passage and each document.
        corrections: replace recognised words.
        speakers: cuts recordings where the speaker changes.
        max_hours: longest recording; see `KnowledgeBase.add`.
        again: embed unchanged documents, too.
    """
    start = time.monotonic()
    stored = store.documents()
    progress = Progress(0, len(documents), 0, 0.0, "", stage="reading")

    def report_document(document: Document) -> None:
        if on_progress is not None:
            on_progress(replace(progress, current=document.origin))

    baseline = _without_hashes(stored, documents) if again else stored
    plan = plan_run(documents, baseline, report_document, speakers=speakers is not None)
    if plan.paths:
        apply_paths(store, stored, plan.paths, folder)
    writer = _DocumentWriter(store, plan, {document.id for document in stored}, folder, on_progress)
    if plan.pending and on_progress is not None:
        on_progress(replace(progress, stage="loading"))
    sample_rate = embedder.spec.sampling_rate or SAMPLE_RATE
    events = read_documents(plan.pending, sample_rate, speakers, max_hours)
    _write_events(events, writer, embedder, corrections)
    # Without changes the indexes are up to date, and a run over unchanged files stays fast.
    if not writer.is_optimized or plan.paths:
        store.optimize()
    writer.report.seconds = time.monotonic() - start
    return writer.report


def _write_events(
    events: Iterator[Event],
    writer: _DocumentWriter,
    embedder: Embedder,
    corrections: TranscriptCorrections | None,
) -> None:
    try:
        with closing(prefetch(split_batches(events, BATCH), QUEUE_SIZE)) as queue:
            for batch in queue:
                writer.process(batch, embedder, corrections)
        writer.commit()
    except StoreError:
        # The store failed: another commit would fail as well, and hide the reason.
        raise
    except BaseException:
        # Interrupted, or the embedder failed: complete documents are kept.
        writer.commit()
        raise
    finally:
        writer.close()


def _without_hashes(
    stored: Sequence[StoredDocument], documents: Sequence[Document]
) -> list[StoredDocument]:
    """Make the stored documents that are indexed again appear changed.

    Not those with a copy outside the run: it would become a document of its own.
    """
    paths = {document.path or document.id for document in documents}
    paths |= {document.id for document in documents}
    return [
        replace(document, content_hash="")
        if document.id in paths or paths.issuperset(document.paths)
        else document
        for document in stored
    ]


def read_documents(
    documents: Sequence[tuple[Document, str]],
    sample_rate: int,
    speakers: SpeakerSplitter | None = None,
    max_hours: float | None = None,
) -> Iterator[Event]:
    """Read documents, given with their content hashes, and yield their events in order."""
    for document, digest in documents:
        notes: list[str] = []
        try:
            yield BeginDocument(document, digest, measure_length(document))
            passages = split_document(document, sample_rate, notes.append, max_hours)
            if speakers is not None:
                passages = speakers.split(document, passages)
            yield from passages
            yield EndDocument(document, tuple(notes))
        except InputError as error:
            yield EndDocument(document, skip_reason=str(error))


def _name_origin(message: str, document: Document, origin: str = "") -> str:
    """A message about a downloaded file with its URL, or about a copy with its path."""
    if document.path is None:
        return message
    return message.replace(document.path, origin or document.origin)


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
        plan: IndexPlan,
        stored_ids: set[str],
        folder: Path,
        on_progress: ProgressCallback | None,
    ) -> None:
        self.report = AddReport(
            unchanged=plan.unchanged, moved=plan.moved, copies=plan.copies,
            skipped=[
                (document.origin, _name_origin(reason, document))
                for document, reason in plan.skipped
            ],
        )  # fmt: skip
        self._store = store
        self._stored_ids = stored_ids
        self._on_progress = on_progress
        report = self.report
        count = len([*report.unchanged, *report.moved, *report.copies, *report.skipped])
        pending = [document for document, _ in plan.pending]
        total = count + sum(1 + len(document.copies) for document in pending)
        self._progress = Progress(count, total, 0, 0.0, "")
        self._estimate = TimeEstimate(pending)
        self._hash = ""
        self._folder = folder
        self._passages = PassageSpool(folder)  # of the current document
        self._languages: list[LanguageScore] = []  # of its passages with speech
        self._complete: list[tuple[EndDocument, PassageSpool]] = []  # not yet stored
        self._complete_passages = 0
        self._passages_since_optimize = 0
        self.is_optimized = True  # no passage was written since the last `optimize`
        self._commit_time = time.monotonic()

    def process(
        self,
        events: Sequence[Event],
        embedder: Embedder,
        corrections: TranscriptCorrections | None = None,
    ) -> None:
        """Embed the passages of a batch and handle its events in order."""
        pending = [event for event in events if isinstance(event, PendingPassage)]
        inputs = [event.embed_input for event in pending]
        result = embedder.embed_with_texts(inputs, "passage")
        if corrections is not None:
            result = _correct(result, pending, embedder, corrections)
        languages = result.languages or (None,) * len(inputs)
        rows = zip(result.vectors, result.texts, languages, strict=True)
        for event in events:
            match event:
                case BeginDocument():
                    self._hash = event.content_hash
                    self._passages, self._languages = PassageSpool(self._folder), []
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

    def close(self) -> None:
        """Discard the passages that are not stored."""
        for passages in (self._passages, *(passages for _, passages in self._complete)):
            passages.close()

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
        self._passages.append(StoredPassage(passage, vector, lexical_text(passage), self._hash))
        if language is not None:
            self._languages.append(language)
        self._estimate.advance(passage)
        is_audio = passage.modality == "audio"
        seconds = (passage.end or 0.0) - (passage.start or 0.0) if is_audio else 0.0
        self._report_progress(
            passages=self._progress.passages + 1,
            audio_seconds=self._progress.audio_seconds + seconds,
        )

    def _end_document(self, end: EndDocument, spec: EmbedderSpec) -> None:
        document = end.document
        if end.skip_reason is None:
            if is_foreign(self._languages):
                end = replace(end, notes=(*end.notes, FOREIGN_SPEECH.format(spec=spec)))
            self._complete.append((end, self._passages))
            self._complete_passages += len(self._passages)
        else:
            self.report.skipped += [
                (origin, _name_origin(end.skip_reason, document, origin))
                for origin in (document.origin, *document.copies)
            ]
            self._report_progress(documents=self._progress.documents + 1 + len(document.copies))
            self._passages.close()

    def commit(self) -> None:
        """Write the complete documents; only then does the report list them."""
        short = [passages for _, passages in self._complete if not passages.is_long]
        if short:
            self._store.upsert([row for passages in short for row in passages])
        for end, passages in self._complete:
            if passages.is_long:
                self._store.replace(end.document.id, passages)
        for end, passages in self._complete:
            passages.close()
            document = end.document
            is_update = document.id in self._stored_ids
            (self.report.updated if is_update else self.report.added).append(document.id)
            self.report.copies += document.copies
            self.report.notes += [
                (document.origin, _name_origin(note, document)) for note in end.notes
            ]
            self.report.passages += len(passages)
            self.report.audio_seconds += passages.audio_seconds
        if self._complete:
            self.is_optimized = False
        self._passages_since_optimize += self._complete_passages
        if self._passages_since_optimize >= OPTIMIZE_PASSAGES:
            self._store.optimize()
            self._passages_since_optimize, self.is_optimized = 0, True
        files = sum(1 + len(end.document.copies) for end, _ in self._complete)
        self._report_progress(documents=self._progress.documents + files)
        self._complete, self._complete_passages = [], 0
        self._commit_time = time.monotonic()

    def _report_progress(self, **changes: int | float | str) -> None:
        if self._on_progress is None:
            return
        estimate = self._estimate
        self._progress = replace(
            self._progress, fraction=estimate.fraction, seconds_left=estimate.seconds_left(),
            **changes,  # type: ignore[arg-type]
        )  # fmt: skip
        self._on_progress(self._progress)


def _correct(
    result: EmbedResult,
    pending: Sequence[PendingPassage],
    embedder: Embedder,
    corrections: TranscriptCorrections,
) -> EmbedResult:
    """Replace recognised words that were corrected by hand, and the vectors of their passages."""
    vectors, texts = result.vectors.copy(), list(result.texts)
    for row, event in enumerate(pending):
        clip = event.embed_input.clip
        if clip is None:
            continue
        text = corrections.apply(event.passage, texts[row], clip)
        if text != texts[row]:
            texts[row] = text
            vector = _embed_corrected(embedder, event.embed_input.text, text)
            vectors[row] = vectors[row] if vector is None else vector
    return replace(result, vectors=vectors, texts=tuple(texts))


def index_again(
    record: StoredPassage, clip: Clip, embedder: Embedder, corrections: TranscriptCorrections
) -> StoredPassage:
    """Recognise and embed a stored passage of a recording again, with its corrections."""
    passage = record.passage
    heading = ": ".join(filter(None, (readable(passage.title), passage.section)))
    pending = PendingPassage(passage, EmbedInput(heading, clip))
    result = embedder.embed_with_texts([pending.embed_input], "passage")
    result = _correct(result, [pending], embedder, corrections)
    passage = replace(passage, text=result.texts[0])
    return StoredPassage(passage, result.vectors[0], lexical_text(passage), record.content_hash)


def _embed_corrected(embedder: Embedder, heading: str | None, text: str | None) -> Float32 | None:
    """Vector of a recording's passage by its text; None if the embedder hears without words."""
    if not embedder.spec.transcribes:
        return None
    words = "\n".join(filter(None, (heading, text)))
    vector: Float32 = embedder.embed([EmbedInput(text=words)], "passage")[0]
    return vector
