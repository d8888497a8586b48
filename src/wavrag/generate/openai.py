"""A model behind an OpenAI-compatible endpoint.

Address and key come from the environment, as in OpenAI's SDK: `OPENAI_BASE_URL` (by default
OpenAI's own) and `OPENAI_API_KEY`. Models with an audio budget get audio as `input_audio` parts.
"""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import os
import threading
from collections.abc import Coroutine, Generator, Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from queue import SimpleQueue
from typing import Any

from wavrag.audio import wav_bytes
from wavrag.errors import GenerationError, MissingExtraError
from wavrag.generate import base
from wavrag.generate.audio_input import find_audio_budget, fit_audio, render_with_audio
from wavrag.generate.base import (
    AnswerEnd,
    AudioBudget,
    GenerateOptions,
    GeneratorSpec,
    Message,
    StopSignal,
    Stream,
)
from wavrag.generate.prompts import chat
from wavrag.types import Clip, ToolCall, Usage

AUDIO_SUFFIX, TEXT_SUFFIX = "+audio", "+text"  # after a model's name
DEFAULT_ENDPOINT = "https://api.openai.com/v1"
TIMEOUT_SECONDS = 60.0  # of silence: a local server may read a long prompt before the first token
CONNECT_TIMEOUT_SECONDS = 5.0
RETRIES = 2  # after a refused connection, a timeout, status 429 or a server error
_DATA_URI_HOST = "dashscope"  # Alibaba's endpoint, which expects audio as a data URI


