"""Conformance kit of records: subclass it, provide its fixture, inherit the tests.

Example::

    class TestMyRecords(RecordsConformance):
        @pytest.fixture
        def open_records(self, tmp_path):
            return lambda: MyRecords(tmp_path)
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import pytest

from wavrag.store import Records

OpenRecords: TypeAlias = Callable[[], Records]

WORDS = "00ff/recogniser 1.0/b"  # key of a transcript: hash of a clip, then a recogniser
VOICE = "1/2//talks/ä b%.mp3"  # key of corrections: track, channel, document
THREADS, CHANGES = 4, 8


class RecordsConformance:
    """Tests of records; each call of the fixture `open_records` opens the same empty ones."""

    @pytest.fixture
    def open_records(self) -> OpenRecords:
        """Open records."""
        raise NotImplementedError("define the fixture open_records")

    @pytest.fixture
    def records(self, open_records: OpenRecords) -> Records:
        """Empty records."""
        return open_records()

    @pytest.mark.parametrize(
        ("kind", "key", "value", "other"),
        [
            ("jobs", "0001-ab", b'{"a": 1}', b"\x00\xff"),
            ("voices", "voices", b"{}", b""),
            ("words", WORDS, "Gr\u00fc\u00dfe".encode(), b""),
            ("word_times", "00ff/aa/aligner", b"\x00\x01", b""),
            ("corrections", VOICE, b'[[0.5, 1.0, [["a", 0.5]], []]]', b'[[2.0, 3.0, [], ["b"]]]'),
        ],
    )
    def test_values_come_back_as_given(
        self, open_records: OpenRecords, kind: str, key: str, value: bytes, other: bytes
    ) -> None:
        records = open_records()
        assert isinstance(records, Records)
        assert (records.get(kind, key), records.items(kind)) == (None, [])
        assert not records.delete(kind, key)
        records.put(kind, key, value)
        assert open_records().get(kind, key) == value
        assert not records.create(kind, key, other)
        assert records.items(kind) == [(key, value)]
        records.put(kind, key, other)
        assert open_records().get(kind, key) == other
        assert records.delete(kind, key)
        assert (records.get(kind, key), records.items(kind)) == (None, [])
        assert records.create(kind, key, value)
        assert open_records().items(kind) == [(key, value)]

    def test_kinds_are_separate_and_keys_in_order(self, records: Records) -> None:
        for key in ("b", "a", "B"):
            records.put("jobs", key, key.encode())
        assert records.items("damaged_jobs") == []
        assert records.items("jobs") == [("B", b"B"), ("a", b"a"), ("b", b"b")]

    def test_a_change_sees_the_value_before(self, records: Records) -> None:
        assert records.update("jobs", "a", lambda value: b"1" if value is None else b"2") == b"1"
        assert records.update("jobs", "a", lambda value: b"2" if value == b"1" else b"3") == b"2"
        assert records.update("jobs", "a", lambda value: value) == b"2"
        assert records.update("jobs", "a", lambda value: None) is None
        assert (records.get("jobs", "a"), records.items("jobs")) == (None, [])
        assert records.create("jobs", "a", b"4")
        assert records.get("jobs", "a") == b"4"

    def test_a_failed_change_changes_nothing(self, records: Records) -> None:
        def fail(value: bytes | None) -> bytes:
            raise KeyError(value)

        records.put("jobs", "a", b"1")
        with pytest.raises(KeyError):
            records.update("jobs", "a", fail)
        assert records.get("jobs", "a") == b"1"

    def test_no_change_is_lost(self, open_records: OpenRecords) -> None:
        def count(thread: int) -> None:
            records = open_records()
            for _ in range(CHANGES):
                records.update("jobs", "a", lambda value: b"%d" % (int(value or b"0") + 1))

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(count, range(THREADS)))
        assert open_records().get("jobs", "a") == b"%d" % (THREADS * CHANGES)

    def test_one_of_several_creates(self, open_records: OpenRecords) -> None:
        def create(thread: int) -> bool:
            return open_records().create("manifest", "kb", b"%d" % thread)

        with ThreadPoolExecutor(THREADS) as pool:
            created = list(pool.map(create, range(THREADS)))
        assert sum(created) == 1
        assert open_records().get("manifest", "kb") == b"%d" % created.index(True)
