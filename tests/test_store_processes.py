"""Processes that are killed while they write, and processes that write at once."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import pytest

from wavrag.store import LanceStore
from wavrag.testing.store_data import DIM

# Writes documents of its own, and one that all runs rewrite with changing length; says so after
# each. A document of turn t has t % 7 + 1 passages and the content hash t.
WRITER = """
import sys
from wavrag.store import LanceStore
from wavrag.testing.store_data import DIM, text_records
import lancedb, filelock
path, name, first, turns = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
print("ready", flush=True)
sys.stdin.readline()
store = LanceStore(path, DIM, keep_seconds=1.0)
for turn in range(first, first + turns):
    words = ["word"] * (turn % 7 + 1)
    store.upsert(
        text_records(f"{name}-{turn}", words, content_hash=str(turn))
        + text_records("shared", words, content_hash=str(turn))
    )
    print(turn, flush=True)
    if turn % 10 == 9:
        store.optimize()
"""

KILLS = 5


@pytest.fixture
def start(tmp_path):
    """Starts writers; those that still run at the end are killed."""
    started = []

    def start(name, first, turns):
        arguments = [str(tmp_path), name, str(first), str(turns)]
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            process.kill()


def go(process):
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()


def check(path, acknowledged):
    """All that was acknowledged is there and whole; returns the documents by id."""
    store = LanceStore(path, DIM)
    assert store.verify() == []
    documents = {document.id: document for document in store.documents()}
    for document in documents.values():
        assert document.passages == int(document.content_hash) % 7 + 1
    assert acknowledged <= set(documents)
    hits = store.search(None, "word", 10**6)["lexical"]
    assert len(hits) == store.count() == sum(d.passages for d in documents.values())
    return documents


def test_killed_again_and_again(start, tmp_path):
    chance = random.Random(7)
    acknowledged, latest, stopped = set(), -1, 0
    following = start("run0", 0, 1_000)
    for run in range(KILLS):
        process = following
        # The next one loads its libraries meanwhile.
        following = start(f"run{run + 1}", 1_000 * (run + 1), 1_000 if run < KILLS - 1 else 3)
        go(process)
        time.sleep(chance.uniform(0.02, 0.5))
        process.kill()
        rest, _ = process.communicate()
        turns = [int(line) for line in rest.splitlines()]
        acknowledged |= {f"run{run}-{turn}" for turn in turns}
        latest = max([latest, *turns])
        stopped += process.returncode == -9
    go(following)
    following.communicate()
    assert following.returncode == 0
    assert stopped == KILLS
    assert len(acknowledged) > KILLS
    acknowledged |= {f"run{KILLS}-{1_000 * KILLS + turn}" for turn in range(3)}
    documents = check(tmp_path, acknowledged)
    assert documents["shared"].content_hash == str(1_000 * KILLS + 2)


def test_two_processes_write_while_one_reads(start, tmp_path):
    writers = [start(name, 0, 25) for name in ("left", "right")]
    for process in writers:
        go(process)
    reader = LanceStore(tmp_path, DIM)
    counts = []
    while any(process.poll() is None for process in writers):
        counts.append(len(reader.documents()))
        assert len(reader.search(None, "word", 3)["lexical"]) >= min(3, counts[-1])
        time.sleep(0.02)
    for process in writers:
        process.communicate()
        assert process.returncode == 0
    assert counts == sorted(counts)
    documents = check(
        tmp_path, {f"{name}-{turn}" for name in ("left", "right") for turn in range(25)}
    )
    assert len(documents) == 51
