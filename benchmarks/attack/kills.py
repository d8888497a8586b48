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
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
from commits import expected_documents, find_faults

from wavrag import KnowledgeBase

WRITER = Path(__file__).with_name("commits.py")
SERVE = [sys.executable, "-m", "wavrag", "serve", "--port", "0", "--embedder", "fake", "--kb"]


def kill_writers(folder: Path, count: int, chance: random.Random) -> tuple[int, list[str]]:
    """Kill writers one after the other; return the acknowledged changes and the faults."""

    def start(run: int) -> subprocess.Popen[str]:
        command = [sys.executable, str(WRITER), str(folder), str(run * 1000), "1000"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    acknowledged: list[str] = []
    in_progress: list[str] = []
    for run in range(count):
        with start(run) as process:
            assert process.stdout is not None
            process.stdout.readline()  # ready
            time.sleep(chance.uniform(0.0, 1.0))
            process.kill()
            lines = process.stdout.read().splitlines()
        acknowledged += lines
        # The change in progress may be durable already; every tenth one is a removal.
        number = int(lines[-1].partition(" ")[2]) if lines else 0
        if number % 10 == 9:
            in_progress.append(str(number - 5))
    expected = expected_documents(acknowledged)
    for number_in_progress in in_progress:
        expected.pop(number_in_progress, None)
    return len(acknowledged), find_faults(folder, expected)


def kill_servers(folder: Path, count: int, chance: random.Random) -> tuple[int, list[str]]:
    """Kill servers one after the other; return the acknowledged uploads and the faults."""
    acknowledged: set[str] = set()
    for run in range(count + 1):
        with subprocess.Popen([*SERVE, str(folder)], stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            address = re.search(r"http://[\d.:]+", process.stderr.readline())
            assert address, process.stderr.read()
            if run == count:
                finish_jobs(address[0])
                process.terminate()
                process.wait(60)
                break
            clients = [
                threading.Thread(target=upload, args=(address[0], f"{run} {client}", acknowledged))
                for client in range(2)
            ]
            for client in clients:
                client.start()
            before = len(acknowledged)
            while len(acknowledged) < before + 2:
                time.sleep(0.01)
            time.sleep(chance.uniform(0.0, 0.5))
            process.kill()
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
