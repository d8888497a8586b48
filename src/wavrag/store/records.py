"""The small values of a knowledge base: manifest, voices, corrections, jobs, cached transcripts.

`FolderRecords` keeps them in files, `PostgresRecords` in a table, and `ObjectRecords` in objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

# Maps the value of a record, None without one, to its new value; None deletes the record.
RecordChange: TypeAlias = Callable[[bytes | None], bytes | None]


@runtime_checkable
class Records(Protocol):
    """Small values by kind and key.

    After a call returns, its change survives a killed process. A read gives the value of the last
    change by any process or machine, never a part of one.

    There is no lock to hold: changes of one value are atomic, and `update` is a change that depends
    on the value before. A lock would need a connection of its own on a database server, and a
    lease on object storage.

    Attributes:
        address: the folder, or the URL without password, for messages.
    """

    address: str

    def get(self, kind: str, key: str) -> bytes | None:
        """Return a value; None if there is none.

        Raises:
            StoreError: it cannot be read; so do the other methods.
        """
        ...

    def put(self, kind: str, key: str, value: bytes) -> None:
        """Write a value in place of an earlier one."""
        ...

    def create(self, kind: str, key: str, value: bytes) -> bool:
        """Write a value unless there is one already; return True if it was written."""
        ...

    def update(self, kind: str, key: str, change: RecordChange) -> bytes | None:
        """Change a value that nobody else can change in the meantime; return the new value.

        Args:
            kind: the kind.
            key: the key.
            change: computes the new value. It may be called several times, and must not use the
                records.
        """
        ...

    def delete(self, kind: str, key: str) -> bool:
        """Delete a value; False if there is none."""
        ...

    def items(self, kind: str) -> list[tuple[str, bytes]]:
        """Return all keys of a kind with their values, ordered by key (code points)."""
        ...

    def clean(self, kind: str) -> None:
        """Delete the leftovers of a killed process; for the only writer of a kind."""
        ...

    def name(self, kind: str, key: str) -> str:
        """Return a record's name for messages, such as the path of its file."""
        ...

    def close(self) -> None:
        """Release resources."""
        ...
