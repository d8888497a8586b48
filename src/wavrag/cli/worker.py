"""`wavrag worker`: executes the jobs of servers on a PostgreSQL database."""

from __future__ import annotations

import argparse
from pathlib import Path

from wavrag.cli.command import Command
from wavrag.cli.options import KB, MAX_RECORDING, Option
from wavrag.cli.output import note


def work(arguments: argparse.Namespace) -> int:
    """Execute jobs until interrupted, which is the regular end."""
    from wavrag.server import ServerOptions, run_worker

    options = ServerOptions(
        workers=arguments.workers,
        max_recording_seconds=arguments.max_recording * 3600,
        audit_file=Path(arguments.audit) if arguments.audit else None,
    )
    run_worker(
        arguments.kb,
        options,
        on_start=lambda name: note(f"executing the jobs of {name} (press Ctrl-C to stop)"),
    )
    return 0


COMMAND = Command(
    "worker",
    "execute the indexing jobs of servers on a PostgreSQL database",
    work,
    (
        Option("--workers", "N", "jobs executed at the same time", default=3, minimum=1),
        MAX_RECORDING,
        Option("--audit", "FILE", "append a line of JSON for every job to a file"),
        KB,
    ),
    (
        "wavrag worker --kb postgresql://ada@db.example.org/team",
        "wavrag worker --kb 'postgresql://ada@db.example.org/team?tenant=hr' --workers 1",
    ),
    details="Without `?tenant=NAME` it takes the jobs of all tenants, in turn. SIGTERM returns jobs"
    " that do not end within 10 seconds to the queue; the jobs of a killed worker are restarted by"
    " another one after 30 seconds.",
)  # fmt: skip
