"""Conformance kit of blobs: subclass it, provide its fixture, inherit the tests.

Example::

    class TestMyBlobs(BlobsConformance):
        @pytest.fixture
        def open_blobs(self, tmp_path):
            return lambda: MyBlobs(tmp_path)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from wavrag.errors import StoreError
from wavrag.store import Blobs

OpenBlobs: TypeAlias = Callable[[], Blobs]


class BlobsConformance:
    """Tests of blobs; each call of the fixture `open_blobs` opens the same empty ones."""

    @pytest.fixture
    def open_blobs(self) -> OpenBlobs:
        """Open blobs."""
        raise NotImplementedError("define the fixture open_blobs")

    def test_files_come_back_as_given(self, open_blobs: OpenBlobs, tmp_path: Path) -> None:
        blobs, other = open_blobs(), open_blobs()
        assert isinstance(blobs, Blobs)
        content = os.urandom(1 << 20)
        for name in ("uploads/b.wav", "uploads/a ü%.wav", "originals/0f/talk.mp3"):
            path = tmp_path / "file"
            path.write_bytes(content)
            blobs.put(name, path)
            assert not path.exists()
            with other.open(name) as file:
                assert file.seek(-10, os.SEEK_END) == len(content) - 10
                assert (file.read(), file.read()) == (content[-10:], b"")
                file.seek(500_000)
                assert (file.read(3), file.tell()) == (content[500_000:500_003], 500_003)
            for copy in (blobs, other, other):
                local = copy.local_path(name)
                assert local is not None
                assert local.read_bytes() == content
            assert blobs.source(name).endswith(name)
        assert [blob.name for blob in other.list("uploads")] == [
            "uploads/a ü%.wav",
            "uploads/b.wav",
        ]
        blob = other.find("originals/0f/talk.mp3")
        assert blob is not None
        assert blob.size == len(content)
        assert abs(blob.modified - time.time()) < 60

    def test_files_are_replaced_and_deleted(self, open_blobs: OpenBlobs, tmp_path: Path) -> None:
        blobs, other = open_blobs(), open_blobs()
        for content in (b"first", b"", b"second"):
            path = tmp_path / "file"
            path.write_bytes(content)
            blobs.put("uploads/a.txt", path)
            with blobs.open("uploads/a.txt") as file:
                assert file.read() == content
            for copy in (blobs, other):
                local = copy.local_path("uploads/a.txt")
                assert local is not None
                assert local.read_bytes() == content
        blobs.delete("uploads/a.txt")
        blobs.delete("uploads/a.txt")
        assert blobs.find("uploads/a.txt") is None
        assert blobs.local_path("uploads/a.txt") is None
        assert blobs.list("uploads") == []
        with pytest.raises(FileNotFoundError):
            blobs.open("uploads/a.txt")

    @pytest.mark.parametrize("name", ["../a", "uploads/../../a", "/a", "uploads//a", "a\\b", ""])
    def test_names_stay_in_their_folder(
        self, open_blobs: OpenBlobs, tmp_path: Path, name: str
    ) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"1")
        for use in (lambda: open_blobs().put(name, path), lambda: open_blobs().open(name)):
            with pytest.raises(StoreError, match="is no name of a stored file"):
                use()
