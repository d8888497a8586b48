"""How a served embedding model is reached and asked, and the name that says so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from wavrag.audio import SAMPLE_RATE
from wavrag.errors import EmbedderError

PROTOCOL = 1  # raise it when the same item is sent in another way: its vector changes

TextAs = Literal["input", "messages"]


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """How the server is reached and asked.

    Attributes:
        url: address of the server, `http://host:8000`; the API lies under its `/v1`.
        model: as the server calls it; None for the only one that it serves.
        api_key_env: environment variable that holds the key, if the server asks for one.
        timeout_s: seconds of silence before a request counts as failed.
        connect_timeout_s: seconds in which a connection must stand.
        retries: further tries after 429, a server's fault (5xx), a lost connection or a timeout.
        backoff_s: seconds before the first further try, doubled for each one after it; a
            `Retry-After` of the server counts instead.
        batch_size: most texts in a request. A clip is a request of its own.
        concurrency: most requests under way at a time.
        audio: whether the model hears; None to find out by asking it.
        sampling_rate: Hz that clips must have.
        max_audio_seconds: longest clip, in seconds; longer ones are refused, never cut.
        query_prompt: put before the text of a query, such as "query: "; the whole text of a clip
            without words.
        passage_prompt: the same for a passage.
        text_as: `input` sends texts in batches and as they are; `messages` sends each as a chat
            of its own, so that the server's chat template applies to texts as it does to clips.
    """

    url: str
    model: str | None = None
    api_key_env: str = "WAVRAG_API_KEY"
    timeout_s: float = 60.0
    connect_timeout_s: float = 5.0
    retries: int = 4
    backoff_s: float = 0.5
    batch_size: int = 64
    concurrency: int = 4
    audio: bool | None = None
    sampling_rate: int = SAMPLE_RATE
    max_audio_seconds: float = 30.0
    query_prompt: str = ""
    passage_prompt: str = ""
    text_as: TextAs = "input"

    def __post_init__(self) -> None:
        _check_url(self.url)
        if self.text_as not in ("input", "messages"):
            raise EmbedderError(f"text_as is {self.text_as!r}: set it to input or messages")
        for key in ("retries", "backoff_s"):
            if not getattr(self, key) >= 0:
                raise EmbedderError(f"{key} is {getattr(self, key)}: set it to 0 or more")
        for key in _ABOVE_0:
            if not getattr(self, key) > 0:
                raise EmbedderError(f"{key} is {getattr(self, key)}: set it to more than 0")

    @classmethod
    def from_name(cls, name: str) -> RemoteOptions:
        """Options from `URL`, `URL#MODEL` or `URL?OPTION=VALUE&...#MODEL`.

        Raises:
            EmbedderError: the name is no such address, or an option is unknown or unusable.
        """
        address, _, model = name.partition("#")
        url, _, query = address.partition("?")
        _check_url(url)
        given: dict[str, Any] = {}
        for key, value in parse_qsl(query, keep_blank_values=True):
            if key not in _READERS:
                raise EmbedderError(
                    f"{name}: {key!r} is no option of a remote embedder: choose among"
                    f" {', '.join(_READERS)}"
                )
            try:
                given[key] = _READERS[key](value)
            except ValueError:
                raise EmbedderError(f"{name}: {value!r} is no value for {key}") from None
        return cls(url=url, model=model or None, **given)

    @property
    def base_url(self) -> str:
        """The address without `/v1`, the same however it was written."""
        return self.url.rstrip("/").removesuffix("/v1").rstrip("/")

    def name(self, model: str) -> str:
        """As `load_embedder` takes it, with the options that say what a vector is of."""
        kept = {
            field.name: _written(getattr(self, field.name))
            for field in fields(self)
            if field.name in _NAMED and getattr(self, field.name) != field.default
        }
        query = f"?{urlencode(kept, quote_via=quote)}" if kept else ""
        return f"{self.base_url}{query}#{model}"

    def revision(self, model: str, root: str | None) -> str:
        """The model's id, what the server says it was loaded from, and a hash of how it is asked.

        A model's `created` is left out: some servers give the time of the request.
        """
        asked = [PROTOCOL, self.sampling_rate, self.text_as, self.query_prompt, self.passage_prompt]
        digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:12]
        return f"{model}@{root}+{digest}" if root and root != model else f"{model}+{digest}"


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if "@" in url:
        raise EmbedderError(
            f"the address of the embedder at {url.rpartition('@')[2]} holds a user or password,"
            " which would be stored with every index: put a key into WAVRAG_API_KEY instead"
        )
    if not usable or parts.query or parts.fragment:
        raise EmbedderError(f"{url!r} is no address of a server: write http://HOST:8000")


def _written(value: object) -> str:
    """A value as it stands in a name: the same for 45 and 45.0."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _flag(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError(value)
    return value == "true"


_ABOVE_0 = (
    "timeout_s",
    "connect_timeout_s",
    "batch_size",
    "concurrency",
    "sampling_rate",
    "max_audio_seconds",
)
_NAMED = (
    "audio",
    "sampling_rate",
    "max_audio_seconds",
    "query_prompt",
    "passage_prompt",
    "text_as",
)
_READERS: dict[str, Callable[[str], Any]] = {
    "api_key_env": str,
    "timeout_s": float,
    "connect_timeout_s": float,
    "retries": int,
    "backoff_s": float,
    "batch_size": int,
    "concurrency": int,
    "audio": _flag,
    "sampling_rate": int,
    "max_audio_seconds": float,
    "query_prompt": str,
    "passage_prompt": str,
    "text_as": str,
}
