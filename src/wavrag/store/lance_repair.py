"""Repair the files of a `LanceStore` after damage.

Works on the files of the table without opening the store, because a damaged table cannot be opened.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wavrag.errors import StoreError
from wavrag.store.base import StoredDocument, StoredPassage
from wavrag.store.lance_commits import FILE, VERSIONS, CommitFolder
from wavrag.store.lance_documents import DocumentTallies, unequal_documents
from wavrag.store.lance_errors import is_lance_error, translate_errors
from wavrag.store.lance_folder import LOCK_SECONDS
from wavrag.store.lance_home import TABLE
from wavrag.store.lance_import import import_lancedb
from wavrag.store.lance_legs import KEY_INDEXES, WORDS_INDEX, create_indexes, missing_indexes
from wavrag.store.lance_links import database_uri
from wavrag.store.lance_rows import UNREAD_COLUMNS, new_write_id, schema, to_records, to_table

READ_ROWS = 256  # rows read at once; halved where a row is unreadable
RUN_ROWS = 32  # from here on, unreadable rows are taken for one run


@dataclass(slots=True)
class StoreRepair:
    """Result of repairing a store."""

    actions: list[str] = field(default_factory=list)  # sentences for the user; empty if intact
    losses: list[StoredDocument] = field(default_factory=list)  # no longer in the store


def repair_store(path: Path, dim: int) -> StoreRepair:
    """Make a store whole again; documents that are not whole are removed from it.

    Args:
        path: folder of the store.
        dim: dimension of the vectors.

    Raises:
        StoreError: another process is writing, or the disk is full.
    """
    from filelock import FileLock

    with translate_errors(str(path)), FileLock(path / "write.lock", timeout=LOCK_SECONDS):
        return _StoreRepairer(path, dim).run()


class _StoreRepairer:
    """Repairs a store, whose lock is held."""

    def __init__(self, path: Path, dim: int) -> None:
        self._path = path
        self._dim = dim
        self._database: Any = import_lancedb().connect(database_uri(path))
        self._commits = CommitFolder(path, TABLE)
        self._repair = StoreRepair()

    def run(self) -> StoreRepair:
        """Repair the store from the outside to the inside: record, manifest, rows, indexes."""
        expected = self._commits.documents()
        defects = self._check_files()
        table = self._open()
        rows = [name for name in defects if "/data/" in name or "/_deletions/" in name]
        tallies = DocumentTallies()
        reader = _RowReader(table)
        for batch in reader.read():
            for row in batch:
                tallies.add(row)
        losses = unequal_documents(expected, tallies)
        is_complete = table.count_rows() == sum(tally.passages for tally in tallies.values())
        # Damage to a document's id makes two of it: one that is lost, and one that never was.
        strays = tallies.keys() - expected.keys() if self._has_whole_log(defects) else set()
        if rows or losses or strays or not is_complete:
            for id in {document.id for document in losses} | strays:
                tallies.pop(id, None)
            table = self._rewrite(reader, tallies.keys())
        if any("/_indices/" in name for name in defects):
            for index in table.list_indices():
                table.drop_index(index.name)
        if missing := missing_indexes(table):
            create_indexes(table)
            if {*KEY_INDEXES.values(), WORDS_INDEX} & set(missing):
                self._repair.actions.append("the indexes were built again")
        self._repair.losses = losses
        self._delete_defects(defects, table.version)
        self._commits.acknowledge(table.version, tallies, new_log=True)
        return self._repair

    def _check_files(self) -> list[str]:
        """Paths of damaged files; without a readable record, the rows alone tell."""
        try:
            defects = self._commits.damaged_files()
        except StoreError:
            (self._path / FILE).unlink()
            self._repair.actions.append(f"{FILE} was damaged: written again")
            return []
        self._repair.actions += [f"{name} was damaged" for name in defects]
        return defects

    def _has_whole_log(self, defects: list[str]) -> bool:
        """True if the log has all documents: it is there, and undamaged."""
        record = self._commits.read()
        return record is not None and record.log not in defects

    def _open(self) -> Any:
        """Open the recorded version, or the newest one that is readable."""
        record = self._commits.read()
        if record is not None:
            if self._commits.restore_manifest():
                self._repair.actions.append("the manifest was restored from its copy")
            self._commits.drop_versions(after=record.version)
        for version, manifest in self._commits.manifests():
            try:
                table = self._database.open_table(TABLE)
                table.count_rows()
            except Exception as error:
                if not is_lance_error(error):
                    raise
                manifest.unlink()
                self._repair.actions.append(f"version {version} was unreadable: dropped")
            else:
                return table
        self._repair.actions.append("no version was readable: an empty table was created")
        self._database.drop_table(TABLE, ignore_missing=True)
        return self._database.create_table(TABLE, schema=schema(self._dim))

    def _rewrite(self, reader: _RowReader, intact_ids: Collection[str]) -> Any:
        """Write the whole documents into new files."""
        import pyarrow as pa

        # LanceDB creates no table from a reader without batches.
        empty = schema(self._dim).empty_table()
        write_id = new_write_id()  # one for all: the documents are whole

        def batches() -> Iterator[Any]:
            yield from empty.to_batches()
            for rows in reader.read():
                intact = [row for row in rows if row.passage.document_id in intact_ids]
                if intact:
                    yield from to_table(intact, self._dim, write_id).to_batches()

        stream = pa.RecordBatchReader.from_batches(schema(self._dim), batches())
        table = self._database.create_table(TABLE, stream, mode="overwrite")
        self._repair.actions.append("the passages were written into new files")
        return table

    def _delete_defects(self, defects: list[str], version: int) -> None:
        """Delete damaged files that the newest version does not need."""
        if defects:
            self._commits.drop_versions(after=0, before=version)
        for name in defects:
            if f"/{VERSIONS}/" not in name and "/" in name:
                (self._path / name).unlink(missing_ok=True)


class _RowReader:
    """Reads the readable rows of a table; those found to be unreadable are not tried again."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._columns = [name for name in table.schema.names if name not in UNREAD_COLUMNS]
        self._unreadable: set[int] = set()  # offsets

    def read(self) -> Iterator[list[StoredPassage]]:
        """All readable rows, about in the order of the files."""
        rows = self._table.count_rows()
        for first in range(0, rows, READ_ROWS):
            last = min(first + READ_ROWS, rows)
            offsets = [row for row in range(first, last) if row not in self._unreadable]
            if offsets:
                yield from self._read(offsets)

    def _read(self, offsets: list[int]) -> Iterator[list[StoredPassage]]:
        records = self._take(offsets)
        middle = len(offsets) // 2
        if records is not None:
            yield records
        elif len(offsets) > RUN_ROWS:
            yield from self._read(offsets[:middle])
            yield from self._read(offsets[middle:])
        else:
            yield from self._read_ends(offsets)

    def _read_ends(self, offsets: list[int]) -> Iterator[list[StoredPassage]]:
        """Read up to the first unreadable row, and back from the end to the last one.

        Rows are stored in blocks, so damage makes neighbours unreadable. To try each of them takes
        10 ms.
        """
        left = offsets
        for _ in range(2):
            size = 1
            while left:
                records = self._take(left[:size])
                if records is not None:
                    yield records
                    left = left[size:]
                    size *= 2
                elif size == 1:
                    break
                else:
                    size //= 2
            left = left[::-1]
        self._unreadable.update(left)

    def _take(self, offsets: list[int]) -> list[StoredPassage] | None:
        """Rows by their offsets; None if one of them is unreadable."""
        try:
            query = self._table.take_offsets(offsets).select(self._columns)
            return list(to_records(query.to_arrow()))
        except Exception as error:
            if not is_lance_error(error):
                raise
            return None
