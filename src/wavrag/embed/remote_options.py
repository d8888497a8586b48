"""Options of a remote embedder, and their encoding in its name."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from typing import Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from wavrag.audio import SAMPLE_RATE
from wavrag.embed.validation import describe_problem
from wavrag.errors import EmbedderError

# Part of the revision: raise it when the same input is sent in another form, which changes vectors.
PROTOCOL = 1

# Options that change the vectors. The name of the embedder, which an index stores, contains them.
_VECTOR_OPTIONS = (
    "audio", "sampling_rate", "max_audio_seconds", "query_prompt", "passage_prompt", "text_as",
)  # fmt: skip
_POSITIVE_OPTIONS = ("timeout_s", "batch_size", "concurrency", "sampling_rate", "max_audio_seconds")


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """Address, limits and prompts of an embedding server."""

    url: str  # `http://host:8000`; the API is below `/v1`
    model: str | None = None  # name on the server; None for the only model there
    api_key_env: str = "WAVRAG_API_KEY"  # environment variable with the API key
    timeout_s: float = 60.0  # seconds without an answer until a request fails
    retries: int = 4  # after status 429 or 5xx, a lost connection or a timeout
    batch_size: int = 64  # maximum texts per request; each clip is a request of its own
    concurrency: int = 4  # maximum simultaneous requests
    audio: bool | None = None  # True if the model takes audio; None to detect it with a probe
    sampling_rate: int = SAMPLE_RATE  # sample rate of clips in Hz
    max_audio_seconds: float = 30.0  # longer clips are rejected, never truncated
    # Before the text of a query, such as "query: "; for a clip without text it is the whole text.
    query_prompt: str = ""
    passage_prompt: str = ""
    # `input` sends texts unchanged, in batches; `messages` sends each text as a chat, so that the
    # server applies its chat template to texts as it does to clips.
    text_as: Literal["input", "messages"] = "input"

    def __post_init__(self) -> None:
        _check_url(self.url)
        if self.retries < 0:
            raise EmbedderError(f"retries is {self.retries}: set it to 0 or more")
        for key in _POSITIVE_OPTIONS:
            # Negated, because NaN compares false with everything.
            if not getattr(self, key) > 0:
                raise EmbedderError(f"{key} is {getattr(self, key)}: set it to more than 0")

    @classmethod
    def from_name(cls, name: str) -> RemoteOptions:
        """Parse `URL`, `URL#MODEL` or `URL?OPTION=VALUE&...#MODEL`.

        Raises:
            EmbedderError: the address is invalid, or an option is unknown or has an invalid value.

        Example:
            >>> RemoteOptions.from_name("http://box:8000?batch_size=8#org/model").batch_size
            8
        """
        from pydantic import TypeAdapter, ValidationError

        address, _, model = name.partition("#")
        url, _, query = address.partition("?")
        _check_url(url)
        values = dict(parse_qsl(query, keep_blank_values=True))
        options = [field.name for field in fields(cls) if field.name not in ("url", "model")]
        for key in values:
            if key not in options:
                raise EmbedderError(
                    f"{name}: {key!r} is not an option of a remote embedder: choose from"
                    f" {', '.join(options)}"
                )
        values |= {"url": url} | ({"model": model} if model else {})
        try:
            return TypeAdapter(cls).validate_strings(values)
        except ValidationError as error:
            raise EmbedderError(f"{name}: {describe_problem(error)}") from None

    @property
    def base_url(self) -> str:
        """The address without `/v1`, in a canonical form."""
        return self.url.rstrip("/").removesuffix("/v1").rstrip("/")

    def name(self, model: str) -> str:
        """Return the name for `load_embedder`, with all options that change the vectors."""
        values = {
            field.name: _format_value(getattr(self, field.name))
            for field in fields(self)
            if field.name in _VECTOR_OPTIONS and getattr(self, field.name) != field.default
        }
        query = f"?{urlencode(values, quote_via=quote)}" if values else ""
        return f"{self.base_url}{query}#{model}"

    def revision(self, model: str, root: str | None) -> str:
        """Return the model id, the model's `root` on the server, and a hash of the options.

        A model's `created` is ignored: vLLM reports the time of the request there.
        """
        prompts = [self.query_prompt, self.passage_prompt]
        values = [PROTOCOL, self.sampling_rate, self.text_as, *prompts]
        digest = hashlib.sha256(json.dumps(values).encode()).hexdigest()[:12]
        return f"{model}@{root}+{digest}" if root and root != model else f"{model}+{digest}"


def _check_url(url: str) -> None:
    try:
        address = urlsplit(url)
        is_server = address.scheme in ("http", "https") and bool(address.hostname)
    except ValueError:
        is_server = False
    if "@" in url:
        raise EmbedderError(
            f"the address of the embedder at {url.rpartition('@')[2]} contains a user or password,"
            " which every index would store: put the key into WAVRAG_API_KEY instead"
        )
    if not is_server or address.query or address.fragment:
        raise EmbedderError(f"{url!r} is not a server address: use the form http://HOST:8000")


def _format_value(value: object) -> str:
    """Format an option value for the name, identically for 45 and 45.0."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
