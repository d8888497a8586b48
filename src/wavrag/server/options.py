"""What the server allows, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from wavrag.errors import InputError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SHORTEST_TOKEN = 16  # characters


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Limits and permissions of a server.

    Attributes:
        tokens: bearer tokens that are accepted; without any, everybody who reaches it is.
        hosts: names by which it may be addressed beside those of the loopback. Without tokens, a
            request that calls it by another name is refused, so that no web page can have its own
            name lead here.
        origins: web pages of other servers that may call it, such as `https://example.org`.
        max_request_bytes: of a request other than an upload of documents.
        max_upload_bytes: of an upload of documents.
        max_upload_files: in one upload.
        max_text_bytes: of a document that is no recording.
        max_recording_seconds: of a recording that is uploaded.
        max_question_seconds: of a spoken question.
        max_span_seconds: of a span of a recording that is cut out.
        max_speech_chars: of a text that is said.
        max_inputs: of one request for embeddings.
        body_seconds: that a request's body may pause.
        answer_seconds: that an answer may take.
        searches: that are computed at a time.
        speeches: texts that are said at a time.
        answers: that are written at a time; others wait.
        free_bytes: of disk that an upload leaves free.
        kept_jobs: that have ended, and whose outcome can still be asked for.
        attempts: at a job that fails for no fault of its documents, or ends the process.
        voice: engine that speaks; None for the best that is here.
    """

    tokens: frozenset[str] = frozenset()
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    max_request_bytes: int = 32 << 20
    max_upload_bytes: int = 2 << 30
    max_upload_files: int = 100
    max_text_bytes: int = 64 << 20
    max_recording_seconds: float = 12 * 3600.0
    max_question_seconds: float = 120.0
    max_span_seconds: float = 600.0
    max_speech_chars: int = 4096
    max_inputs: int = 256
    body_seconds: float = 30.0
    answer_seconds: float = 300.0
    searches: int = 4
    speeches: int = 2
    answers: int = 4
    free_bytes: int = 256 << 20
    kept_jobs: int = 1000
    attempts: int = 10
    voice: str | None = field(default=None)

    def __post_init__(self) -> None:
        for token in self.tokens:
            if len(token) < SHORTEST_TOKEN or not (token.isascii() and token.isprintable()):
                raise InputError(
                    f"a token has at least {SHORTEST_TOKEN} printable ASCII characters: make one"
                    ' with `python -c "import secrets; print(secrets.token_urlsafe(32))"`'
                )


def is_loopback(host: str) -> bool:
    """Whether a host is reached from this machine only."""
    return host in LOOPBACK or host.startswith("127.")
