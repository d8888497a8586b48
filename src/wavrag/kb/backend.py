"""Where a knowledge base is kept: a folder, a PostgreSQL database, or object storage."""

from __future__ import annotations

import os
import re
import tempfile
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from wavrag import config
from wavrag.arguments import check_paths
from wavrag.closing import Closing
from wavrag.errors import StoreError

# The others are imported when they are used: a base in a folder needs no client of a server.
from wavrag.store import OBJECT_SCHEMES, Blobs, FolderBlobs, FolderRecords, Records, Store

if TYPE_CHECKING:
    from wavrag.store import PostgresPool

POSTGRES_SCHEMES = ("postgresql", "postgres")
RECORD_CONNECTIONS = 4  # of a process, beside those of the store


class Backend(Closing):
    """Opens the store and the records of a knowledge base.

    Attributes:
        address: the folder, or the URL without password, for messages.
        blobs: uploads and downloads; None if there is no place for them.
        records: manifest, voices, corrections, jobs and cached transcripts.
        folder: the folder; None for a knowledge base on a server.
        is_shared: True if several servers may serve it at the same time.
        scratch: folder for temporary files.
        key: names the knowledge base among the user's confirmations.
        remedy: remedy for a missing or damaged manifest.
        pool: connections to the database; None without one.
        url: the URL of the database, with the password.
    """

    address: str
    records: Records
    folder: Path | None = None
    blobs: Blobs | None = None
    is_shared = False
    remedy = "restore a backup"
    pool: PostgresPool | None = None
    url: str = ""

    @property
    def scratch(self) -> Path:
        """Folder for temporary files; that of the system is set by TMPDIR."""
        return Path(tempfile.gettempdir())

    @property
    def key(self) -> str:
        """A name that does not depend on the working directory."""
        return self.address

    @property
    def manifest_name(self) -> str:
        """The manifest in messages."""
        return f"the manifest of {self.address}"

    @abstractmethod
    def open_store(self, name: str, dim: int, guard: Callable[[], None] = lambda: None) -> Store:
        """Open the store of the passages.

        Args:
            name: its name in the manifest.
            dim: dimension of the vectors.
            guard: called before each change; see `LanceStore`.
        """

    @property
    def files(self) -> Blobs:
        """The place of uploads and downloads.

        Raises:
            StoreError: there is none.
        """
        if self.blobs is None:
            raise StoreError(
                f"{self.address} has no place for uploaded and downloaded files: name a folder that"
                " all its users share, or s3://BUCKET/PREFIX, in WAVRAG_BLOBS"
            )
        return self.blobs

    def has_remains(self) -> bool:
        """True if there are passages without a manifest."""
        return False

    def server_versions(self) -> str:
        """Names and versions of the server's programs; empty if there is none."""
        return ""

    def close(self) -> None:
        """Close the connections of the records, and delete local copies of files."""
        self.records.close()
        if self.blobs is not None:
            self.blobs.close()


