"""Kill writers and servers at random moments, and check that nothing acknowledged is lost.

    python benchmarks/attack/kills.py --index 100 --serve 100

Writers add, replace and remove documents; servers receive uploads of two clients. After the kills,
a last process finishes what was acknowledged; then every document must be present and whole, and
verify must find nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import lancedb  # noqa: F401  (loaded once, for all writers)
from commits import expected_documents, find_faults, write_commits

from wavrag import KnowledgeBase

SERVE = [sys.executable, "-m", "wavrag", "serve", "--create", "--port", "0"]
SERVE += ["--embedder", "fake", "--kb"]


class Fork:
    """A process with the libraries of this one, whose output can be read."""

    def __init__(self, run: Callable[[], object], output: int) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reading)
            os.dup2(writing, output)
            try:
                run()
            finally:
                os._exit(0)
        os.close(writing)
        self.lines = os.fdopen(reading)

    def end(self, signal_number: int) -> None:
        """Send a signal and wait for the end."""
        os.kill(self.pid, signal_number)
        os.waitpid(self.pid, 0)


def kill_writers(folder: Path, count: int, chance: random.Random) -> tuple[int, list[str]]:
    """Kill writers one after the other; return the acknowledged changes and the faults."""
    acknowledged: list[str] = []
    in_progress: list[str] = []
    for run in range(count):
        writer = Fork(partial(write_commits, folder, run * 1000, 1000), 1)
        writer.lines.readline()  # ready
        time.sleep(chance.uniform(0.0, 2.0))
        writer.end(signal.SIGKILL)
        lines = writer.lines.read().splitlines()
        writer.lines.close()
        acknowledged += lines
        # The change in progress may be durable already; every tenth one is a removal.
        number = int(lines[-1].partition(" ")[2]) if lines else 0
        if number % 10 == 9:
            in_progress.append(str(number - 5))
    expected = expected_documents(acknowledged)
    for removed in in_progress:
        expected.pop(removed, None)
    return len(acknowledged), find_faults(folder, expected)


def kill_servers(folder: Path, count: int, chance: random.Random) -> tuple[int, list[str]]:
    """Kill servers one after the other; return the acknowledged uploads and the faults."""
    acknowledged: set[str] = set()
    for run in range(count + 1):
        command = [*SERVE, str(folder)]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert server.stderr is not None
        line = server.stderr.readline()
        address = re.search(r"http://[\d.:]+", line)
        assert address, line
        if run == count:
            finish_jobs(address[0])
            server.terminate()
            server.wait()
            server.stderr.close()
            break
        clients = [
            threading.Thread(target=upload, args=(address[0], f"{run} {client}", acknowledged))
            for client in range(2)
        ]
        before = len(acknowledged)
        for client in clients:
            client.start()
        while len(acknowledged) < before + 2:
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.5))
        server.kill()
        server.wait()
        server.stderr.close()
        for client in clients:
            client.join()
    with KnowledgeBase.open(folder, create=False) as kb:
        faults = kb.verify()
        documents = {document.id for document in kb.documents()}
        faults += [f"upload {id} was acknowledged and is lost" for id in acknowledged - documents]
        names = {Path(document.source).name for document in kb.documents()}
    if names != {path.name for path in (folder / "uploads").iterdir()}:
        faults.append("the uploaded files are not those of the documents")
    return len(acknowledged), faults


def upload(url: str, name: str, acknowledged: set[str]) -> None:
    """Upload texts until the server is killed."""
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        for number in range(10_000):
            words = f"Client {name} says {os.urandom(8).hex()}, number {number}."
            files = [("file", (f"{number}.txt", words.encode()))]
            try:
                reply = client.post("/v1/documents", files=files)
            except httpx.TransportError:
                return
            if reply.status_code == 202:  # 429: the server has enough to do
                acknowledged.update(document["id"] for document in reply.json()["documents"])
            else:
                time.sleep(0.05)


def finish_jobs(url: str) -> None:
    """Wait until a server has finished all jobs."""
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        while True:
            jobs = client.get("/v1/jobs?limit=1000").json()["jobs"]
            if all(job["state"] in ("done", "failed") for job in jobs):
                return
            time.sleep(0.2)


def main() -> int:
    """Print a line for each kind of process; the exit code is 1 if anything was lost."""
    parser = argparse.ArgumentParser(description="Kill writers and servers.")
    parser.add_argument("--index", type=int, default=100, help="writers killed (100)")
    parser.add_argument("--serve", type=int, default=100, help="servers killed (100)")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="lancedb fork support")
    chance = random.Random(4)
    failed = False
    for name, count, kill in (
        ("index", options.index, kill_writers), ("serve", options.serve, kill_servers),
    ):  # fmt: skip
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="wavrag-kills-") as folder:
            acknowledged, faults = kill(Path(folder) / "kb", count, chance)
        print(
            f"{name}: {count} processes killed, {acknowledged} changes acknowledged,"
            f" {len(faults)} faults, {time.monotonic() - start:.0f} s",
            flush=True,
        )
        for fault in faults[:20]:
            print(fault)
        failed = failed or bool(faults)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
