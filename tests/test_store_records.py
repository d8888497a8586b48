"""Records: manifest, voices, jobs and caches, in a folder, in PostgreSQL and in objects."""

from __future__ import annotations

import itertools

import pytest

from wavrag.store import FolderRecords, ObjectRecords, PostgresPool, PostgresRecords
from wavrag.store.objects import open_objects
from wavrag.testing.records import OpenRecords, RecordsConformance

numbers = itertools.count()


class TestFolderRecords(RecordsConformance):
    @pytest.fixture
    def open_records(self, tmp_path) -> OpenRecords:
        return lambda: FolderRecords(tmp_path)


class TestPostgresRecords(RecordsConformance):
    @pytest.fixture
    def open_records(self, postgres_url):
        with PostgresPool(postgres_url, f"records-{next(numbers)}") as pool:
            yield lambda: PostgresRecords(pool)


class TestObjectRecords(RecordsConformance):
    @pytest.fixture
    def open_records(self) -> OpenRecords:
        from obstore.store import MemoryStore

        objects = MemoryStore()
        return lambda: ObjectRecords(objects, "memory:///")

    def test_long_keys_are_kept(self, records) -> None:
        key = "1/1//talks/" + "ä" * 400
        records.put("corrections", key, b"1")
        assert records.items("corrections") == [(key, b"1")]
        assert records.update("corrections", key, lambda value: b"2") == b"2"
        assert records.get("corrections", key) == b"2"


class TestObjectRecordsOnS3(RecordsConformance):
    @pytest.fixture
    def open_records(self, s3_url) -> OpenRecords:
        return lambda: ObjectRecords(open_objects(s3_url), s3_url)


def test_tenants_see_their_own_records(postgres_url) -> None:
    with PostgresPool(postgres_url, "ada") as first, PostgresPool(postgres_url, "bob") as second:
        PostgresRecords(first).put("jobs", "a", b"ada")
        records = PostgresRecords(second)
        assert (records.get("jobs", "a"), records.items("jobs")) == (None, [])
        assert not records.delete("jobs", "a")
        assert records.create("jobs", "a", b"bob")
        assert PostgresRecords(first).get("jobs", "a") == b"ada"
        # Also without the condition in the statements: the policy hides the rows.
        count = second.run(lambda c: c.execute("SELECT value FROM records").fetchall())
        assert count == [(b"bob",)]
