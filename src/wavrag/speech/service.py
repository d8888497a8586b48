"""A speech service with OpenAI's API, `POST BASE_URL/audio/speech`."""

from __future__ import annotations

import importlib.util
import io
import os
from dataclasses import dataclass
from functools import partial
from typing import Any

from wavrag.audio import load
from wavrag.errors import AudioError, InputError, MissingExtraError, WavRAGError
from wavrag.speech.base import Style, apply_gain, shift_pitch
from wavrag.types import Clip

_SPEEDS = (0.25, 4.0)  # range of OpenAI's API


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Address and settings of a service."""

    model: str  # the service's name of the model
    base_url: str | None = None  # usually ends in /v1 (default: `OPENAI_BASE_URL`, or OpenAI's own)
    # Names of the service's voices.
    voices: tuple[str, ...] = ("alloy", "ash", "coral", "echo", "fable", "nova", "onyx", "sage")
    timeout: float = 120.0  # seconds without data after which a request fails
    retries: int = 4  # retries after a refused connection, a timeout, status 429 or a server error


class Service:
    """Speaks through an endpoint; the API key is `OPENAI_API_KEY`.

    Raises:
        MissingExtraError: the SDK is not installed.
        InputError: there is no API key.
    """

    name = "openai"

    def __init__(self, endpoint: Endpoint) -> None:
        if importlib.util.find_spec("openai") is None:
            raise MissingExtraError("the engine openai", "openai")
        if not os.environ.get("OPENAI_API_KEY"):
            raise InputError(
                "the engine openai needs a key: set OPENAI_API_KEY (any text for a server without"
                " authentication)"
            )
        import openai

        self.revision = endpoint.model
        self.voices = endpoint.voices
        self.default_voice = endpoint.voices[0]
        self._client: Any = openai.OpenAI(
            base_url=endpoint.base_url, timeout=endpoint.timeout, max_retries=endpoint.retries
        )

    def speak(self, text: str, voice: str, style: Style) -> Clip:
        """Speak a text; some models ignore the tempo.

        Raises:
            AudioError: the service rejects this text, takes too long, or returns no audio.
            InputError: the service is not reachable, or rejects the key, the model or the rate of
                requests.
        """
        say = partial(self._speak, text, style.voice or voice)
        return apply_gain(shift_pitch(say, style.rate, style.pitch), style.energy)

    def _speak(self, text: str, voice: str, rate: float) -> Clip:
        import openai

        try:
            answer = self._client.audio.speech.create(
                model=self.revision, voice=voice, input=text, response_format="wav",
                speed=round(min(max(rate, _SPEEDS[0]), _SPEEDS[1]), 2),
            )  # fmt: skip
            return load(io.BytesIO(answer.content))
        except openai.OpenAIError as error:
            raise self._translate_error(error) from error
        except AudioError as error:
            raise AudioError(f"{self._client.base_url}: returned no audio ({error})") from error

    def _translate_error(self, error: Exception) -> WavRAGError:
        import openai

        url = self._client.base_url
        match error:
            case openai.APITimeoutError():
                return AudioError(f"{url}: did not answer in time ({error})")
            case openai.APIConnectionError():
                remedy = "is not reachable: start the server, or correct its address"
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                remedy = "rejects the key: correct OPENAI_API_KEY"
            case openai.NotFoundError():
                remedy = (
                    f"has no model {self.revision!r}, or is not such an endpoint: correct the"
                    " model's name, or the address, which usually ends in /v1"
                )
            case openai.RateLimitError():
                remedy = "has too many requests: continue later, or with fewer --threads"
            case _:
                return AudioError(f"{url}: rejects the text ({error})")
        return InputError(f"{url}: {remedy} ({error})")
