"""The store on disk: the kit, and what only a disk can do: fill up, be read-only, be damaged."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from wavrag.errors import FilterError, StoreError
from wavrag.store import LanceStore, lance, lance_legs, vocabulary
from wavrag.store.base import StoredPassage
from wavrag.store.lance_legs import KEY_INDEXES, VECTOR_INDEX, WORDS_INDEX, vector_partitions
from wavrag.testing.store import PersistentStoreConformance
from wavrag.testing.store_data import (
    DIM,
    contents,
    ids,
    plain,
    text_records,
    unit_vector,
    vocabulary_counts,
)
from wavrag.types import Passage


class TestLanceStore(PersistentStoreConformance):
    @pytest.fixture
    def open_store(self, tmp_path):
        return lambda dim: LanceStore(tmp_path / "not" / "yet there", dim)


@pytest.fixture
def store(tmp_path):
    return LanceStore(tmp_path, DIM)


def version(store):
    return store._table.version


def data_files(path):
    return sorted(path.glob("passages.lance/data/*.lance"), key=lambda file: file.stat().st_size)


@pytest.mark.parametrize(("before", "after"), [(0, 4), (10, 3), (3, 10), (4, 4)])
def test_an_upsert_is_one_commit(store, before, after):
    store.upsert(text_records("a", ["old"] * before) + text_records("other", ["stays"]))
    seen = version(store)
    store.upsert(text_records("a", ["new"] * after, content_hash="2") + text_records("b", ["new"]))
    assert version(store) == seen + 1


def test_a_delete_is_one_commit_and_none_without_effect(store):
    store.upsert(text_records("a", ["one"] * 3) + text_records("b", ["two"]))
    seen = version(store)
    store.delete(["unknown"])
    assert version(store) == seen
    store.delete(["a", "b", "unknown"])
    assert version(store) == seen + 1


@pytest.fixture
def large_store(tmp_path, monkeypatch):
    """A store that keeps its words in a side file, with one passage."""
    monkeypatch.setattr(lance, "VOCABULARY_FILE_ROWS", 1)
    store = LanceStore(tmp_path, DIM)
    store.upsert(text_records("a", ["Ünïcode zebra 日本"]))
    store.optimize()
    return store


def test_the_side_file_of_words_is_read_instead_of_counting(large_store, tmp_path, monkeypatch):
    words = vocabulary_counts(large_store)
    monkeypatch.setattr(lance, "count_vocabulary", None)
    again = LanceStore(tmp_path, DIM)
    assert vocabulary_counts(again) == words
    assert again.vocabulary() is again.vocabulary()


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "missing", "older"])
def test_a_damaged_or_older_side_file_of_words_is_replaced(large_store, tmp_path, damage):
    words, file = vocabulary_counts(large_store), tmp_path / "vocabulary.npz"
    content = file.read_bytes()
    match damage:
        case "missing":
            file.unlink()
        case "older":
            large_store.upsert(text_records("b", ["okapi"]))
            words = {**words[0], "okapi": 1}, words[1]
        case _:
            file.write_bytes({"cut": content[:-50], "garbage": b"PK" * 99, "empty": b""}[damage])
    assert vocabulary_counts(LanceStore(tmp_path, DIM)) == words
    assert file.exists()


def test_a_large_store_counts_words_again_only_after_a_noticeable_change(
    large_store, tmp_path, monkeypatch
):
    monkeypatch.setattr(vocabulary, "EXACT_PASSAGES", 10)
    large_store.upsert(text_records("many", ["ferry"] * 19))
    large_store.optimize()
    counted = large_store.vocabulary()
    assert vocabulary_counts(large_store)[0]["ferry"] == 19
    large_store.upsert(text_records("b", ["okapi"] * 2))
    large_store.optimize()
    assert large_store.vocabulary() is counted
    assert vocabulary_counts(LanceStore(tmp_path, DIM))[0]["ferry"] == 19
    assert "okapi" not in LanceStore(tmp_path, DIM).vocabulary().words
    large_store.upsert(text_records("c", ["lynx"] * 9))  # 11 of 20 passages are new
    assert {"okapi", "lynx"} <= set(large_store.vocabulary().words)
    large_store.delete(["many"])
    assert "ferry" not in large_store.vocabulary().words


def test_words_are_counted_without_a_side_file_if_it_cannot_be_written(large_store, tmp_path):
    words, file = vocabulary_counts(large_store), tmp_path / "vocabulary.npz"
    file.unlink()
    file.mkdir()
    assert vocabulary_counts(LanceStore(tmp_path, DIM)) == words


def test_words_are_found_in_other_forms(store):
    store.upsert(text_records("a", ["The recordings were made in Zürich", "東京都の天気"]))
    for question in ("recording", "zurich", "RECORDED", "天気"):
        assert len(ids(store.search(None, question, 5)["lexical"])) == 1, question


def test_long_lists_in_filters_work_or_are_refused(store):
    """20,000 conditions in a row overflow the stack of LanceDB, which ends the process."""
    store.upsert(text_records("a", ["zebra"]))
    values = ", ".join(f"'v{number}'" for number in range(20_000))
    hits = store.search(None, "zebra", 1, f"id in ({values}, 'a')")
    assert ids(hits["lexical"]) == ["a#0"]
    assert not store.search(None, "zebra", 1, f"id not in ({values}, 'a')")["lexical"]
    assert not store.search(None, "zebra", 1, f"speaker in ({values})")["lexical"]
    with pytest.raises(FilterError, match="20000 conditions"):
        store.search(None, "zebra", 1, f"title in ({values})")


@pytest.mark.parametrize("levels", [16, 17, 40])
def test_deeply_nested_filters_work_or_are_refused(store, levels):
    store.upsert(text_records("a", ["zebra"], metadata={"key": 1}))
    where = "key = 1"
    for level in range(levels):
        where = f"({where}) {'and key != 2' if level % 2 else 'or key > 5'}"
    if levels <= 16:
        assert ids(store.search(None, "zebra", 1, where)["lexical"]) == ["a#0"]
        assert ids(store.search(None, "zebra", 1, f"not ({where})")["lexical"]) == []
    else:
        with pytest.raises(FilterError, match="fewer parentheses"):
            store.search(None, "zebra", 1, where)


def clustered(rows, parts=10):
    """Records around 20 centres, each a document of its own, and one query near each centre."""
    random = np.random.default_rng(3)
    centres = random.standard_normal((20, DIM))
    made = []
    for i in range(rows):
        vector = centres[i % 20] + 0.3 * random.standard_normal(DIM)
        vector = (vector / np.linalg.norm(vector)).astype(np.float32)
        passage = Passage(f"d{i:05d}", 0, "w", metadata={"part": i % parts})
        made.append(StoredPassage(passage, vector, "w", "h"))
    queries = centres / np.linalg.norm(centres, axis=1, keepdims=True)
    return made, queries.astype(np.float32)


def test_vector_index(tmp_path, monkeypatch):
    monkeypatch.setattr(lance_legs, "PARTITION_ROWS", 1)
    records, queries = clustered(2_000)
    store = LanceStore(tmp_path, DIM, exact_below=2_000)
    store.upsert(records[:-1])
    store.optimize()
    assert vector_partitions(store._table) is None
    store.upsert(records[-1:])
    exact = [store.search(query, None, 10)["dense"] for query in queries]
    exact_part = [store.search(query, None, 10, "part = 3")["dense"] for query in queries]
    store.optimize()
    assert vector_partitions(store._table) == 45  # about the root of 2,000
    for where, expected in ((None, exact), ("part = 3", exact_part)):
        found = [store.search(query, None, 10, where)["dense"] for query in queries]
        shared = [len(set(ids(a)) & set(ids(b))) for a, b in zip(found, expected, strict=True)]
        assert sum(shared) / (10 * len(queries)) > 0.95
        scores = {hit.passage.id: hit.score for hits in expected for hit in hits}
        for hit in (hit for hits in found for hit in hits if hit.passage.id in scores):
            assert hit.score <= 1 + 1e-6
        best = [hits[0].score for hits in found]
        assert best == pytest.approx([hits[0].score for hits in expected], abs=1e-5)


def test_near_identical_passages_are_searched_exactly(tmp_path):
    random = np.random.default_rng(4)
    vectors = unit_vector(0) + 1e-6 * random.standard_normal((600, DIM))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    store = LanceStore(tmp_path, DIM, exact_below=500)
    store.upsert(
        [StoredPassage(Passage(f"d{i}", 0, "w"), vectors[i], "w", "h") for i in range(600)]
    )
    for _ in range(2):
        store.optimize()
        assert vector_partitions(store._table) is None
        assert len(store.search(unit_vector(0), None, 50)["dense"]) == 50


def test_rows_newer_than_the_vector_index_are_found(tmp_path):
    records, _ = clustered(600)
    store = LanceStore(tmp_path, DIM, exact_below=500)
    store.upsert(records)
    store.optimize()
    query = unit_vector(0)
    store.upsert(text_records("new", ["w"], seed=0))
    assert ids(store.search(query, None, 3)["dense"])[0] == "new#0"
    store.optimize()
    assert ids(store.search(query, None, 3)["dense"])[0] == "new#0"
    store.delete(["new"])
    assert "new#0" not in ids(store.search(query, None, 3)["dense"])
    assert store.verify() == []


def test_the_vector_index_follows_the_number_of_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(lance_legs, "PARTITION_ROWS", 1)
    records, _ = clustered(2_400)
    store = LanceStore(tmp_path, DIM, exact_below=400)
    for rows, partitions in ((400, 20), (1_000, 20), (2_400, 49)):
        store.upsert(records[:rows])
        store.optimize()
        assert vector_partitions(store._table) == partitions
    store.delete([record.passage.document_id for record in records[300:]])
    store.optimize()
    assert vector_partitions(store._table) is None
    assert len(store.search(unit_vector(0), "w", 500)["dense"]) == 300


def test_new_rows_become_segments_of_the_vector_index_and_are_merged_rarely(tmp_path, monkeypatch):
    monkeypatch.setattr(lance_legs, "MAX_SEGMENTS", 3)
    records, _ = clustered(2_000)
    store = LanceStore(tmp_path, DIM, exact_below=1_000)
    segments, files = [], []
    for rows in (1_000, 1_200, 1_400, 1_600, 1_800, 2_000):
        store.upsert(records[store.count() : rows])
        store.optimize()
        (index,) = [i for i in store._table.list_indices() if i.name.startswith(VECTOR_INDEX)]
        assert (index.num_indexed_rows, index.num_unindexed_rows) == (rows, 0)
        segments.append(index.num_segments)
        files.append(store._table.stats()["fragment_stats"]["num_fragments"])
    assert segments == [1, 2, 1, 2, 1, 2]  # at the third segment, the index is built again
    assert max(files) <= 3  # then its files are merged
    for i in (0, 1_100, 1_999):  # a row of each age
        hits = store.search(records[i].vector, None, 1)["dense"]
        assert ids(hits) == [records[i].passage.id]


def test_optimize_drops_old_versions(tmp_path):
    store = LanceStore(tmp_path, DIM, keep_seconds=0.001)
    records = text_records("a", ["word " * 200] * 20)
    for _ in range(20):
        store.upsert(records)
    before = sum(file.stat().st_size for file in data_files(tmp_path))
    store.optimize()
    store.optimize()
    assert sum(file.stat().st_size for file in data_files(tmp_path)) < before / 5
    assert contents(store) == plain(records)
    seen = version(store)
    store.optimize()
    assert version(store) == seen


def test_optimize_keeps_young_versions_for_readers(store, tmp_path):
    store.upsert(text_records("a", ["one"] * 3))
    before = data_files(tmp_path)
    for i in range(5):
        store.upsert(text_records("a", [f"{i}"] * 3))
    store.optimize()
    assert set(before) <= set(data_files(tmp_path))


def test_a_full_disk(small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(500_000))
    store = LanceStore(small_disk / "base", DIM)
    kept = []

    def fill():
        for i in range(1_000):
            records = text_records(f"d{i}", [random.Random(i).randbytes(20_000).hex()] * 3)
            store.upsert(records)
            kept.extend(records)

    with pytest.raises(StoreError, match=r"disk is full.*base.*free space.*nothing.*lost"):
        fill()
    assert kept
    assert contents(LanceStore(small_disk / "base", DIM)) == plain(kept)
    assert store.verify() == []
    ballast.unlink()
    last = text_records("last", ["zebra"])
    store.upsert(last)
    assert contents(store) == plain(kept + last)
    assert ids(store.search(None, "zebra", 3)["lexical"]) == ["last#0"]


def test_a_disk_without_room_for_an_empty_store(small_disk):
    size = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(bytes(size.f_bavail * size.f_frsize))
    with pytest.raises(StoreError, match="disk is full"):
        LanceStore(small_disk / "base", DIM)


def test_a_read_only_disk(small_disk):
    path = small_disk / "base"
    records = text_records("a", ["zebra"])
    LanceStore(path, DIM).upsert(records)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    store = LanceStore(path, DIM)
    assert contents(store) == plain(records)
    assert ids(store.search(unit_vector(0), "zebra", 1)["lexical"]) == ["a#0"]
    assert store.verify() == []
    for write in (lambda: store.upsert(records), lambda: store.delete(["a"]), store.optimize):
        with pytest.raises(StoreError, match=r"base is not writable.*permissions"):
            write()
    with pytest.raises(StoreError, match=r"new is not writable.*permissions"):
        LanceStore(small_disk / "new", DIM)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="permissions"):
        LanceStore(tmp_path / "base", DIM)


def test_the_place_is_a_file(tmp_path):
    (tmp_path / "file").write_text("not a store")
    with pytest.raises(StoreError, match="file is not a directory"):
        LanceStore(tmp_path / "file", DIM)


def test_a_writer_that_never_gets_its_turn(tmp_path, monkeypatch):
    monkeypatch.setattr("wavrag.store.lance_folder.LOCK_SECONDS", 0.05)
    store = LanceStore(tmp_path, DIM)
    with FileLock(tmp_path / "write.lock"), pytest.raises(StoreError, match="another process"):
        store.upsert(text_records("a", ["one"]))
    store.upsert(text_records("a", ["one"]))


def test_verify_tells_of_a_damaged_file(tmp_path):
    store = LanceStore(tmp_path, DIM)
    store.upsert(text_records("a", ["one"] * 50))
    store.close()
    largest = data_files(tmp_path)[-1]
    largest.write_bytes(largest.read_bytes()[:200])
    (defect,) = LanceStore(tmp_path, DIM).verify()
    assert str(tmp_path) in defect


def test_verify_tells_of_a_lost_file(tmp_path):
    store = LanceStore(tmp_path, DIM)
    store.upsert(text_records("a", ["one"] * 50))
    store.close()
    data_files(tmp_path)[-1].unlink()
    assert len(LanceStore(tmp_path, DIM).verify()) == 1


def test_verify_tells_of_rows_that_do_not_belong_together(store):
    store.upsert(text_records("a", ["one"] * 4) + text_records("b", ["one"]))
    store._table.delete("id = 'a#1'")
    store._table.update(where="id = 'a#3'", values={"content_hash": "other"})
    store._table.update(where="id = 'b#0'", values={"vector": [2.0] + [0.0] * (DIM - 1)})
    defects = store.verify()
    assert len(defects) == 3
    assert "a has passage 2 where 1 is expected" in defects[0]
    assert "a#3 is of another version" in defects[1]
    assert "b#0 has length 2.000" in defects[2]


def test_verify_tells_of_a_damaged_index(store, tmp_path):
    store.upsert(text_records("a", ["zebra"] * 50))
    store.optimize()
    store.close()
    for file in tmp_path.glob("passages.lance/_indices/*/*"):
        file.unlink()
    assert LanceStore(tmp_path, DIM).verify()


def test_a_lost_index_is_made_again(tmp_path):
    store = LanceStore(tmp_path, DIM)
    store.upsert(text_records("a", ["zebra"]))
    for name in (*KEY_INDEXES.values(), WORDS_INDEX):
        store._table.drop_index(name)
    assert len(store.verify()) == 3
    again = LanceStore(tmp_path, DIM)
    assert again.verify() == []
    assert ids(again.search(None, "zebra", 1)["lexical"]) == ["a#0"]


def test_a_making_that_was_interrupted_is_finished(tmp_path):
    (tmp_path / "passages.lance" / "data").mkdir(parents=True)
    store = LanceStore(tmp_path, DIM)
    store.upsert(text_records("a", ["one"]))
    assert store.count() == 1


NO_LINKS = """
#include <errno.h>
int link(const char *from, const char *to) { errno = EPERM; return -1; }
int linkat(int a, const char *from, int b, const char *to, int flags) { errno = EPERM; return -1; }
"""


@pytest.mark.skipif(sys.platform != "linux", reason="LanceDB needs hard links elsewhere")
def test_a_folder_without_hard_links(tmp_path):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler for a library that refuses hard links")
    (tmp_path / "links.c").write_text(NO_LINKS)
    library = tmp_path / "links.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "links.c"], check=True)
    program = """
