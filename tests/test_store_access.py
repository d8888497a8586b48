"""Access labels: their encoding, and the store of a reader, beside one without hidden documents."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from wavrag.errors import InputError, StoreError
from wavrag.store import (
    MemoryStore,
    StoredPassage,
    VisibleStore,
    labels_of,
    parse_labels,
    with_labels,
)
from wavrag.store.access import access_filter, without_labels
from wavrag.testing.store_data import DIM, text_records, unit_vector
from wavrag.types import Passage
from wavrag.where import matches


def test_labels_are_metadata_with_a_key_for_each() -> None:
    metadata = with_labels({"year": 2026, "access.old": True}, parse_labels("legal, hr"))
    assert metadata == {
        "year": 2026, "access": "hr,legal", "access.hr": True, "access.legal": True
    }  # fmt: skip
    assert labels_of(metadata) == {"hr", "legal"}
    assert with_labels(metadata, parse_labels("public")) == {"year": 2026}
    assert without_labels({"access": 1, "access.x": 2, "accessory": 3}) == {"accessory": 3}


@pytest.mark.parametrize("text", ["", "hr,", "HR", "a b", "é", "a:b", "hr,public", "x" * 64, "%"])
def test_what_is_no_label_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="access label"):
        parse_labels(text)


def test_a_reader_sees_documents_without_labels_and_those_that_share_one() -> None:
    documents = {"": {"public", "hr", "x"}, "hr": {"hr"}, "hr,legal": {"hr"}, "hr2": set[str]()}
    for labels, readers in documents.items():
        metadata = with_labels({}, parse_labels(labels or "public"))
        passage = Passage("a", 0, metadata=metadata)
        for reader in ("public", "hr", "x"):
            visible = matches(access_filter(parse_labels(reader)), passage)
            assert visible == (reader in readers), (labels, reader)
    # A value that no index has written is hidden rather than shown.
    assert not matches(access_filter(["hr"]), Passage("a", 0, metadata={"access": True}))


def test_a_visible_store_reads_like_one_without_the_hidden_documents() -> None:
    hidden = text_records("a", ["zebra secret", "zebra"], metadata=with_labels({}, ["legal"]))
    shown = [
        *text_records("b", ["zebra public"], seed=2),
        *text_records("c", ["shared words"], seed=3, metadata=with_labels({}, ["hr", "legal"])),
    ]
    whole, alone = MemoryStore(DIM), MemoryStore(DIM)
    whole.upsert([*hidden, *shown])
    alone.upsert(shown)
    store = VisibleStore(whole, ["hr"])
    assert store.documents() == alone.documents()
    assert [r.passage for r in store.scan()] == [r.passage for r in alone.scan()]
    assert list(store.scan(["a"])) == []
    assert store.get(["a#0", "b#0"]) == alone.get(["b#0"])
    assert store.count() == 2
    words, expected = store.vocabulary(), alone.vocabulary()
    assert words.words == expected.words
    assert np.array_equal(words.counts, expected.counts)
    assert store.vocabulary() is words
    for where in (None, "id = 'a' or not id = 'b'", "access.legal = true", "access is not null"):
        legs = store.search(unit_vector(1), "zebra secret", 9, where)
        assert {hit.passage.document_id for leg in legs.values() for hit in leg} <= {"b", "c"}
        dense = store.search(unit_vector(1), None, 9, where)["dense"]
        assert dense == alone.search(unit_vector(1), None, 9, where)["dense"]


def test_hidden_documents_cannot_be_changed() -> None:
    whole = MemoryStore(DIM)
    hidden = text_records("a", ["secret"], metadata=with_labels({}, ["legal"]))
    whole.upsert([*hidden, *text_records("b", ["public"])])
    store = VisibleStore(whole, ["hr"])
    with pytest.raises(StoreError, match="another id"):
        store.upsert(text_records("a", ["mine"]))
    with pytest.raises(StoreError, match="another id"):
        store.replace("a", text_records("a", ["mine"]))
    inputs: list[str] = []

    def change(stored: Iterator[StoredPassage]) -> list[StoredPassage]:
        rows = list(stored)
        inputs.extend(row.passage.document_id for row in rows)
        return [replace(row, lexical="changed") for row in rows]

    store.update(["a", "b"], change)
    store.update(["a"], lambda stored: [])
    assert inputs == ["b"]
    assert [record.lexical for record in whole.scan()] == ["secret", "changed"]
    with pytest.raises(StoreError, match="another document"):
        store.update(["a"], lambda stored: text_records("a", ["mine"]))
    assert (store.content_hash("a"), store.content_hash("b")) == (None, "hash")
    assert store.delete(["a", "b"]) == 1
    assert [record.passage for record in whole.scan()] == [hidden[0].passage]
    store.upsert(text_records("b", ["again"]))
    assert whole.count() == 2
    store.close()
    assert whole.count() == 2