class FolderBackend(Backend):
    """A knowledge base in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder)
        self.folder: Path = folder
        self.records = FolderRecords(folder)
        self.blobs = FolderBlobs(folder)
        self.remedy = f"run `wavrag kb repair --kb {folder}`, or restore a backup"

    @property
    def scratch(self) -> Path:
        """The folder itself, because `/tmp` is often in memory."""
        return self.folder

    @property
    def key(self) -> str:
        """The absolute path of the folder."""
        return str(self.folder.resolve())

    @property
    def manifest_name(self) -> str:
        """The path of the manifest."""
        return str(self.folder / "kb.json")

    def open_store(self, name: str, dim: int, guard: Callable[[], None] = lambda: None) -> Store:
        """Open the LanceDB table of the folder."""
        from wavrag.store import LanceStore

        return LanceStore(self.folder / name, dim, guard=guard)

    def has_remains(self) -> bool:
        """True if there are passages, or a copy of the manifest."""
        is_copied = (self.folder / "kb.copy.json").exists()
        return is_copied or any(self.folder.glob("store*/*.lance"))


class PostgresBackend(Backend):
    """A knowledge base in a PostgreSQL database, for one tenant of several.

    Args:
        url: `postgresql://USER:PASSWORD@HOST:PORT/DATABASE?tenant=NAME`; the tenant is optional.
        blobs: folder or URL for uploads and downloads, with a folder for each tenant; empty for
            none.
    """

    is_shared = True
    remedy = "restore a backup (pg_dump)"

    def __init__(self, url: str, blobs: str = "") -> None:
        from wavrag.store import PostgresPool, PostgresRecords

        self.url = url
        self._url, self._tenant = _split_tenant(url)
        self.pool: PostgresPool = PostgresPool(
            self._url, self._tenant, max_connections=RECORD_CONNECTIONS
        )
        self.records = PostgresRecords(self.pool)
        self.address = self.pool.name
        if self._tenant != DEFAULT_TENANT:
            self.address += f"?tenant={self._tenant}"
        if blobs:
            self.blobs = open_blobs(f"{blobs.rstrip('/')}/{self._tenant}")

    def open_store(self, name: str, dim: int, guard: Callable[[], None] = lambda: None) -> Store:
        """Connect to the tables of the passages."""
        from wavrag.store import PostgresStore

        return PostgresStore(self._url, dim, self._tenant)

    def server_versions(self) -> str:
        """PostgreSQL and its extensions."""
        return self.pool.versions()

    def close(self) -> None:
        """Close the connections of the records, and delete local copies of files."""
        super().close()
        self.pool.close()


class ObjectBackend(Backend):
    """A knowledge base in object storage.

    Args:
        url: `s3://BUCKET/PREFIX`, `gs://...` or `az://...`.
    """

    def __init__(self, url: str) -> None:
        from wavrag.store import ObjectBlobs, ObjectRecords, open_objects

        self.address = url.rstrip("/")
        objects = open_objects(self.address)
        self.records = ObjectRecords(objects, self.address)
        self.blobs = ObjectBlobs(objects, self.address)

    def open_store(self, name: str, dim: int, guard: Callable[[], None] = lambda: None) -> Store:
        """Open the LanceDB table in the bucket."""
        from wavrag.store import LanceStore

        return LanceStore(f"{self.address}/{name}", dim, guard=guard)


DEFAULT_TENANT = "default"


def open_backend(
    address: str | os.PathLike[str] | None = None, blobs: str | os.PathLike[str] | None = None
) -> Backend:
    """Open the place of a knowledge base, which need not exist yet.

    Args:
        address: a folder, or the URL of a database or of a bucket with a prefix (default:
            `WAVRAG_KB`, or the folder `.wavrag`).
        blobs: folder or URL for uploads and downloads of a knowledge base in a database (default:
            `WAVRAG_BLOBS`); the others keep them beside the passages.

    Raises:
        StoreError: the URL is not valid, or the server cannot be reached.
        MissingExtraError: its client is not installed.
    """
    if address is None:
        address = config.kb_address()
    (path,) = check_paths([address])
    text = _lower_scheme(os.fspath(path))
    scheme = text.partition("://")[0] if is_kb_url(text) else ""
    if scheme in POSTGRES_SCHEMES:
        return PostgresBackend(text, os.fspath(blobs or config.setting_text("blobs")))
    if scheme in OBJECT_SCHEMES:
        check_bucket_url(text)
        return ObjectBackend(text)
    if scheme:
        schemes = ", ".join(f"{name}://" for name in ("postgresql", *OBJECT_SCHEMES))
        raise StoreError(
            f"a knowledge base cannot be in {scheme}://...: give a folder or a URL of {schemes}"
        )
    if text.partition(":/")[0] in (*POSTGRES_SCHEMES, *OBJECT_SCHEMES):
        # Otherwise a folder of this name would be created.
        raise StoreError(
            "the URL of the knowledge base has one slash instead of two: give it as a string,"
            " because a Path drops one"
        )
    return FolderBackend(Path(text))


def open_blobs(address: str) -> Blobs:
    """Open a place for files: a folder, or s3://BUCKET/PREFIX.

    Raises:
        StoreError: the URL is not valid.
        MissingExtraError: the client of object storage is not installed.
    """
    if not is_kb_url(address):
        return FolderBlobs(address)
    address = _lower_scheme(address)
    if address.partition("://")[0] not in OBJECT_SCHEMES:
        raise StoreError("WAVRAG_BLOBS is no place for files: give a folder or s3://BUCKET/PREFIX")
    check_bucket_url(address)
    from wavrag.store import ObjectBlobs, open_objects

    return ObjectBlobs(open_objects(address), address)


def check_bucket_url(url: str) -> None:
    """Refuse credentials in the URL of a bucket, which messages show.

    Raises:
        StoreError: it has a user.
    """
    scheme, _, location = url.partition("://")
    if "@" in location.partition("/")[0]:
        raise StoreError(
            f"the URL of a bucket has no user: write {scheme}://BUCKET/PREFIX, and set the"
            " credentials in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
        )


def is_kb_url(address: str | os.PathLike[str]) -> bool:
    """True for the address of a knowledge base that is no folder."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", os.fspath(address)) is not None


def _lower_scheme(address: str) -> str:
    """An address with its scheme in lower case, which is how all clients know it."""
    scheme, separator, location = address.partition("://")
    return f"{scheme.lower()}{separator}{location}" if is_kb_url(address) else address


def local_folder(address: str | os.PathLike[str], action: str, remedy: str) -> Path:
    """The folder of a knowledge base, for an action that is for folders only.

    Args:
        address: the address of the knowledge base.
        action: the action, such as `backup`.
        remedy: advice for databases and object storage.

    Raises:
        StoreError: the address is a URL.
    """
    if not is_kb_url(address):
        return Path(address)
    scheme = os.fspath(address).partition("://")[0]
    raise StoreError(f"{action} is for knowledge bases in folders, not in {scheme}://: {remedy}")


def tenant_of(url: str) -> str | None:
    """The tenant that a URL names; None without one."""
    names = [value for key, value in parse_qsl(url.partition("?")[2]) if key == "tenant"]
    return names[-1] if names else None


def tenant_address(address: str, tenant: str) -> str:
    """The URL of the knowledge base of a tenant in the same database."""
    url, _ = _split_tenant(address)
    return f"{url}{'&' if '?' in url else '?'}tenant={tenant}"


def _split_tenant(url: str) -> tuple[str, str]:
    """The URL without the tenant, which libpq does not know, and the tenant."""
    base, mark, query = url.partition("?")
    pairs = query.split("&") if mark else []
    tenants = [pair for pair in pairs if pair.startswith("tenant=")]
    parameters = "&".join(pair for pair in pairs if pair not in tenants)
    tenant = dict(parse_qsl(tenants[-1])).get("tenant", "") if tenants else DEFAULT_TENANT
    return (f"{base}?{parameters}" if parameters else base), tenant
