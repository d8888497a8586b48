"""Servers of a knowledge base in PostgreSQL, with files in a folder or on S3, or in a bucket."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest
from obstore.store import MemoryStore

from serving import OPTIONS, client, serving
from wavrag import WavRAG
from wavrag.audio import encode
from wavrag.embed import FakeEmbedder
from wavrag.errors import StoreError
from wavrag.generate import FakeGenerator
from wavrag.server.lease import RECORD, hold_lease
from wavrag.server.state import ServerState, SharedState
from wavrag.store import ObjectRecords
from wavrag.types import Clip, Document

tenants = itertools.count()
TALK = encode(Clip(np.sin(np.arange(64_000, dtype=np.float32) / 6), 16_000), "wav")


@pytest.fixture
def address(postgres_url: str) -> str:
    return f"{postgres_url}&tenant=servers-{next(tenants)}"


def open_rag(address: str, blobs: str | None) -> WavRAG:
    return WavRAG.open(address, embedder=FakeEmbedder(), generator=FakeGenerator(), blobs=blobs)


@pytest.fixture(params=["folder", "s3"])
def servers(
    request: pytest.FixtureRequest, address: str, tmp_path: Path
) -> Iterator[list[tuple[ExitStack, httpx.Client]]]:
    """Two servers; each with a stack that stops it."""
    is_s3 = request.param == "s3"
    blobs = request.getfixturevalue("s3_url") if is_s3 else str(tmp_path / "files")
    with ExitStack() as all_servers:
        pairs = []
        for _ in range(2):
            stack = all_servers.enter_context(ExitStack())
            rag = stack.enter_context(open_rag(address, blobs))
            pairs.append((stack, stack.enter_context(client(stack.enter_context(serving(rag))))))
        yield pairs


def upload(http: httpx.Client, name: str, content: bytes) -> dict[str, object]:
    reply = http.post("/v1/documents?wait=30", files={"file": (name, content)})
    assert reply.status_code == 202, reply.text
    job: dict[str, object] = reply.json()
    assert job["state"] == "done", job
    return job


def test_two_servers(servers: list[tuple[ExitStack, httpx.Client]]) -> None:
    (first_stack, first), (_, second) = servers
    job = upload(first, "talk.wav", TALK)
    assert second.get(f"/v1/jobs/{job['id']}").json()["state"] == "done"
    upload(second, "bees.txt", b"Bees dance when they are home.")
    jobs = first.get("/v1/jobs").json()["jobs"]
    assert [job["kind"] for job in jobs] == ["add", "add"]
    names = {row["name"]: row["id"] for row in first.get("/v1/documents").json()["documents"]}
    assert sorted(names) == ["bees.txt", "talk.wav"]
    first_stack.close()  # search and playback go on
    hits = second.get("/v1/search", params={"q": "bees dance"}).json()["hits"]
    assert hits[0]["document_id"] == names["bees.txt"]
    audio = f"/v1/documents/{names['talk.wav']}/audio"
    reply = second.get(audio)
    assert (reply.status_code, reply.content) == (200, TALK)
    for header, part in (
        ("bytes=100-199", TALK[100:200]), ("bytes=-10", TALK[-10:]), ("bytes=44-", TALK[44:])
    ):  # fmt: skip
        reply = second.get(audio, headers={"range": header})
        assert (reply.status_code, reply.content) == (206, part)
    assert second.get(audio, headers={"range": f"bytes={len(TALK)}-"}).status_code == 416
    span = second.get(audio, params={"start": 1, "end": 2})
    assert span.headers["content-type"] == "audio/wav"
    original = second.get(f"/v1/documents/{names['bees.txt']}/original")
    assert original.content == b"Bees dance when they are home."
    assert "filename" in original.headers["content-disposition"]
    job = second.delete(f"/v1/documents/{names['talk.wav']}?wait=30").json()
    assert job["state"] == "done"
    assert second.get(audio).status_code == 404


def test_one_server_of_a_bucket(s3_url: str) -> None:
    with open_rag(s3_url, None) as rag, open_rag(s3_url, None) as other:
        with serving(rag) as url, client(url) as http:
            upload(http, "bees.txt", b"Bees dance when they are home.")
            with pytest.raises(StoreError, match="another server serves s3://"):
                ServerState(other, SharedState(OPTIONS)).start()
        with serving(other) as url, client(url) as http:
            jobs = http.get("/v1/jobs").json()["jobs"]
            assert [job["state"] for job in jobs] == ["done"]


def test_a_lease_ends_some_time_after_a_kill(tmp_path: Path) -> None:
    records = ObjectRecords(MemoryStore(), "memory:///")
    lease = {"owner": "another", "expires": time.time() + 30}
    records.put(*RECORD, json.dumps(lease).encode())
    with pytest.raises(StoreError, match="wait 60 s if it was killed"), hold_lease(records):
        pass
    records.put(*RECORD, json.dumps({**lease, "expires": time.time() - 1}).encode())
    with hold_lease(records):
        assert json.loads(records.get(*RECORD) or b"")["owner"] != "another"
    assert records.get(*RECORD) is None


def test_files_need_a_place(address: str) -> None:
    with open_rag(address, None) as rag:
        rag.kb.add([Document("bees", text="Bees dance.")])
        with serving(rag) as url, client(url) as http:
            reply = http.post("/v1/documents", files={"file": ("a.txt", b"words")})
            assert reply.status_code == 501
            assert "WAVRAG_BLOBS" in reply.json()["error"]["message"]
            assert len(http.get("/v1/documents").json()["documents"]) == 1
