"""Attack the server by slow, silent and greedy clients, while an honest client searches.

    python benchmarks/attack/clients.py --seconds 15

Starts a server of the demo corpus with a token. For each attack it prints the honest client's p95
of search times in milliseconds before and during the attack, their ratio, and how many of its
requests failed. Each honest search opens a connection of its own, with the token. The attackers run
in another process, on the same machine. All ratios must be below 5 with no failure, and a voice
connection must take less than 2 MB; the exit status is 1 otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
from websockets.asyncio.client import connect

from wavrag import KnowledgeBase, WavRAG
from wavrag.demo import DATA
from wavrag.generate import Generator, GeneratorSpec, Stream, load_generator
from wavrag.kb import find_files

BAR, BAR_MEGABYTES = 5.0, 2.0
FLOOD = "flood"
QUESTIONS = ("How far does a honeybee fly?", "When does the ferry leave?", "Who may bring dogs?")


@dataclass(frozen=True)
class Target:
    """The server under attack."""

    url: str
    token: str

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def head(self, path: str, length: int, token: str = "", kind: str = "") -> bytes:
        """The head of a POST request."""
        lines = [
            f"POST {path} HTTP/1.1",
            "Host: localhost",
            f"Content-Type: {kind or 'application/json'}",
            f"Content-Length: {length}",
        ]
        if token:
            lines.append(f"Authorization: Bearer {token}")
        return "\r\n".join([*lines, "", ""]).encode()


class Flood(Generator):
    """Writes 2 MB, more than the buffers of a connection."""

    spec = GeneratorSpec(FLOOD)

    def stream(self, messages: object, options: object) -> Stream[str]:
        """Stream the words."""
        return Stream(iter(["word " * 400] * 1000), lambda: None)


async def keep_open(target: Target, count: int, start: bytes, drip: bytes, pause: float) -> None:
    """Keep a number of connections open, and send a few bytes on each now and then."""

    async def hold() -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection(*target.address)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            with suppress(OSError):
                writer.write(start)
                while not writer.is_closing():
                    await asyncio.sleep(pause)
                    writer.write(drip)
                    await writer.drain()
            writer.close()

    await asyncio.gather(*(hold() for _ in range(count)))


async def silent(target: Target) -> None:
    """600 connections that send nothing."""
    await keep_open(target, 600, b"", b"", 1.0)


async def slow_heads(target: Target) -> None:
    """300 connections that send a byte of a head each second."""
    await keep_open(target, 300, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"x", 1.0)


async def slow_bodies(target: Target) -> None:
    """200 connections that send a byte of a body each second, 50 of them with the token."""
    stranger = target.head("/v1/search", 10_000)
    friend = target.head("/v1/search", 10_000, target.token)
    await asyncio.gather(
        keep_open(target, 150, stranger, b" ", 1.0), keep_open(target, 50, friend, b" ", 1.0)
    )


async def deaf(target: Target) -> None:
    """8 clients that ask for long streamed answers and never read them."""
    body = json.dumps({"text": QUESTIONS[0], "stream": True}).encode()
    start = target.head("/v1/ask", len(body), target.token) + body
    await keep_open(target, 8, start, b"", 3600.0)


async def embeddings(target: Target) -> None:
    """4 clients that send the largest requests for embeddings, one after the other."""
    body = {"model": "wavretriever", "input": ["The ferry leaves at nine. " * 150] * 250}

    async def ask(http: httpx.AsyncClient) -> None:
        while True:
            reply = await http.post("/v1/embeddings", json=body)
            if reply.status_code == 429:
                await asyncio.sleep(1.0)  # less than Retry-After says

    headers = {"authorization": f"Bearer {target.token}"}
    async with httpx.AsyncClient(
        base_url=target.url, headers=headers, timeout=None, trust_env=False
    ) as http:
        await asyncio.gather(*(ask(http) for _ in range(4)))


async def voices(target: Target) -> None:
    """40 voice connections that send sound as fast as they can, and 40 that fall silent."""
    url = target.url.replace("http", "ws") + "/v1/live"
    second = np.random.default_rng(0).integers(-9_000, 9_000, 16_000, np.int16).tobytes()

    async def speak(is_silent: bool) -> None:
        while True:
            with suppress(Exception):
                async with connect(url, proxy=None) as live:
                    await live.send(json.dumps({"token": target.token, "mode": "push-to-talk"}))
                    await live.recv()
                    await live.send('{"type": "begin"}')
                    while True:
                        await live.send(second)
                        if is_silent:
                            await asyncio.sleep(60)
            await asyncio.sleep(1.0)

    await asyncio.gather(*(speak(number % 2 == 0) for number in range(80)))


async def aborted_uploads(target: Target) -> None:
    """Uploads that end in the middle, 20 a second."""
    start = target.head("/v1/documents", 10**6, target.token, "multipart/form-data; boundary=x")
    start += b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    start += b"a" * 50_000
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(*target.address)
            writer.write(start)
            await writer.drain()
            writer.close()
        await asyncio.sleep(0.05)


async def filters(target: Target) -> None:
    """Searches with the longest filters, one after the other, and with some of 20 kB."""
    headers = {"authorization": f"Bearer {target.token}"}
    wheres = [
        f"note like '{'%_' * 9_900}'",
        " or ".join([f"note like '{'%_' * 480}'"] * 2),
        f"note in ({','.join(['1'] * 990)})",
    ]
    async with httpx.AsyncClient(
        base_url=target.url, headers=headers, timeout=60, trust_env=False
    ) as http:
        while True:
            for where in wheres:
                await http.post("/v1/search", json={"text": QUESTIONS[0], "where": where})


async def searches(target: Target) -> None:
    """100 searches at a time, from another address."""
    headers = {"authorization": f"Bearer {target.token}"}
    limits = httpx.Limits(max_connections=100)
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2", limits=limits)

    async def search(http: httpx.AsyncClient) -> None:
        while True:
            reply = await http.get("/v1/search", params={"q": QUESTIONS[0]})
            if reply.status_code == 429:
                await asyncio.sleep(0.1)  # less than Retry-After says

    async with httpx.AsyncClient(
        base_url=target.url, headers=headers, transport=transport, timeout=None
    ) as http:
        await asyncio.gather(*(search(http) for _ in range(100)))


ATTACKS: dict[str, Callable[[Target], Coroutine[None, None, None]]] = {
    "silent connections": silent, "slow heads": slow_heads, "slow bodies": slow_bodies,
    "unread answers": deaf, "full requests for embeddings": embeddings,
    "voice connections": voices, "aborted uploads": aborted_uploads, "long filters": filters,
    "100 searches at a time": searches,
}  # fmt: skip


def run_attack(name: str, target: Target) -> None:
    """Attack until the process is terminated."""
    asyncio.run(ATTACKS[name](target))


def serve(folder: str, generator: str) -> None:
    """Serve the demo corpus; the URL goes to standard output."""
    from wavrag.server import ServerOptions
    from wavrag.server import serve as run_server

    chosen = Flood() if generator == FLOOD else load_generator(generator)
    with WavRAG(KnowledgeBase.open(folder), chosen) as rag:
        options = ServerOptions(tokens=frozenset({os.environ["ATTACK_TOKEN"]}), voice="fake")
        run_server(rag, "127.0.0.1", 0, options, lambda url: print(url, flush=True))


@contextmanager
def start_server(folder: Path, log: Path, generator: str = FLOOD) -> Iterator[tuple[Target, int]]:
    """Start the server in a process of its own; yields its address and its process id."""
    token = secrets.token_urlsafe(24)
    command = [sys.executable, __file__, "--serve", str(folder), generator]
    environment = {**os.environ, "ATTACK_TOKEN": token}
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        ) as process,
    ):
        try:
            assert process.stdout is not None
            yield Target(process.stdout.readline().strip().rstrip("/"), token), process.pid
        finally:
            process.terminate()


def search_for(target: Target, seconds: float) -> tuple[list[float], int]:
    """Search again and again; returns the times in milliseconds and the number of failures."""
    times, failures = [], 0
    headers = {"authorization": f"Bearer {target.token}"}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.perf_counter()
        try:
            # A new connection each time, because attacks compete for connections.
            with httpx.Client(base_url=target.url, headers=headers, trust_env=False) as http:
                question = QUESTIONS[len(times) % len(QUESTIONS)]
                http.get("/v1/search", params={"q": question}, timeout=60).raise_for_status()
        except httpx.HTTPError:
            failures += 1
        times.append(1e3 * (time.perf_counter() - start))
        time.sleep(0.02)
    return times, failures


def memory_of(process_id: int) -> float:
    """Resident memory in megabytes."""
    pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def measure_voice_memory(target: Target, process_id: int, count: int = 30) -> float:
    """Megabytes of the server for each voice connection in the middle of a turn of 28 s."""
    url = target.url.replace("http", "ws") + "/v1/live"
    second = bytes(32_000)
    before = memory_of(process_id)
    async with AsyncExitStack() as stack:

        async def talk() -> None:
            live = await stack.enter_async_context(connect(url, proxy=None))
            await live.send(json.dumps({"token": target.token, "mode": "push-to-talk"}))
            await live.recv()
            await live.send('{"type": "begin"}')
            for _ in range(28):
                await live.send(second)

        await asyncio.gather(*(talk() for _ in range(count)))
        await asyncio.sleep(20)  # the server takes 10 s of sound at once, the other 18 in real time
        return (memory_of(process_id) - before) / count


def measure(name: str, target: Target, process_id: int, seconds: float) -> dict[str, float]:
    """Measure the honest client before and during an attack."""
    quiet, _ = search_for(target, seconds / 2)
    memory = memory_of(process_id)
    attacker = multiprocessing.get_context("spawn").Process(target=run_attack, args=(name, target))
    attacker.start()
    time.sleep(2.0)  # until the connections are open
    try:
        times, failures = search_for(target, seconds)
        grown = memory_of(process_id) - memory
    finally:
        attacker.kill()
        attacker.join()
    before, during = (float(np.percentile(values, 95)) for values in (quiet, times))
    return {
        "quiet p95": before, "p95": during, "ratio": during / before, "searches": len(times),
        "failures": failures, "memory, MB": grown,
    }  # fmt: skip


def main() -> int:
    """Run all attacks and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=15.0, help="of each attack (default: 15)")
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(*arguments.serve)
        return 0
    rows = {}
    with tempfile.TemporaryDirectory() as name:
        folder, log = Path(name, "kb"), Path(name, "log")
        with KnowledgeBase.open(folder) as kb:
            kb.add(find_files([DATA / "corpus" / "documents"]).documents)
        with start_server(folder, log) as (target, process_id):
            search_for(target, 1.0)
            memory = asyncio.run(measure_voice_memory(target, process_id))
            for attack in arguments.attacks:
                rows[attack] = measure(attack, target, process_id, arguments.seconds)
        tracebacks = len(re.findall(r"^Traceback", log.read_text(), re.MULTILINE))
    columns = list(next(iter(rows.values())))
    print("| attack |", " | ".join(columns), "|")
    print("|---" * (len(columns) + 1) + "|")
    for attack, row in rows.items():
        values = (
            f"{value:.2f}" if key == "ratio" else f"{value:.0f}" for key, value in row.items()
        )
        print(f"| {attack} |", " | ".join(values), "|")
    print(f"memory of a voice connection in a turn of 28 s: {memory:.2f} MB")
    print(f"tracebacks in the server's log: {tracebacks}")
    failed = (
        tracebacks
        or memory >= BAR_MEGABYTES
        or any(row["ratio"] >= BAR or row["failures"] for row in rows.values())
    )
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
