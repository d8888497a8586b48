"""Kill writers of one store at random moments, while others go on writing.

    python benchmarks/attack/writers.py --minutes 5
    python benchmarks/attack/writers.py --store s3 --minutes 5
    python benchmarks/attack/writers.py --store s3://BUCKET/PREFIX --minutes 5
    python benchmarks/attack/writers.py --store postgresql://USER@HOST/DATABASE --minutes 5

Without `--store` in a temporary folder; `s3` starts moto's server. Each writer adds, replaces and
removes documents of its own, and replaces documents that all writers replace. In the end, every
acknowledged document must be present and every document whole, and `verify` must find nothing.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from wavrag.store import LanceStore, PostgresStore, Store, StoredPassage
from wavrag.types import Passage

DIM = 16
SHARED = 5  # documents that all writers replace
MAX_PASSAGES = 20
OPTIMIZE_EVERY = 40  # changes of a writer
KILL_SECONDS = (1.0, 8.0)  # between two kills
KEEP_SECONDS = 20.0  # so that old versions are deleted while others write


def open_store(url: str) -> Store:
    """Open a store by its URL or folder."""
    if url.startswith("postgresql://"):
        return PostgresStore(url, DIM)
    return LanceStore(url, DIM, keep_seconds=KEEP_SECONDS)


def make_document(id: str, version: str) -> list[StoredPassage]:
    """The passages of a version; their number follows from its name."""
    number = int(version.rpartition("-")[2])
    vector = np.eye(1, DIM, number % DIM, dtype=np.float32)[0]
    return [
        StoredPassage(
            Passage(id, part, f"{version} part {part}", char_start=part, char_end=part + 1),
            vector, f"{version} part {part}", version,
        )
        for part in range(number % MAX_PASSAGES + 1)
    ]  # fmt: skip


def write(url: str, name: str) -> None:
    """Change documents for ever; announce and acknowledge each change."""
    chance, store = random.Random(name), open_store(url)
    own: list[str] = []
    for number in range(1_000_000):
        version, kind = f"{name}-{number}", chance.random()
        if kind < 0.4:
            id = f"shared-{chance.randrange(SHARED)}"
        elif kind < 0.5 and own:
            id = own.pop(chance.randrange(len(own)))
            report(f"begin {id} -")
            store.delete([id])
            report(f"done {id} -")
            continue
        elif kind < 0.7 and own:
            id = chance.choice(own)
        else:
            id = f"own-{version}"
            own.append(id)
        report(f"begin {id} {version}")
        if kind < 0.55:  # the other way to write
            store.replace(id, iter(make_document(id, version)))
        else:
            store.upsert(make_document(id, version))
        report(f"done {id} {version}")
        if number % OPTIMIZE_EVERY == OPTIMIZE_EVERY - 1:
            store.optimize()


def report(line: str) -> None:
    """Print a line in one system call, so that a kill cannot cut it."""
    os.write(1, f"{line}\n".encode())


class Writer:
    """A process that writes, and its lines."""

    def __init__(self, url: str, name: str) -> None:
        command = [sys.executable, __file__, "--store", url, "--writer", name]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.lines += (line.strip() for line in self._process.stdout)

    def kill(self) -> bool:
        """Send SIGKILL; False if the process had ended by itself."""
        is_running = self._process.poll() is None
        self._process.kill()
        self._process.wait()
        self._thread.join()
        return is_running


def attack(url: str, writers: int, seconds: float) -> tuple[list[str], int, list[str]]:
    """Kill and replace writers; return their lines, the number of kills, and faults."""
    chance, lines, faults = random.Random(5), [], []
    running = [Writer(url, f"w{number}") for number in range(writers)]
    kills, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(chance.uniform(*KILL_SECONDS))
        number = chance.randrange(writers)
        if not running[number].kill():
            faults.append("a writer stopped by itself")
        kills += 1
        lines += running[number].lines
        running[number] = Writer(url, f"w{writers + kills}")
    for writer in running:
        if not writer.kill():
            faults.append("a writer stopped by itself")
        lines += writer.lines
    return lines, kills + writers, faults


def check(url: str, lines: list[str]) -> Iterator[str]:
    """Compare the store with what was acknowledged, and yield its faults."""
    store = open_store(url)
    yield from store.verify()
    passages: dict[str, list[StoredPassage]] = {}
    for record in store.scan():
        passages.setdefault(record.passage.document_id, []).append(record)
    expected: dict[str, set[str]] = {}
    for line in lines:
        step, id, version = line.split()
        if step == "begin":  # a killed writer may have changed it, or not
            expected.setdefault(id, {"-"}).add(version)
        else:
            expected[id] = {version}
    for id, records in passages.items():
        texts = [record.lexical for record in records]
        version = records[0].content_hash
        if texts != [record.lexical for record in make_document(id, version)]:
            yield f"{id} mixes passages, or has lost some: {texts[:5]}"
    for id, versions in expected.items():
        stored = passages[id][0].content_hash if id in passages else "-"
        # The order of the writers of a shared document is not known here.
        if stored not in versions and not (id.startswith("shared") and stored != "-"):
            yield f"{id} is {stored} instead of {' or '.join(sorted(versions))}"
    store.close()


@contextmanager
def location(store: str | None) -> Iterator[str]:
    """The URL of the store; starts a server for `s3`."""
    if store is None:
        with tempfile.TemporaryDirectory(prefix="wavrag-writers-") as folder:
            yield str(Path(folder) / "store")
    elif store == "s3":
        import boto3
        from moto.moto_server.threaded_moto_server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
        server = ThreadedMotoServer(port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        os.environ |= {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1",
        }  # fmt: skip
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="writers")
        yield "s3://writers/store"
        server.stop()
    else:
        yield store


def main() -> int:
    """Print the figures; the exit code is 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--store", help="folder, URL, or s3 for a server of its own")
    parser.add_argument("--minutes", type=float, default=5.0, help="length of the attack (5)")
    parser.add_argument("--writers", type=int, default=4, help="writers at a time (4)")
    parser.add_argument("--writer", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.writer:
        write(options.store, options.writer)
        return 0
    with location(options.store) as url:
        open_store(url).close()
        lines, kills, faults = attack(url, options.writers, options.minutes * 60)
        faults += check(url, lines)
        store = open_store(url)
        documents, passages = len(store.documents()), store.count()
        store.close()
    steps = Counter(line.partition(" ")[0] for line in lines)
    print(
        f"{options.writers} writers for {options.minutes:g} minutes, {kills} killed,"
        f" {steps['done']} changes acknowledged ({steps['begin'] - steps['done']} cut off),"
        f" {documents} documents with {passages} passages, {len(faults)} faults"
    )
    for fault in faults[:20]:
        print(fault)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
