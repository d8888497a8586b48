"""`KnowledgeBase`: an embedder, a store and the search over both, in one folder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from wavrag import audio, config
from wavrag.audio import SAMPLE_RATE
from wavrag.closing import Closing
from wavrag.embed import Embedder, load_embedder, unit_rows
from wavrag.errors import InputError, StoreError
from wavrag.kb import manifest
from wavrag.kb.adding import add_documents
from wavrag.kb.ingest import IngestOptions, clip_of
from wavrag.kb.report import AddReport, ProgressSink
from wavrag.kb.words import Words, with_voice
from wavrag.search import reciprocal_rank_fusion
from wavrag.store import LanceStore, Store, StoredDocument, StoredPassage
from wavrag.types import Clip, Document, EmbedInput, Float32, Hit, Passage, Query

CANDIDATES = 50  # that each leg gives to fusion, at least
PASSAGES_AT_ONCE = 256  # of a document, read from the store


@dataclass(frozen=True, slots=True, eq=False)
class Retrieval:
    """What one query found.

    Attributes:
        hits: best first.
        words: the query's words, as typed or recognised; None if there are none.
        vector: unit vector of the query, shape = (dim,).
        timings: milliseconds: `embed`, `search`.
    """

    hits: tuple[Hit, ...]
    words: str | None
    vector: Float32
    timings: dict[str, float] = field(default_factory=dict)


class KnowledgeBase(Closing):
    """Recordings and texts that can be searched by voice and text.

    Make one with `KnowledgeBase.open`. Several processes may use one folder at a time.
    """

    def __init__(
        self, directory: Path, embedder: Embedder, store: Store, options: IngestOptions
    ) -> None:
        self.directory = directory
        self.embedder = embedder
        self._store = store
        self._options = options
        self._words = Words(directory)

    @classmethod
    def open(
        cls,
        directory: str | os.PathLike[str] | None = None,
        *,
        embedder: Embedder | str | None = None,
        create: bool = True,
        options: IngestOptions | None = None,
    ) -> Self:
        """Open the knowledge base of a folder.

        Args:
            directory: its folder; `WAVRAG_KB` or `.wavrag` by default.
            embedder: one, or the name of one; by default the one that made the knowledge base,
                and `cascade` for a new one.
            create: make one where there is none.
            options: how documents are cut into passages.

        Raises:
            StoreError: there is none and `create` is False, or the folder cannot be used.
            IndexMismatchError: another embedder or format made it.
            EmbedderError: the embedder is unknown.
        """
        folder = Path(directory) if directory is not None else config.kb_directory()
        found = manifest.read(folder)
        if found is None and not create:
            raise StoreError(
                f"there is no knowledge base in {folder}: make one with"
                " `wavrag index PATH`, or name another folder with --kb"
            )
        if embedder is None:
            embedder = found.embedder_name if found else config.DEFAULT_EMBEDDER
        if isinstance(embedder, str):
            embedder = load_embedder(embedder)
        if found is None:
            found = manifest.create(folder, embedder.spec)
        manifest.check_embedder(found, embedder.spec, folder)
        store = LanceStore(folder / "store", embedder.spec.dim)
        return cls(folder, embedder, store, options or IngestOptions())

    # Adding and removing

    def add(
        self, documents: Iterable[Document], *, on_progress: ProgressSink | None = None
    ) -> AddReport:
        """Add documents, replace those that changed, leave those that did not.

        A document that cannot be read is skipped, with the reason in the report. Documents are
        stored whole, a few at a time; what `added` and `updated` list is on disk even if the
        process is killed.

        Args:
            documents: ids must differ from each other.
            on_progress: called after each batch and each document.

        Raises:
            StoreError: the disk is full or cannot be written; what was stored before stays.
            EmbedderError: the embedder cannot work at all.
        """
        return add_documents(
            list(documents), self.embedder, self._store, self._options, on_progress
        )

    def remove(self, document_ids: Sequence[str]) -> int:
        """Remove documents; unknown ids are ignored. Returns how many passages went."""
        removed = self._store.delete(document_ids)
        if removed:
            self._store.optimize()
        return removed

    def prune(self, folders: Sequence[str | os.PathLike[str]]) -> list[str]:
        """Remove documents whose files under the folders are gone; returns their ids.

        A folder that is not there is left alone: it may be a disk that is not mounted.
        """
        roots = [os.path.join(os.path.abspath(f), "") for f in folders if os.path.isdir(f)]
        gone = [
            document.id
            for document in self._store.documents()
            if any(document.source.startswith(root) for root in roots) and _gone(document.source)
        ]
        if gone:
            self.remove(gone)
        return gone

    # Searching

    def search(self, query: Query | str, k: int = 10) -> list[Hit]:
        """The best k passages for a question, best first."""
        return list(self.retrieve(Query(text=query) if isinstance(query, str) else query, k).hits)

    def retrieve(self, query: Query, k: int = 10) -> Retrieval:
        """Search, and say what the query was understood as and what it took.

        Args:
            query: words, sound or both. Sound longer than the embedder hears is cut at pauses,
                and its vector is the mean of the pieces'.
            k: most hits.

        Raises:
            InputError: the query is empty.
            FilterError: its filter cannot be understood.
        """
        started = time.perf_counter()
        views = self.embedder.embed_with_texts(self._query_items(query), "query")
        vector = unit_rows(views.vectors.mean(0, keepdims=True))[0]
        heard = " ".join(words for words in views.texts if words) if query.clip else ""
        words = " ".join(part for part in (query.text, heard) if part) or None
        embedded = time.perf_counter()
        legs = self._store.search(vector, words, max(CANDIDATES, k), query.where)
        hits = reciprocal_rank_fusion(legs)[:k]
        done = time.perf_counter()
        timings = {"embed": 1e3 * (embedded - started), "search": 1e3 * (done - embedded)}
        return Retrieval(tuple(hits), words, vector, timings)

    def _query_items(self, query: Query) -> list[EmbedInput]:
        if query.clip is None:
            if not query.text or not query.text.strip():
                raise InputError("the query is empty: give it words or a recording")
            return [EmbedInput(text=query.text)]
        spec = self.embedder.spec
        if spec.sampling_rate is None:
            raise InputError(f"{spec.name} embeds text only: ask in words, or index with another")
        clip = audio.resample(query.clip, spec.sampling_rate)
        if spec.max_audio_seconds is None or clip.duration <= spec.max_audio_seconds:
            return [EmbedInput(query.text, clip)]
        windows = audio.windows([clip.samples], clip.sample_rate)
        return [EmbedInput(query.text, window) for window in windows]

    # Reading and listening to what was found

    def clip_of(self, passage: Passage) -> Clip:
        """The sound of a recording's passage, which says whether there is a voice in it.

        Raises:
            AudioError: the recording is not there any more, or cannot be read.
        """
        clip = clip_of(passage, self.embedder.spec.sampling_rate or SAMPLE_RATE)
        if passage.text or passage.speech is not None:
            return replace(clip, speech=bool(passage.text) or passage.speech)
        return with_voice(clip)

    def words_of(self, passage: Passage, clip: Clip | None = None) -> str:
        """The words of a passage as they can be read and quoted; empty if there are none.

        Those of a recording are recognised now, where the embedder gave none, or none that are
        good enough, and kept in the folder. The recogniser is English.

        Args:
            passage: as it was found.
            clip: its sound, where that has been read (`clip_of`).

        Raises:
            AudioError: the recording is not there any more, or cannot be read.
        """
        if passage.modality == "text" or self._gives_quotable_words:
            return passage.text or ""
        return self._words.of(clip or clip_of(passage, SAMPLE_RATE))

    def words_of_query(self, query: Query, words: str | None) -> str | None:
        """The words of a question as they can be read: its text, and what is said in its clip.

        Args:
            query: the question.
            words: those that `retrieve` gave for it.
        """
        if query.clip is None or self._gives_quotable_words:
            return words
        said = self._words.recognise(query.clip)
        return " ".join(part for part in (query.text, said) if part) or None

    @property
    def _gives_quotable_words(self) -> bool:
        spec = self.embedder.spec
        return spec.transcribes and spec.quotable_transcripts

    # Looking after it

    def documents(self) -> list[StoredDocument]:
        """Every document, in order of id."""
        return self._store.documents()

    def passages(self, document_id: str) -> list[Passage]:
        """The passages of a document in order; none if it is not there."""
        found: list[Passage] = []
        while True:
            ordinals = range(len(found), len(found) + PASSAGES_AT_ONCE)
            batch = self._store.get([f"{document_id}#{ordinal}" for ordinal in ordinals])
            found += batch
            if len(batch) < PASSAGES_AT_ONCE:
                return found

    def head(self, document_id: str) -> Passage | None:
        """The first passage of a document, which tells its source, title and metadata."""
        return next(iter(self._store.get([f"{document_id}#0"])), None)

    def count(self) -> int:
        """Passages."""
        return self._store.count()

    def scan(self) -> Iterator[StoredPassage]:
        """Every passage with its vector, in order of document and ordinal."""
        return self._store.scan()

    def verify(self) -> list[str]:
        """Read everything back; one sentence for each defect, none when all is well."""
        return self._store.verify()

    def close(self) -> None:
        """Release what is held."""
        self._store.close()


def _gone(path: str) -> bool:
    """Whether a file is known not to be there; one that cannot be looked at may be."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
