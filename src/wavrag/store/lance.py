"""`LanceStore`: documents are kept here in one LanceDB table, without a database server.

Each write is a single commit, so a killed process never leaves half a document. Readers never wait,
and see a commit in their next call. In a folder, a lock file serialises the writers of all
processes. On object storage, and wherever the lock does not reach, LanceDB detects that two writers
have changed the same document, and the later one tries again.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from wavrag.errors import IndexMismatchError, StoreError
from wavrag.heap import trim_heap
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
from wavrag.store.lance_documents import DocumentTallies, unequal_documents
from wavrag.store.lance_errors import LANCE_ERRORS
from wavrag.store.lance_filter import filter_sql, in_sql, labels_sql
from wavrag.store.lance_folder import LanceFolder
from wavrag.store.lance_home import ATTEMPTS, TABLE, Changes, LanceHome
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
from wavrag.store.lance_objects import LanceObjects, is_object_url
from wavrag.store.lance_rows import (
    ADDED_COLUMNS,
    FORMAT,
    NO_WRITE,
    RowStream,
    load_metadata,
    new_write_id,
    passage_columns,
    schema,
    to_passages,
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

LANCE_ENVIRONMENT = {
    "LANCEDB_LOG": "error",  # warnings would garble the progress bar
    # LanceDB's defaults, 2 GB and 128 MB, let the memory grow with the table while its vector index
    # is built: by 270 MB instead of 150 MB for 870,000 passages with vectors of 64 dimensions.
    "LANCE_DEFAULT_IO_BUFFER_SIZE": "32000000",
    "LANCE_SHUFFLE_BATCH_BYTES": "16000000",
}
SCAN_ROWS = 1024  # rows in memory while words are counted

# Rows from which the counted words are kept in a side file: below, counting takes under 0.1 s.
VOCABULARY_FILE_ROWS = 1000
VOCABULARY_FILE = "vocabulary.npz"

# Old versions wait until one is older by this factor: cleaning takes two more commits, too many for
# each addition to a busy store, where a version turns old at every moment.
CLEANING_SLACK = 1.2

# For each of the two caches while the indexes are updated.
CACHE_BYTES = 16_000_000


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
        """Open the store in a directory or in object storage; create it if necessary.

        Args:
            path: directory of the store, or `s3://BUCKET/PREFIX`, `gs://...`, `az://...`, whose
                credentials are in the environment variables of that service.
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
        self.dim = dim
        self._exact_below = exact_below
        self._keep_seconds = keep_seconds
        self._closed = False
        self._has_labels = False
        self._vocabulary: VocabularyCount | None = None
        self._vocabulary_stamp: tuple[int, ...] | None = None
        self._vocabulary_lock = threading.Lock()
        self._home: LanceHome = (
            LanceObjects(str(path), dim, guard)
            if is_object_url(path)
            else LanceFolder(Path(path), dim, guard)
        )
        with self._home.translate_errors():
            self._home.open()
        self._check_format()

    def upsert(self, records: Sequence[StoredPassage]) -> None:
        """Replace whole documents in one commit; see `Store.upsert`."""
        self._check_open()
        check_records(records, self.dim)
        if not records:
            return
        rows = to_table(records, self.dim, new_write_id())
        changes = Changes()
        for record in records:
            changes.tallies.add(record)
        with self._home.writing(changes):
            self._upgrade_table()
            ids = {record.passage.document_id for record in records}
            self._home.commit(lambda: self._merge(rows, in_sql("document_id", ids)))

    def replace(self, document_id: str, records: Iterable[StoredPassage]) -> None:
        """Replace a document of any length in one commit; see `Store.replace`."""
        self._check_open()
        check_unicode(document_id)
        changes = Changes()
        rows = self._stream(records, [document_id], changes.tallies)
        with rows, self._home.writing(changes):
            self._upgrade_table()
            self._merge_stream(rows, in_sql("document_id", [document_id]))
            changes.removed = sorted({document_id} - changes.tallies.keys())
        trim_heap()

    def update(self, document_ids: Sequence[str], change: Change) -> None:
        """Change documents in one commit; see `Store.update`."""
        self._check_open()
        ids = sorted(filter(is_unicode, document_ids))
        with self.locked():
            self._home.recover()
            for attempt in range(ATTEMPTS):
                if self._update_unless_changed(ids, change):
                    return
                time.sleep(random.uniform(0, 0.05 * 2 ** min(attempt, 5)))
        raise StoreError(f"{self.address}: other writers change the same documents: run again")

    def _update_unless_changed(self, ids: list[str], change: Change) -> bool:
        """Change documents; False if another writer has changed them since they were read."""
        with self._home.translate_errors():
            snapshot = self._home.snapshot()
            columns = [
                name for name in ("document_id", "write_id") if name in snapshot.schema.names
            ]
            documents = in_sql("document_id", ids) if ids else "false"
            stored = snapshot.search().where(documents).select(columns).to_arrow()
        changes = Changes()
        rows = self._stream(change(self._home.scan(ids, snapshot)), ids, changes.tallies)
        with rows:
            if not self._home.is_exclusive:
                return self._merge_unless_changed(rows, changes, stored)
            with self._home.writing(changes):
                self._upgrade_table()
                self._merge_stream(rows, documents)
                changes.removed = sorted(set(ids) - changes.tallies.keys())
        return True

    def _merge_unless_changed(self, rows: RowStream, changes: Changes, stored: Any) -> bool:
        """Write rows in place of stored ones, unless a write id has changed.

        Args:
            rows: new rows of the same documents.
            changes: completed with the rows.
            stored: columns document_id and write_id of all stored rows of the documents.
        """
        rows.spool()
        tallies = changes.tallies
        lengths = Counter(stored["document_id"].to_pylist())
        removed = sum(count for id, count in lengths.items() if id not in tallies)
        grows = any(tally.passages > lengths[id] for id, tally in tallies.items())
        numbers = sorted(set(stored["write_id"].to_pylist())) or [NO_WRITE]
        write_ids = f"write_id IN ({', '.join(map(str, numbers))})"
        documents = in_sql("document_id", lengths) if lengths else "false"
        # A division by zero at a row of another write ends the merge before it changes any row.
        guard = f"1 / CAST(target.{write_ids} AS INT) = 1"
        try:
            with self._home.writing(changes):
                # Without the clause that inserts, unless it is needed: it would bring back a
                # document that was deleted in the meantime.
                result = self._home.commit(
                    lambda: self._merge(
                        rows.reader(), f"{documents} AND {write_ids}", guard=guard, inserts=grows
                    )
                )
        except StoreError as error:
            if "divide by zero" in str(error.__cause__).lower():
                return False
            raise
        return bool(result.num_deleted_rows >= removed)

    def _stream(
        self, records: Iterable[StoredPassage], ids: Sequence[str], tallies: DocumentTallies
    ) -> RowStream:
        return RowStream(tallies.count(checked(records, self.dim, ids)), self.dim)

    def _merge_stream(self, rows: RowStream, documents: str) -> None:
        if not self._home.is_exclusive:
            rows.spool()  # so that it can be read again after a conflict
            self._home.commit(lambda: self._merge(rows.reader(), documents))
            return
        try:
            if self._table.count_rows(documents):
                self._merge(rows.reader(), documents)
            else:
                # A merge joins all ids in memory; an addition writes batch by batch. But LanceDB
                # does not notice an addition of the same rows by another writer.
                self._table.add(rows.reader())
        except LANCE_ERRORS:
            if rows.error is not None:  # LanceDB reports an error of the records as its own
                raise rows.error from None
            raise

    def _merge(
        self, rows: Any, stale: str, *, guard: str | None = None, inserts: bool = True
    ) -> Any:
        """Write rows in place of those with the same id, and delete other rows.

        The clause that deletes must not be missing even if no row is stale: without it, LanceDB
        does not notice that another writer inserts the same rows.

        Args:
            rows: Arrow rows.
            stale: condition of rows to be deleted, unless they are among the new ones.
            guard: condition of rows to be updated.
            inserts: insert rows with new ids.
        """
        merge = self._table.merge_insert("id").when_matched_update_all(where=guard)
        if inserts:
            merge = merge.when_not_matched_insert_all()
        return merge.when_not_matched_by_source_delete(stale).execute(rows)

    def delete(self, document_ids: Sequence[str]) -> int:
        """Remove documents in one commit; see `Store.delete`."""
        self._check_open()
        ids = {document_id for document_id in document_ids if is_unicode(document_id)}
        if not ids:
            return 0
        condition = in_sql("document_id", ids)
        with self._home.writing(Changes(removed=sorted(ids))):
            passages: int = self._table.count_rows(condition)
            if passages:
                self._home.commit(lambda: self._table.delete(condition))
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
        condition = None if tree is None else self._condition(tree)
        if vector is not None:
            check_vector(vector, self.dim, "the query")
        legs: dict[Leg, list[ScoredPassage]] = {}
        # Two legs run at the same time: each waits for LanceDB's threads most of the time.
        with self._home.translate_errors(), ThreadPoolExecutor(1) as pool:
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
        with self._home.translate_errors():
            query = self._table.search().where(in_sql("id", ids))
            rows = query.select(passage_columns(self._table)).to_arrow()
        passages = {passage.id: passage for passage in to_passages(rows)}
        return [passages[key] for key in passage_ids if key in passages]

    def content_hash(self, document_id: str) -> str | None:
        """Return the content hash of a document; see `Store.content_hash`."""
        self._check_open()
        if not is_unicode(document_id):
            return None
        with self._home.translate_errors():
            query = self._table.search().where(in_sql("id", [f"{document_id}#0"]))
            hashes: list[str] = (
                query.select(["content_hash"]).to_arrow()["content_hash"].to_pylist()
            )
        return hashes[0] if hashes else None

    def count(self, where: Node | None = None) -> int:
        """Return the number of passages; see `Store.count`."""
        self._check_open()
        with self._home.translate_errors():
            rows: int = self._table.count_rows(None if where is None else self._condition(where))
        return rows

    def scan(self, document_ids: Sequence[str] | None = None) -> Iterator[StoredPassage]:
        """Yield a snapshot; see `Store.scan`."""
        self._check_open()
        return self._home.scan(document_ids)

    def documents(self) -> list[StoredDocument]:
        """Return all documents, ordered by id."""
        self._check_open()
        with self._home.translate_errors():
            snapshot = self._home.snapshot()
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
            with self._home.translate_errors():
                query = self._home.snapshot().search().where(self._condition(where))
                return count_vocabulary(_lexical_texts(query))
        with self._home.translate_errors(), self._vocabulary_lock:
            stamp = self._home.stamp()
            if self._vocabulary is None or stamp is None or stamp != self._vocabulary_stamp:
                self._vocabulary = self._load_vocabulary()
                self._vocabulary_stamp = stamp
            return self._vocabulary.vocabulary

    def optimize(self) -> None:
        """Merge small files, update the indexes, delete old versions, count the words."""
        self._check_open()
        with self._home.writing(Changes()) as changes:
            changes.new_log = self._home.needs_new_log()
            table = self._open_uncached()
            self._home.commit(lambda: table.optimize(cleanup_older_than=timedelta(days=36_500)))
            trim_heap()
            self._home.commit(
                lambda: update_vector_index(table, table.count_rows(), self._exact_below)
            )
        # Old files are deleted only once the new ones are synced: until then, they are the only
        # durable ones.
        if self._home.has_versions_older_than(CLEANING_SLACK * self._keep_seconds):
            with self._home.writing(Changes(is_cleaning=True)):
                table = self._open_uncached()
                age = timedelta(seconds=self._keep_seconds)
                self._home.commit(lambda: table.optimize(cleanup_older_than=age))
        if self.count() >= VOCABULARY_FILE_ROWS:
            trim_heap()
            self.vocabulary()  # so that no reader has to wait for the count
        trim_heap()

    def verify(self, share: float = 1.0) -> list[str]:
        """Read all files and rows, and query all indexes; see `Store.verify`."""
        self._check_open()
        defects: list[str] = []
        try:
            with self._home.translate_errors():
                remedy = self._home.remedy
                damaged_files = self._home.damaged_files(share)
                defects += [f"{name} is damaged: {remedy}" for name in damaged_files]
                if defects:
                    return defects  # their rows and indexes would be reported again
                missing = missing_indexes(self._table)
                defects += [f"{self.address} has no index {name}: {remedy}" for name in missing]
                defects += self._find_mixed_documents()
                if share == 1.0:
                    defects += self._find_row_defects()
                probe_indexes(self._table, self.dim)
        except StoreError as error:
            defects.append(str(error))
        return defects

    def digests(self) -> dict[str, tuple[int, int]]:
        """Return a value for each document that changes with any of its passages.

        A document whose record is damaged is left out.
        """
        self._check_open()
        with self._home.translate_errors():
            if (log := self._home.log()) is not None:
                tallies = log[1]
            else:  # a table of an earlier version, or on object storage
                tallies = DocumentTallies()
                for row in self.scan():
                    tallies.add(row)
        return {id: (tally.digest, tally.passages) for id, tally in tallies.items()}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other threads and processes from changing the store in a `with` block; they wait."""
        self._check_open()
        with self._home.translate_errors():
            lock = self._home.locked()
            lock.__enter__()
        try:
            yield
        finally:
            lock.__exit__(None, None, None)

    def close(self) -> None:
        """Close the table."""
        self._closed = True
        self._home.close()

    @property
    def address(self) -> str:
        """The directory or URL, for messages."""
        return self._home.address

    @property
    def path(self) -> Path:
        """The directory.

        Raises:
            StoreError: the store is on object storage.
        """
        if not isinstance(self._home, LanceFolder):
            raise StoreError(f"{self.address} is not a folder: copy its objects instead")
        return Path(self.address)

    @property
    def _table(self) -> Any:
        return self._home.table

    def _check_format(self) -> None:
        fields = self._table.schema
        expected = schema(self.dim)
        names = [name for name in expected.names if name not in ADDED_COLUMNS]
        names += [name for name in ADDED_COLUMNS if name in fields.names]
        if fields.names != names or (fields.metadata or {}).get(b"wavrag.format") != FORMAT:
            raise IndexMismatchError(
                f"{self.address} has another format: index again into a new directory"
            )
        dim = fields.field("vector").type.list_size
        if dim != self.dim:
            raise IndexMismatchError(
                f"{self.address} has vectors of length {dim}, not {self.dim}: use the embedder of"
                " the store, or index again into a new directory"
            )

    def _upgrade_table(self) -> None:
        """Add columns that are missing in a table of an earlier version, and declare the key."""
        present = self._table.schema.names
        missing = [name for name in ADDED_COLUMNS if name not in present]
        fields = [schema(self.dim).field(name) for name in missing if name != "labels"]
        if fields:
            self._home.commit(lambda: self._table.add_columns(fields))
        if "labels" in missing:
            self._home.commit(lambda: self._table.add_columns({"labels": labels_sql()}))
            self._home.commit(lambda: create_indexes(self._table))
        if not self._home.has_key():
            self._home.commit(lambda: self._table.set_unenforced_primary_key("id"))

    def _condition(self, where: Node) -> str:
        """SQL of a filter."""
        # Columns are never removed, and LanceDB takes milliseconds to look at its newest schema.
        self._has_labels = self._has_labels or "labels" in self._table.schema.names
        return filter_sql(where, has_labels=self._has_labels)

    def _find_mixed_documents(self) -> list[str]:
        """Find documents whose passages are of several writes."""
        if "write_id" not in self._table.schema.names:
            return []
        rows = self._table.search().select(["document_id", "write_id"]).to_arrow()
        figures: list[Any] = [("write_id", name) for name in ("min", "max", "count")]
        groups = rows.group_by("document_id").aggregate([*figures, ([], "count_all")])
        return [
            f"{row['document_id']} mixes the passages of two writes: index it again"
            for row in groups.sort_by("document_id").to_pylist()
            if row["write_id_min"] != row["write_id_max"]
            or row["write_id_count"] not in (0, row["count_all"])
        ]

    def _find_row_defects(self) -> list[str]:
        """Find defects of rows, and differences from the log."""
        log, snapshot = self._home.log(), self._home.snapshot()
        tallies = DocumentTallies()
        rows = tallies.count(self._home.scan(snapshot=snapshot))
        defects = find_defects(rows, self.dim)
        # Another process may have written in the meantime. The next call will compare.
        if defects or log is None or log[0] != snapshot.version:
            return defects
        return [
            f"{document.id} is not as it was stored: {self._home.remedy}"
            for document in unequal_documents(log[1], tallies)
        ]

    def _open_uncached(self) -> Any:
        """The table with small caches, for work that reads whole indexes once.

        The caches of a connection take up to 7 GB, and keep the indexes of earlier versions.
        """
        session = import_lancedb().Session(CACHE_BYTES, CACHE_BYTES)
        database = self._home.connect(session=session, read_consistency_interval=timedelta(0))
        return database.open_table(TABLE)

    def _load_vocabulary(self) -> VocabularyCount:
        snapshot = self._home.snapshot()
        version, passages = snapshot.version, snapshot.count_rows()
        path = self._home.side_file(VOCABULARY_FILE)
        count = self._vocabulary
        if count is None or not count.is_valid(version, passages):
            count = load_vocabulary(path)
        if count is not None and count.is_valid(version, passages):
            return replace(count, version=version)  # checked once for each version
        texts = _lexical_texts(snapshot.search())
        count = VocabularyCount(version, passages, count_vocabulary(texts))
        if passages >= VOCABULARY_FILE_ROWS:
            save_vocabulary(path, count)
            self._home.side_file(VOCABULARY_FILE, publish=path)
        return count

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"{self.address} is closed: open it again")


def _lexical_texts(query: Any) -> Iterator[str]:
    """The words of the rows of a query."""
    for batch in query.select(["lexical"]).to_batches(SCAN_ROWS):
        yield from batch["lexical"].to_pylist()
