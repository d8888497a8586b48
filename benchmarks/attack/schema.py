"""Send thousands of generated requests to the server: no reply may be a server error.

    python benchmarks/attack/schema.py --requests 20000

Schemathesis generates requests from the OpenAPI description, valid and invalid ones in turn, with
a valid token, to a server of the demo corpus in a process of its own. Prints the number of requests
and of replies by class of their status. The exit status is 1 if there was a reply with a status of
500 or more, no reply, or a traceback in the server's log.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from itertools import cycle
from pathlib import Path

import requests
import schemathesis
from clients import Target, start_server
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode

from wavrag import KnowledgeBase
from wavrag.demo import DATA
from wavrag.kb import find_files

# Each run of hypothesis has its own seed, so that requests are not repeated.
EXAMPLES = 25
LONGEST_URL = 1 << 13  # characters; the server closes connections with a head above 64 KiB
SECONDS = 60.0  # for a reply


class Attack:
    """Sends requests, and counts the replies."""

    def __init__(self, target: Target, limit: int, seconds: float) -> None:
        self.statuses: Counter[str] = Counter()
        self.failures: list[str] = []
        self._limit = limit
        self._end = time.monotonic() + seconds
        self._headers = {"Authorization": f"Bearer {target.token}"}
        address = f"{target.url}/openapi.json"
        schema = schemathesis.openapi.from_url(address, headers=self._headers)
        self.operations = [result.ok() for result in schema.get_all_operations()]

    @property
    def is_done(self) -> bool:
        """True after the last request, or when the time is over."""
        return self.statuses.total() >= self._limit or time.monotonic() > self._end

    def send(self, case: schemathesis.Case) -> None:
        """Send a request, and record its reply."""
        if self.is_done:
            return
        try:
            reply = case.call(headers=self._headers, timeout=SECONDS)
        except requests.RequestException as error:
            # The server does not read such a head to its end.
            url = str(case.as_transport_kwargs()["url"])
            is_long = len(url) + len(str(case.query)) + len(str(case.headers)) > LONGEST_URL
            self.statuses["too long" if is_long else "none"] += 1
            if not is_long:
                self.failures.append(f"{case.as_curl_command()[:2000]}: {error}")
            return
        self.statuses[f"{reply.status_code // 100}xx"] += 1
        if reply.status_code >= 500:
            self.failures.append(f"{case.as_curl_command()[:2000]}: {reply.text[:500]}")

    def run(self, operation: schemathesis.APIOperation, mode: GenerationMode, number: int) -> None:
        """Send requests of one kind to an operation."""

        @seed(number)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: schemathesis.Case) -> None:
            self.send(case)

        with suppress(Unsatisfiable):  # nothing breaks an operation without parameters
            check()


def run_share(
    target: Target, limit: int, seconds: float, first_seed: int
) -> tuple[Counter[str], list[str]]:
    """Send requests to all operations in turn, until enough were sent or the time is over."""
    attack = Attack(target, limit, seconds)
    kinds = [
        (operation, mode)
        for operation in attack.operations
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    ]
    start = time.monotonic()
    for number, (operation, mode) in enumerate(cycle(kinds)):
        if attack.is_done:
            break
        attack.run(operation, mode, first_seed + number)
        if number % 20 == 0:
            passed = time.monotonic() - start
            print(f"{attack.statuses.total()} requests in {passed:.0f} s", file=sys.stderr)
    return attack.statuses, attack.failures


def main() -> int:
    """Run the attack and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000, help="(default: 20000)")
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="end after that time (default: 60)"
    )
    parser.add_argument("--processes", type=int, default=2, help="that send (default: 2)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, log = Path(name, "kb"), Path(name, "log")
        with KnowledgeBase.open(folder) as kb:
            kb.add(find_files([DATA / "corpus" / "documents"]).documents)
        with start_server(folder, log, "extractive") as (target, _):
            # Processes, since Python 3.11 compiles on several threads with errors (AST recursion).
            shares = [
                (target, arguments.requests // arguments.processes, 60 * arguments.minutes, first)
                for first in range(0, 10**9, 10**9 // arguments.processes)
            ][: arguments.processes]
            with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
                results = pool.starmap(run_share, shares)
        tracebacks = log.read_text().count("Traceback")
    statuses = sum((statuses for statuses, _ in results), Counter[str]())
    failures = [failure for _, failures in results for failure in failures]
    print(f"requests: {statuses.total()}")
    for status, count in sorted(statuses.items()):
        print(f"  {status}: {count}")
    for failure in failures[:20]:
        print(failure)
    print(f"server errors or no reply: {len(failures)}; tracebacks in the log: {tracebacks}")
    return bool(failures or tracebacks)


if __name__ == "__main__":
    sys.exit(main())
