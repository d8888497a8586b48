"""Connections to a PostgreSQL server, and versioned migrations of its tables.

All tables are in the schema `wavrag`, with a column `tenant`. Row-level security shows a connection
the rows of the tenant in its setting `wavrag.tenant` only, which `PostgresPool` sets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from wavrag.closing import Closing
from wavrag.errors import IndexMismatchError, MissingExtraError, StoreError

if TYPE_CHECKING:
    from psycopg import Connection

T = TypeVar("T")

SCHEMA = "wavrag"
CONNECT_SECONDS = 10  # for one attempt, so that a wrong address fails soon
SILENT_SECONDS = 60  # after which a connection without a sign of life is lost
WAIT_SECONDS = 30.0  # for a free connection, or for a server that restarts
MAX_CONNECTIONS = 8  # of a process; a server accepts 100 in all by default

# Letters of a tenant's name, which is part of the names of tables.
_TENANT = re.compile(r"[A-Za-z0-9_-]{1,40}")

# Any constant: the key of the advisory lock around migrations.
_MIGRATION_LOCK = 0x77617672

# Errors of connecting have no SQLSTATE, and their messages are in the language of the server.
_UNREACHABLE = (
    "check that the server runs, that the database exists, and that user and password are right"
    " (in the URL, PGPASSWORD or ~/.pgpass)"
)

# Remedies by the first characters of an SQLSTATE.
_REMEDIES = (
    ("42501", "grant the user these rights, or run it once as the owner of the database"),
    ("53", "free disk space, memory or connections of the server"),
    ("57014", "the statement was cancelled: raise statement_timeout"),
    ("08", _UNREACHABLE),
    ("57P", _UNREACHABLE),
)


class PostgresPool(Closing):
    """Connections of one tenant to a database, for many threads.

    Attributes:
        name: the URL without password and parameters, for messages.
        tenant: the tenant.

    Example:
        >>> pool = PostgresPool("postgresql://ada@localhost/team")  # doctest: +SKIP
        >>> pool.run(lambda connection: connection.execute("select 1").fetchone())  # doctest: +SKIP
        (1,)
    """

    def __init__(
        self,
        url: str,
        tenant: str = "default",
        *,
        max_connections: int = MAX_CONNECTIONS,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Connect to the server once; further connections are opened when they are needed.

        Args:
            url: `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`. What is missing comes from the
                environment, as in `psql`: PGPASSWORD, PGSERVICE, ~/.pgpass and others.
            tenant: name of the tenant: letters, digits, `_` and `-`.
            max_connections: most connections at once.
            settings: further settings of each connection, such as `work_mem`.

        Raises:
            MissingExtraError: psycopg is not installed.
            StoreError: the URL is not valid, or the server does not answer.
        """
        try:
            import psycopg
            from psycopg_pool import ConnectionPool
        except ImportError as error:
            raise MissingExtraError("a PostgreSQL store", "postgres") from error
        if not _TENANT.fullmatch(tenant):
            raise StoreError(
                f"the tenant {tenant!r} is not valid: use 1 to 40 letters, digits, '_' and '-'"
            )
        self.tenant = tenant
        # Generic plans would ignore how selective a filter is.
        self._settings = {"plan_cache_mode": "force_custom_plan", **(settings or {})}
        self._options = _parse_url(url)
        self.name = _display_name(self._options)
        options: dict[str, Any] = {
            "connect_timeout": CONNECT_SECONDS, "application_name": "wavrag",
            # Otherwise a server that has disappeared would be waited for for hours.
            "keepalives_idle": SILENT_SECONDS, "tcp_user_timeout": 1_000 * SILENT_SECONDS,
            **self._options,
        }  # fmt: skip
        self._connect: Callable[[], Connection[Any]] = lambda: psycopg.Connection.connect(
            **options, autocommit=True
        )
        with self._translated(), self._connect() as connection:
            if connection.info.server_version < 150000:
                raise StoreError(f"{self.name} is older than PostgreSQL 15: upgrade the server")
        self._pool: Any = ConnectionPool(
            kwargs={**options, "autocommit": True}, min_size=0, max_size=max_connections,
            timeout=WAIT_SECONDS, configure=self._configure, name=f"wavrag-{tenant}", open=True,
        )  # fmt: skip
        self._closed = False

    def __repr__(self) -> str:
        return f"PostgresPool({self.name!r}, tenant={self.tenant!r})"

    @property
    def connection_options(self) -> dict[str, Any]:
        """Arguments of psycopg's `connect` for other clients of these tables; with the password."""
        options = str(self._options.get("options") or "")
        path = f"{options} -c search_path={SCHEMA}".strip()
        return {"connect_timeout": CONNECT_SECONDS, **self._options, "options": path}

    def run(self, operation: Callable[[Connection[Any]], T], *, snapshot: bool = False) -> T:
        """Run an operation in a transaction; once again if the connection is lost.

        Args:
            operation: called with a connection; it must bear a second call.
            snapshot: let all statements see the same state, and change nothing.

        Raises:
            StoreError: the server refuses the operation, or cannot be reached.
        """
        import psycopg

        for is_last in (False, True):
            with self._translated(), self._pool.connection() as connection:
                try:
                    with _transaction(connection, snapshot):
                        return operation(connection)
                except psycopg.OperationalError:
                    if is_last or not connection.closed:
                        raise
            # The others may be lost, too, if the server has restarted.
            self._pool.check()
        raise AssertionError("unreachable")

    @contextmanager
    def transaction(self, *, snapshot: bool = False) -> Iterator[Connection[Any]]:
        """A connection in a transaction, for a `with` block; a lost one is not opened again."""
        with self.connection() as connection, _transaction(connection, snapshot):
            yield connection

    @contextmanager
    def connection(self) -> Iterator[Connection[Any]]:
        """A connection outside of a transaction, for `with` blocks with VACUUM and the like."""
        with self._translated(), self._pool.connection() as connection:
            yield connection

    def migrate(self, component: str, statements: Sequence[str]) -> None:
        """Bring the tables of a component to the newest version.

        Args:
            component: name of the component, such as `store`.
            statements: SQL that makes version 1, 2, ... of the previous one. They never change
                once they are published; a new version is added at the end.

        Raises:
            IndexMismatchError: the tables are newer than this program.
            StoreError: the server refuses a statement.
        """
        versions = f"SELECT coalesce(max(version), 0) FROM {SCHEMA}.migrations WHERE component = %s"
        with self.transaction() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_MIGRATION_LOCK])
            # Not `CREATE ... IF NOT EXISTS`, which needs the right to create even if they exist.
            found = connection.execute("SELECT to_regclass(%s)", [f"{SCHEMA}.migrations"])
            if found.fetchone() == (None,):
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
                connection.execute(
                    f"CREATE TABLE {SCHEMA}.migrations (component text, version integer,"
                    " applied timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (component, version))"
                )
            (version,) = connection.execute(versions, [component]).fetchone() or (0,)
            if version > len(statements):
                raise IndexMismatchError(
                    f"{self.name} has version {version} of the tables for {component!r}, and this"
                    f" program knows {len(statements)}: upgrade wavrag"
                )
            for number, statement in enumerate(statements[version:], start=version + 1):
                connection.execute(statement)
                connection.execute(
                    f"INSERT INTO {SCHEMA}.migrations (component, version) VALUES (%s, %s)",
                    [component, number],
                )

    def versions(self) -> str:
        """Names and versions of the server and its extensions."""
        sql = (
            "SELECT string_agg(name, ', ') FROM (SELECT 'PostgreSQL ' ||"
            " split_part(current_setting('server_version'), ' ', 1) AS name UNION ALL"
            " (SELECT replace(extname, 'vector', 'pgvector') || ' ' || extversion FROM pg_extension"
            " WHERE extname <> 'plpgsql' ORDER BY extname)) names"
        )
        rows = self.run(lambda connection: connection.execute(sql).fetchall())
        return str(rows[0][0])

    def close(self) -> None:
        """Close all connections."""
        if not self._closed:
            self._closed = True
            self._pool.close()

    def _configure(self, connection: Connection[Any]) -> None:
        settings = {**self._settings, "wavrag.tenant": self.tenant}
        calls = ", ".join(["set_config(%s, %s, false)"] * len(settings))
        connection.execute(f"SELECT {calls}", [text for item in settings.items() for text in item])
        # Extensions may live in any schema.
        connection.execute(
            "SELECT set_config('search_path', concat_ws(', ', %s::text, 'public', (SELECT"
            " quote_ident(nspname) FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace"
            " WHERE extname = 'vector')), false)",
            [SCHEMA],
        )

    def _translated(self) -> AbstractContextManager[None]:
        return translate_errors(self.name, self._options.get("password"), self._connect_or_fail)

    def _connect_or_fail(self) -> None:
        """Connect, for the reason why the pool cannot."""
        self._connect().close()


