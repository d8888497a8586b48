"""The server as a process: kill -9 under load, graceful shutdown, network connections."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from audio_files import tone, write
from serving import client, uploaded_files
from wavrag import KnowledgeBase

ROUNDS = 3
SERVE = [sys.executable, "-m", "wavrag", "serve", "--create", "--port", "0", "--embedder", "fake"]
WATCHED = """
import sys

def hook(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"):
        address = arguments[0] if event == "socket.getaddrinfo" else arguments[-1]
        with open(sys.argv[1], "a") as file:
            print(event, address, file=file)

sys.addaudithook(hook)
from wavrag.cli import main
sys.exit(main(sys.argv[2:]))
"""


@contextmanager
def server(kb: Path, command: Sequence[str] = SERVE) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server in a process of its own, and its address."""
    environment = {**os.environ, "WAVRAG_TOKEN": ""}
    with subprocess.Popen(
        [*command, "--kb", str(kb)], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            match = re.search(r"http://[\d.:]+", line)
            assert match, line + process.stderr.read()
            yield match[0], process
        finally:
            process.kill()


def upload(url: str, recording: bytes, number: int, acknowledged: set[str]) -> None:
    """Upload texts and recordings until the server is killed."""
    with client(url) as http:
        for count in range(10_000):
            words = f"Sender {number} says {os.urandom(4).hex()}, for the time {count}."
            files = [("file", (f"{number}-{count}.txt", words.encode()))]
            if count % 5 == 0:
                files.append(("file", (f"{number}-{count}.wav", recording + os.urandom(64))))
            try:
                reply = http.post("/v1/documents", files=files)
            except httpx.TransportError:
                return
            assert reply.status_code == 202, reply.text
            acknowledged.update(document["id"] for document in reply.json()["documents"])


def test_acknowledged_uploads_survive_kill_9(tmp_path: Path) -> None:
    kb = tmp_path / "kb"
    sound = write(tmp_path / "sound.wav", tone(440, 1, 16_000)[None], 16_000).read_bytes()
    acknowledged: set[str] = set()
    for _ in range(ROUNDS):
        before = len(acknowledged)
        with server(kb) as (url, process):
            threads = [
                threading.Thread(target=upload, args=(url, sound, number, acknowledged))
                for number in range(3)
            ]
            for thread in threads:
                thread.start()
            while len(acknowledged) < before + 20:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            for thread in threads:
                thread.join()
    with server(kb) as (url, process), client(url) as http:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            jobs = http.get("/v1/jobs?limit=1000").json()["jobs"]
            if all(job["state"] == "done" for job in jobs):
                break
            time.sleep(0.1)
        assert {job["state"] for job in jobs} == {"done"}
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    with KnowledgeBase.open(kb) as opened:
        documents = opened.documents()
    assert acknowledged <= {document.id for document in documents}
    assert uploaded_files(kb) == sorted(Path(document.source).name for document in documents)
    verified = subprocess.run(
        [sys.executable, "-m", "wavrag", "kb", "verify", "--kb", str(kb)], check=False
    )
    assert verified.returncode == 0


def test_a_graceful_shutdown_loses_nothing(tmp_path: Path) -> None:
    kb = tmp_path / "kb"
    files = [("file", (f"{n}.txt", f"This is text number {n}.".encode())) for n in range(100)]
    with server(kb) as (url, process), client(url) as http:
        ids = {
            document["id"]
            for document in http.post("/v1/documents", files=files).json()["documents"]
        }
        assert len(ids) == 100
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    with server(kb) as (url, process), client(url) as http:
        (job,) = http.get("/v1/jobs").json()["jobs"]
        assert http.get(f"/v1/jobs/{job['id']}?wait=30").json()["state"] == "done"
        documents = http.get("/v1/documents?limit=1000").json()["documents"]
    assert {document["id"] for document in documents} == ids


def test_the_process_connects_to_the_loopback_only(tmp_path: Path) -> None:
    """The process binds, looks up and connects to loopback addresses only."""
    log = tmp_path / "addresses"
    command = [sys.executable, "-c", WATCHED, str(log), *SERVE[3:]]
    with server(tmp_path / "kb", command) as (url, process), client(url) as http:
        files = {"file": ("a.md", b"# Ferry\n\nThe ferry leaves at nine.")}
        assert http.post("/v1/documents?wait=30", files=files).json()["state"] == "done"
        assert http.post("/v1/ask", json={"text": "When does the ferry leave?"}).json()["found"]
        assert http.get("/").status_code == 200
        process.send_signal(signal.SIGINT)
        process.wait(30)
    lines = log.read_text().splitlines()
    assert lines
    assert [line for line in lines if "127.0.0.1" not in line and "::1" not in line] == []
