"""`LanceStore`: documents are written to disk here, in one LanceDB table, without a server.

Each write is a single commit, so a killed process never leaves half a document. A lock file
serialises the writers of all processes. Readers never wait, and see a commit in their next call.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from wavrag.errors import IndexMismatchError, StoreError
from wavrag.store.base import Change, StoredDocument, StoredPassage
from wavrag.store.checks import (
    check_records,
    check_unicode,
    check_vector,
    checked,
    find_defects,
    is_unicode,
    read_filter,
)
from wavrag.store.lance_commits import CommitFolder
from wavrag.store.lance_documents import DocumentTallies
from wavrag.store.lance_errors import LANCE_ERRORS, is_lance_error, translate_errors
from wavrag.store.lance_filter import filter_sql, in_sql
from wavrag.store.lance_import import import_lancedb
from wavrag.store.lance_legs import (
    create_indexes,
    dense_leg,
    lexical_leg,
    missing_indexes,
    probe_indexes,
    update_vector_index,
    vector_partitions,
)
from wavrag.store.lance_links import database_uri
from wavrag.store.lance_rows import (
    ADDED_COLUMNS,
    FORMAT,
    RowStream,
    load_metadata,
    passage_columns,
    schema,
    to_passages,
    to_records,
    to_table,
)
from wavrag.store.lexical import weighted_words
from wavrag.store.vocabulary import (
    VocabularyCount,
    count_vocabulary,
    load_vocabulary,
    save_vocabulary,
)
from wavrag.types import Float32, Leg, LexicalQuery, Passage, ScoredPassage, Vocabulary
from wavrag.where import Node

TABLE = "passages"
LANCE_ENVIRONMENT = {
    "LANCEDB_LOG": "error",  # warnings would garble the progress bar
    # LanceDB's defaults, 2 GB and 128 MB, let the memory grow with the table while its vector index
    # is built: by 270 MB instead of 150 MB for 870,000 passages with vectors of 64 dimensions.
    "LANCE_DEFAULT_IO_BUFFER_SIZE": "32000000",
    "LANCE_SHUFFLE_BATCH_BYTES": "16000000",
}
# Rows in memory during `scan`.
SCAN_ROWS = 1024

# Rows from which the counted words are kept in a side file: below, counting takes under 0.1 s.
VOCABULARY_FILE_ROWS = 1000

# Old versions wait until one is older by this factor: cleaning takes two more commits, too many for
# each addition to a busy store, where a version turns old at every moment.
CLEANING_SLACK = 1.2

# For each of the two caches while the indexes are updated.
CACHE_BYTES = 16_000_000

# Time that a writer waits for others: building the vector index of a large table takes minutes.
LOCK_SECONDS = 600.0


@dataclass(slots=True)
class Changes:
    """A change of the table, as recorded with its commit."""

    tallies: DocumentTallies = field(default_factory=DocumentTallies)  # of changed documents
    removed: list[str] = field(default_factory=list)  # ids of documents
    new_log: bool = False  # write the log of documents anew
    is_cleaning: bool = False  # deletes old files


class LanceStore:
    """Passages in a LanceDB table, with exact or approximate cosine search, and BM25."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        dim: int,
        *,
        exact_below: int = 50_000,
        keep_seconds: float = 600.0,
        guard: Callable[[], object] = lambda: None,
    ) -> None:
        """Open the store in a directory; create both if necessary.

        Args:
            path: directory of the store.
            dim: dimension of the vectors.
            exact_below: number of rows below which dense search is exhaustive; larger tables get
                an IVF_SQ index.
            keep_seconds: age in seconds from which `optimize` deletes old versions of the table,
                all at once when one is older by a fifth. A longer `scan` can fail if another
                process optimizes in the meantime.
            guard: called before each change, while other writers wait, and after an error; raises
                an exception if the store may no longer be changed.

        Raises:
            IndexMismatchError: it has vectors of another dimension, or another format.
            StoreError: it cannot be read or created.
        """
        for name, value in LANCE_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from filelock import FileLock

        self.path = Path(path)
        self.dim = dim
        self._exact_below = exact_below
        self._keep_seconds = keep_seconds
        self._guard = guard
        self._closed = False
        self._vocabulary: VocabularyCount | None = None
        self._vocabulary_stamp: tuple[int, ...] | None = None
        self._vocabulary_lock = threading.Lock()
        self._lock = FileLock(self.path / "write.lock", timeout=LOCK_SECONDS, poll_interval=0.01)
        self._commits = CommitFolder(self.path, TABLE)
        with self._translate_errors():
            # With an interval of 0, every read looks for the latest commit first.
            self._database: Any = import_lancedb().connect(
                database_uri(self.path), read_consistency_interval=timedelta(0)
            )
            self._undo_unacknowledged()
            self._table = self._open_or_create()
        self._check_format()

    def upsert(self, records: Sequence[StoredPassage]) -> None:
        """Replace whole documents in one commit; see `Store.upsert`."""
        self._check_open()
        check_records(records, self.dim)
        if records:
            self._merge(records, frozenset())

    def _merge(self, records: Sequence[StoredPassage], removed: frozenset[str]) -> None:
        """Replace whole documents, and remove others, in one commit."""
        rows = to_table(records, self.dim)
        ids = removed.union(record.passage.document_id for record in records)
        documents = in_sql("document_id", ids)
        with self._writing(Changes(removed=sorted(removed))) as changes:
            for record in records:
                changes.tallies.add(record)
            self._add_missing_columns()
            stored = self._table.search().where(documents).select(["id"]).to_arrow()
            stale = set(stored["id"].to_pylist()) - set(rows["id"].to_pylist())
            merge = self._table.merge_insert("id")
            merge = merge.when_matched_update_all().when_not_matched_insert_all()
            if stale:
                # Only if needed: with this clause the merge reads every id of the table.
                merge = merge.when_not_matched_by_source_delete(documents)
            merge.execute(rows)

    def replace(self, document_id: str, records: Iterable[StoredPassage]) -> None:
        """Replace a document of any length in one commit; see `Store.replace`."""
        self._check_open()
        check_unicode(document_id)
        changes = Changes()
        stream = changes.tallies.count(checked(records, self.dim, [document_id]))
        rows = RowStream(stream, self.dim)
        document = in_sql("document_id", [document_id])
        with self._writing(changes):
            self._add_missing_columns()
            try:
                if self._table.count_rows(document):
                    merge = self._table.merge_insert("id")
                    merge = merge.when_matched_update_all().when_not_matched_insert_all()
                    merge.when_not_matched_by_source_delete(document).execute(rows.reader())
                else:
                    # A merge joins all ids in memory; an addition writes batch by batch.
                    self._table.add(rows.reader())
            except LANCE_ERRORS:
                if rows.error is not None:  # LanceDB reports an error of the records as its own
                    raise rows.error from None
                raise

    def update(self, document_ids: Sequence[str], change: Change) -> None:
        """Change documents in one commit; see `Store.update`."""
        self._check_open()
        ids = frozenset(filter(is_unicode, document_ids))
        with self.locked():
            self._undo_unacknowledged()
            changed = change(self.scan(sorted(ids)))
            if len(ids) == 1:
                self.replace(min(ids), changed)
                return
            records = list(changed)
            check_records(records, self.dim, ids)
            removed = ids.difference(record.passage.document_id for record in records)
            if records:
                self._merge(records, removed)
            else:
                self.delete(sorted(removed))

    def delete(self, document_ids: Sequence[str]) -> int:
        """Remove documents in one commit; see `Store.delete`."""
        self._check_open()
        ids = {document_id for document_id in document_ids if is_unicode(document_id)}
        if not ids:
            return 0
        condition = in_sql("document_id", ids)
        with self._writing(Changes(removed=sorted(ids))):
            passages: int = self._table.count_rows(condition)
            if passages:
                self._table.delete(condition)
        return passages

    def search(
        self,
        vector: Float32 | None,
        text: str | LexicalQuery | None,
        k: int,
        where: str | Node | None = None,
    ) -> Mapping[Leg, list[ScoredPassage]]:
        """Search; see `Store.search`."""
        self._check_open()
        tree = read_filter(where)
        condition = None if tree is None else filter_sql(tree)
        if vector is not None:
            check_vector(vector, self.dim, "the query")
        legs: dict[Leg, list[ScoredPassage]] = {}
        # Two legs run at the same time: each waits for LanceDB's threads most of the time.
        with self._translate_errors(), ThreadPoolExecutor(1) as pool:
            if vector is not None:
                partitions = vector_partitions(self._table)
                dense = pool.submit(dense_leg, self._table, vector, k, condition, partitions)
            if text is not None:
                # Lone surrogates cannot be passed to LanceDB, which is written in Rust.
                texts = [
                    (words.encode(errors="replace").decode(), weight)
                    for words, weight in weighted_words(text)
                ]
                lexical = lexical_leg(self._table, texts, k, condition)
            if vector is not None:
                legs["dense"] = dense.result()
            if text is not None:
                legs["lexical"] = lexical
        return legs

    def get(self, passage_ids: Sequence[str]) -> list[Passage]:
        """Return passages by id; see `Store.get`."""
        self._check_open()
        ids = {passage_id for passage_id in passage_ids if is_unicode(passage_id)}
        if not ids:
            return []
        with self._translate_errors():
            query = self._table.search().where(in_sql("id", ids))
            rows = query.select(passage_columns(self._table)).to_arrow()
        passages = {passage.id: passage for passage in to_passages(rows)}
        return [passages[key] for key in passage_ids if key in passages]

    def content_hash(self, document_id: str) -> str | None:
        """Return the content hash of a document; see `Store.content_hash`."""
        self._check_open()
        if not is_unicode(document_id):
            return None
        with self._translate_errors():
            query = self._table.search().where(in_sql("id", [f"{document_id}#0"]))
            hashes: list[str] = (
                query.select(["content_hash"]).to_arrow()["content_hash"].to_pylist()
            )
        return hashes[0] if hashes else None

    def count(self, where: Node | None = None) -> int:
        """Return the number of passages; see `Store.count`."""
        self._check_open()
        with self._translate_errors():
            rows: int = self._table.count_rows(None if where is None else filter_sql(where))
        return rows

    def scan(self, document_ids: Sequence[str] | None = None) -> Iterator[StoredPassage]:
        """Yield a snapshot; see `Store.scan`."""
        self._check_open()
        with self._translate_errors():
            snapshot = self._snapshot()
            query = snapshot.search().select(["document_id", "ordinal"]).with_row_id(True)
            if document_ids is not None:
                ids = [id for id in document_ids if is_unicode(id)]
                query = query.where(in_sql("document_id", ids) if ids else "false")
            keys = query.to_arrow()
        keys = keys.sort_by([("document_id", "ascending"), ("ordinal", "ascending")])
        return self._read(snapshot, keys["_rowid"].to_pylist())

    def documents(self) -> list[StoredDocument]:
        """Return all documents, ordered by id."""
        self._check_open()
        with self._translate_errors():
            snapshot = self._snapshot()
            spans = snapshot.search().select(["document_id", "end"]).to_arrow()
            columns = [
                "document_id", "content_hash", "source", "title", "metadata", "start", "char_start"
            ]  # fmt: skip
            columns += {"copies"} & set(snapshot.schema.names)
            # Title and metadata are the same in all rows of a document, so one row is enough.
            heads = snapshot.search().where("ordinal = 0").select(columns).to_arrow()
        spans = spans.group_by("document_id").aggregate([("end", "max"), ([], "count_all")])
        extent = {row["document_id"]: row for row in spans.to_pylist()}
        return [
            StoredDocument(
                id=head["document_id"],
                content_hash=head["content_hash"],
                source=head["source"],
                title=head["title"],
                modality=(
                    "text" if head["start"] is None or head["char_start"] is not None else "audio"
                ),
                passages=extent[head["document_id"]]["count_all"],
                seconds=extent[head["document_id"]]["end_max"] or 0.0,
                metadata=load_metadata(head["metadata"]),
                copies=tuple(head.get("copies") or ()),
            )
            for head in heads.sort_by("document_id").to_pylist()
        ]

    def vocabulary(self, where: Node | None = None) -> Vocabulary:
        """Count the words, or return an earlier count that is still valid."""
        self._check_open()
        if where is not None:
            with self._translate_errors():
                query = self._snapshot().search().where(filter_sql(where))
                return count_vocabulary(_lexical_texts(query))
        with self._translate_errors(), self._vocabulary_lock:
            # LanceDB takes milliseconds to look for its newest version.
            stamp = self._commits.stamp()
            if self._vocabulary is None or stamp is None or stamp != self._vocabulary_stamp:
                self._vocabulary = self._load_vocabulary()
                self._vocabulary_stamp = stamp
            return self._vocabulary.vocabulary

    def optimize(self) -> None:
        """Merge small files, update the indexes, delete old versions, count the words."""
        self._check_open()
        with self._writing() as changes:
            changes.new_log = self._commits.needs_new_log()
            table = self._open_uncached()
            table.optimize(cleanup_older_than=timedelta(days=36_500))
            update_vector_index(table, table.count_rows(), self._exact_below)
        # Old files are deleted only once the new ones are synced: until then, they are the only
        # durable ones.
        if self._commits.has_versions_older_than(CLEANING_SLACK * self._keep_seconds):
            with self._writing(Changes(is_cleaning=True)):
                table = self._open_uncached()
                table.optimize(cleanup_older_than=timedelta(seconds=self._keep_seconds))
        if self.count() >= VOCABULARY_FILE_ROWS:
            self.vocabulary()  # so that no reader has to wait for the count

    def verify(self, share: float = 1.0) -> list[str]:
        """Read all files and rows, and query all indexes; see `Store.verify`."""
        self._check_open()
        defects: list[str] = []
        try:
            with self._translate_errors():
                defects += [
                    f"{self.path / name} is damaged: run `wavrag kb repair`"
                    for name in self._commits.damaged_files(share)
                ]
                if defects:
                    return defects  # their rows and indexes would be reported again
                defects += [
                    f"{self.path} has no index {name}: run `wavrag kb repair`"
                    for name in missing_indexes(self._table)
                ]
                if share == 1.0:
                    defects += find_defects(self.scan(), self.dim)
                probe_indexes(self._table, self.dim)
        except StoreError as error:
            defects.append(str(error))
        return defects

    def digests(self) -> dict[str, tuple[int, int]]:
        """Return a value for each document that changes with any of its passages.

        A document whose record is damaged is left out.
        """
        self._check_open()
        with self._translate_errors():
            tallies = self._commits.documents()
            if self._commits.read() is None:  # a table of an earlier version
                for row in self.scan():
                    tallies.add(row)
        return {id: (tally.digest, tally.passages) for id, tally in tallies.items()}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other threads and processes from changing the store in a `with` block; they wait."""
        self._check_open()
        with self._translate_errors():
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the table."""
        self._closed = True
        self._table = self._database = None

    def _open_or_create(self) -> Any:
        try:
            table = self._database.open_table(TABLE)
        except ValueError as error:  # the table does not exist
            if self._commits.read() is not None:
                raise StoreError(
                    f"the passages of {self.path} are missing: run `wavrag kb repair`"
                ) from error
            with self._lock:
                self._database.create_table(TABLE, schema=schema(self.dim), exist_ok=True)
            table = self._database.open_table(TABLE)
        # Also after a crash between the creation of the table and that of its indexes.
        if missing_indexes(table):
            self._table = table
            with self._writing():
                create_indexes(table)
        return table

    def _check_format(self) -> None:
        fields = self._table.schema
        expected = schema(self.dim)
        names = [name for name in expected.names if name not in ADDED_COLUMNS]
        names += [name for name in ADDED_COLUMNS if name in fields.names]
        if fields.names != names or (fields.metadata or {}).get(b"wavrag.format") != FORMAT:
            raise IndexMismatchError(
                f"{self.path} has another format: index again into a new directory"
            )
        dim = fields.field("vector").type.list_size
        if dim != self.dim:
            raise IndexMismatchError(
                f"{self.path} has vectors of length {dim}, not {self.dim}: use the embedder of"
                " the store, or index again into a new directory"
            )

    def _add_missing_columns(self) -> None:
        """Add empty columns that are missing in a table of an earlier version."""
        present = self._table.schema.names
        missing = [name for name in ADDED_COLUMNS if name not in present]
        if missing:
            self._table.add_columns([schema(self.dim).field(name) for name in missing])

    def _open_uncached(self) -> Any:
        """The table with small caches, for work that reads whole indexes once.

        The caches of a connection take up to 7 GB, and keep the indexes of earlier versions.
        """
        lancedb = import_lancedb()
        session = lancedb.Session(CACHE_BYTES, CACHE_BYTES)
        database: Any = lancedb.connect(database_uri(self.path), session=session)
        return database.open_table(TABLE)

    def _snapshot(self) -> Any:
        """The current version of the table, unaffected by later commits."""
        # A connection without a consistency interval never looks for later commits.
        return import_lancedb().connect(self.path).open_table(TABLE)

    def _load_vocabulary(self) -> VocabularyCount:
        snapshot = self._snapshot()
        version, passages = snapshot.version, snapshot.count_rows()
        path = self.path / "vocabulary.npz"
        count = self._vocabulary
        if count is None or not count.is_valid(version, passages):
            count = load_vocabulary(path)
        if count is not None and count.is_valid(version, passages):
            return replace(count, version=version)  # checked once for each version
        texts = _lexical_texts(snapshot.search())
        count = VocabularyCount(version, passages, count_vocabulary(texts))
        if passages >= VOCABULARY_FILE_ROWS:
            save_vocabulary(path, count)
        return count

    def _read(self, snapshot: Any, row_ids: list[int]) -> Iterator[StoredPassage]:
        columns = [name for name in snapshot.schema.names if name not in {"id", "facets"}]
        for first in range(0, len(row_ids), SCAN_ROWS):
            with self._translate_errors():
                batch = row_ids[first : first + SCAN_ROWS]
                rows = snapshot.take_row_ids(batch).select(columns).with_row_id().to_arrow()
            # LanceDB returns rows in the order of the files, not of the ids.
            order = {row_id: index for index, row_id in enumerate(rows["_rowid"].to_pylist())}
            yield from to_records(rows.take([order[row_id] for row_id in batch]))

    @contextmanager
    def _writing(self, changes: Changes | None = None) -> Iterator[Changes]:
        """Lock the table; afterwards make its newest version durable, or undo it."""
        changes = changes or Changes()
        with self._translate_errors(), self._lock:
            self._guard()
            self._undo_unacknowledged()
            if changes.is_cleaning:
                self._acknowledge(Changes(is_cleaning=True))
            try:
                yield changes
                self._acknowledge(replace(changes, is_cleaning=False))
            except BaseException:
                with suppress(*LANCE_ERRORS):  # the next writer tries it again
                    self._undo_unacknowledged()
                raise

    def _acknowledge(self, changes: Changes) -> None:
        """Sync and record the newest version, if it is new."""
        record, version = self._commits.read(), self._table.version
        new_log = changes.new_log or record is None  # a new table, or one of an earlier version
        recorded = record and (record.version, record.is_cleaning)
        if not new_log and recorded == (version, changes.is_cleaning):
            return
        tallies = changes.tallies
        if new_log:
            tallies = DocumentTallies()
            for row in self.scan():
                tallies.add(row)
        self._commits.acknowledge(
            version, tallies, changes.removed, new_log=new_log, is_cleaning=changes.is_cleaning
        )

    def _undo_unacknowledged(self) -> None:
        """Undo commits of a killed process: after a power loss, their files may be incomplete.

        Does nothing while another process writes, or on a read-only disk.
        """
        from filelock import Timeout

        if not self._needs_undoing():
            return
        try:
            self._lock.acquire(timeout=0)
        except (Timeout, OSError):
            return
        try:
            record = self._commits.read()
            if record is not None and self._commits.latest_version() > record.version:
                self._table = self._restore(record.version)
            elif self._commits.has_wrong_hint():
                self._commits.drop_versions(after=self._commits.latest_version())
        finally:
            self._lock.release()

    def _needs_undoing(self) -> bool:
        record, latest = self._commits.read(), self._commits.latest_version()
        return record is not None and (latest > record.version or self._commits.has_wrong_hint())

    def _restore(self, version: int) -> Any:
        """Make an acknowledged version the newest one again; return the table."""
        self._commits.drop_incomplete_versions(after=version)
        if self._commits.latest_version() == version:
            return self._database.open_table(TABLE)
        try:
            table = self._database.open_table(TABLE)
            table.checkout(version)
            table.restore()
            # A new version number, because other processes may have read the undone ones.
            self._commits.drop_versions(after=version, before=table.version)
            self._commits.acknowledge(table.version)
        except Exception as error:
            if not is_lance_error(error):
                raise
            # An undone version is unreadable, or the disk is full.
            self._commits.drop_versions(after=version)
            table = self._database.open_table(TABLE)
        return table

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Raise errors as `StoreError`, or that of the guard, if it explains them."""
        try:
            with translate_errors(self.path):
                yield
        except StoreError:
            self._guard()
            raise

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"{self.path} is closed: open it again")


def _lexical_texts(query: Any) -> Iterator[str]:
    """The words of the rows of a query."""
    for batch in query.select(["lexical"]).to_batches(SCAN_ROWS):
        yield from batch["lexical"].to_pylist()
