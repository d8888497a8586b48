"""HTTP client of an OpenAI-compatible embedding server: requests, retries, replies, errors.

Uses the `openai` SDK for connections. The retries of the SDK are disabled, because it ignores a
`Retry-After` of 0.
"""

from __future__ import annotations

import base64
import binascii
import importlib.util
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from wavrag.embed.remote_options import RemoteOptions
from wavrag.errors import EmbedderError, MissingExtraError
from wavrag.types import Float32

if TYPE_CHECKING:
    import openai

CONNECT_TIMEOUT_S = 5.0  # a host that has not answered by then is down or misspelled
BACKOFF_S = 0.5  # seconds before the first retry, doubled for each further one
LONGEST_WAIT_S = 120.0  # a longer `Retry-After` is an error: nobody waits for it at a prompt


class EndpointError(EmbedderError):
    """The server replied with an error status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_about_content(self) -> bool:
        """True if the request itself is at fault, rather than the key, the load or the server."""
        return self.status == 501 or (self.status < 500 and self.status not in (401, 403, 408, 429))


class RemoteServer:
    """Client of one server.

    Raises:
        MissingExtraError: the `openai` package is not installed.
    """

    def __init__(self, options: RemoteOptions) -> None:
        if importlib.util.find_spec("openai") is None:
            raise MissingExtraError(f"the embedder at {options.base_url}", "openai")
        import openai

        self._options = options
        self._key = os.environ.get(options.api_key_env, "")
        # The SDK needs some key, even for servers without keys.
        self._client = openai.OpenAI(
            base_url=f"{options.base_url}/v1", api_key=self._key or "none", max_retries=0,
            timeout=openai.Timeout(options.timeout_s, connect=CONNECT_TIMEOUT_S),
        )  # fmt: skip
        # The SDK reads these from environment variables meant for OpenAI's own service.
        self._client.organization = self._client.project = None

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def models(self) -> dict[str, str | None]:
        """Return the `root` of each model by id; empty if the server does not list its models.

        Raises:
            EmbedderError: the server cannot be reached or rejects the key.
        """
        try:
            reply = self._send("/models", None)
        except EndpointError as error:
            if error.is_about_content:
                return {}
            raise
        entries = reply.get("data") if isinstance(reply, dict) else None
        return {
            str(entry["id"]): entry.get("root")
            for entry in (entries if isinstance(entries, list) else [])
            if isinstance(entry, dict) and "id" in entry
        }

    def embed(self, body: Mapping[str, Any], count: int) -> Float32:
        """Send one request and return its vectors in input order, shape = (count, dim).

        Raises:
            EndpointError: the server rejects the request.
            EmbedderError: the server cannot be reached, or its reply is invalid.
        """
        reply = self._send("/embeddings", body)
        try:
            return vectors_of(reply, count)
        except ValueError as error:
            raise EmbedderError(f"{self._options.base_url}: {error}") from error

    def _send(self, path: str, body: Mapping[str, Any] | None) -> Any:
        import openai

        retries = 0
        while True:
            wait: float | None
            try:
                if body is None:
                    return self._client.get(path, cast_to=object)
                return self._client.post(path, cast_to=object, body=body)
            except openai.APIConnectionError as error:
                if retries >= self._options.retries:
                    raise EmbedderError(self._unreachable(error)) from error
                wait = self._backoff(retries)
            except openai.APIStatusError as error:
                wait = self._wait(error, retries)
                if wait is None or retries >= self._options.retries:
                    # The reply may quote the API key: `_explain` redacts it, and `from None` keeps
                    # the original error out of tracebacks.
                    message = self._explain(error, path)
                    raise EndpointError(message, error.status_code) from None
            except ValueError as error:
                raise EmbedderError(f"{self._options.base_url}: its reply is not JSON") from error
            retries += 1
            time.sleep(wait)

    def _backoff(self, retries: int) -> float:
        return min(BACKOFF_S * 2.0**retries, LONGEST_WAIT_S)

    def _wait(self, error: openai.APIStatusError, retries: int) -> float | None:
        """Return the seconds before the next retry; None if a retry is pointless."""
        if error.status_code == 501 or (error.status_code < 500 and error.status_code != 429):
            return None
        requested = retry_after(error.response.headers.get("retry-after"))
        if requested is None:
            return self._backoff(retries)
        return requested if requested <= LONGEST_WAIT_S else None

    def _unreachable(self, error: openai.APIConnectionError) -> str:
        import openai

        if isinstance(error, openai.APITimeoutError):
            return (
                f"{self._options.base_url}: no answer within {self._options.timeout_s:g} s:"
                " raise timeout_s, or lower batch_size or concurrency"
            )
        return (
            f"{self._options.base_url}: the server cannot be reached: start it, or correct the"
            f" address ({error.__cause__ or error})"
        )

    def _explain(self, error: openai.APIStatusError, path: str) -> str:
        key = self._options.api_key_env
        match error.status_code:
            case 401 | 403 if self._key:
                remedy = f"the server rejects the API key: correct {key}"
            case 401 | 403:
                remedy = f"the server requires an API key: set {key}"
            case 404 if path == "/embeddings":
                remedy = self._explain_404()
            case 413:
                remedy = "the request is too large for the server"
            case 429:
                remedy = "the server is rate-limiting: wait, or lower concurrency"
            case status if status >= 500:
                remedy = f"the server failed with status {status}: check its log"
            case status:
                remedy = f"the server rejects the request with status {status}"
        detail = detail_of(error.body)
        if self._key:
            detail = detail.replace(self._key, "***")
        return f"{self._options.base_url}: {remedy}" + (f" ({detail[:300]})" if detail else "")

    def _explain_404(self) -> str:
        try:
            models = self.models()
        except EmbedderError:
            models = {}
        if self._options.model and models and self._options.model not in models:
            names = ", ".join(models)
            return f"the server has no model {self._options.model!r}: choose one of {names}"
        return (
            "the server has no such model, or no /v1/embeddings: correct the name after #, and"
            " serve the model as an embedder (vllm serve MODEL --runner pooling)"
        )


def vectors_of(reply: object, count: int) -> Float32:
    """Return the vectors of a reply in the order of `index`, shape = (count, dim).

    Raises:
        ValueError: the reply lacks a finite vector for an input, or their lengths differ.
    """
    data = reply.get("data") if isinstance(reply, dict) else None
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        raise ValueError(
            "its reply contains no embeddings: it is not an OpenAI-compatible embedding server"
        )
    if len(data) != count:
        raise ValueError(f"the server sent {len(data)} vectors for {count} inputs")
    order = [entry.get("index", position) for position, entry in enumerate(data)]
    if not all(isinstance(index, int) for index in order) or sorted(order) != list(range(count)):
        raise ValueError(f"the server numbered its vectors {order}, not 0 to {count - 1}")
    by_index = dict(zip(order, data, strict=True))
    rows = [_vector(by_index[index].get("embedding")) for index in range(count)]
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"the server sent vectors of lengths {sorted({len(row) for row in rows})}")
    return np.stack(rows)


def _vector(embedding: object) -> Float32:
    """Decode a vector from a list of numbers, or from base64 of little-endian float32."""
    try:
        if isinstance(embedding, str):
            raw = base64.b64decode(embedding, validate=True)
            row = np.frombuffer(raw, "<f4").astype(np.float32)
        else:
            # A number beyond float32 becomes infinity, which is reported below.
            with np.errstate(over="ignore"):
                row = np.asarray(embedding, np.float32)
    except (ValueError, TypeError, binascii.Error) as error:
        raise ValueError(f"the server sent an invalid embedding ({error})") from error
    if row.ndim != 1 or not row.size:
        raise ValueError("the server sent no vector: serve a model with one vector per input")
    if not np.isfinite(row).all():
        raise ValueError(
            "the server sent a vector that is not finite (NaN, infinity): check its log"
        )
    if not row.any():
        raise ValueError("the server sent a zero vector, which has no direction: check its log")
    return row


def retry_after(value: str | None) -> float | None:
    """Parse a `Retry-After` header, in seconds or as a date (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max((date - datetime.now(UTC)).total_seconds(), 0.0)


def detail_of(body: object) -> str:
    """Return the message of an error reply in one line: `message`, `detail`, `error`, or all."""
    while isinstance(body, dict):
        body = next((body[key] for key in ("message", "detail", "error") if body.get(key)), None)
    return " ".join(str(body or "").split())
