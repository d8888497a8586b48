"""`PostgresRecords`: the records of a knowledge base in a table of a PostgreSQL database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wavrag.store.records import RecordChange

if TYPE_CHECKING:
    from psycopg import Connection

    from wavrag.store.postgres_pool import PostgresPool

MIGRATIONS = (
    """
    CREATE TABLE wavrag.records (
        tenant text NOT NULL DEFAULT current_setting('wavrag.tenant'),
        kind text NOT NULL,
        key text COLLATE "C" NOT NULL,
        value bytea NOT NULL,
        updated timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant, kind, key)
    );
    ALTER TABLE wavrag.records ENABLE ROW LEVEL SECURITY;
    ALTER TABLE wavrag.records FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenant ON wavrag.records USING (tenant = current_setting('wavrag.tenant'));
    """,
)

# Besides the policy, which superusers bypass.
_TENANT = "tenant = current_setting('wavrag.tenant')"
_GET = f"SELECT value FROM records WHERE {_TENANT} AND kind = %s AND key = %s"
_ITEMS = f"SELECT key, value FROM records WHERE {_TENANT} AND kind = %s ORDER BY key"
_DELETE = f"DELETE FROM records WHERE {_TENANT} AND kind = %s AND key = %s"
_PUT = "INSERT INTO records (kind, key, value) VALUES (%s, %s, %s) ON CONFLICT (tenant, kind, key)"
_UPDATE = f"{_PUT} DO UPDATE SET value = EXCLUDED.value, updated = now()"
_CREATE = f"{_PUT} DO NOTHING"


class PostgresRecords:
    """Records of one tenant; see `Records`.

    Args:
        pool: connections to the database; closed by its owner.
    """

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool
        self.address = pool.name
        pool.migrate("records", MIGRATIONS)

    def get(self, kind: str, key: str) -> bytes | None:
        """Return a value; see `Records.get`."""
        return self._pool.run(lambda connection: _get(connection, kind, key))

    def put(self, kind: str, key: str, value: bytes) -> None:
        """Write a value; see `Records.put`."""
        self._execute(_UPDATE, kind, key, value)

    def create(self, kind: str, key: str, value: bytes) -> bool:
        """Write a value unless there is one; see `Records.create`."""
        return self._execute(_CREATE, kind, key, value) > 0

    def update(self, kind: str, key: str, change: RecordChange) -> bytes | None:
        """Change a value in one step; see `Records.update`."""

        def run(connection: Connection[Any]) -> bytes | None:
            # Not `FOR UPDATE`, which locks no row that is not there yet.
            connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
                ["\n".join((self._pool.tenant, kind, key))],
            )
            value = change(_get(connection, kind, key))
            if value is None:
                connection.execute(_DELETE, [kind, key])
            else:
                connection.execute(_UPDATE, [kind, key, value])
            return value

        return self._pool.run(run)

    def delete(self, kind: str, key: str) -> bool:
        """Delete a value; see `Records.delete`."""
        return self._execute(_DELETE, kind, key) > 0

    def items(self, kind: str) -> list[tuple[str, bytes]]:
        """Return all values of a kind; see `Records.items`."""
        return self._pool.run(lambda connection: connection.execute(_ITEMS, [kind]).fetchall())

    def clean(self, kind: str) -> None:
        """Does nothing: a killed process leaves nothing behind."""

    def name(self, kind: str, key: str) -> str:
        """Return a name for messages; see `Records.name`."""
        return f"{kind} {key} of {self.address}"

    def close(self) -> None:
        """Does nothing: the pool is closed by its owner."""

    def _execute(self, statement: str, *values: object) -> int:
        """Run a statement; return the number of rows."""
        return self._pool.run(lambda connection: connection.execute(statement, values).rowcount)


def _get(connection: Connection[Any], kind: str, key: str) -> bytes | None:
    row = connection.execute(_GET, [kind, key]).fetchone()
    return None if row is None else bytes(row[0])