class OpenAIGenerator(base.Generator):
    """Generates answers through chat completions.

    Args:
        model: name on the endpoint. With `+audio` after it, audio is sent; with `+text`, text
            only; otherwise audio is sent to known audio models.
        audio_budget: limits on the audio; None for those of the model's family.

    Raises:
        MissingExtraError: the SDK is not installed.
        GenerationError: the key is missing.
    """

    def __init__(self, model: str, audio_budget: AudioBudget | None = None) -> None:
        if importlib.util.find_spec("openai") is None:
            raise MissingExtraError(f"the generator 'openai:{model}'", "openai")
        if not os.environ.get("OPENAI_API_KEY"):
            raise GenerationError(
                f"the generator 'openai:{model}' needs a key: set OPENAI_API_KEY (to any word for"
                " a server that asks for none), and OPENAI_BASE_URL for a server of your own"
            )
        self._name = f"openai:{model}"
        self._model = model.removesuffix(AUDIO_SUFFIX).removesuffix(TEXT_SUFFIX)
        if not self._model:
            raise GenerationError(f"the generator 'openai:{model}' lacks the name of a model")
        budget = audio_budget or find_audio_budget(self._model)
        if model.endswith(AUDIO_SUFFIX):
            budget = budget or AudioBudget()
        self._audio_budget = None if model.endswith(TEXT_SUFFIX) else budget

    @property
    def spec(self) -> GeneratorSpec:
        """Identity and capabilities; the endpoint is read from the environment on every call."""
        endpoint = os.environ.get("OPENAI_BASE_URL") or DEFAULT_ENDPOINT
        return GeneratorSpec(
            self._name, audio_budget=self._audio_budget, endpoint=endpoint, calls_tools=True
        )

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Stream[str]:
        """Generate an answer; closing the stream closes the connection.

        Raises:
            AudioError: a clip has no samples, or NaN or infinite ones.
            GenerationError: the endpoint cannot be reached, refuses, or breaks off.
        """
        call = _ApiCall()
        return Stream(self._generate(messages, options, call), call.stop.set)

    def _generate(
        self, messages: Sequence[Message], options: GenerateOptions, call: _ApiCall
    ) -> Generator[str, None, AnswerEnd]:
        request = self._build_request(messages, options)
        has_text = False
        for text in call.run(self._receive(request, call)):
            has_text = True
            yield text
        has_output = has_text or bool(call.tool_calls)
        if not has_output and call.finish_reason not in (None, "stop"):
            raise GenerationError(
                f"{self.spec.endpoint}/: {self._model} wrote nothing ({call.finish_reason}): allow"
                " more tokens, or ask another model"
            )
        if has_output and call.finish_reason is None:
            raise GenerationError(
                f"{self.spec.endpoint}/: it broke off in the middle of the answer: ask again"
            )
        return AnswerEnd(call.usage, tuple(call.tool_calls.values()))

    async def _receive(self, request: dict[str, Any], call: _ApiCall) -> None:
        """Send the request and pass the events on."""
        import openai

        timeout = openai.Timeout(TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS)
        try:
            async with (
                openai.AsyncOpenAI(timeout=timeout, max_retries=RETRIES) as client,
                await client.chat.completions.create(**request) as events,
            ):
                async for event in events:
                    if event.usage is not None:
                        call.usage = Usage(event.usage.prompt_tokens, event.usage.completion_tokens)
                    for choice in event.choices or ():
                        call.finish_reason = choice.finish_reason or call.finish_reason
                        if choice.delta is not None and choice.delta.content:
                            call.output.put(choice.delta.content)
                        if choice.delta is not None and choice.delta.tool_calls:
                            call.add_tool_calls(choice.delta.tool_calls)
        except openai.OpenAIError as error:
            raise GenerationError(self._explain(error)) from error
        except (ValueError, TypeError, AttributeError) as error:  # events of another shape
            raise GenerationError(
                f"{self.spec.endpoint}/: it sends no chat completion: correct OPENAI_BASE_URL,"
                f" or use another server ({error})"
            ) from error

    def _build_request(
        self, messages: Sequence[Message], options: GenerateOptions
    ) -> dict[str, Any]:
        # OpenAI's newer models refuse `max_tokens`; other servers may know nothing else.
        limit = "max_tokens" if os.environ.get("OPENAI_BASE_URL") else "max_completion_tokens"
        request: dict[str, Any] = {
            "model": self._model,
            "messages": [*self._render(messages), *_render_tool_results(options)],
            "temperature": options.temperature,
            limit: options.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self._audio_budget is not None:
            request["modalities"] = ["text"]  # of the answer: some models would speak it as well
        if options.seed is not None:
            request["seed"] = options.seed
        if options.tools:
            request["tools"] = [
                {"type": "function", "function": {
                    "name": tool.name, "description": tool.description,
                    "parameters": dict(tool.parameters),
                }}
                for tool in options.tools
            ]  # fmt: skip
            choice = options.tool_choice
            if choice in ("none", "required"):
                request["tool_choice"] = choice
            elif choice != "auto":
                request["tool_choice"] = {"type": "function", "function": {"name": choice}}
        if options.stop:
            request["stop"] = list(options.stop)
        return request

    def _render(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """Render the messages, with audio if the model has an audio budget."""
        if self._audio_budget is None:
            return chat(messages)
        prefix = "data:;base64," if _DATA_URI_HOST in self.spec.endpoint else ""
        output: list[dict[str, Any]] = []
        for message in fit_audio(messages, self._audio_budget).messages:
            match render_with_audio(message.parts):
                case [str() as text]:  # without audio: a string, as for a text-only model
                    output.append({"role": message.role, "content": text})
                case contents:
                    content = [_content_part(item, prefix) for item in contents]
                    output.append({"role": message.role, "content": content})
        return output

    def _explain(self, error: Exception) -> str:
        import openai

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
                        f"{self._model}{TEXT_SUFFIX} is given words only"
                    )
            case _:
                remedy = "it failed"
        return f"{self.spec.endpoint}/: {remedy} ({error})"


def _content_part(content: str | Clip, prefix: str) -> dict[str, Any]:
    """Text or a clip as a content part of a message; audio is a 16-bit WAV file in base64."""
    if isinstance(content, str):
        return {"type": "text", "text": content}
    data = prefix + base64.b64encode(wav_bytes(content)).decode("ascii")
    return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


def _render_tool_results(options: GenerateOptions) -> list[dict[str, Any]]:
    """The calls of each round as a message, followed by their results."""
    output: list[dict[str, Any]] = []
    for _, group in groupby(options.tool_results, key=lambda result: result.round):
        results = list(group)
        calls = [
            {"id": result.call.id, "type": "function",
             "function": {"name": result.call.name, "arguments": result.call.arguments}}
            for result in results
        ]  # fmt: skip
        output.append({"role": "assistant", "content": None, "tool_calls": calls})
        output += [
            {"role": "tool", "tool_call_id": result.call.id, "content": result.output}
            for result in results
        ]
    return output


class _ApiCall:
    """One request on an event loop in its own thread, so that any thread can cancel it.

    Cancellation works at any point: while connecting, waiting for events, or before a retry.
    """

    def __init__(self) -> None:
        # Generated text; None or an error ends it.
        self.output: SimpleQueue[str | BaseException | None] = SimpleQueue()
        self.finish_reason: str | None = None  # None until the model reports it
        self.usage: Usage | None = None
        self.tool_calls: dict[int, ToolCall] = {}  # by their index, as far as they have arrived
        self.stop = StopSignal()  # cancels the request and closes its connection

    def run(self, job: Coroutine[Any, Any, None]) -> Iterator[str]:
        """Run a job and yield its output; leaving the loop cancels the job."""
        loop = asyncio.new_event_loop()
        task = loop.create_task(job)

        def cancel() -> None:
            with suppress(RuntimeError):  # the loop is closed already
                loop.call_soon_threadsafe(task.cancel)

        thread = threading.Thread(
            target=self._run_task, args=(loop, task), name="wavrag-openai", daemon=True
        )
        thread.start()
        try:
            with self.stop.notify(cancel):
                while isinstance(output := self.output.get(), str):
                    yield output
            if output is not None:
                raise output
        finally:
            cancel()
            thread.join()

    def add_tool_calls(self, deltas: Sequence[Any]) -> None:
        """Append the next pieces of tool calls."""
        for delta in deltas:
            call = self.tool_calls.get(delta.index, ToolCall("", "", ""))
            function = delta.function
            self.tool_calls[delta.index] = ToolCall(
                call.id or delta.id or "",
                call.name or (function and function.name) or "",
                call.arguments + ((function and function.arguments) or ""),
            )

    def _run_task(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
        end: BaseException | None = None
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            end = None
        except Exception as error:  # noqa: BLE001 - raised in the thread that waits for it
            end = error
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            self.output.put(end)
