"""`PostgresStore` on a real server."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from psycopg.errors import LockNotAvailable

from wavrag.errors import StoreError
from wavrag.store import (
    MemoryStore,
    PostgresPool,
    PostgresStore,
    postgres,
    postgres_index,
    postgres_schema,
)
from wavrag.store.postgres_legs import read_state
from wavrag.testing.store import PersistentStoreConformance
from wavrag.testing.store_data import DIM, ids, text_records, unit_vector
from wavrag.types import LexicalQuery, WeightedWord
from wavrag.where import parse

TENANTS = (f"t{number}" for number in itertools.count())


@pytest.fixture
def open_store(postgres_url):
    """Opens stores of a new tenant."""
    tenant = next(TENANTS)
    with ExitStack() as stack:

        def open_tenant(dim, tenant=tenant, **options):
            store = PostgresStore(postgres_url, dim, tenant, **options)
            stack.callback(store.close)
            return store

        yield open_tenant


class TestConformance(PersistentStoreConformance):
    @pytest.fixture
    def open_store(self, open_store):
        return open_store


def clustered_records(count, per_document=10):
    """Documents around few directions, as real texts are."""
    random = np.random.default_rng(3)
    centres = random.standard_normal((40, DIM))
    records = []
    for first in range(0, count, per_document):
        number = first // per_document
        texts = [f"zebra w{i % 7}" for i in range(per_document)]
        for record in text_records(f"d{number:04d}", texts, metadata={"part": number % 20}):
            vector = centres[number % 40] + 0.5 * random.standard_normal(DIM)
            unit = (vector / np.linalg.norm(vector)).astype(np.float32)
            records.append(replace(record, vector=unit))
    return records


def test_the_vector_index_agrees_with_exact_search(open_store):
    exact, records = open_store(DIM), clustered_records(1_500)
    exact.upsert(records)
    vectors = {record.passage.id: record.vector for record in records}
    queries = [unit_vector(seed) for seed in range(20)]
    filters = (None, "part = 7", "id = 'd0003'", "id = 'd0003' and part = 4")
    truth = {w: [exact.search(q, None, 10, w)["dense"] for q in queries] for w in filters}
    indexed = open_store(DIM, exact_below=100)
    indexed.optimize()
    plan = indexed.pool.run(
        lambda c: c.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s",
                            [f"vectors_{indexed.tenant}"]).fetchall()
    )  # fmt: skip
    assert "hnsw" in plan[0][0]
    for where, expected in truth.items():
        hits = [indexed.search(q, None, 10, where)["dense"] for q in queries]
        pairs = zip(expected, hits, strict=True)
        found = sum(len(set(ids(a)) & set(ids(b))) for a, b in pairs)
        assert found >= 0.97 * sum(map(len, expected)), where
        # Every hit has its exact cosine.
        for query, leg in zip(queries, hits, strict=True):
            for hit in leg:
                assert hit.score == pytest.approx(float(query @ vectors[hit.passage.id]), abs=1e-6)
    # Also for passages that are added later.
    indexed.upsert(text_records("new", ["okapi"], seed=9))
    assert ids(exact.search(unit_vector(9000), None, 1)["dense"]) == ["new#0"]
    assert indexed.verify() == []


def test_scores_are_those_of_bm25(open_store):
    texts = ["zebra zebra lion", "a zebra", "lion cub among zebra", "", "cub", "one two three"]
    memory, store = MemoryStore(DIM), open_store(DIM)
    records = [r for i, t in enumerate(texts) for r in text_records(f"d{i}", [t])]
    for target in (memory, store):
        # A version that is replaced, and a document that is deleted, leave no trace.
        target.upsert(text_records("d1", ["zebra lion"] * 5) + text_records("gone", ["lion"] * 3))
        target.upsert(records)
        target.delete(["gone"])
    query = LexicalQuery("zebra lion", (WeightedWord("cub", 0.5),))
    expected = {hit.passage.id: hit.score for hit in memory.search(None, query, 9)["lexical"]}
    for _ in range(2):
        scores = {hit.passage.id: hit.score for hit in store.search(None, query, 9)["lexical"]}
        assert scores == pytest.approx(expected)
        store.optimize()


def test_words_of_other_scripts(open_store):
    store = open_store(DIM)
    store.upsert(text_records("a", ["東京都の天気は晴れです", "Éclairs et cafés", "w" * 5_000]))
    for question, expected in {
        "天気": "a#0",
        "eclair": "a#1",
        "CAFÉ": "a#1",
        "w" * 5_000: "a#2",
    }.items():
        assert ids(store.search(None, question, 5)["lexical"]) == [expected], question
    assert ids(store.search(None, "京天", 5)["lexical"]) == []


def test_many_small_commits_are_merged(open_store, monkeypatch):
    monkeypatch.setattr(postgres, "MERGE_COMMITS", 16)
    monkeypatch.setattr(postgres_index, "MIN_REMOVED", 20)
    store = open_store(DIM)
    for turn in range(3):
        for number in range(16):
            store.upsert(text_records(f"d{number}", [f"zebra v{turn}x"], content_hash=str(turn)))
    assert len(store.search(None, "zebra", 50)["lexical"]) == 16
    assert ids(store.search(None, "v0x v1x", 50)["lexical"]) == []
    sql = (
        "SELECT term, count(*), sum(octet_length(postings)) / 8 FROM wavrag.postings"
        " WHERE tenant = %s GROUP BY term ORDER BY term"
    )
    rows = store.pool.run(lambda c: c.execute(sql, [store.tenant]).fetchall())
    # The postings of 32 removed passages are gone, and rows of a term are merged.
    assert [(term, int(total)) for term, _, total in rows] == [("v2x", 16), ("zebra", 16)]
    assert all(count <= 8 for _, count, _ in rows)
    state = store.pool.run(lambda c: read_state(c, store.tenant))
    assert (state.passages, state.words, len(state.removed)) == (16, 32, 0)
    assert store.verify() == []


def test_a_connection_of_another_tenant_sees_and_changes_nothing(open_store, postgres_url):
    store = open_store(DIM)
    store.upsert(text_records("a", ["zebra", "okapi"]))
    assert store.vocabulary().words != ()
    # The store still asks for its own tenant, but its connections are those of another one.
    with PostgresPool(postgres_url, "other") as other:
        own, store.pool = store.pool, other
        store._vocabulary = None
        empty = {"dense": [], "lexical": []}
        assert store.search(unit_vector(0), "zebra", 5) == empty
        assert store.search(unit_vector(0), "zebra", 5, "id = 'a'") == empty
        assert store.get(["a#0"]) == []
        assert (store.count(), store.count(parse("id = 'a'"))) == (0, 0)
        assert list(store.scan()) == []
        assert store.documents() == []
        assert store.vocabulary().words == ()
        assert store.delete(["a"]) == 0
        with pytest.raises(StoreError, match="row-level security"):
            store.upsert(text_records("b", ["zebra"]))
        tables = ("bases", "documents", "passages", "postings", "segments", "removed")
        for table in (*tables, "vocabularies", f'"passages_{store.tenant}"'):
            count = f"SELECT count(*) FROM wavrag.{table} WHERE tenant = %s"
            rows = other.run(lambda c, sql=count: c.execute(sql, [store.tenant]).fetchone())
            assert rows == (0,), table
        store.pool, store._vocabulary = own, None
    assert [d.id for d in store.documents()] == ["a"]
    assert store.count() == 2


def test_an_index_whose_build_was_cut_off_is_built_again(open_store):
    store = open_store(DIM, exact_below=10)
    store.upsert(clustered_records(50))
    build = partial(postgres_index.update_vector_index, tenant=store.tenant, dim=DIM, is_large=True)
    with store.pool.transaction() as writer, store.pool.connection() as connection:
        writer.execute(f"DELETE FROM {store._table} WHERE false")  # a build waits for its end
        connection.execute("SET lock_timeout = 100")
        with pytest.raises(LockNotAvailable):
            build(connection)
        connection.execute("RESET lock_timeout")
    state = "SELECT indisvalid FROM pg_index WHERE indexrelid = %s::regclass"
    index = [postgres_schema.vector_index_of(store.tenant)]
    assert store.pool.run(lambda c: c.execute(state, index).fetchone()) == (False,)
    assert store.verify() == []
    assert len(store.search(unit_vector(1), None, 50)["dense"]) == 50
    store.optimize()
    assert store.pool.run(lambda c: c.execute(state, index).fetchone()) == (True,)


def test_optimize_does_not_wait_for_a_build_of_another_process(
    open_store, postgres_url, monkeypatch
):
    monkeypatch.setattr(postgres, "MIN_SEGMENTS", 1)
    store = open_store(DIM)
    store.upsert(text_records("a", ["zebra"]))
    impatient = f"{postgres_url}&options=-c%20lock_timeout%3D2s"
    with store.pool.transaction() as build, PostgresPool(impatient, store.tenant) as pool:
        build.execute(f"LOCK TABLE {store._table} IN SHARE UPDATE EXCLUSIVE MODE")
        own, store.pool = store.pool, pool
        store.optimize()
        store.pool = own


WRITER = """
import sys
from wavrag.store import PostgresStore
from wavrag.testing.store_data import DIM, text_records
store = PostgresStore(sys.argv[1], DIM, sys.argv[2])
for turn in range(10_000):
    records = text_records("d0", [f"turn {turn}"] * 40, content_hash=str(turn))
    records += text_records(f"d{turn}", ["w"] * 20, content_hash=str(turn)) if turn else []
    store.upsert(records)
    print(turn, flush=True)
