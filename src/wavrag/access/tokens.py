"""Tokens with scopes, kept as hashes in a file.

The file belongs to the operator of the server, not to a knowledge base, because one that comes from
somebody else must not bring tokens along.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from wavrag import config
from wavrag.access.principals import Principal, Scope
from wavrag.disk import write_file
from wavrag.errors import InputError, StoreError
from wavrag.shapes import validation_message
from wavrag.store import check_labels

FILE = "tokens.json"
PREFIX = "wavrag_"  # lets secret scanners recognise a token
MAX_NAME_CHARS = 80
CHECK_SECONDS = 0.5  # between looks at the file
DAY = 86_400.0


class StoredToken(BaseModel):
    """A token as it is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    name: str
    # SHA-256: a slow hash protects guessable secrets, and these are 32 random bytes.
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
    scope: Scope
    labels: list[str]
    collections: list[str] | None  # null for all
    created: str  # ISO 8601
    expires: float | None  # seconds since the epoch

    @property
    def has_expired(self) -> bool:
        """True if it is no longer accepted."""
        return self.expires is not None and time.time() >= self.expires

    @property
    def principal(self) -> Principal:
        """The owner of the token."""
        collections = None if self.collections is None else frozenset(self.collections)
        return Principal(
            f"token:{self.id}", self.name, self.scope, frozenset(self.labels), collections,
            self.expires,
        )  # fmt: skip


_TOKENS: TypeAdapter[list[StoredToken]] = TypeAdapter(list[StoredToken])


def default_token_file() -> Path:
    """The file of the user's tokens: `tokens.json` in the folder of the configuration."""
    return config.config_directory() / FILE


class TokenFile:
    """The tokens of a file; changes of the file apply to the next request.

    Args:
        path: the file; without it there are no tokens.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tokens: list[StoredToken] = []
        self._state: tuple[int, int, int] | None = None
        self._checked = 0.0

    def create(
        self,
        name: str,
        scope: Scope,
        *,
        labels: Collection[str] = (),
        collections: Collection[str] | None = None,
        days: float | None = None,
    ) -> str:
        """Create a token and return it; it is not kept, and cannot be shown again.

        Args:
            name: name of its owner, for the list and the audit log.
            scope: see `Principal`.
            labels: access labels.
            collections: names of collections; None for all.
            days: until it expires; None for never.

        Raises:
            InputError: there is a token with this name, or a label is not valid.
            StoreError: the file cannot be read or written.
        """
        name = " ".join(name.split())
        if not name or len(name) > MAX_NAME_CHARS or not name.isprintable():
            raise InputError(f"the name of a token has 1 to {MAX_NAME_CHARS} printable characters")
        token = PREFIX + secrets.token_urlsafe(32)
        stored = StoredToken(
            id=secrets.token_hex(8), name=name, sha256=_hash(token), scope=scope,
            labels=sorted(check_labels(labels)),
            collections=None if collections is None else sorted(set(collections)),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            expires=None if days is None else time.time() + days * DAY,
        )  # fmt: skip
        with self._locked():
            tokens = self.read()
            if any(other.name == name for other in tokens):
                raise InputError(f"there is a token {name!r}: revoke it, or choose another name")
            self._write([*tokens, stored])
        return token

    def read(self) -> list[StoredToken]:
        """Return the tokens in the order of their creation.

        Raises:
            StoreError: the file cannot be read.
        """
        try:
            return _TOKENS.validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return []
        except OSError as error:
            reason = error.strerror or error
            raise StoreError(
                f"{self.path} cannot be read ({reason}): restore or delete it"
            ) from error
        except ValidationError as error:
            # Its own text quotes the file, which holds plain tokens if it is the one of `--token`.
            reason = validation_message(error.errors(include_input=False), "the file")
            raise StoreError(
                f"{self.path} is no file of `wavrag token` ({reason}): restore or delete it"
            ) from None

    def revoke(self, name: str) -> None:
        """Delete a token; the next request with it is rejected.

        Raises:
            InputError: there is no such token.
            StoreError: the file cannot be read or written.
        """
        with self._locked():
            tokens = self.read()
            left = [token for token in tokens if token.name != name]
            if len(left) == len(tokens):
                raise InputError(f"there is no token {name!r}: see `wavrag token list`")
            self._write(left)

    def find(self, token: str) -> Principal | None:
        """The owner of a token; None if it is unknown or has expired.

        Its hash is compared with every hash in constant time.
        """
        digest = _hash(token)
        matches = [t for t in self._latest() if hmac.compare_digest(t.sha256, digest)]
        return next((match.principal for match in matches if not match.has_expired), None)

    def _latest(self) -> list[StoredToken]:
        now = time.monotonic()
        if now - self._checked >= CHECK_SECONDS or self._state is None:
            state = self._stat()
            if state != self._state:
                # A file that has become unreadable accepts nobody.
                self._tokens = []
                self._tokens = self.read()
                self._state = state
            self._checked = now
        return self._tokens

    def _stat(self) -> tuple[int, int, int]:
        try:
            stat = os.stat(self.path)
        except OSError:
            return (0, 0, 0)
        return (stat.st_ino, stat.st_mtime_ns, stat.st_size)

    def _write(self, tokens: list[StoredToken]) -> None:
        try:
            data = _TOKENS.dump_json(tokens, indent=1)
            write_file(self.path, data + b"\n", 0o600)  # readable by the owner only
        except OSError as error:
            raise StoreError(f"cannot write {self.path}: {error.strerror or error}") from error

    def _locked(self) -> FileLock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path.with_name(f"{self.path.name}.lock"), timeout=10)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