def row_security(table: str) -> str:
    """SQL that shows and accepts only rows of the connection's tenant, also for the owner."""
    return f"""
        ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
        ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
        CREATE POLICY tenant ON {table}
            USING (tenant = (SELECT current_setting('wavrag.tenant', true)));
    """


@contextmanager
def translate_errors(
    name: str, password: str | None = None, probe: Callable[[], None] | None = None
) -> Iterator[None]:
    """Turn errors of psycopg into `StoreError`, with the remedy and without the password.

    Args:
        name: of the server and database.
        password: removed from messages.
        probe: called if the pool has no connection in time; raises the reason.
    """
    import psycopg
    from psycopg_pool import PoolClosed, PoolTimeout

    try:
        try:
            yield
        except PoolTimeout:
            if probe is not None:
                probe()
            raise
    except PoolClosed as error:
        raise StoreError(f"{name} is closed: open it again") from error
    except psycopg.Error as error:
        message = " ".join(str(error).split())
        if password:
            message = message.replace(password, "***")
        state = error.sqlstate or "08"
        if isinstance(error, PoolTimeout):
            message, state = f"all connections are in use ({message})", "53"
        remedies = (remedy for prefix, remedy in _REMEDIES if state.startswith(prefix))
        remedy = next(remedies, "see the server's log")
        raise StoreError(f"{name}: {message}: {remedy}") from None


