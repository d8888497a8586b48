"""`LanceObjects`: a table in S3, Google Cloud Storage or Azure, written by any number of machines.

There is no lock and no log. A commit is one object, the manifest of a version, that LanceDB writes
only if there is none of that number (`If-None-Match`). Once the service has confirmed it, the
commit is as durable as the bucket. A killed writer leaves at most objects without a manifest.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from wavrag.errors import StoreError
from wavrag.store.lance_documents import DocumentTallies
from wavrag.store.lance_home import TABLE, Changes, LanceHome
from wavrag.store.lance_import import import_lancedb
from wavrag.store.objects import OBJECT_SCHEMES, allows_http, object_errors, open_objects


def is_object_url(path: str | os.PathLike[str]) -> bool:
    """True for the URL of a bucket."""
    return isinstance(path, str) and path.partition("://")[0] in OBJECT_SCHEMES


class LanceObjects(LanceHome):
    """A table below a prefix of a bucket; see `LanceHome`."""

    remedy = "restore the objects from a version or a copy of the bucket, or index again"
    is_exclusive = False

    def __init__(self, url: str, dim: int, guard: Callable[[], object]) -> None:
        """Prepare; nothing is read yet.

        Raises:
            MissingExtraError: obstore is not installed.
            StoreError: the URL is not valid.
        """
        super().__init__(url.rstrip("/"), dim, guard)
        self._objects = open_objects(self.address)
        self._has_conditional_writes = False
        self._side_files = Path(tempfile.mkdtemp(prefix="wavrag-"))
        # Also without a call of `close`.
        self._cleanup = weakref.finalize(self, shutil.rmtree, self._side_files, ignore_errors=True)

    def open(self) -> None:
        """Open the table; see `LanceHome.open`."""
        with object_errors(self.address):  # LanceDB would try a wrong address for 3 minutes
            self._objects.list_with_delimiter(f"{TABLE}.lance/_versions")
        super().open()

    def connect(self, **options: Any) -> Any:
        """Connect; see `LanceHome.connect`."""
        allow_http = "true" if allows_http(self.address) else "false"
        return import_lancedb().connect(
            self.address, storage_options={"allow_http": allow_http}, **options
        )

    def locked(self) -> AbstractContextManager[object]:
        """Does nothing: conflicts are detected at the commit."""
        return nullcontext()

    def check_creation(self) -> None:
        """Raise an error if the service would let writers overwrite each other's commits."""
        if self._has_conditional_writes:
            return
        from obstore.exceptions import AlreadyExistsError, NotSupportedError, PreconditionError

        name = f"probe-{uuid.uuid4().hex}"
        with object_errors(self.address):
            try:
                self._objects.put(name, b"1", mode="create")
                self._objects.put(name, b"2", mode="create")
            except (AlreadyExistsError, PreconditionError):
                self._has_conditional_writes = True
            except NotSupportedError:
                pass
            finally:
                self._objects.delete(name)
        if not self._has_conditional_writes:
            raise StoreError(
                f"{self.address}: the server ignores `If-None-Match: *`, so that writers would"
                " overwrite each other's commits: use one with conditional writes (Amazon S3,"
                " Google Cloud Storage, Azure, SeaweedFS, a recent MinIO)"
            )

    @contextmanager
    def writing(self, changes: Changes) -> Iterator[Changes]:
        """Check that this may be written to; each commit is durable by itself."""
        with self.translate_errors():
            self._guard()
            self.check_creation()
            yield changes

    def recover(self) -> None:
        """Does nothing: a version without a manifest does not exist."""

    def stamp(self) -> tuple[int, ...]:
        """The newest version."""
        return (self.table.version,)

    def has_versions_older_than(self, seconds: float) -> bool:
        """True if a version before the newest one is older, by the clock of the service."""
        with object_errors(self.address):
            batches = self._objects.list(f"{TABLE}.lance/_versions")
            times = sorted(
                meta["last_modified"].timestamp()
                for batch in batches
                for meta in batch
                if meta["path"].endswith(".manifest")
            )
        return any(moment < time.time() - seconds for moment in times[:-1])

    def needs_new_log(self) -> bool:
        """False: there is no log."""
        return False

    def damaged_files(self, share: float) -> list[str]:
        """Nothing: the service verifies the checksums of its objects."""
        return []

    def log(self) -> tuple[int, DocumentTallies] | None:
        """None: there is no log."""
        return None

    def side_file(self, name: str, publish: Path | None = None) -> Path:
        """Download or upload a file; see `LanceHome.side_file`."""
        path = self._side_files / name
        with object_errors(self.address):
            if publish is not None:
                self._objects.put(name, publish.read_bytes())
            else:
                path.unlink(missing_ok=True)
                with suppress(FileNotFoundError):
                    path.write_bytes(bytes(self._objects.get(name).bytes()))
        return path

    def close(self) -> None:
        """Delete the local copies."""
        super().close()
        self._cleanup()
