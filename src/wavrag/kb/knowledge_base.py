"""`KnowledgeBase`: indexed documents in a folder or on a server, with embedder and search."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

from wavrag import audio, config
from wavrag.arguments import (
    check_count,
    check_documents,
    check_id,
    check_ids,
    check_paths,
    check_query,
    check_type,
)  # fmt: skip
from wavrag.audio import SAMPLE_RATE
from wavrag.closing import Closing
from wavrag.embed import Embedder, load_embedder, load_reranker
from wavrag.errors import AudioError, InputError
from wavrag.kb import manifest
from wavrag.kb.archives import read_archives
from wavrag.kb.backend import Backend, FolderBackend, open_backend
from wavrag.kb.closest import missing_kb
from wavrag.kb.copies import apply_paths, drop_paths, is_deleted
from wavrag.kb.files import FileScan
from wavrag.kb.indexing import add_documents, index_again
from wavrag.kb.originals import Originals
from wavrag.kb.parquet import import_parquet
from wavrag.kb.passages import file_digest_of, load_passage_clip, relabel
from wavrag.kb.relink import SourceChange, find_changes, relinked_paths
from wavrag.kb.report import AddReport, ProgressCallback, Removal
from wavrag.kb.retrieval import Retrieval, Retriever
from wavrag.kb.side_files import find_side_defects
from wavrag.kb.sound_spans import find_sound
from wavrag.kb.speakers import DocumentSpeaker, SpeakerSplitter, embed_speaker, list_speakers
from wavrag.kb.transcriber import join_windows
from wavrag.kb.transcript import Transcript, section_chapters
from wavrag.kb.transcript_corrections import TranscriptCorrections
from wavrag.kb.transcripts import TranscriptCache, detect_speech
from wavrag.kb.trust import remember_embedder, resolve_embedder
from wavrag.kb.urls import FEED_ENTRIES, FetchCallback, add_urls
from wavrag.kb.voices import VoiceBook
from wavrag.kb.watch import watch_folders
from wavrag.kb.word_times import WordTimeCache
from wavrag.search import Fusion, Reranker
from wavrag.store import Store, StoredDocument, StoredPassage, check_labels, with_labels
from wavrag.types import (
    Channels,
    Clip,
    Document,
    Float32,
    Hit,
    Leg,
    Metadata,
    OnNote,
    Passage,
    Query,
    ScoredPassage,
    TimedWord,
)  # fmt: skip
from wavrag.web import DownloadOptions
from wavrag.where import compose

PASSAGES_AT_ONCE = 256  # passages of a document in one read of the store


class KnowledgeBase(Closing):
    """Recordings and texts, searchable by voice and text.

    Several processes may use one knowledge base at the same time.

    Example:
        >>> with KnowledgeBase.open("my-kb", embedder="fake") as kb:
        ...     report = kb.add([Document("bees", text="Bees dance to show where flowers are.")])
        ...     kb.search("where do bees dance")[0].passage.text
        'Bees dance to show where flowers are.'
    """

    def __init__(
        self,
        base: Path | Backend,
        embedder: Embedder,
        store: Store,
        *,
        fusion: Fusion = "scores",
        reranker: Reranker | None = None,
    ) -> None:
        """Combine a folder, an embedder and a store; `KnowledgeBase.open` is simpler."""
        self.backend = base if isinstance(base, Backend) else FolderBackend(base)
        records = self.backend.records
        self.embedder = embedder
        self.fusion = fusion
        self.reranker = reranker
        self.originals = Originals(self.backend)
        self._store = store
        self._transcripts = TranscriptCache(records)
        self._word_times = WordTimeCache(records)
        self._corrections = TranscriptCorrections(
            records, self._transcripts, self._word_times, embedder.spec
        )
        self._voices = VoiceBook(records)
        self._retriever = Retriever(embedder, store, fusion, reranker)

    @property
    def address(self) -> str:
        """The folder of the knowledge base, or its URL without password."""
        return self.backend.address

    @property
    def directory(self) -> Path | None:
        """The folder of the knowledge base; None if it is in a database or in object storage."""
        return self.backend.folder

    @classmethod
    def open(
        cls,
        address: str | os.PathLike[str] | None = None,
        *,
        embedder: Embedder | str | None = None,
        create: bool = True,
        fusion: Fusion = "scores",
        reranker: Reranker | str | None = None,
        load: Callable[[str], Embedder] = load_embedder,
        blobs: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Open the knowledge base in a folder, a database or object storage.

        Args:
            address: the folder, or a URL: `postgresql://USER:PASSWORD@HOST/DATABASE`, with
                `?tenant=NAME` for one of several in the database, or `s3://BUCKET/PREFIX`, also
                gs:// and az:// (default: `WAVRAG_KB`, or the folder `.wavrag`).
            embedder: an embedder or its name (default: the embedder of the knowledge base;
                `wavretriever` for a new one).
            create: create a knowledge base if there is none; False for programs that only read, so
                that a mistyped folder is an error, which names the closest knowledge base.
            fusion: merge the legs of a search by their `scores` or by reciprocal `ranks`.
            reranker: a reranker for the first hits, or a name for `load_reranker`; None for none.
            load: loads an embedder by name, such as one that several knowledge bases share.
            blobs: folder or s3:// URL for uploaded and downloaded files of a knowledge base in a
                database (default: `WAVRAG_BLOBS`).

        Raises:
            StoreError: there is none and `create` is False, the folder or the server is not usable,
                or it names a server or a model outside the package that the user has not confirmed.
            MissingExtraError: the client of the database or of object storage is not installed.
            IndexMismatchError: it has another embedder or format.
            EmbedderError: the embedder or the reranker is unknown.
        """
        backend = open_backend(address, blobs)
        try:
            return cls._open(backend, embedder, create, fusion, reranker, load=load)
        except BaseException:
            backend.close()
            raise

    @classmethod
    def _open(
        cls,
        backend: Backend,
        embedder: Embedder | str | None,
        create: bool,
        fusion: Fusion,
        reranker: Reranker | str | None,
        *,
        load: Callable[[str], Embedder],
    ) -> Self:
        contents = manifest.read(backend)
        if contents is None and not create:
            raise missing_kb(backend)
        requested = embedder
        if embedder is None and contents is not None:
            embedder = resolve_embedder(backend, contents.embedder["name"])
        embedder = embedder or config.DEFAULT_EMBEDDER
        # The embedder comes first: an unknown name must not leave an empty folder behind.
        if isinstance(embedder, str):
            embedder = load(embedder)
        check_type(embedder, Embedder, "the embedder")
        if isinstance(reranker, str):
            reranker = load_reranker(reranker)
        check_type(reranker, Reranker | None, "the reranker")
        if contents is None:
            contents = manifest.create(backend, embedder.spec)
        manifest.check_embedder(contents, embedder.spec, backend.address)
        if requested is not None:
            name = embedder.spec.name
            with suppress(OSError):  # without a writable configuration, name the embedder again
                remember_embedder(backend, name, requested if isinstance(requested, str) else name)
        guard = partial(manifest.check_store, backend, contents)
        store = backend.open_store(contents.store, embedder.spec.dim, guard)
        return cls(backend, embedder, store, fusion=fusion, reranker=reranker)

    # Adding and removing

    def add(
        self,
        documents: Iterable[Document],
        *,
        on_progress: ProgressCallback | None = None,
        speakers: bool | None = None,
        max_hours: float | None = None,
        again: bool = False,
    ) -> AddReport:
        """Add new documents, replace changed ones, and leave the others.

        A document that cannot be read is skipped, with the reason in the report. Documents are
        stored completely or not at all; those listed in `added` and `updated` are on disk even if
        the process is killed later.

        Args:
            documents: documents with distinct ids.
            on_progress: called after each passage and each document.
            speakers: True to find out who speaks when in recordings: their passages are cut where
                the speaker changes, and carry `speaker`. False not to. The knowledge base keeps
                the choice for later calls, which pass None; without any, there is none.
            max_hours: longest recording; None for ten minutes and a second for each 300 bytes of
                its file, since a few bytes can decode to hours of silence.
            again: embed unchanged documents again, which repairs them.

        Raises:
            InputError: `documents` are no documents.
            StoreError: the disk is full or not writable; earlier documents stay stored.
            EmbedderError: the embedder fails.
        """
        checked = check_documents(documents)
        if speakers is not None and speakers != self.finds_speakers:
            manifest.update(self.backend, speakers=speakers)
        splitter = SpeakerSplitter(self._voices.load()) if self.finds_speakers else None
        return add_documents(
            checked, self.embedder, self._store, self.backend.scratch, on_progress,
            corrections=self._corrections, speakers=splitter, max_hours=max_hours,
            again=again,
        )  # fmt: skip

    @property
    def finds_speakers(self) -> bool:
        """True if recordings are cut where the speaker changes."""
        contents = manifest.read(self.backend)
        return contents is not None and contents.speakers

    def add_urls(
        self,
        urls: Iterable[str],
        *,
        options: DownloadOptions | None = None,
        entries: int = FEED_ENTRIES,
        metadata: Metadata | None = None,
        on_fetch: FetchCallback = lambda url, size, total: None,
        on_progress: ProgressCallback | None = None,
    ) -> AddReport:
        """Download pages, files and feeds, and add them; their source is the URL.

        The files are kept in the folder, for playback and for the next call, which asks the server
        for changes only. Of a feed (RSS, Atom) the recordings of the entries are added, or their
        pages, with `feed`, `published`, `author`, `link` and `chapters` as metadata.

        Args:
            urls: URLs of pages, of files or of feeds.
            options: limits of size, time and redirects; private addresses are refused by default.
            entries: number of the newest entries to add from a feed.
            metadata: assigned to every document.
            on_fetch: called with a URL, the bytes received so far and the size if it is known.
            on_progress: see `add`.

        Returns:
            A report; URLs that cannot be fetched are among the skipped ones, and a document of an
            earlier call stays.

        Raises:
            StoreError: the disk is full or not writable.
            EmbedderError: the embedder fails.

        Example:
            >>> report = kb.add_urls(["https://example.org/feed.xml"], entries=3)
        """
        if isinstance(urls, str):
            raise InputError(f"urls is a single string: give a list, [{urls!r}]")
        check_type(urls, Iterable, "urls")
        return add_urls(
            self, urls, options=options or DownloadOptions(), entries=entries,
            metadata=metadata or {}, on_fetch=on_fetch, on_progress=on_progress,
        )  # fmt: skip

    def remove(self, document_ids: Sequence[str]) -> int:
        """Remove documents and return the number of removed passages; unknown ids are ignored."""
        document_ids = check_ids(document_ids)
        removed = self._store.delete(document_ids)
        if removed:
            # Frees the disk space: a deletion alone only marks rows.
            self._store.optimize()
        self.originals.remove(document_ids)
        return removed

    def read_archives(
        self, archives: Sequence[str], metadata: Metadata | None = None, channels: Channels = "auto"
    ) -> FileScan:
        """Unpack archives (`FileScan.archives`) into the folder; return documents to `add`.

        A member has the id `ARCHIVE!/MEMBER`. Number, size and nesting of members are limited.

        Raises:
            StoreError: the disk is full or not writable.
        """
        return read_archives(archives, self.originals, metadata, channels)

    def prune(self, folders: Sequence[str | os.PathLike[str]]) -> list[str]:
        """Remove the documents under these folders whose files were deleted; return their ids.

        Missing folders are ignored, because they may be on a disk that is not mounted.
        """
        return self.remove_deleted(
            [folder for folder in check_paths(folders) if os.path.isdir(folder)]
        )

    def remove_deleted(self, paths: Sequence[str | os.PathLike[str]]) -> list[str]:
        """Remove the documents at or below paths whose files were deleted; return their ids."""
        if not paths:
            return []
        files = {os.path.abspath(path) for path in paths}
        folders = tuple(os.path.join(path, "") for path in files)
        return self._drop_paths(
            lambda path: (path in files or path.startswith(folders)) and is_deleted(path)
        ).removed

    def remove_paths(self, paths: Sequence[str | os.PathLike[str]]) -> Removal:
        """Remove files and folders by their paths; a document stays while it has another path.

        Args:
            paths: files and folders, also deleted ones, in any Unicode form.
        """
        files = {compose(os.path.abspath(path)) for path in check_paths(paths)}
        folders = tuple(os.path.join(path, "") for path in files)
        return self._drop_paths(
            lambda path: compose(path) in files or compose(path).startswith(folders)
        )

    def remove_sources(self, sources: Sequence[str | os.PathLike[str]]) -> Removal:
        """Remove documents by id, or by the path of a file or folder; see `remove_paths`.

        Raises:
            InputError: one of them is not in the knowledge base; nothing is removed.
        """
        documents = self._store.documents()
        ids = {document.id for document in documents}
        paths = {compose(path) for document in documents for path in document.paths}
        removable: list[str] = []
        for source in [os.fspath(source) for source in check_paths(sources)]:
            path = compose(os.path.abspath(source))
            # With a separator at its end, talks/ does not match talks-2024/a.mp3.
            folder = os.path.join(path, "")
            if path in paths or any(name.startswith(folder) for name in paths):
                continue
            if compose(source) not in ids:
                raise InputError(f"{source} is not in the knowledge base: see `wavrag kb list`")
            removable.append(compose(source))
        removal = self.remove_paths(sources)
        # A folder and a file in it may both be given.
        removable = [id for id in dict.fromkeys(removable) if id not in removal.removed]
        passages = removal.passages + (self.remove(removable) if removable else 0)
        return Removal([*removal.removed, *removable], removal.kept, passages)

    def _drop_paths(self, is_dropped: Callable[[str], bool]) -> Removal:
        documents = self._store.documents()
        removal = drop_paths(self._store, documents, is_dropped, self.backend.scratch)
        if removal.removed:
            # Frees the disk space: a removal alone only marks rows.
            self._store.optimize()
            self.originals.remove(removal.removed)
        return removal

    def watch(
        self,
        folders: Sequence[str | os.PathLike[str]],
        *,
        globs: Sequence[str] = (),
        metadata: Metadata | None = None,
        channels: Channels = "auto",
        stop: threading.Event | None = None,
        on_progress: ProgressCallback | None = None,
        on_note: OnNote = None,
        polling: bool = False,
    ) -> Iterator[AddReport]:
        """Index folders, then their changes as they happen.

        A file is read once it has not changed for two seconds. Deleted files are removed from the
        knowledge base, but not if their folder is missing, is on another disk than at the start
        or was empty at the start: its disk may be unmounted.

        Args:
            folders: folders to watch, with all folders below them.
            globs: see `find_files`; so are `metadata` and `channels`.
            metadata: assigned to every document.
            channels: of every recording; see `Document`.
            stop: ends the iteration when it is set, if need be in the middle of a document.
            on_progress: see `add`.
            on_note: called with a message when a folder disappears, or when indexing failed and
                will be tried again.
            polling: compare all files every few seconds, for network shares without events.

        Yields:
            A report of the first run, then one for every change of the knowledge base.

        Raises:
            InputError: one of the folders does not exist, or the system watches too many files.

        Example:
            >>> for report in kb.watch(["talks", "notes"]):
            ...     print(report.added, report.updated, report.removed)
        """
        return watch_folders(
            self, check_paths(folders), globs=globs, metadata=metadata, channels=channels,
            stop=stop, on_progress=on_progress, on_note=on_note, polling=polling,
        )  # fmt: skip

    # Searching

    def search(self, query: Query | str, k: int = 10) -> list[Hit]:
        """Return the best k passages for a query, best first."""
        return list(self.retrieve(check_query(query), k).hits)

    def retrieve(self, query: Query, k: int = 10) -> Retrieval:
        """Search, and return the hits with the text and the vector of the query and timings.

        Args:
            query: text, audio or both. Audio beyond the limit of the embedder is split at pauses;
                its vector is the mean over the windows.
            k: number of hits. Passages that say nearly the same as a better one are its `similar`
                hits, and do not count.

        Raises:
            InputError: the query is empty, of a wrong type, or not valid Unicode; k is below 1.
            FilterError: its filter cannot be parsed.
        """
        return self._retriever.retrieve(check_query(query), check_count(k))

    def fuse(self, legs: Mapping[Leg, Sequence[ScoredPassage]]) -> list[Hit]:
        """Merge the ranked lists of a search into one, as `fusion` says."""
        return self._retriever.fuse(legs)

    # Audio and transcripts of hits

    def load_clip(self, passage: Passage) -> Clip:
        """Decode the audio of a recording's passage, with `speech` set.

        Raises:
            AudioError: the recording was deleted or cannot be read.
        """
        clip = self._decode(passage, self.embedder.spec.sampling_rate or SAMPLE_RATE)
        if passage.text or passage.speech is not None:
            return replace(clip, speech=bool(passage.text) or passage.speech)
        # A passage indexed by an earlier version, without measurements.
        return detect_speech(clip)

    def transcribe(self, passage: Passage, clip: Clip | None = None) -> str:
        """Return text of a passage that can be quoted; empty if there is none.

        If the embedder gives no transcript, or one that is not accurate enough to quote, the
        recording is transcribed now and the transcript kept in the folder. The recogniser is
        English.

        Args:
            passage: a retrieved passage.
            clip: its audio, if it has been decoded (`load_clip`).

        Raises:
            AudioError: the recording was deleted or cannot be read.
        """
        if passage.modality == "text" or self._has_quotable_transcripts:
            return passage.text or ""
        clip = clip or self._decode(passage, SAMPLE_RATE)
        correction = self._corrections.apply(passage, None, clip)
        return self._transcripts.get(clip) if correction is None else correction

    def word_times(self, passage: Passage) -> tuple[TimedWord, ...]:
        """Return the words of a passage with their times in its recording.

        They are computed on the first call and kept in the folder.

        Args:
            passage: a passage with `text` and times: a transcribed span of a recording, or of a
                transcript whose recording is known.

        Returns:
            The words of its text in order; empty if the recording is unknown, or if the text does
            not fit it.

        Raises:
            AudioError: the recording was deleted or cannot be read.
        """
        source = passage.source if passage.modality == "audio" else passage.recording
        if not passage.text or passage.start is None or source is None:
            return ()
        clip = self._decode(replace(passage, source=source), SAMPLE_RATE)
        return self._word_times.get(clip, passage.text)

    def find_sound(self, passage: Passage, vector: Float32) -> tuple[float, float] | None:
        """Find the part of a recording's passage that is closest to a query.

        Args:
            passage: a passage of a recording.
            vector: unit vector of the query, shape = (dim,).

        Returns:
            Start and end time in the recording in seconds; None if no part is closer than the
            complete passage, or if the embedder takes no audio.

        Raises:
            AudioError: the recording was deleted or cannot be read.
        """
        if "audio" not in self.embedder.spec.modalities:
            return None
        return find_sound(self.embedder, self.load_clip(passage), vector)

    def transcript(self, document_id: str) -> Transcript:
        """Return the transcript of a recording, with the times of all words.

        Speech that the embedder has not transcribed is transcribed now; transcripts and times are
        kept in the folder.

        Args:
            document_id: a recording, or a transcript with times, such as subtitles.

        Raises:
            InputError: the document is not in the knowledge base, or a text without times.
            AudioError: the recording was deleted or cannot be read.

        Example:
            >>> transcript = kb.transcript("/talks/ada.mp3")  # doctest: +SKIP
            >>> print(transcript.format("srt"))  # doctest: +SKIP
        """
        passages = self.passages(document_id)
        if not passages:
            raise InputError(f"{document_id} is not in the knowledge base: see `wavrag kb list`")
        windows = [passage for passage in passages if passage.start is not None]
        if not windows:
            raise InputError(f"{document_id} is a text without times: give a recording")
        windows.sort(key=lambda passage: (passage.start, passage.ordinal))
        segments = sorted(join_windows(self._windows(windows)), key=lambda segment: segment.start)
        first = passages[0]
        return Transcript(
            first.source, first.title, tuple(segments), document_id, self._chapters(windows)
        )

    def _chapters(self, passages: Sequence[Passage]) -> tuple[tuple[float, str], ...]:
        """The chapters in the file of a recording, or else those of its feed."""
        first = passages[0]
        source = first.source if first.modality == "audio" else first.recording
        if source is not None:
            try:
                tags = audio.inspect_recording(self.resolve_source(source)).tags
            except AudioError:  # it was deleted: its words are in the store
                tags = None
            if tags is not None and tags.chapters:
                return tuple((chapter.start, chapter.title) for chapter in tags.chapters)
        return section_chapters([p for p in passages if p.modality == "audio" and not p.track])

    def _windows(
        self, passages: Sequence[Passage]
    ) -> Iterator[tuple[Passage, tuple[TimedWord, ...]]]:
        """Passages of recordings with text that can be quoted, and their words."""
        for passage in passages:
            text = passage.text
            if passage.modality == "audio" and passage.speech is not False:
                text = self.transcribe(passage)
            if text:
                quotable = replace(passage, text=text)
                try:
                    words = self.word_times(quotable)
                except AudioError:
                    if passage.modality == "audio":
                        raise
                    words = ()  # subtitles have times of their own
                yield quotable, words

    def correct_transcript(
        self,
        document_id: str,
        start: float,
        end: float,
        text: str,
        *,
        track: int | None = None,
        channel: int | None = None,
    ) -> None:
        """Replace words of a recording's transcript by hand, also in the index.

        Corrections are kept in the folder. Whenever the recording is indexed again, they replace
        what is recognised, as long as it resembles what was recognised before.

        Args:
            document_id: a recording.
            start: start time of the words in seconds, such as `Segment.start`.
            end: end time of the words in seconds.
            text: the correct words; empty if there is no speech.
            track: audio track of the words, if the recording has several.
            channel: channel of the words, if the recording has one per speaker.

        Raises:
            InputError: the transcript has no word in this span.
            AudioError: the recording was deleted or cannot be read.
        """

        def change(records: Iterator[StoredPassage]) -> list[StoredPassage]:
            rows = list(records)
            passages = [
                row.passage
                for row in rows
                if row.passage.modality == "audio"
                and (row.passage.track, row.passage.channel) == (track, channel)
                and (row.passage.start or 0.0) < end and start < (row.passage.end or 0.0)
            ]  # fmt: skip
            self._correct(document_id, passages, start, end, text)
            ids = {passage.id for passage in passages}
            return [self.embed_again(row) if row.passage.id in ids else row for row in rows]

        self._store.update([check_id(document_id)], change)

    def _correct(
        self, document_id: str, passages: Sequence[Passage], start: float, end: float, text: str
    ) -> None:
        """Keep a correction of words of passages from `start` to `end`."""
        segments = join_windows(self._windows(passages))
        words = [word for segment in segments for word in segment.words]
        words = [word for word in words if start <= (word.start + word.end) / 2 <= end]
        if not words:
            raise InputError(
                f"{document_id} has no words from {start:g} to {end:g} s: take the times of its"
                " transcript"
            )
        span = replace(passages[0], start=words[0].start, end=words[-1].end)
        self._corrections.create(passages, self._decode(span, SAMPLE_RATE), words, text)

    def embed_again(self, record: StoredPassage) -> StoredPassage:
        """Return a stored passage of a recording, recognised and embedded again.

        Raises:
            AudioError: the recording was deleted or cannot be read.
        """
        return index_again(record, self.load_clip(record.passage), self.embedder, self._corrections)

    def resolve_source(self, source: str) -> str:
        """Return the path of a source: the file of a URL, an upload or a member, or itself."""
        blob, blobs = self.originals.blob_name(source), self.backend.blobs
        path = blobs.local_path(blob) if blob is not None and blobs is not None else None
        return source if path is None else str(path)

    def _decode(self, passage: Passage, sample_rate: int) -> Clip:
        path = self.resolve_source(passage.source)
        if passage.copies and is_deleted(path):
            path = next((copy for copy in passage.copies if not is_deleted(copy)), path)
        return load_passage_clip(passage, sample_rate, path)

    def transcribe_query(self, query: Query, words: str | None) -> str | None:
        """Return the text of a question, with an accurate transcript of its clip.

        Args:
            query: the question.
            words: its text according to `retrieve`, returned if it is accurate.
        """
        if query.clip is None or self._has_quotable_transcripts:
            return words
        transcript = self._transcripts.transcribe(query.clip)
        return " ".join(filter(None, (query.text, transcript))) or None

    @property
    def _has_quotable_transcripts(self) -> bool:
        spec = self.embedder.spec
        return spec.transcribes and spec.quotable_transcripts

    # Maintenance

    def speakers(self, document_id: str) -> list[DocumentSpeaker]:
        """Return the speakers of a recording, in the order of their first words."""
        return list_speakers(self.passages(document_id))

    def mentioned_speakers(self, text: str) -> list[str]:
        """Return the speakers of recordings whose names occur in a text, to suggest a filter."""
        check_type(text, str, "the text")
        return self._retriever.find_speakers(text)

    def name_speaker(
        self, document_id: str, speaker: str, name: str, *, remember: bool = False
    ) -> int:
        """Rename a speaker of a document; nothing is embedded again.

        Args:
            document_id: the document.
            speaker: its current name, such as `speaker 2`.
            name: its new name; that of another speaker of the document joins the two.
            remember: keep a voice print in the folder, by which recordings that are added later
                recognise the speaker. It is personal data: ask the speaker.

        Returns:
            The number of passages.

        Raises:
            InputError: the document has no such speaker, or the name is empty.
            AudioError: with `remember`, the recording was deleted or cannot be read.

        Example:
            >>> kb.name_speaker("/talks/meeting.mp3", "speaker 2", "Ada")  # doctest: +SKIP
        """
        check_type(name, str, "the name of a speaker")
        name = " ".join(name.split())
        if not name:
            raise InputError("the name of a speaker is empty")
        check_id(document_id)
        if remember:
            passages = _passages_of(speaker, document_id, self.passages(document_id))
            voice = embed_speaker(passages, self.load_clip)
        renamed: list[Passage] = []

        def change(records: Iterator[StoredPassage]) -> list[StoredPassage]:
            rows = list(records)
            renamed[:] = _passages_of(speaker, document_id, [row.passage for row in rows])
            return [
                replace(row, passage=replace(row.passage, speaker=name))
                if row.passage.speaker == speaker else row
                for row in rows
            ]  # fmt: skip

        self._store.update([document_id], change)
        if remember:
            self._voices.remember(name, voice)
        return len(renamed)

    def set_access(self, document_id: str, labels: Collection[str]) -> None:
        """Give a document other access labels; nothing is embedded again.

        Args:
            document_id: the document.
            labels: its labels; none for everybody.

        Raises:
            InputError: the document is not in the knowledge base, or a label is not valid.

        Example:
            >>> kb.set_access("/contracts/port.pdf", ["legal", "hr"])  # doctest: +SKIP
        """
        checked = check_labels(labels)
        if self.head(check_id(document_id)) is None:
            raise InputError(f"{document_id} is not in the knowledge base: see `wavrag kb list`")

        def change(records: Iterator[StoredPassage]) -> Iterator[StoredPassage]:
            for record in records:
                metadata = with_labels(record.passage.metadata, checked)
                yield replace(
                    record,
                    passage=replace(record.passage, metadata=metadata),
                    content_hash=relabel(record.content_hash, checked),
                )

        self._store.update([document_id], change)

    def known_voices(self) -> list[str]:
        """Return the names of the speakers whose voice prints are kept."""
        return sorted(self._voices.load())

    def forget_speaker(self, name: str) -> bool:
        """Delete the voice print of a speaker; False if there is none. Passages keep the name."""
        return self._voices.forget(name)

    def documents(self) -> list[StoredDocument]:
        """Return all documents, ordered by id."""
        return self._store.documents()

    def passages(self, document_id: str) -> list[Passage]:
        """Return the passages of a document in order; empty for an unknown id."""
        check_id(document_id)
        passages: list[Passage] = []
        while True:
            ordinals = range(len(passages), len(passages) + PASSAGES_AT_ONCE)
            batch = self._store.get([f"{document_id}#{ordinal}" for ordinal in ordinals])
            passages += batch
            if len(batch) < PASSAGES_AT_ONCE:
                return passages

    def head(self, document_id: str) -> Passage | None:
        """Return the first passage of a document, for its source, title and metadata."""
        return next(iter(self._store.get([f"{document_id}#0"])), None)

    def file_digest(self, document_id: str) -> str:
        """Return the digest of the file of a document when it was indexed; empty without one."""
        return file_digest_of(self._store.content_hash(check_id(document_id)) or "")

    def count(self) -> int:
        """Return the number of passages."""
        return self._store.count()

    def scan(self) -> Iterator[StoredPassage]:
        """Yield all passages with their vectors, ordered by document and ordinal."""
        return self._store.scan()

    def import_parquet(
        self,
        paths: Sequence[str | os.PathLike[str]],
        on_document: Callable[[int], object] = lambda count: None,
    ) -> AddReport:
        """Store documents that were embedded elsewhere, such as by `wavrag embed-bulk`.

        Documents with the same content as the stored ones are left as they are. The times of words
        in recordings are not in the files: they are recognised when somebody asks for them.

        Args:
            paths: Parquet files, and folders of them.
            on_document: called with the number of documents read so far.

        Raises:
            InputError: a file is missing or damaged; the documents before it are stored.
            IndexMismatchError: the vectors are of another embedder.
            StoreError: the store is not writable.
        """
        return import_parquet(self._store, self.embedder.spec, paths, on_document)

    def verify(self, share: float = 1.0) -> list[str]:
        """Read everything back and return a sentence for each defect.

        Args:
            share: share of the store's data to read, from 0 to 1, chosen at random.
        """
        return [*self._store.verify(share), *find_side_defects(self.backend)]

    def check_sources(self) -> list[SourceChange]:
        """Read the files of all documents and return those that were moved, replaced or deleted.

        A moved file is found by its content in the folders of the documents.
        """
        return find_changes(self._store.documents())

    def relink(self, folders: Sequence[str | os.PathLike[str]] = ()) -> list[SourceChange]:
        """Find the files of documents by content, and update their paths without embedding.

        Documents keep their ids. An interrupted call can be repeated.

        Args:
            folders: where to search; the folders of all documents if there are none.

        Returns:
            All files that were moved, replaced or deleted; those with a `found_at` are updated.

        Example:
            >>> for change in kb.relink(["archive/"]):  # doctest: +SKIP
            ...     print(change.path, change.state, change.found_at)
        """
        documents = self._store.documents()
        changes = find_changes(documents, folders)
        paths = relinked_paths(documents, changes)
        apply_paths(self._store, documents, paths, self.backend.scratch)
        if paths:
            self._store.optimize()
        return changes

    def close(self) -> None:
        """Close the store and its connections."""
        self._store.close()
        self.backend.close()


def _passages_of(speaker: str, document_id: str, passages: Sequence[Passage]) -> list[Passage]:
    """The passages of a speaker of a document.

    Raises:
        InputError: there is none.
    """
    spoken = [passage for passage in passages if passage.speaker == speaker]
    if not spoken:
        names = ", ".join(row.name for row in list_speakers(passages))
        raise InputError(
            f"{document_id} has no speaker {speaker!r}: "
            + (f"it has {names}" if names else "index it with --speakers")
        )
    return spoken
