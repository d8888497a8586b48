"""Several writers of one LanceDB table, where no lock keeps them apart."""

from __future__ import annotations

from contextlib import nullcontext

import lancedb
import pyarrow as pa
import pytest

from wavrag.store import LanceStore
from wavrag.store.lance_home import Changes
from wavrag.store.lance_rows import new_write_id, schema, to_table
from wavrag.testing.store_data import DIM, contents, ids, plain, text_records


@pytest.fixture
def writers(tmp_path):
    """Two stores in one folder, as on two machines whose locks do not reach each other."""
    stores = [LanceStore(tmp_path, DIM) for _ in range(2)]
    for store in stores:
        store._home._lock = nullcontext()
    return stores


def interleave(store, call):
    """Run a call once, while a merge of the store is under way; return the merge's results."""
    merge, results, calls = store._merge, [], [call]

    def merge_slowly(rows, *arguments, **options):
        def batches():
            if calls:
                calls.pop()()
            yield from rows.to_batches()

        reader = pa.RecordBatchReader.from_batches(rows.schema, batches())
        results.append(merge(reader, *arguments, **options))
        return results[-1]

    store._merge = merge_slowly
    return results


@pytest.mark.parametrize("before", [0, 5])
@pytest.mark.parametrize(("first", "second"), [(3, 7), (7, 3), (4, 4)])
def test_a_document_of_two_writers_is_that_of_the_later_one(writers, before, first, second):
    slow, fast = writers
    slow.upsert(text_records("a", ["old"] * before) + text_records("other", ["stays"]))
    new = text_records("a", ["slow"] * first, content_hash="1")
    other = text_records("a", ["fast"] * second, content_hash="2", seed=2)
    results = interleave(slow, lambda: fast.upsert(other))
    slow.upsert(new)
    assert [result.num_attempts for result in results] == [2]
    assert contents(slow) == plain([*new, *text_records("other", ["stays"])])
    assert slow.verify() == []
    assert fast.verify() == []


def test_a_table_of_an_earlier_version_gets_a_key_at_the_next_write(tmp_path):
    fields = [
        field.remove_metadata() for field in schema(DIM) if field.name not in ("write_id", "labels")
    ]
    earlier = pa.schema(fields, metadata=schema(DIM).metadata)
    old = text_records("a", ["old"] * 2, metadata={"lang": "en"}) + text_records("b", ["old"])
    rows = to_table(old, DIM, 0).select(earlier.names)
    lancedb.connect(tmp_path).create_table("passages", rows.cast(earlier))
    slow, fast = LanceStore(tmp_path, DIM), LanceStore(tmp_path, DIM)
    assert contents(slow) == plain(old)
    assert slow.verify() == []
    assert not slow._home.has_key()
    assert ids(slow.search(None, "old", 9, "lang = 'en'")["lexical"]) == ["a#0", "a#1"]
    slow.upsert(text_records("c", ["new"]))
    assert slow._home.has_key()
    assert ids(fast.search(None, "old", 9, "lang = 'en'")["lexical"]) == ["a#0", "a#1"]
    assert ids(fast.search(None, "old", 9, "lang != 'en'")["lexical"]) == ["b#0"]
    for store in (slow, fast):
        store._home._lock = nullcontext()
    results = interleave(slow, lambda: fast.upsert(text_records("b", ["fast"] * 3)))
    new = text_records("b", ["slow"] * 2)
    slow.upsert(new)
    assert results[0].num_attempts == 2
    assert contents(slow) == plain([*old[:2], *new, *text_records("c", ["new"])])
    assert slow.verify() == []


def test_verify_tells_of_a_document_of_two_writes(tmp_path):
    store = LanceStore(tmp_path, DIM)
    records = text_records("a", ["one", "two"])
    store.upsert(records[:1])
    store._table.add(to_table(records[1:], DIM, new_write_id()))
    (defect,) = store.verify()
    assert defect.startswith("a mixes the passages of two writes")


def test_verify_tells_of_a_document_that_is_not_as_it_was_stored(tmp_path):
    store = LanceStore(tmp_path, DIM)
    store.upsert(text_records("a", ["one", "two"]) + text_records("b", ["one", "two"]))
    store.replace("c", iter(()))
    store.upsert(text_records("d", ["one"]))
    store.replace("d", iter(()))
    assert store.verify() == []
    with store._home.writing(Changes()):
        store._table.update(where="id = 'a#0'", values={"text": "other"})
        store._table.delete("id = 'b#1'")
    first, second = store.verify()
    assert first.startswith("a is not as it was stored")
    assert second.startswith("b is not as it was stored")
