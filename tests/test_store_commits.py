"""Acknowledged commits of the store on disk: power loss, damage, repair."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wavrag.errors import StoreError
from wavrag.store import LanceStore, repair_store
from wavrag.store.lance_commits import FILE, CommitFolder
from wavrag.store.lance_documents import DocumentTallies, read_log
from wavrag.store.lance_repair import _RowReader
from wavrag.testing.store_data import DIM, contents, plain, text_records


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store of three documents in two commits."""
    store = LanceStore(tmp_path, DIM)
    store.upsert([*text_records("a", ["zebra", "gnu"]), *text_records("b", ["oryx"])])
    store.upsert(text_records("c", ["kudu"] * 3))
    store.close()
    return tmp_path


def table_files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and "passages.lance" in path.parts}


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("lost", ["data", "manifest", "everything"])
def test_an_unacknowledged_commit_is_undone(folder: Path, lost: str, zeros: bool) -> None:
    """A process is killed before the sync; the power loss then empties files."""
    before = contents(LanceStore(folder, DIM))
    files = table_files(folder)
    store = LanceStore(folder, DIM)
    store._table.update(where="id = 'a#0'", values={"text": "other"})
    store.close()
    for path in table_files(folder) - files:
        if lost in ("everything", {"data": "data", "_versions": "manifest"}.get(path.parent.name)):
            path.write_bytes(bytes(path.stat().st_size) if zeros else b"")
    store = LanceStore(folder, DIM)
    assert contents(store) == before
    assert store.verify() == []
    store.upsert(text_records("d", ["eland"]))
    store.optimize()
    assert contents(LanceStore(folder, DIM)) == [*before, *plain(text_records("d", ["eland"]))]


def test_a_commit_that_cannot_be_recorded_is_undone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LanceStore(folder, DIM)
    before = contents(store)

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("wavrag.store.lance_commits.write_json", fail)
        with pytest.raises(StoreError, match="disk is full"):
            store.upsert(text_records("d", ["eland"]))
    assert contents(store) == before
    assert store.verify() == []


def test_every_damaged_file_is_found(folder: Path) -> None:
    store = LanceStore(folder, DIM)
    chance = random.Random(5)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]
    files.remove(folder / "passages.lance/_versions/latest_version_hint.json")
    assert FILE in {path.name for path in files}
    for path in files:
        data = path.read_bytes()
        at = chance.randrange(len(data))
        for damaged in (data[:at], data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]):
            path.write_bytes(damaged)
            (defect,) = store.verify()
            assert path.name in defect
            assert "kb repair" in defect
        path.write_bytes(data)
    assert store.verify() == []
    assert store.verify(0.5) == []


@pytest.mark.parametrize(("age", "is_cleaned"), [(110, False), (130, True)])
def test_old_versions_are_deleted_together(
    folder: Path, monkeypatch: pytest.MonkeyPatch, age: float, is_cleaned: bool
) -> None:
    store = LanceStore(folder, DIM, keep_seconds=100)
    store.optimize()
    for path in folder.glob("passages.lance/_versions/*.manifest"):
        os.utime(path, (time.time() - age,) * 2)
    calls: list[bool] = []
    acknowledge = CommitFolder.acknowledge

    def record(*arguments: Any, is_cleaning: bool = False, **keywords: Any) -> None:
        calls.append(is_cleaning)
        acknowledge(*arguments, is_cleaning=is_cleaning, **keywords)

    monkeypatch.setattr(CommitFolder, "acknowledge", record)
    store.optimize()
    assert (True in calls) is is_cleaned


@pytest.mark.parametrize("content", [b"", b"\xff", b'{"version":99}'])
def test_a_wrong_hint_is_dropped(folder: Path, content: bytes) -> None:
    hint = folder / "passages.lance/_versions/latest_version_hint.json"
    hint.write_bytes(content)
    store = LanceStore(folder, DIM)
    assert not hint.exists()
    store.upsert(text_records("d", ["eland"]))
    assert len(contents(LanceStore(folder, DIM))) == 7


def test_a_sample_checks_the_sizes_of_all_files(folder: Path) -> None:
    for path in folder.rglob("data/*.lance"):
        path.write_bytes(path.read_bytes()[:-1])
    assert len(LanceStore(folder, DIM).verify(0.001)) == 2


def test_the_log_describes_the_documents(folder: Path) -> None:
    """Digests of rows read back are equal, whatever the types of numbers were."""
    store = LanceStore(folder, DIM)
    store.delete(["b"])
    store.upsert(text_records("a", ["zebu"]))
    record = json.loads((folder / FILE).read_text())
    logged = read_log((folder / record["log"]).read_bytes())
    tallies = DocumentTallies()
    for row in store.scan():
        tallies.add(row)
    assert [tally.to_line() for tally in logged.values()] == [
        tallies[id].to_line() for id in logged
    ]
    assert [tally.document for tally in logged.values()] == sorted(
        store.documents(), key=lambda document: list(logged).index(document.id)
    )


def test_a_document_with_a_damaged_id_does_not_stay_beside_the_lost_one(tmp_path: Path) -> None:
    store = LanceStore(tmp_path, DIM)
    store.upsert([*text_records("meadow", ["zebra"]), *text_records("river", ["oryx"])])
    store.close()
    (path,) = (path for path in table_files(tmp_path) if path.parent.name == "data")
    data = path.read_bytes()
    places = [match.start() for match in re.finditer(b"river", data)]
    assert places
    for place in places:
        shutil.copytree(tmp_path, copy := tmp_path.with_name(f"copy-{place}"))
        damaged = copy / path.relative_to(tmp_path)
        damaged.write_bytes(data[:place] + b"s" + data[place + 1 :])
        losses = [document.id for document in repair_store(copy, DIM).losses]
        documents = {document.id for document in LanceStore(copy, DIM).documents()}
        assert documents.isdisjoint(losses)
        assert documents | set(losses) == {"meadow", "river"}


class DamagedTable:
    """A table in which some rows cannot be read."""

    def __init__(self, rows: int, unreadable: set[int]) -> None:
        self.schema = SimpleNamespace(names=["id"])
        self.failures = 0
        self._rows = rows
        self._unreadable = unreadable

    def count_rows(self) -> int:
        return self._rows

    def take_offsets(self, offsets: list[int]) -> SimpleNamespace:
        def to_arrow() -> list[int]:
            if self._unreadable.intersection(offsets):
                self.failures += 1
                raise OSError("damaged")
            return offsets

        return SimpleNamespace(select=lambda columns: SimpleNamespace(to_arrow=to_arrow))


@pytest.mark.parametrize(
    ("unreadable", "failures"), [(set(range(40, 150)), 30), ({700}, 20), (set(range(800)), 110)]
)
def test_every_row_outside_the_damage_is_read_without_trying_all(
    monkeypatch: pytest.MonkeyPatch, unreadable: set[int], failures: int
) -> None:
    monkeypatch.setattr("wavrag.store.lance_repair.to_records", lambda rows: rows)
    table = DamagedTable(800, unreadable)
    reader = _RowReader(table)
    for _ in range(2):  # rows that are known to be unreadable are not tried again
        rows = [row for batch in reader.read() for row in batch]
        assert sorted(rows) == [row for row in range(800) if row not in unreadable]
        assert table.failures <= failures
