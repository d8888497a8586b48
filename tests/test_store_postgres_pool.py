"""Connections to a PostgreSQL server: lost ones, errors without passwords, and migrations."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from postgres_server import PASSWORD
from wavrag.cli import doctor
from wavrag.errors import IndexMismatchError, StoreError
from wavrag.store import PostgresPool


@pytest.fixture
def pool(postgres_url):
    with PostgresPool(postgres_url, "ada") as opened:
        yield opened


def value(pool, statement):
    return pool.run(lambda connection: connection.execute(statement).fetchone()[0])


def test_a_lost_connection_is_opened_again(pool):
    backends = {value(pool, "SELECT pg_backend_pid()")}
    lost = []

    def operation(connection):
        pid = connection.info.backend_pid
        if pid in backends:
            lost.append(pid)
            connection.execute("SELECT pg_terminate_backend(%s)", [pid])
        return pid

    assert pool.run(operation) not in backends
    assert lost == sorted(backends)
    assert value(pool, "SELECT current_setting('wavrag.tenant')") == "ada"


def test_a_connection_lost_twice_is_an_error(pool):
    with pytest.raises(StoreError, match=r"base_.*check that the server runs"):
        pool.run(lambda c: c.execute("SELECT pg_terminate_backend(pg_backend_pid())"))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://u:hunter2@127.0.0.1:1/db", r"^postgresql://u@127.0.0.1:1/db: .*server runs"),
        ("postgresql://u:hunter2@127.0.0.1:port/db", "port.*is not valid|check that"),
        ("postgresql://u:hunter2@[", "is not valid: write postgresql://USER"),
        ("postgresql://u:x/hunter2@host/db", "is not valid: write postgresql://USER"),
        ("postgresql://u:x@hunter2@host/db", "is not valid: write postgresql://USER"),
        ("postgresql://u:hunter2@h/db?colour=red", "is not valid"),
    ],
)
def test_errors_have_no_password(url, message):
    with pytest.raises(StoreError, match=message) as caught:
        PostgresPool(url)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "hunter2" not in str(caught.value)


def test_errors_of_the_server(pool, postgres_url):
    assert PASSWORD not in repr(pool)
    with pytest.raises(StoreError, match=r"no_table.*server's log"):
        value(pool, "SELECT * FROM no_table")
    with pytest.raises(StoreError, match="that the database exists"):
        PostgresPool(postgres_url.replace("/base_", "/none_"))
    with pytest.raises(StoreError, match="tenant 'a b'"):
        PostgresPool(postgres_url, "a b")
    pool.close()
    with pytest.raises(StoreError, match="closed"):
        value(pool, "SELECT 1")


def test_migrations_run_once_each(postgres_url, pool):
    first = ["CREATE TABLE wavrag.notes (n integer)"]

    def migrate(_):
        with PostgresPool(postgres_url) as other:
            other.migrate("notes", first)

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(migrate, range(3)))
    second = [*first, "ALTER TABLE wavrag.notes ADD COLUMN text text"]
    pool.migrate("notes", second)
    pool.migrate("notes", second)
    pool.run(lambda c: c.execute("INSERT INTO notes VALUES (1, 'one')"))
    with pytest.raises(IndexMismatchError, match=r"version 2 .* knows 1: upgrade"):
        pool.migrate("notes", first)
    # A version that fails leaves nothing behind.
    with pytest.raises(StoreError, match="no_table"):
        pool.migrate("more", ["CREATE TABLE wavrag.more (n integer); SELECT * FROM no_table"])
    assert value(pool, "SELECT to_regclass('wavrag.more') IS NULL")


def test_doctor_names_the_versions_of_the_server(postgres_url, monkeypatch):
    monkeypatch.setenv("WAVRAG_KB", postgres_url)
    (finding,) = doctor._check_server()
    assert finding.state == "ok"
    assert re.search(r"base_\w+: PostgreSQL 18\.\d+, pgvector 0\.8\.\d+", finding.detail)
    assert PASSWORD not in finding.detail