@contextmanager
def _transaction(connection: Connection[Any], snapshot: bool) -> Iterator[None]:
    from psycopg import IsolationLevel

    # Settings of the object, which it sends along with BEGIN.
    connection.isolation_level = IsolationLevel.REPEATABLE_READ if snapshot else None
    connection.read_only = snapshot or None
    with connection.transaction():
        yield


def _parse_url(url: str) -> dict[str, Any]:
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    invalid = StoreError(
        "the URL of the PostgreSQL server is not valid: write"
        " postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %XX for special characters"
    )
    try:
        options = dict(conninfo_to_dict(url))
    except ProgrammingError:
        # Its message and the context would show the URL with the password.
        raise invalid from None
    # With a / or @ in the password, some of it is taken for the host or the database, and shown.
    if "@" in f"{options.get('host')}{options.get('dbname')}":
        raise invalid from None
    return options


def _display_name(options: dict[str, Any]) -> str:
    """The URL without password and parameters."""
    user = f"{quote(str(options['user']))}@" if options.get("user") else ""
    host = str(options.get("host") or options.get("hostaddr") or "localhost")
    port = f":{options['port']}" if options.get("port") else ""
    database = quote(str(options.get("dbname") or ""))
    return f"postgresql://{user}{quote(host, safe=':,') if '/' in host else host}{port}/{database}"
