"""The store on object storage: the kit on a real S3 server, and servers that lack what it needs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from s3_server import create_bucket, running_server
from wavrag.errors import StoreError
from wavrag.store import LanceStore
from wavrag.testing.store import PersistentStoreConformance
from wavrag.testing.store_data import DIM, contents, plain, text_records


class TestLanceStoreOnS3(PersistentStoreConformance):
    filters = 20  # each takes ten times as long as in a folder

    @pytest.fixture
    def open_store(self, s3_url):
        return lambda dim: LanceStore(s3_url, dim)


def test_a_change_sees_a_concurrent_one(s3_url):
    first, second = LanceStore(s3_url, DIM), LanceStore(s3_url, DIM)
    first.upsert(text_records("a", ["old"] * 2) + text_records("b", ["old"]))
    other = text_records("a", ["other"] * 3, content_hash="2")
    calls = []

    def change(records):
        stored = list(records)
        if not calls:
            second.upsert(other)
        calls.append(len(stored))
        return [replace(record, lexical=record.lexical + " changed") for record in stored]

    first.update(["a", "b"], change)
    assert calls == [3, 4]  # passages
    changed = [replace(r, lexical="other changed") for r in other]
    assert contents(first)[:3] == plain(changed)
    assert first.verify() == []


def test_a_change_does_not_bring_back_a_document(s3_url):
    first, second = LanceStore(s3_url, DIM), LanceStore(s3_url, DIM)
    first.upsert(text_records("a", ["old"] * 2) + text_records("b", ["old"]))

    def change(records):
        stored = list(records)
        second.delete(["a"])
        return stored

    first.update(["a", "b"], change)
    assert [document.id for document in first.documents()] == ["b"]


def test_a_server_without_conditional_writes_is_refused(s3_url, monkeypatch):
    def ignore_conditions(application):
        def call(environment, start_response):
            environment.pop("HTTP_IF_NONE_MATCH", None)
            return application(environment, start_response)

        return call

    store = LanceStore(s3_url, DIM)
    store.upsert(text_records("a", ["one"]))
    with running_server(ignore_conditions) as endpoint:
        create_bucket(endpoint)
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(StoreError, match="ignores `If-None-Match"):
            LanceStore(f"{s3_url}-new", DIM)


@pytest.mark.parametrize("url", ["s3://", "s3:///prefix", "s3://no-such-bucket/prefix"])
def test_a_url_without_bucket(url, s3_url):
    with pytest.raises(StoreError, match=r"s3://BUCKET|no-such-bucket.* name of the bucket"):
        LanceStore(url, DIM)


def test_a_folder_is_asked_for_on_object_storage(s3_url):
    with pytest.raises(StoreError, match="not a folder"):
        assert LanceStore(s3_url, DIM).path
