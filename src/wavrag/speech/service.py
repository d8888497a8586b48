"""A speech service with OpenAI's interface, `POST BASE_URL/audio/speech`."""

from __future__ import annotations

import importlib.util
import io
import os
from dataclasses import dataclass
from functools import partial
from typing import Any

from wavrag.audio import load
from wavrag.errors import AudioError, InputError, MissingExtraError, WavRAGError
from wavrag.speech.base import Style, louder, repitched
from wavrag.types import Clip

_SPEEDS = (0.25, 4.0)  # that OpenAI's takes


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a service is, and how it is asked.

    Attributes:
        model: as the service calls it.
        base_url: mostly ends in /v1; None for `OPENAI_BASE_URL`, or OpenAI's own.
        voices: names that the service knows.
        timeout: seconds of silence before a request counts as failed.
        retries: further tries after a refused connection, a timeout, 429 or a server's fault.
    """

    model: str
    base_url: str | None = None
    voices: tuple[str, ...] = ("alloy", "ash", "coral", "echo", "fable", "nova", "onyx", "sage")
    timeout: float = 120.0
    retries: int = 4


class Service:
    """Speaks through an endpoint; the key is `OPENAI_API_KEY`.

    Raises:
        MissingExtraError: the SDK is not installed.
        InputError: there is no key.
    """

    name = "openai"

    def __init__(self, endpoint: Endpoint) -> None:
        if importlib.util.find_spec("openai") is None:
            raise MissingExtraError("the engine openai", "openai")
        if not os.environ.get("OPENAI_API_KEY"):
            raise InputError(
                "the engine openai needs a key: set OPENAI_API_KEY (to any word for a server that"
                " asks for none)"
            )
        import openai

        self.revision = endpoint.model
        self.voices = endpoint.voices
        self.default_voice = endpoint.voices[0]
        self._client: Any = openai.OpenAI(
            base_url=endpoint.base_url, timeout=endpoint.timeout, max_retries=endpoint.retries
        )

    def speak(self, text: str, voice: str, style: Style) -> Clip:
        """Say a text, at the pace asked for where the model lets it.

        Raises:
            AudioError: the service refuses this text, takes too long for it, or sends no sound.
            InputError: the service cannot be reached, or refuses the key, the model or the rate.
        """
        say = partial(self._say, text, style.voice or voice)
        return louder(repitched(say, style.rate, style.pitch), style.energy)

    def _say(self, text: str, voice: str, rate: float) -> Clip:
        import openai

        try:
            answer = self._client.audio.speech.create(
                model=self.revision,
                voice=voice,
                input=text,
                response_format="wav",
                speed=round(min(max(rate, _SPEEDS[0]), _SPEEDS[1]), 2),
            )
            return load(io.BytesIO(answer.content))
        except openai.OpenAIError as error:
            raise self._explained(error) from error
        except AudioError as error:
            raise AudioError(f"{self._client.base_url}: sent no sound ({error})") from error

    def _explained(self, error: Exception) -> WavRAGError:
        import openai

        url = self._client.base_url
        match error:
            case openai.APITimeoutError():
                return AudioError(f"{url}: did not answer in time ({error})")
            case openai.APIConnectionError():
                remedy = "cannot be reached: start the server, or correct its address"
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                remedy = "refuses the key: correct OPENAI_API_KEY"
            case openai.NotFoundError():
                remedy = (
                    f"has no model {self.revision!r}, or is no such endpoint: correct the"
                    " model's name, or the address, which mostly ends in /v1"
                )
            case openai.RateLimitError():
                remedy = "allows no more requests: go on later, or with fewer --threads"
            case _:
                return AudioError(f"{url}: refuses the text ({error})")
        return InputError(f"{url}: {remedy} ({error})")