import sys
from wavrag.store import LanceStore
from wavrag.testing.store_data import DIM, run_together, text_records, writer, check_writers
store = LanceStore(sys.argv[1], DIM)
store.upsert(text_records("a", ["old one", "old two"]) + text_records("b", ["other"]))
store.upsert(text_records("a", ["new"], content_hash="2"))
assert store.delete(["b"]) == 1
store.optimize()
assert [p.passage.text for p in LanceStore(sys.argv[1], DIM).scan()] == ["new"]
store.delete(["a"])
run_together([writer(LanceStore(sys.argv[1], DIM), name) for name in "ab"])
check_writers(store, "ab")
"""
    folder = tmp_path / "naïve #1 %20"
    run = subprocess.run(
        [sys.executable, "-c", program, folder],
        env={**os.environ, "LD_PRELOAD": str(library)}, capture_output=True, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr.decode()) == (0, "")
    assert (folder / "passages.lance").is_dir()


def test_nothing_reaches_standard_error(tmp_path):
    code = f"""
from wavrag.store import LanceStore, lance
from wavrag.testing.store_data import text_records
store = LanceStore({str(tmp_path / "base")!r}, {DIM})
store.upsert(text_records("a", ["zebra"] * 3))
store.upsert(text_records("a", ["zebra"]))
store.search(None, "zebra", 3)
store.optimize()
store.delete(["a"])
assert store.verify() == []
store.close()
"""
    environment = {key: value for key, value in os.environ.items() if key != "LANCEDB_LOG"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_the_import_is_light():
    code = "import sys, wavrag.store; print(sorted({'lancedb', 'pyarrow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_path_may_be_text(tmp_path):
    store = LanceStore(str(tmp_path / "base"), DIM)
    assert store.path == Path(tmp_path / "base")


def test_client_of_a_lancedb_server_is_loaded_when_first_used() -> None:
    program = (
        "import sys; from wavrag.store.lance_import import import_lancedb; import_lancedb();"
        "client = 'lance_namespace_urllib3_client'; print(f'{client}.api' in sys.modules);"
        "from lance_namespace_urllib3_client import ApiClient; print(ApiClient.__name__)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["False", "ApiClient"]
