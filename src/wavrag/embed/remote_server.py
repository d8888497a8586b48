"""An OpenAI-compatible server of embeddings: requests, further tries, replies, and what went wrong.

Knows the HTTP protocol; knows no items. The `openai` SDK holds the connections. Its own retries are
off, because it does not heed a `Retry-After` of 0.
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

LONGEST_WAIT = 120.0  # seconds; a server that asks for more is reported rather than waited for


class EndpointError(EmbedderError):
    """The server answered a request with an error status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_about_content(self) -> bool:
        """Whether another request could have been answered: neither key, load nor a fault."""
        return self.status == 501 or (self.status < 500 and self.status not in (401, 403, 408, 429))


class RemoteServer:
    """Sends requests to one server.

    Raises:
        MissingExtraError: the SDK is not installed.
    """

    def __init__(self, options: RemoteOptions) -> None:
        if importlib.util.find_spec("openai") is None:
            raise MissingExtraError(f"the embedder at {options.base_url}", "openai")
        import openai

        self._options = options
        self._key = os.environ.get(options.api_key_env, "")
        self._client = openai.OpenAI(
            base_url=f"{options.base_url}/v1",
            api_key=self._key or "none",
            timeout=openai.Timeout(options.timeout_s, connect=options.connect_timeout_s),
            max_retries=0,
        )
        # The SDK reads these from variables that are meant for OpenAI's own service.
        self._client.organization = self._client.project = None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def models(self) -> dict[str, str | None]:
        """What it serves: ids and where each was loaded from; empty for a server without a list.

        Raises:
            EmbedderError: the server cannot be reached or refuses the key.
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
        """Vectors of one request, in the order of its items, shape = (count, dim).

        Raises:
            EndpointError: the server refuses the request.
            EmbedderError: it cannot be reached, or its reply holds no such vectors.
        """
        reply = self._send("/embeddings", body)
        try:
            return vectors_of(reply, count)
        except ValueError as error:
            raise EmbedderError(f"{self._options.base_url}: {error}") from error

    def _send(self, path: str, body: Mapping[str, Any] | None) -> Any:
        import openai

        tries = 0
        while True:
            wait: float | None
            try:
                if body is None:
                    return self._client.get(path, cast_to=object)
                return self._client.post(path, cast_to=object, body=body)
            except openai.APIConnectionError as error:
                if tries >= self._options.retries:
                    raise EmbedderError(self._unreachable(error)) from error
                wait = self._backoff(tries)
            except openai.APIStatusError as error:
                wait = self._wait(error, tries)
                if wait is None or tries >= self._options.retries:
                    # The server's own words may repeat the key: they are shown redacted, and the
                    # error that holds them is left out.
                    message = self._explain(error, path)
                    raise EndpointError(message, error.status_code) from None
            except ValueError as error:
                raise EmbedderError(f"{self._options.base_url}: its reply is no JSON") from error
            tries += 1
            time.sleep(wait)

    def _backoff(self, tries: int) -> float:
        return min(self._options.backoff_s * 2.0**tries, LONGEST_WAIT)

    def _wait(self, error: openai.APIStatusError, tries: int) -> float | None:
        """Seconds before the next try; None where another try is of no use."""
        if error.status_code == 501 or (error.status_code < 500 and error.status_code != 429):
            return None
        asked = retry_after(error.response.headers.get("retry-after"))
        if asked is None:
            return self._backoff(tries)
        return asked if asked <= LONGEST_WAIT else None

    def _unreachable(self, error: openai.APIConnectionError) -> str:
        import openai

        if isinstance(error, openai.APITimeoutError):
            return (
                f"{self._options.base_url}: it did not answer within {self._options.timeout_s:g} s:"
                " raise timeout_s, or lower batch_size or concurrency"
            )
        return (
            f"{self._options.base_url}: it cannot be reached: start the server, or correct the"
            f" address ({error.__cause__ or error})"
        )

    def _explain(self, error: openai.APIStatusError, path: str) -> str:
        key = self._options.api_key_env
        match error.status_code:
            case 401 | 403 if self._key:
                remedy = f"it refuses the key: correct {key}"
            case 401 | 403:
                remedy = f"it asks for a key: set {key}"
            case 404 if path == "/embeddings":
                remedy = self._explain_404()
            case 413:
                remedy = "the request is too large for it"
            case 429:
                remedy = "it allows no more requests: wait, or lower concurrency"
            case status if status >= 500:
                remedy = f"it failed with status {status}: look into its log"
            case status:
                remedy = f"it refuses the request with status {status}"
        detail = detail_of(error.body)
        if self._key:
            detail = detail.replace(self._key, "***")
        return f"{self._options.base_url}: {remedy}" + (f" ({detail[:300]})" if detail else "")

    def _explain_404(self) -> str:
        try:
            known = self.models()
        except EmbedderError:
            known = {}
        if self._options.model and known and self._options.model not in known:
            return f"it has no model {self._options.model!r}: choose one of {', '.join(known)}"
        return (
            "it has no such model, or no /v1/embeddings: correct the name after #, and serve the"
            " model as an embedder (vllm serve MODEL --runner pooling)"
        )


def vectors_of(reply: object, count: int) -> Float32:
    """The vectors of a reply, ordered by `index`, shape = (count, dim).

    Raises:
        ValueError: the reply does not hold one finite vector for each item, all of one length.
    """
    data = reply.get("data") if isinstance(reply, dict) else None
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        raise ValueError("its reply holds no embeddings: it is no OpenAI-compatible server of them")
    if len(data) != count:
        raise ValueError(f"it sent {len(data)} vectors for {count} inputs")
    order = [entry.get("index", position) for position, entry in enumerate(data)]
    if not all(isinstance(at, int) for at in order) or sorted(order) != list(range(count)):
        raise ValueError(f"it numbered its vectors {order}, not 0 to {count - 1}")
    placed = dict(zip(order, data, strict=True))
    rows = [_vector(placed[at].get("embedding")) for at in range(count)]
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"it sent vectors of different lengths: {sorted({len(r) for r in rows})}")
    return np.stack(rows)


def _vector(embedding: object) -> Float32:
    """A vector sent as a list of numbers, or as base64 of little-endian float32."""
    try:
        if isinstance(embedding, str):
            raw = base64.b64decode(embedding, validate=True)
            row = np.frombuffer(raw, "<f4").astype(np.float32)
        else:
            with np.errstate(over="ignore"):
                row = np.asarray(embedding, np.float32)
    except (ValueError, TypeError, binascii.Error) as error:
        raise ValueError(f"it sent an embedding that is no vector ({error})") from error
    if row.ndim != 1 or not row.size:
        raise ValueError("it sent an embedding that is no vector: serve a model of one per item")
    if not np.isfinite(row).all():
        raise ValueError("it sent a vector that is not finite (NaN or infinity): look into its log")
    if not row.any():
        raise ValueError("it sent a vector of zeros, which has no direction: look into its log")
    return row


def retry_after(value: str | None) -> float | None:
    """Seconds of a `Retry-After` header, given as seconds or as a date (RFC 9110, 10.2.3)."""
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
    """What an error reply says, in one line: `message`, `detail` or `error`, or all of it."""
    while isinstance(body, dict):
        body = next((body[key] for key in ("message", "detail", "error") if body.get(key)), None)
    return " ".join(str(body or "").split())
