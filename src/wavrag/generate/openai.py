"""A model behind an OpenAI-compatible endpoint.

Address and key come from the environment, as the SDK reads them: `OPENAI_BASE_URL` (OpenAI's own
by default) and `OPENAI_API_KEY`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from wavrag.errors import GenerationError, MissingExtraError
from wavrag.generate.base import GenerateOptions, Message
from wavrag.generate.prompts import chat
from wavrag.types import Modality

if TYPE_CHECKING:
    from openai import OpenAI


@dataclass(frozen=True, slots=True)
class OpenAIOptions:
    """How the endpoint is called.

    Attributes:
        timeout: seconds of silence before a request counts as failed.
        connect_timeout: seconds in which a connection must stand.
        retries: further tries after a refused connection, a timeout, 429 or a server's fault.
    """

    timeout: float = 60.0
    connect_timeout: float = 5.0
    retries: int = 2


class OpenAIGenerator:
    """Writes answers through chat completions.

    Args:
        model: as the endpoint calls it.
        options: how the endpoint is called.

    Raises:
        MissingExtraError: the SDK is not installed.
        GenerationError: there is no key.
    """

    def __init__(self, model: str, options: OpenAIOptions | None = None) -> None:
        if importlib.util.find_spec("openai") is None:
            raise MissingExtraError(f"the generator 'openai:{model}'", "openai")
        if not os.environ.get("OPENAI_API_KEY"):
            raise GenerationError(
                f"the generator 'openai:{model}' needs a key: set OPENAI_API_KEY (to any word for"
                " a server that asks for none), and OPENAI_BASE_URL for a server of your own"
            )
        self._model = model
        self._options = options or OpenAIOptions()

    @property
    def name(self) -> str:
        """As `load_generator` takes it."""
        return f"openai:{self._model}"

    @property
    def modalities(self) -> frozenset[Modality]:
        """Text only."""
        return frozenset({"text"})

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[str]:
        """The answer as the endpoint sends it; closing the iterator closes the connection.

        Raises:
            GenerationError: the endpoint cannot be reached, refuses, or breaks off.
        """
        import openai

        reason = None
        written = False
        try:
            with self._client.chat.completions.create(**self._request(messages, options)) as events:
                for event in events:
                    for choice in event.choices:
                        reason = choice.finish_reason or reason
                        if choice.delta.content:
                            written = True
                            yield choice.delta.content
        except openai.OpenAIError as error:
            raise GenerationError(self._explain(error)) from error
        if not written and reason not in (None, "stop"):
            raise GenerationError(
                f"{self._client.base_url}: {self._model} wrote nothing ({reason}): allow more"
                " tokens, or ask another model"
            )

    @cached_property
    def _client(self) -> OpenAI:
        import openai

        timeout = openai.Timeout(self._options.timeout, connect=self._options.connect_timeout)
        return openai.OpenAI(timeout=timeout, max_retries=self._options.retries)

    def _request(self, messages: Sequence[Message], options: GenerateOptions) -> dict[str, Any]:
        # OpenAI's newer models refuse `max_tokens`; other servers may know nothing else.
        limit = "max_tokens" if os.environ.get("OPENAI_BASE_URL") else "max_completion_tokens"
        request: dict[str, Any] = {
            "model": self._model,
            "messages": chat(messages),
            "temperature": options.temperature,
            limit: options.max_tokens,
            "stream": True,
        }
        if options.seed is not None:
            request["seed"] = options.seed
        if options.stop:
            request["stop"] = list(options.stop)
        return request

    def _explain(self, error: Exception) -> str:
        import openai

        url = self._client.base_url
        match error:
            case openai.APITimeoutError():
                remedy = "it did not answer in time: ask again, or use a faster model"
            case openai.APIConnectionError():
                remedy = "it cannot be reached: start the server, or correct OPENAI_BASE_URL"
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                remedy = "it refuses the key: correct OPENAI_API_KEY"
            case openai.NotFoundError():
                remedy = (
                    f"it has no model {self._model!r}, or is no such endpoint: correct the name, or"
                    " OPENAI_BASE_URL, which mostly ends in /v1"
                )
            case openai.RateLimitError():
                remedy = "it allows no more requests: wait, or raise the limit of the account"
            case openai.APIStatusError():
                remedy = f"it refuses the request with status {error.status_code}"
            case _:
                remedy = "it failed"
        return f"{url}: {remedy} ({error})"
