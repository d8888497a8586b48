"""Access control and adjustable limits."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path

from wavrag.errors import InputError

MIN_TOKEN_CHARS = 16


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Access control and limits of a server.

    Attributes:
        tokens: accepted bearer tokens for everything.
        token_file: file of further tokens with scopes (`TokenFile`); None for none.
        oidc_file: settings of an OpenID Connect issuer, whose tokens are accepted (`OidcSettings`).
        allowed_hosts: values of the `Host` header accepted beside those of the loopback interface.
            Checked only without tokens; this blocks DNS rebinding.
        allowed_origins: web origins with permission to call the server (CORS), such as
            `https://example.org`.
        max_upload_bytes: size of one upload of documents.
        max_recording_seconds: length of an uploaded recording.
        answer_timeout: seconds until an unfinished answer is cancelled.
        max_concurrent_answers: answers generated at a time; further requests wait.
        voice: name of the speech engine; None for the best installed one.
        watch_folders: folders whose files, and changes of them, are indexed while the server runs.
        json_logs: `serve` logs JSON lines, with one for each request.
        workers: jobs that are executed at a time; 0 leaves all to `wavrag worker`, for a knowledge
            base in PostgreSQL.
        audit_file: receives a line for every change; None for the logger `wavrag.audit`.
    """

    tokens: frozenset[str] = frozenset()
    token_file: Path | None = None
    oidc_file: Path | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    max_upload_bytes: int = 2 << 30
    max_recording_seconds: float = 12 * 3600.0
    answer_timeout: float = 300.0
    max_concurrent_answers: int = 4
    voice: str | None = None
    watch_folders: tuple[str, ...] = ()
    json_logs: bool = False
    workers: int = 3
    audit_file: Path | None = None

    @property
    def needs_token(self) -> bool:
        """True if requests without a token are rejected."""
        return bool(self.tokens) or self.token_file is not None or self.oidc_file is not None

    def __post_init__(self) -> None:
        for token in self.tokens:
            if len(token) < MIN_TOKEN_CHARS or not (token.isascii() and token.isprintable()):
                raise InputError(
                    f"a token needs at least {MIN_TOKEN_CHARS} printable ASCII characters: create"
                    ' one with `python -c "import secrets; print(secrets.token_urlsafe(32))"`'
                )

    def accepts(self, token: str) -> bool:
        """True if the token is valid.

        It is compared with every token in constant time, so timing reveals nothing about them.
        """
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        accepted_digests = [hashlib.sha256(accepted.encode()).digest() for accepted in self.tokens]
        return sum(hmac.compare_digest(digest, accepted) for accepted in accepted_digests) > 0
