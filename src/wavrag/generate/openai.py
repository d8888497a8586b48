"""A model behind an OpenAI-compatible endpoint.

Address and key come from the environment, as the SDK reads them: `OPENAI_BASE_URL` (OpenAI's own
by default) and `OPENAI_API_KEY`. A model that hears is given sound as `input_audio` parts.
"""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import os
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from wavrag.audio import wav_bytes
from wavrag.errors import GenerationError, MissingExtraError
from wavrag.generate import base
from wavrag.generate.base import AudioBudget, GenerateOptions, GeneratorSpec, Message, Stream
from wavrag.generate.hearing import contents, fit_audio, known_budget
from wavrag.generate.prompts import chat
from wavrag.types import Clip, Usage

HEARS, READS = "+audio", "+text"  # after a model's name
_DATA_URI_HOST = "dashscope"  # Alibaba's, which takes sound as a URI


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


class OpenAIGenerator(base.Generator):
    """Writes answers through chat completions.

    Args:
        model: as the endpoint calls it. With `+audio` after it it is given sound, and with `+text`
            words only; otherwise a model that is known to hear is given sound.
        options: how the endpoint is called.
        audio_budget: limits on the audio for a model that hears; by default those of its family.

    Raises:
        MissingExtraError: the SDK is not installed.
        GenerationError: there is no key.
    """

    def __init__(
        self,
        model: str,
        options: OpenAIOptions | None = None,
        audio_budget: AudioBudget | None = None,
    ) -> None:
        if importlib.util.find_spec("openai") is None:
            raise MissingExtraError(f"the generator 'openai:{model}'", "openai")
        if not os.environ.get("OPENAI_API_KEY"):
            raise GenerationError(
                f"the generator 'openai:{model}' needs a key: set OPENAI_API_KEY (to any word for"
                " a server that asks for none), and OPENAI_BASE_URL for a server of your own"
            )
        self._name = f"openai:{model}"
        self._model = model.removesuffix(HEARS).removesuffix(READS)
        if not self._model:
            raise GenerationError(f"the generator 'openai:{model}' lacks the name of a model")
        self._options = options or OpenAIOptions()
        budget = audio_budget or known_budget(self._model)
        if model.endswith(HEARS):
            budget = budget or AudioBudget()
        self._audio_budget = None if model.endswith(READS) else budget

    @property
    def spec(self) -> GeneratorSpec:
        """Identity and capabilities; the endpoint is read from the environment on every call."""
        endpoint = os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        return GeneratorSpec(self._name, audio_budget=self._audio_budget, endpoint=endpoint)

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Stream[str]:
        """The answer as the endpoint sends it; closing the stream closes the connection.

        Raises:
            AudioError: a clip that is to be heard has no samples, or some that are not finite.
            GenerationError: the endpoint cannot be reached, refuses, or breaks off.
        """
        call = _Call()
        return Stream(self._pieces(messages, options, call), call.cancel)

    def _pieces(
        self, messages: Sequence[Message], options: GenerateOptions, call: _Call
    ) -> Generator[str, None, Usage | None]:
        request = self._request(messages, options)
        written = False
        for piece in call.run(lambda: self._receive(request, call)):
            written = True
            yield piece
        if not written and call.reason not in (None, "stop"):
            raise GenerationError(
                f"{self.spec.endpoint}/: {self._model} wrote nothing ({call.reason}): allow more"
                " tokens, or ask another model"
            )
        if written and call.reason is None:
            raise GenerationError(
                f"{self.spec.endpoint}/: it broke off in the middle of the answer: ask again"
            )
        return call.usage

    async def _receive(self, request: dict[str, Any], call: _Call) -> None:
        """Make the request and hand on what comes."""
        import openai

        timeout = openai.Timeout(self._options.timeout, connect=self._options.connect_timeout)
        try:
            async with (
                openai.AsyncOpenAI(timeout=timeout, max_retries=self._options.retries) as client,
                await client.chat.completions.create(**request) as events,
            ):
                async for event in events:
                    if event.usage is not None:
                        call.usage = Usage(event.usage.prompt_tokens, event.usage.completion_tokens)
                    for choice in event.choices or ():
                        call.reason = choice.finish_reason or call.reason
                        if choice.delta is not None and choice.delta.content:
                            call.pieces.put(choice.delta.content)
        except openai.OpenAIError as error:
            raise GenerationError(self._explain(error)) from error
        except (ValueError, TypeError, AttributeError) as error:  # events of another shape
            raise GenerationError(
                f"{self.spec.endpoint}/: it sends no chat completion: correct OPENAI_BASE_URL,"
                f" or use another server ({error})"
            ) from error

    def _request(self, messages: Sequence[Message], options: GenerateOptions) -> dict[str, Any]:
        # OpenAI's newer models refuse `max_tokens`; other servers may know nothing else.
        limit = "max_tokens" if os.environ.get("OPENAI_BASE_URL") else "max_completion_tokens"
        request: dict[str, Any] = {
            "model": self._model,
            "messages": self._chat(messages),
            "temperature": options.temperature,
            limit: options.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self._audio_budget is not None:
            request["modalities"] = ["text"]  # of the answer; some models would speak it, too
        if options.seed is not None:
            request["seed"] = options.seed
        if options.stop:
            request["stop"] = list(options.stop)
        return request

    def _chat(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """The messages, with sound in them for a model that hears."""
        if self._audio_budget is None:
            return chat(messages)
        # Alibaba's server wants a URI where others want its data alone.
        before = "data:;base64," if _DATA_URI_HOST in self.spec.endpoint else ""
        made: list[dict[str, Any]] = []
        for message in fit_audio(messages, self._audio_budget).messages:
            parts = contents(message.parts)
            match parts:
                case [str() as words]:
                    made.append({"role": message.role, "content": words})
                case _:
                    content = [content_part(part, before) for part in parts]
                    made.append({"role": message.role, "content": content})
        return made

    def _explain(self, error: Exception) -> str:
        import openai

        url = f"{self.spec.endpoint}/"
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
                if self._audio_budget is not None:
                    remedy += (
                        f", perhaps for the sound in it, or because there is none: openai:"
                        f"{self._model}{READS} is given words only"
                    )
            case _:
                remedy = "it failed"
        return f"{url}: {remedy} ({error})"


def content_part(part: str | Clip, before: str = "") -> dict[str, Any]:
    """Words or a clip as a part of a message; sound as a 16-bit WAV file in base64.

    Args:
        part: words, or a clip as `as_heard` gives it.
        before: stands before the base64.
    """
    if isinstance(part, str):
        return {"type": "text", "text": part}
    data = before + base64.b64encode(wav_bytes(part)).decode("ascii")
    return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


class _Call:
    """One request, on an event loop in a thread of its own, so that any thread can cancel it.

    Cancelling reaches it wherever it waits: for a connection, for an answer, before a retry.

    Attributes:
        pieces: what was written; None, or an error, is the end.
        reason: why the model stopped, once it has said so.
        usage: its tokens, once they are told.
    """

    def __init__(self) -> None:
        self.pieces: SimpleQueue[str | BaseException | None] = SimpleQueue()
        self.reason: str | None = None
        self.usage: Usage | None = None
        self._lock = threading.Lock()
        self._cancelled = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def run(self, job: Callable[[], Coroutine[Any, Any, None]]) -> Iterator[str]:
        """The pieces of a job until it ends; leaving the loop over them cancels it."""
        with self._lock:
            if self._cancelled:
                return
            self._loop = asyncio.new_event_loop()
            self._task = self._loop.create_task(job())
        thread = threading.Thread(target=self._work, name="wavrag-openai", daemon=True)
        thread.start()
        try:
            while isinstance(piece := self.pieces.get(), str):
                yield piece
            if piece is not None:
                raise piece
        finally:
            self.cancel()
            thread.join()

    def cancel(self) -> None:
        """End the request and close its connection."""
        with self._lock:
            self._cancelled = True
            if self._loop is not None and self._task is not None:
                self._loop.call_soon_threadsafe(self._task.cancel)

    def _work(self) -> None:
        assert self._loop is not None
        assert self._task is not None
        end: BaseException | None = None
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            end = None
        except Exception as error:  # noqa: BLE001 - raised in the thread that waits for it
            end = error
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            with self._lock:
                self._loop.close()
                self._loop = None
            self.pieces.put(end)
