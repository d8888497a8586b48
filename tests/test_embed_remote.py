"""Against a server on a loopback port that speaks the protocol and embeds with `FakeEmbedder`."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import socket
import threading
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavrag import Document, KnowledgeBase, Query
from wavrag.audio import wav_bytes
from wavrag.embed import FakeEmbedder, load_embedder, remote_server
from wavrag.embed.remote import RemoteEmbedder, RemoteOptions
from wavrag.embed.remote_server import detail_of, retry_after
from wavrag.errors import EmbedderError, IndexMismatchError, MissingExtraError
from wavrag.testing.embedder import EmbedderConformance, tone
from wavrag.types import Clip, EmbedInput

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("openai") is None, reason="needs the extra wavrag[openai]"
)

RATE = 16_000
KEY = "a-secret-key"
Answer = tuple[int, dict[str, str], Any]  # status, headers, JSON or raw bytes


def samples_of(part: dict[str, Any]) -> np.ndarray:
    """The 16-bit samples of an `input_audio` part."""
    assert part["type"] == "input_audio"
    assert part["input_audio"]["format"] == "wav"
    data = base64.b64decode(part["input_audio"]["data"], validate=True)
    with wave.open(io.BytesIO(data)) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) == (RATE, 1, 2)
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2")


def items_of(body: dict[str, Any]) -> list[EmbedInput]:
    if "input" in body:
        return [EmbedInput(text=text) for text in body["input"]]
    (message,) = body["messages"]
    assert message["role"] == "user"
    texts = [part["text"] for part in message["content"] if part["type"] == "text"]
    clips = [
        Clip((samples_of(part) / np.float32(32_768)).astype(np.float32), RATE)
        for part in message["content"]
        if part["type"] != "text"
    ]
    return [EmbedInput(text="".join(texts), clip=clips[0] if clips else None)]


@dataclass
class Served:
    """What the server does, and what it was sent. A test sets the first and reads the second."""

    models: list[dict[str, Any]] = field(default_factory=lambda: [{"id": "ears", "root": "ears"}])
    key: str = ""
    hears: bool = True
    dim: int = 64
    limit: int = 10**9  # most texts in a request
    encode: Callable[[np.ndarray], Any] = np.ndarray.tolist
    plan: list[Answer] = field(default_factory=list)  # what the next requests are answered with
    tamper: Callable[[dict[str, Any]], Any] = lambda reply: reply
    before: Callable[[dict[str, Any]], None] = lambda body: None
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str, headers: dict[str, str], body: dict[str, Any] | None) -> Answer:
        self.headers.append(headers)
        if self.key and headers["authorization"] != f"Bearer {self.key}":
            return refusal(401, f"the key {headers['authorization']} is wrong")
        if path == "/v1/models":
            if not self.models:
                return refusal(404, "no such path")
            return 200, {}, {"object": "list", "data": self.models}
        if path != "/v1/embeddings" or body is None:
            return refusal(404, f"no such path: {path}")
        self.bodies.append(body)
        self.before(body)
        if self.plan:
            return self.plan.pop(0)
        if self.models and body["model"] not in [model["id"] for model in self.models]:
            return refusal(404, "no such model")
        if "messages" in body and not self.hears:
            return refusal(400, "at most 0 audio(s) may be provided")
        if len(body.get("input", [])) > self.limit:
            return refusal(413, "too large")
        rows = FakeEmbedder().embed(items_of(body), "query")[:, : self.dim]
        data = [
            # Scaled, and last first: the client scales back and orders by index.
            {"object": "embedding", "index": at, "embedding": self.encode(3 * row)}
            for at, row in reversed(list(enumerate(rows)))
        ]
        return 200, {}, self.tamper({"object": "list", "model": body["model"], "data": data})


def refusal(status: int, message: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, named, {"error": {"message": message, "code": status}}


@contextmanager
def serving(served: Served) -> Iterator[Served]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body are sent one after the other
        timeout = 20  # ends a thread whose client went without closing

        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: dict[str, Any] | None) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, reply = served.answer(self.path, headers, body)
            if status == 0:  # hang up
                self.close_connection = True
                return
            raw = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **more}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            with suppress(ConnectionError):  # a client that waited no longer
                self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = False  # closing waits for them

    with Server(("127.0.0.1", 0), Handler) as http:
        served.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield served
        finally:
            http.shutdown()
            thread.join()


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(Served()) as served:
        yield served


@pytest.fixture
def load(served: Served) -> Iterator[Callable[..., RemoteEmbedder]]:
    """Makes embedders of the server, without waits between tries, and closes them."""
    made = []

    def load(**options: Any) -> RemoteEmbedder:
        made.append(RemoteEmbedder(RemoteOptions(served.url, **options)))
        served.bodies.clear()
        return made[-1]

    yield load
    for embedder in made:
        embedder.close()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("WAVRAG_API_KEY", raising=False)
    # Meant for another service: they must not reach this one.
    monkeypatch.setattr(remote_server, "BACKOFF_S", 0.0)
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, f"not-for-you-{name}")


def texts(count: int) -> list[EmbedInput]:
    return [EmbedInput(text=f"word{at} other{at % 7}") for at in range(count)]


class TestHearing(EmbedderConformance):
    @pytest.fixture
    def embedder(self, load: Callable[..., RemoteEmbedder]) -> RemoteEmbedder:
        return load(batch_size=3)


class TestReading(EmbedderConformance):
    @pytest.fixture
    def embedder(self, served: Served, load: Callable[..., RemoteEmbedder]) -> RemoteEmbedder:
        served.hears = False
        return load()


class TestChat(EmbedderConformance):
    @pytest.fixture
    def embedder(self, load: Callable[..., RemoteEmbedder]) -> RemoteEmbedder:
        return load(text_as="messages")


# What it learns when it is loaded


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/", "#ears", "/v1#ears"])
def test_it_is_loaded_by_address(served: Served, ending: str) -> None:
    embedder = load_embedder(served.url + ending)
    assert isinstance(embedder, RemoteEmbedder)
    spec = embedder.spec
    embedder.close()
    assert spec.name == f"{served.url}#ears"
    assert (spec.dim, spec.modalities) == (64, {"text", "audio"})
    assert (spec.sampling_rate, spec.max_audio_seconds) == (16_000, 30.0)


def test_vectors_are_the_servers(load: Callable[..., RemoteEmbedder]) -> None:
    inputs = [*texts(3), EmbedInput(clip=tone(0.5, RATE)), EmbedInput(text="church bells")]
    # The clip goes as 16 bits, which moves its band energies a little.
    np.testing.assert_allclose(
        load().embed(inputs, "query"), FakeEmbedder().embed(inputs, "query"), atol=1e-4
    )


@pytest.mark.parametrize("status", [400, 404, 415, 422, 501])
def test_a_server_that_refuses_sound_embeds_text_only(
    served: Served, load: Callable[..., RemoteEmbedder], status: int
) -> None:
    def refuse(body: dict[str, Any]) -> None:
        if "messages" in body:
            served.plan.append(refusal(status, "what is this?"))

    served.before = refuse
    embedder = load()
    assert embedder.spec.modalities == {"text"}
    assert embedder.spec.sampling_rate is None
    with pytest.raises(EmbedderError, match=r"#ears embeds text only"):
        embedder.embed([EmbedInput(clip=tone(1, RATE))], "passage")


def test_a_server_that_leaves_the_sound_out_embeds_text_only(
    served: Served, load: Callable[..., RemoteEmbedder]
) -> None:
    def deafen(body: dict[str, Any]) -> None:
        for message in body.get("messages", []):
            message["content"] = [{"type": "text", "text": "what was said?"}]

    served.before = deafen
    assert load().spec.modalities == {"text"}


def test_sound_need_not_be_tried(served: Served) -> None:
    served.hears = False
    for audio, modalities in ((False, {"text"}), (True, {"text", "audio"})):
        served.bodies.clear()
        embedder = RemoteEmbedder(RemoteOptions(served.url, audio=audio))
        embedder.close()
        assert embedder.spec.modalities == modalities
        assert [body["input"] for body in served.bodies] == [["probe"]]


def test_a_fault_at_the_probe_of_sound_is_no_answer(
    served: Served, load: Callable[..., RemoteEmbedder]
) -> None:
    def fail(body: dict[str, Any]) -> None:
        if "messages" in body:
            served.plan.append(refusal(500, "CUDA out of memory"))

    served.before = fail
    with pytest.raises(EmbedderError, match=r"status 500.*out of memory.*audio=false"):
        load(retries=1)


def test_several_models_are_listed_and_one_can_be_named(
    served: Served, load: Callable[..., RemoteEmbedder]
) -> None:
    served.models = [{"id": "ears"}, {"id": "eyes"}]
    with pytest.raises(EmbedderError, match=rf"serves ears, eyes: .* {served.url}#MODEL"):
        load()
    assert load(model="eyes").spec.name.endswith("#eyes")
    with pytest.raises(EmbedderError, match="no model 'nose': choose one of ears, eyes"):
        load(model="nose")


def test_a_server_without_a_list_of_models(
    served: Served, load: Callable[..., RemoteEmbedder]
) -> None:
    served.models = []
    with pytest.raises(EmbedderError, match=r"lists no models: name one of them"):
        load()
    assert load(model="ears").spec.revision.startswith("ears+")
    served.plan = [refusal(404, "not found")]
    with pytest.raises(EmbedderError, match=r"--runner pooling\) \(not found\)"):
        load(model="ears")


def test_the_revision_says_what_was_loaded_and_how_it_is_asked(
    served: Served, load: Callable[..., RemoteEmbedder]
) -> None:
    plain = load().spec
    assert plain.revision.startswith("ears+")
    served.models = [{"id": "ears", "root": "org/ears-2", "created": 5}]
    assert load().spec.revision.startswith("ears@org/ears-2+")
    served.models[0]["created"] = 6
    assert load().spec == load().spec
    served.models = [{"id": "ears"}]
    revisions = {
        load(**options).spec.revision
        for options in (
            {},
            {"query_prompt": "query: "},
            {"passage_prompt": "query: "},
            {"sampling_rate": 8000, "audio": True},
            {"text_as": "messages"},
        )
    }
    assert len(revisions) == 5
    # How the server is reached changes no vector.
    assert load(batch_size=2, concurrency=9, timeout_s=7, retries=0).spec == plain


# How inputs are sent


def test_texts_go_in_batches_and_clips_alone(
    served: Served, load: Callable[..., RemoteEmbedder]
) -> None:
    embedder = load(batch_size=4)
    inputs = texts(10)
    inputs[5] = EmbedInput(text="a caption", clip=tone(0.1, RATE))
    rows = embedder.embed(inputs, "passage")
    np.testing.assert_allclose(rows, FakeEmbedder().embed(inputs, "passage"), atol=1e-4)
    assert sorted(len(body["input"]) for body in served.bodies if "input" in body) == [1, 4, 4]
    (chat,) = [body for body in served.bodies if "messages" in body]
    assert chat["model"] == "ears"
    (message,) = chat["messages"]
    assert [part["type"] for part in message["content"]] == ["input_audio", "text"]
    assert message["content"][1]["text"] == "a caption"


def test_sixteen_bits_arrive_as_they_were(
    served: Served, load: Callable[..., RemoteEmbedder]
) -> None:
    original = np.random.default_rng(5).integers(-32_768, 32_768, 4000).astype(np.int16)
    original[:2] = -32_768, 32_767
    clip = Clip((original / 32_768).astype(np.float32), RATE)
    load().embed([EmbedInput(clip=clip)], "query")
    (body,) = served.bodies
    (part,) = body["messages"][0]["content"]
    np.testing.assert_array_equal(samples_of(part), original)


def test_samples_beyond_full_scale_do_not_wrap() -> None:
    with wave.open(io.BytesIO(wav_bytes(Clip(np.array([1, 2, -2], np.float32), RATE)))) as wav:
        assert np.frombuffer(wav.readframes(3), "<i2").tolist() == [32_767, 32_767, -32_768]


def test_prompts_stand_before_the_text(served: Served, load: Callable[..., RemoteEmbedder]) -> None:
    embedder = load(query_prompt="query: ", passage_prompt="passage: ", concurrency=1)
    clip = tone(0.1, RATE)
    embedder.embed([EmbedInput(text="a"), EmbedInput(clip=clip), EmbedInput("b", clip)], "query")
    embedder.embed([EmbedInput(text="a")], "passage")
    assert [body.get("input") for body in served.bodies] == [
        ["query: a"],
        None,
        None,
        ["passage: a"],
    ]
    sent = [body["messages"][0]["content"][1]["text"] for body in served.bodies[1:3]]
    assert sent == ["query: ", "query: b"]


def test_an_empty_text_is_sent_as_a_space(
    served: Served, load: Callable[..., RemoteEmbedder]
) -> None:
    batches, chats = load(), load(text_as="messages")
    batches.embed([EmbedInput(text=""), EmbedInput(text="a")], "query")
    chats.embed([EmbedInput(text="")], "query")
    assert served.bodies[0]["input"] == [" ", "a"]
    assert served.bodies[1]["messages"][0]["content"] == [{"type": "text", "text": " "}]


def test_base64_replies_are_read(served: Served, load: Callable[..., RemoteEmbedder]) -> None:
    inputs = [*texts(5), EmbedInput(clip=tone(0.2, RATE))]
    plain = load().embed(inputs, "query")
    served.encode = lambda row: base64.b64encode(row.astype("<f4").tobytes()).decode()
    np.testing.assert_array_equal(load().embed(inputs, "query"), plain)


def test_requests_run_side_by_side_and_results_keep_the_order(
    served: Served, load: Callable[..., RemoteEmbedder]
) -> None:
    embedder = load(batch_size=1, concurrency=3)
    first, third = threading.Event(), threading.Event()
    lock, under_way, most = threading.Lock(), [0], [0]

    def hold(body: dict[str, Any]) -> None:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        # Whichever of the two comes first waits for the other.
        if body["input"] == ["word2 other2"]:
            third.set()
            first.wait(10)
        elif body["input"] == ["word0 other0"]:
            first.set()
            if not third.wait(10):
                served.plan.append(refusal(400, "the third request did not come meanwhile"))
        with lock:
            under_way[0] -= 1

    served.before = hold
    inputs = texts(12)
    rows = embedder.embed(inputs, "query")
    np.testing.assert_allclose(rows, FakeEmbedder().embed(inputs, "query"), atol=1e-6)
    assert 2 <= most[0] <= 3


def test_a_batch_that_is_too_large_is_halved(
    served: Served, load: Callable[..., RemoteEmbedder]
) -> None:
    embedder = load(batch_size=16, concurrency=1)
    served.limit = 3
    inputs = texts(16)
    rows = embedder.embed(inputs, "query")
    np.testing.assert_allclose(rows, FakeEmbedder().embed(inputs, "query"), atol=1e-6)
    sizes = [len(body["input"]) for body in served.bodies]
    assert sizes == [16, 8, 4, 2, 2, 4, 2, 2, 8, 4, 2, 2, 4, 2, 2]
    served.limit = 0
    with pytest.raises(
        EmbedderError, match=r"^input 1: .*too large for the server \(too large\): shorten it"
    ):
        embedder.embed([EmbedInput(clip=tone(0.1, RATE)), *texts(1)], "query")


# Further tries


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_it_tries_again(served: Served, load: Callable[..., RemoteEmbedder], status: int) -> None:
    embedder = load(retries=2)
    served.plan = [refusal(status, "busy"), refusal(status, "busy")]
    assert embedder.embed(texts(1), "query").shape == (1, 64)
    assert len(served.bodies) == 3
    served.plan = [refusal(status, "still busy")] * 3
    remedy = "is rate-limiting" if status == 429 else f"failed with status {status}"
    with pytest.raises(EmbedderError, match=rf"{served.url}: the server {remedy}.*\(still busy\)"):
        embedder.embed(texts(1), "query")
    assert len(served.bodies) == 6


def test_a_lost_connection_is_tried_again(
    served: Served, load: Callable[..., RemoteEmbedder]
) -> None:
    embedder = load(retries=1)
    served.plan = [(0, {}, None)]
    assert embedder.embed(texts(1), "query").shape == (1, 64)
    assert len(served.bodies) == 2
    served.plan = [(0, {}, None)] * 2
    with pytest.raises(EmbedderError, match=rf"{served.url}: the server cannot be reached"):
        embedder.embed(texts(1), "query")


def test_retry_after_counts_instead_of_the_backoff(
    served: Served, load: Callable[..., RemoteEmbedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A wait of the backoff, an hour, would never end.
    embedder = load()
    monkeypatch.setattr(remote_server, "BACKOFF_S", 3600.0)
    served.plan = [refusal(429, "busy", Retry_After="0"), refusal(503, "busy", Retry_After="0")]
    assert embedder.embed(texts(1), "query").shape == (1, 64)
    # Nor does it wait where the server asks for long.
    served.bodies.clear()
    served.plan = [refusal(429, "come back tomorrow", Retry_After="86400")]
    with pytest.raises(EmbedderError, match="come back tomorrow"):
        embedder.embed(texts(1), "query")
    assert len(served.bodies) == 1


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after("7") == 7.0
    now = datetime.now(UTC)
    assert retry_after(format_datetime(now - timedelta(hours=1), usegmt=True)) == 0.0
    later = retry_after(format_datetime(now + timedelta(days=1), usegmt=True))
    assert later is not None
    assert 80_000 < later <= 86_400
    assert retry_after(None) is retry_after("soon") is retry_after("-1") is None


@pytest.mark.parametrize("status", [400, 401, 422, 501])
def test_a_refusal_is_not_tried_again(
    served: Served, load: Callable[..., RemoteEmbedder], status: int
) -> None:
    embedder = load()
    served.plan = [refusal(status, "no")]
    with pytest.raises(EmbedderError, match=r"\(no\)"):
        embedder.embed(texts(1), "query")
    assert len(served.bodies) == 1


# Errors


def test_no_server() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(
        EmbedderError, match=rf"{url}: the server cannot be reached: start .*refused"
    ):
        RemoteEmbedder(RemoteOptions(url, retries=1))


def test_a_server_that_is_silent(served: Served, load: Callable[..., RemoteEmbedder]) -> None:
    embedder = load(timeout_s=0.1, retries=0)
    answered = threading.Event()
    served.before = lambda _: answered.wait(10) and None
    try:
        with pytest.raises(EmbedderError, match=r"no answer within 0\.1 s: raise timeout_s"):
            embedder.embed(texts(1), "query")
    finally:
        answered.set()


def test_the_key(
    served: Served, load: Callable[..., RemoteEmbedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    load()
    assert {headers["authorization"] for headers in served.headers} == {"Bearer none"}
    assert "not-for-you" not in str(served.headers)
    served.key = KEY
    with pytest.raises(
        EmbedderError, match=rf"{served.url}: the server requires an API key: set WAVRAG_API_KEY"
    ):
        load()
    monkeypatch.setenv("WAVRAG_API_KEY", KEY)
    assert load().embed(texts(2), "query").shape == (2, 64)
    monkeypatch.setenv("GPU_BOX", KEY)
    monkeypatch.delenv("WAVRAG_API_KEY")
    assert KEY not in load(api_key_env="GPU_BOX").spec.name


@pytest.mark.parametrize("status", [400, 403, 500])
def test_no_message_holds_the_key(
    served: Served,
    load: Callable[..., RemoteEmbedder],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:
    monkeypatch.setenv("WAVRAG_API_KEY", KEY)
    embedder = load(retries=0)
    served.plan = [refusal(status, f"I was sent {KEY}")]
    with pytest.raises(EmbedderError, match=r"I was sent \*\*\*") as caught:
        embedder.embed(texts(1), "query")
    error: BaseException | None = caught.value
    while error is not None:
        assert KEY not in str(error)
        error = error.__cause__
    if status == 403:
        assert "rejects the API key: correct WAVRAG_API_KEY" in str(caught.value)


def test_a_refused_item_is_named(served: Served, load: Callable[..., RemoteEmbedder]) -> None:
    embedder = load(batch_size=4)
    served.plan = [refusal(400, "maximum context length is 512")]
    with pytest.raises(
        EmbedderError,
        match=r"^the texts among inputs 0 to 3: .*status 400 \(maximum context.*512\)",
    ):
        embedder.embed(texts(4), "query")
    served.plan = [refusal(400, "cannot decode")]
    clip = Clip(tone(0.1, RATE).samples, RATE, source="hum.wav")
    with pytest.raises(EmbedderError, match=r"^input 0 \(hum\.wav\): .*cannot decode"):
        embedder.embed([EmbedInput(clip=clip)], "query")


def drop(reply: dict[str, Any]) -> Any:
    return {**reply, "data": reply["data"][1:]}


def shorten(reply: dict[str, Any]) -> Any:
    reply["data"][0]["embedding"].pop()
    return reply


def shorten_all(reply: dict[str, Any]) -> Any:
    for entry in reply["data"]:
        entry["embedding"].pop()
    return reply


def fill(value: Any) -> Callable[[dict[str, Any]], Any]:
    def fill(reply: dict[str, Any]) -> Any:
        for entry in reply["data"]:
            entry["embedding"] = [value] * 64
        return reply

    return fill


def embedding(value: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda reply: {**reply, "data": [{"index": 0, "embedding": value}] * 2}


def number(*index: Any) -> Callable[[dict[str, Any]], Any]:
    def number(reply: dict[str, Any]) -> Any:
        for entry, at in zip(reply["data"], index, strict=True):
            entry["index"] = at
        return reply

    return number


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (drop, "sent 1 vectors for 2 inputs"),
        (shorten, r"vectors of lengths \[63, 64\]"),
        (shorten_all, "63 dimensions instead of 64: its model has changed"),
        (fill(float("nan")), "not finite"),
        (fill(1e300), "not finite"),
        (fill(None), "not finite"),
        (fill(0.0), "zero vector"),
        (fill([1.0]), "no vector"),
        (fill("x"), "invalid embedding"),
        (number(0, 0), r"numbered its vectors \[0, 0\]"),
        (number(1, 2), r"numbered its vectors \[1, 2\]"),
        (number("a", "b"), "numbered its vectors"),
        (lambda _: {"data": "none"}, "contains no embeddings"),
        (lambda _: {"data": [1, 2]}, "contains no embeddings"),
        (lambda _: ["x"], "contains no embeddings"),
        (lambda _: b"{not json", "its reply is not JSON"),
    ],
)
def test_a_reply_that_is_wrong(
    served: Served, load: Callable[..., RemoteEmbedder], tamper: Callable[..., Any], message: str
) -> None:
    embedder = load()
    served.tamper = tamper
    with pytest.raises(EmbedderError, match=rf"^{served.url}: .*{message}"):
        embedder.embed(texts(2), "query")
    served.tamper = lambda reply: reply
    assert embedder.embed(texts(2), "query").shape == (2, 64)


@pytest.mark.parametrize("sent", ["!!!", "AAA", "AAAAAAA=", ""])
def test_base64_that_is_no_vector(
    served: Served, load: Callable[..., RemoteEmbedder], sent: str
) -> None:
    embedder = load()
    served.encode = lambda _: sent
    with pytest.raises(EmbedderError, match=r"sent (an invalid embedding|no vector)"):
        embedder.embed(texts(1), "query")


def test_vectors_without_numbers_are_taken_in_order(
    served: Served, load: Callable[..., RemoteEmbedder]
) -> None:
    embedder = load()

    def unnumbered(reply: dict[str, Any]) -> Any:
        data = sorted(reply["data"], key=lambda entry: entry["index"])
        return {"data": [{"embedding": entry["embedding"]} for entry in data]}

    served.tamper = unnumbered
    inputs = texts(4)
    np.testing.assert_allclose(
        embedder.embed(inputs, "query"), FakeEmbedder().embed(inputs, "query"), atol=1e-6
    )


def test_what_a_server_says_in_its_error_is_found_wherever_it_stands() -> None:
    assert detail_of({"message": "a\n  b"}) == "a b"
    assert detail_of({"detail": [{"msg": "field required"}]}) == "[{'msg': 'field required'}]"
    assert detail_of({"error": {"message": "deep"}}) == "deep"
    assert detail_of("<html>") == "<html>"
    assert detail_of({"code": 5}) == detail_of(None) == ""


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"http://box:8000 .*wavrag\[openai\]"):
        load_embedder("http://box:8000")


# Names


def test_a_name_gives_options_and_options_give_the_name() -> None:
    name = "https://box:8000?query_prompt=find%3A%20&max_audio_seconds=45&audio=true#org/model"
    options = RemoteOptions.from_name(name)
    assert options == RemoteOptions(
        "https://box:8000",
        model="org/model",
        query_prompt="find: ",
        max_audio_seconds=45.0,
        audio=True,
    )
    again = RemoteOptions.from_name(options.name("org/model"))
    assert again == options
    # What changes no vector is left out of the name.
    options = RemoteOptions.from_name(
        "http://box/v1?batch_size=9&timeout_s=2.5&max_audio_seconds=9"
    )
    assert (options.batch_size, options.timeout_s) == (9, 2.5)
    assert options.name("m") == "http://box?max_audio_seconds=9#m"
    assert RemoteOptions("http://box", max_audio_seconds=9).name("m") == options.name("m")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("http://", "not a server address"),
        ("http://[", "not a server address"),
        ("http://box?colour=red", "'colour' is not an option of a remote embedder: choose from"),
        ("http://box?batch_size=many", "batch_size: .*, not 'many'"),
        ("http://box?audio=perhaps", "audio: .*, not 'perhaps'"),
        ("http://box?batch_size=0", "batch_size is 0: set it to more than 0"),
        ("http://box?timeout_s=nan", "timeout_s is nan: set it to more than 0"),
        ("http://box?retries=-1", "retries is -1: set it to 0 or more"),
        ("http://box?text_as=song", "text_as: .* 'input' or 'messages', not 'song'"),
    ],
)
def test_names_that_cannot_be_used(name: str, message: str) -> None:
    with pytest.raises(EmbedderError, match=message):
        load_embedder(name)


@pytest.mark.parametrize("make", [RemoteOptions, load_embedder])
def test_a_password_in_the_address_is_refused_and_not_repeated(make: Callable[..., Any]) -> None:
    with pytest.raises(EmbedderError, match="at box:8000 contains a user or password") as caught:
        make("http://me:hunter2@box:8000")
    assert "hunter2" not in str(caught.value)


# In a knowledge base


def test_a_knowledge_base_is_filled_and_searched(
    served: Served, load: Callable[..., RemoteEmbedder], tmp_path: Path
) -> None:
    recording = tone(2.0, RATE)
    documents = [
        Document(id="bees", text="Bees dance to show where flowers are."),
        Document(id="tides", text="The moon pulls the sea."),
        Document(id="hum", clip=recording),
    ]
    embedder = load(batch_size=2)
    with KnowledgeBase.open(tmp_path / "kb", embedder=embedder) as kb:
        report = kb.add(documents)
        assert len(report.added) == 3
        assert kb.search("where do bees dance", k=1)[0].passage.document_id == "bees"
        heard = kb.search(Query(clip=tone(1.0, RATE)), k=1)[0]
        assert heard.passage.document_id == "hum"
        assert set(heard.legs) == {"dense"}
    # It is opened by the address that it remembers.
    with KnowledgeBase.open(tmp_path / "kb", create=False) as kb:
        assert kb.embedder.spec == embedder.spec
        assert kb.search("the sea", k=1)[0].passage.document_id == "tides"
        assert isinstance(kb.embedder, RemoteEmbedder)
        kb.embedder.close()
    with pytest.raises(IndexMismatchError, match="was made with the embedder"):
        KnowledgeBase.open(tmp_path / "kb", embedder=load(query_prompt="query: "))
    served.models = [{"id": "ears", "root": "other/ears"}]
    with pytest.raises(IndexMismatchError, match="other/ears"):
        KnowledgeBase.open(tmp_path / "kb", embedder=load())
