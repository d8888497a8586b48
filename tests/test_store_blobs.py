"""Blobs: uploads and originals in a folder and in object storage."""

from __future__ import annotations

import itertools

import pytest

from wavrag.store import FolderBlobs, ObjectBlobs, open_objects
from wavrag.testing.blobs import BlobsConformance, OpenBlobs


class TestFolderBlobs(BlobsConformance):
    @pytest.fixture
    def open_blobs(self, tmp_path) -> OpenBlobs:
        return lambda: FolderBlobs(tmp_path / "files")


class TestObjectBlobs(BlobsConformance):
    @pytest.fixture
    def open_blobs(self, s3_url):
        opened = []

        def open_blobs() -> ObjectBlobs:
            opened.append(ObjectBlobs(open_objects(s3_url), s3_url))
            return opened[-1]

        yield open_blobs
        for blobs in opened:
            blobs.close()


def test_local_copies_have_a_limit(s3_url, tmp_path) -> None:
    blobs = ObjectBlobs(open_objects(s3_url), s3_url, copy_bytes=25)
    paths = []
    for name in "abc":
        (tmp_path / name).write_bytes(bytes(10))
        blobs.put(f"uploads/{name}", tmp_path / name)
        paths.append(blobs.local_path(f"uploads/{name}"))
    assert [path.exists() for path in paths] == [False, True, True]
    assert blobs.local_path("uploads/a").read_bytes() == bytes(10)
    assert [path.exists() for path in paths] == [True, False, True]
    blobs.close()
    assert not any(path.exists() for path in itertools.chain(paths, [paths[0].parent.parent]))
