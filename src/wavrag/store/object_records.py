"""`ObjectRecords`: the records of a knowledge base in object storage, an object each."""

from __future__ import annotations

import hashlib
import random
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from wavrag.errors import StoreError
from wavrag.store.objects import object_errors
from wavrag.store.records import RecordChange

if TYPE_CHECKING:
    from obstore.store import ObjectStore

MAX_NAME_CHARS = 500  # of a key in the name of an object, which may have 1024 bytes
ATTEMPTS = 50  # of a change while others change the same record

# Deleting an object cannot be made to depend on its value, but replacing it can.
_DELETED = b"\0deleted"


class ObjectRecords:
    """Records under a prefix; see `Records`. Changes are conditional writes, without a lock.

    Args:
        objects: the bucket and its prefix.
        address: its URL, for messages.
    """

    def __init__(self, objects: ObjectStore, address: str) -> None:
        self._objects = objects
        self.address = address

    def get(self, kind: str, key: str) -> bytes | None:
        """Return a value; see `Records.get`."""
        return self._read(kind, key)[0]

    def put(self, kind: str, key: str, value: bytes) -> None:
        """Write a value; see `Records.put`."""
        with object_errors(self.address):
            self._objects.put(_path(kind, key), _content(key, value))

    def create(self, kind: str, key: str, value: bytes) -> bool:
        """Write a value unless there is one; see `Records.create`."""
        is_new = False

        def change(stored: bytes | None) -> bytes:
            nonlocal is_new
            is_new = stored is None
            return value if stored is None else stored

        self.update(kind, key, change)
        return is_new

    def update(self, kind: str, key: str, change: RecordChange) -> bytes | None:
        """Change a value in one step; see `Records.update`."""
        for attempt in range(ATTEMPTS):
            value, tag = self._read(kind, key)
            new_value = change(value)
            if new_value == value or self._replace(kind, key, new_value, tag):
                return new_value
            time.sleep(random.uniform(0, min(1.0, 0.01 * 2**attempt)))
        raise StoreError(f"{self.address}: {kind} {key} changes all the time: try again later")

    def delete(self, kind: str, key: str) -> bool:
        """Delete a value; see `Records.delete`."""
        if self.get(kind, key) is None:
            return False
        with object_errors(self.address):
            self._objects.delete(_path(kind, key))
        return True

    def items(self, kind: str) -> list[tuple[str, bytes]]:
        """Return all values of a kind; see `Records.items`."""
        folder = f"records/{kind}"
        with object_errors(self.address):
            paths = [meta["path"] for batch in self._objects.list(folder) for meta in batch]
        pairs = []
        for path in paths:
            content, _ = self._fetch(path)
            if content is None or content == _DELETED:
                continue
            name = path.rpartition("/")[2]
            if name.startswith("~"):
                key, _, value = content.partition(b"\0")
                pairs.append((key.decode(), value))
            else:
                pairs.append((unquote(name), content))
        return sorted(pairs)

    def clean(self, kind: str) -> None:
        """Does nothing: a killed process leaves nothing behind."""

    def name(self, kind: str, key: str) -> str:
        """Return a name for messages; see `Records.name`."""
        return f"{kind} {key} of {self.address}"

    def close(self) -> None:
        """Does nothing."""

    def _read(self, kind: str, key: str) -> tuple[bytes | None, str | None]:
        """A value, and the tag of its object for a conditional write."""
        content, tag = self._fetch(_path(kind, key))
        return _value(content, is_long=_is_long(key)), tag

    def _fetch(self, path: str) -> tuple[bytes | None, str | None]:
        """The content and the tag of an object; None for both without one."""
        try:
            with object_errors(self.address):
                result = self._objects.get(path)
                return bytes(result.bytes()), result.meta["e_tag"]
        except FileNotFoundError:
            return None, None

    def _replace(self, kind: str, key: str, value: bytes | None, tag: str | None) -> bool:
        """Write an object that nobody has changed since; False if somebody has."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        content = _DELETED if value is None else _content(key, value)
        try:
            with object_errors(self.address):
                mode = "create" if tag is None else {"e_tag": tag}
                self._objects.put(_path(kind, key), content, mode=mode)  # type: ignore[arg-type]
        except StoreError as error:
            if isinstance(error.__cause__, AlreadyExistsError | PreconditionError):
                return False
            raise
        return True


def _is_long(key: str) -> bool:
    return len(quote(key, safe="")) > MAX_NAME_CHARS


def _path(kind: str, key: str) -> str:
    name = quote(key, safe="")
    if _is_long(key):
        name = f"~{hashlib.blake2b(key.encode(), digest_size=32).hexdigest()}"
    return f"records/{kind}/{name}"


def _content(key: str, value: bytes) -> bytes:
    """The content of an object; with a long key, it holds the key as well."""
    return key.encode() + b"\0" + value if _is_long(key) else value


def _value(content: bytes | None, *, is_long: bool) -> bytes | None:
    if content is None or content == _DELETED:
        return None
    return content.partition(b"\0")[2] if is_long else content