"""


def test_a_killed_writer_leaves_whole_documents(open_store, postgres_url):
    store = open_store(DIM)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, postgres_url, store.tenant], stdout=subprocess.PIPE
    ) as writer:
        lines = iter(writer.stdout)
        for _ in range(5):
            next(lines)
        writer.send_signal(signal.SIGKILL)
        acknowledged = 4 + sum(line.endswith(b"\n") for line in lines)
    documents = {document.id: document for document in store.documents()}
    # The transaction of the killed process may have been committed, or not.
    assert set(documents) - {f"d{n}" for n in range(acknowledged + 1)} <= {f"d{acknowledged + 1}"}
    assert set(documents) >= {f"d{n}" for n in range(acknowledged + 1)}
    assert int(documents["d0"].content_hash) in (acknowledged, acknowledged + 1)
    assert documents["d0"].passages == 40
    assert store.verify() == []


def test_damage_is_found(open_store):
    store = open_store(DIM)
    store.upsert(text_records("a", ["one", "two"]) + text_records("b", ["three"]))
    change = "UPDATE {} SET text = 'other' WHERE document_id = 'a' AND ordinal = 1"
    store.pool.run(lambda c: c.execute(change.format(store._table)))
    assert store.verify() == [f"a in {store.name} is damaged: index it again"]
    store.pool.run(lambda c: c.execute(f"DELETE FROM {store._table} WHERE document_id = 'b'"))
    assert [defect.split()[0] for defect in store.verify()] == ["a", "b"]


def test_damage_to_postings_is_found(open_store):
    store = open_store(DIM)
    store.upsert(text_records("a", ["one two", "two"]) + text_records("b", ["three"]))
    store.upsert(text_records("b", ["four five"], content_hash="2"))
    assert store.verify() == []
    lose = "DELETE FROM wavrag.postings WHERE tenant = %s AND term = %s"
    store.pool.run(lambda c: c.execute(lose, [store.tenant, "one"]))
    assert store.verify() == [f"the words of a in {store.name} are damaged: index it again"]
    store.upsert(text_records("a", ["one two", "two"], content_hash="2"))
    assert store.verify() == []
    assert ids(store.search(None, "one", 5)["lexical"]) == ["a#0"]
