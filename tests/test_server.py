"""The server over real connections: documents, jobs, search, answers, health."""

import io
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from audio_files import frequency, tone, write
from serving import BEES, FERRY, OPTIONS, client, create_rag, serving
from waiting import wait_for
from wavrag import WavRAG
from wavrag.audio import load
from wavrag.errors import StoreError
from wavrag.generate import Generator, GeneratorSpec, Stream
from wavrag.rag import WavRAG as Rag
from wavrag.server.run import bind_socket
from wavrag.server.schemas import DocumentTextShape, FileShape
from wavrag.shapes import AnswerShape, CitationShape, GivenHitShape, SearchShape


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with client(url) as opened:
        yield opened


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 s of a rising tone."""
    sound = np.concatenate([tone(hertz, 1, 16_000) for hertz in (300, 600, 900)])
    return write(tmp_path_factory.mktemp("sound") / "rising tone.wav", sound[None], 16_000)


def events_of(text: str) -> list[tuple[str, Any]]:
    blocks = [block for block in text.split("\n\n") if block.startswith("event: ")]
    return [
        (head.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for head, data in (block.split("\n") for block in blocks)
    ]


def uploaded(http: httpx.Client, path: Path, **fields: str) -> dict[str, Any]:
    with path.open("rb") as file:
        reply = http.post("/v1/documents?wait=30", files={"file": (path.name, file)}, data=fields)
    assert reply.status_code == 202, reply.text
    job: dict[str, Any] = reply.json()
    assert job["state"] == "done", job
    return job


def test_search_by_text_and_by_recording(http: httpx.Client, recording: Path) -> None:
    result = http.get("/v1/search", params={"q": "the ferry leaves", "k": 1}).json()
    assert result["query"] == "the ferry leaves"
    (hit,) = result["hits"]
    assert hit["text"] == FERRY.strip()
    assert result == http.post("/v1/search", json={"text": "the ferry leaves", "k": 1}).json() | {
        "timings_ms": result["timings_ms"]
    }
    spoken = {"audio": (recording.name, recording.read_bytes())}
    as_form = http.post("/v1/search", files=spoken, data={"k": "2"}).json()
    assert len(as_form["hits"]) == 2
    import base64

    audio = {"data": base64.b64encode(recording.read_bytes()).decode()}
    as_json = http.post("/v1/search", json={"audio": audio, "k": 2}).json()
    assert as_json["hits"] == as_form["hits"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 400, "there is no question"),
        ({"text": " "}, 400, "there is no question"),
        ({"text": "x", "k": 0}, 422, "k: "),
        ({"text": "x", "nonsense": 1}, 422, "nonsense"),
        ({"text": "x", "where": "("}, 400, "syntax error in the filter"),
        ({"audio": {"data": "%%%"}}, 400, "not valid base64"),
        ({"audio": {"data": "aGVsbG8="}}, 400, "the recording: is not decodable audio"),
    ],
)
def test_invalid_questions_are_rejected(
    http: httpx.Client, body: dict[str, Any], status: int, message: str
) -> None:
    reply = http.post("/v1/search", json=body)
    assert reply.status_code == status
    assert message in reply.json()["error"]["message"]


def test_a_question_above_the_length_limit_is_rejected(http: httpx.Client, tmp_path: Path) -> None:
    long = write(tmp_path / "long.ogg", tone(300, 130, 16_000)[None], 48_000 // 3)
    reply = http.post("/v1/search", files={"audio": ("long.ogg", long.read_bytes())})
    assert reply.status_code == 413
    assert "longer than 120 s" in reply.json()["error"]["message"]


def test_an_answer_as_json_and_as_events(http: httpx.Client) -> None:
    complete = http.post("/v1/ask", json={"text": "When does the ferry leave?"}).json()
    assert complete["answer"] == "The ferry leaves at nine in the morning. [1]"
    assert complete["citations"][0]["number"] == 1
    assert complete["citations"][0]["document_id"] == complete["hits"][0]["document_id"]
    body = {"text": "When does the ferry leave?", "stream": True}
    reply = http.post("/v1/ask", json=body)
    assert reply.headers["content-type"].startswith("text/event-stream")
    names, data = zip(*events_of(reply.text), strict=True)
    assert names == ("hits", *["delta"] * (len(names) - 2), "answer")
    assert len(names) > 5
    hits = [
        {key: value for key, value in hit.items() if key != "source_form"}
        for hit in complete["hits"]
    ]
    assert data[0]["hits"] == hits
    assert "".join(piece["text"] for piece in data[1:-1]) == complete["answer"]
    assert {**data[-1], "timings_ms": 0} == {**complete, "timings_ms": 0}


def test_openapi_describes_the_events_of_an_answer(http: httpx.Client) -> None:
    operation = http.get("/openapi.json").json()["paths"]["/v1/ask"]["post"]
    described = operation["responses"]["200"]["content"]["text/event-stream"]["itemSchema"]["oneOf"]
    schemas = {
        event["properties"]["event"]["const"]: event["properties"]["data"]["contentSchema"]
        for event in described
    }
    text = operation["responses"]["200"]["description"]
    assert all(f"`{name}`" in text for name in schemas)
    reply = http.post("/v1/ask", json={"text": "When does the ferry leave?", "stream": True})
    events = events_of(reply.text)
    assert {name for name, _ in events} == set(schemas) - {"error"}
    for name, data in events:
        assert set(schemas[name]["required"]) <= set(data) <= set(schemas[name]["properties"])


def test_an_idle_stream_is_kept_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavrag.server.answer_events.KEEP_ALIVE_SECONDS", 0.05)
    body = {"text": "the ferry", "stream": True}
    with (
        create_rag(tmp_path, Endless()) as rag,
        serving(rag) as url,
        client(url) as http,
        http.stream("POST", "/v1/ask", json=body) as reply,
    ):
        assert next(line for line in reply.iter_lines() if line.startswith(":")) == ": ping"


def test_replies_match_their_shapes(http: httpx.Client) -> None:
    answer = http.post("/v1/ask", json={"text": "When does the ferry leave?"}).json()
    result = http.get("/v1/search?q=ferry").json()
    documents = http.get("/v1/documents").json()
    words = http.get(f"/v1/documents/{documents['documents'][0]['id'].replace('/', '%2F')}/text")
    for shape, reply in (
        (AnswerShape, answer),
        (GivenHitShape, answer["hits"][0]),
        (CitationShape, answer["citations"][0]),
        (SearchShape, result),
        (FileShape, documents["documents"][0]),
        (DocumentTextShape, words.json()),
    ):
        assert set(reply) == set(shape.model_validate(reply).model_fields_set)
        assert set(reply) <= set(shape.model_fields)
        required = {name for name, info in shape.model_fields.items() if info.is_required()}
        assert required <= set(reply)


def test_a_spoken_question_is_answered(http: httpx.Client, recording: Path) -> None:
    reply = http.post("/v1/ask", files={"audio": (recording.name, recording.read_bytes())})
    assert reply.json()["found"] is True


def test_upload_listing_text_and_removal(http: httpx.Client, rag: WavRAG, tmp_path: Path) -> None:
    page = tmp_path / "Tide tables.md"
    page.write_text("# Tides\n\nThe late tide is at ten.\n\n## Boats\n\nBoats wait for it.\n")
    # The name of the file is not taken from the metadata, where it may be a path.
    job = uploaded(http, page, metadata='{"filename": "../a", "year": 2026, "tidal": true}')
    (id,) = job["report"]["added"]
    assert job["documents"] == [{"id": id, "name": "Tide tables.md", "title": "Tides"}]
    assert http.get(f"/v1/jobs/{job['id']}").json() == job
    assert http.get("/v1/jobs").json()["jobs"][0] == job
    document = http.get(f"/v1/documents/{id}").json()
    assert document["title"] == "Tides"
    metadata = {"filename": "Tide tables.md", "year": 2026, "tidal": True}
    assert document["metadata"] == metadata
    documents = http.get("/v1/documents", params={"q": "tide", "modality": "text"}).json()
    assert (documents["documents"], documents["total"]) == ([document], 1)
    words = http.get(f"/v1/documents/{id}/text").json()
    for passage in words["contents"]:
        assert words["text"][passage["char_start"] : passage["char_end"]] == passage["text"]
    assert "Boats wait for it." in words["text"]
    result = http.get("/v1/search", params={"q": "late tide", "where": "year = 2026"}).json()
    assert {hit["document_id"] for hit in result["hits"]} == {id}
    again = uploaded(http, page, metadata='{"year": 2026, "tidal": true}')
    assert again["report"]["unchanged"] == [id]
    uploads = rag.kb.directory / "uploads"
    assert len(list(uploads.iterdir())) == 1
    changed = uploaded(http, page)
    assert changed["report"]["updated"] == [id]
    assert len(list(uploads.iterdir())) == 1
    removal = http.delete(f"/v1/documents/{id}?wait=30")
    assert removal.status_code == 202
    assert removal.json()["report"] == {"removed": [id], "passages": 2}
    assert list(uploads.iterdir()) == []
    assert http.get(f"/v1/documents/{id}").status_code == 404
    assert http.delete(f"/v1/documents/{id}").status_code == 404


def test_documents_indexed_in_place(http: httpx.Client, rag: WavRAG) -> None:
    (source,) = [document.id for document in rag.kb.documents() if document.id.endswith("bees.md")]
    document = http.get(f"/v1/documents/{source.replace('/', '%2F')}").json()
    assert document["id"] == source
    words = http.get(f"/v1/documents/{source.replace('/', '%2F')}/text").json()
    assert words["contents"][0]["text"] in BEES


def test_a_channel_of_a_recording(http: httpx.Client, tmp_path: Path) -> None:
    channels = np.stack([tone(hertz, 3, 16_000) for hertz in (300, 700)])
    path = write(tmp_path / "call.wav", channels, 16_000, layout="stereo", tags={"title": "Call"})
    job = uploaded(http, path)
    (id,) = job["report"]["added"]
    assert job["documents"][0]["title"] == "Call"
    audio = f"/v1/documents/{id}/audio"
    for span in ({"start": 1, "end": 2}, {}):
        for channel, hertz in ((1, 300), (2, 700)):
            reply = http.get(audio, params={**span, "channel": channel})
            assert reply.status_code == 200
            clip = load(io.BytesIO(reply.content), 16_000)
            assert frequency(clip.samples, 16_000) == pytest.approx(hertz, abs=1)
    for missing in ({"channel": 3}, {"track": 2}):
        reply = http.get(audio, params=missing)
        assert reply.status_code == 400
        assert str(tmp_path) not in reply.text
    http.delete(f"/v1/documents/{id}?wait=30")


def test_a_recording_with_ranges_and_spans(http: httpx.Client, recording: Path) -> None:
    job = uploaded(http, recording)
    (id,) = job["report"]["added"]
    assert job["documents"][0]["title"] == "rising tone"
    audio = f"/v1/documents/{id}/audio"
    complete = http.get(audio)
    assert complete.content == recording.read_bytes()
    assert complete.headers["content-type"] == "audio/wav"
    partial = http.get(audio, headers={"Range": "bytes=10-19"})
    assert partial.status_code == 206
    assert partial.content == complete.content[10:20]
    for format in ("wav", "ogg", "mp3", "flac"):
        span = http.get(audio, params={"start": 1, "end": 2, "format": format})
        assert span.status_code == 200
        clip = load(io.BytesIO(span.content), 16_000)
        assert clip.duration == pytest.approx(1, abs=0.08)
        spectrum = np.abs(np.fft.rfft(clip.samples))
        assert np.argmax(spectrum) * 16_000 / len(clip.samples) == pytest.approx(600, abs=5)
    for span in ({"start": 2, "end": 1}, {"start": 0, "end": 10_000}, {"start": 100, "end": 101}):
        assert http.get(audio, params=span).status_code == 400
    assert http.get("/v1/documents/nothing/audio").status_code == 404
    http.delete(f"/v1/documents/{id}?wait=30")


def test_health_readiness_metrics_and_openapi(http: httpx.Client) -> None:
    assert http.get("/healthz").json() == {"status": "ok", "writer": "running"}
    assert http.get("/readyz").json() == {"ready": True}
    http.get("/v1/search?q=x")
    figures = http.get("/metrics").text
    assert 'wavrag_request_seconds_count{method="GET",route="/v1/search",status="200"}' in figures
    assert 'wavrag_stage_seconds_count{stage="search"}' in figures
    paths = http.get("/openapi.json").json()["paths"]
    assert {"/v1/ask", "/v1/documents", "/v1/embeddings", "/v1/chat/completions"} <= set(paths)


def test_the_page_and_its_headers(http: httpx.Client) -> None:
    page = http.get("/")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert "https://" not in page.text
    assert http.get("/nothing").status_code == 404
    assert http.get("/..%2f..%2fapp.py").status_code == 404


def test_two_concurrent_clients(url: str) -> None:
    failures: list[str] = []

    def ask(words: str, start: str) -> None:
        with client(url) as http:
            for _ in range(10):
                answer = http.post("/v1/ask", json={"text": words}).json()["answer"]
                if not answer.startswith(start):
                    failures.append(answer)

    questions = [
        ("When does the ferry leave?", "The ferry"),
        ("How far flies a honeybee?", "A honeyb"),
    ]
    threads = [threading.Thread(target=ask, args=pair) for pair in questions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


class Endless(Generator):
    """Generates until it is closed, and signals the end."""

    spec = GeneratorSpec("endless")

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.writing = threading.Event()
        self._stop = threading.Event()

    def stream(self, messages: object, options: object) -> Stream[str]:
        self._stop.clear()
        return Stream(self._pieces(), self._stop.set)

    def _pieces(self) -> Iterator[str]:
        try:
            yield "word"
            self.writing.set()
            while not self._stop.wait(0.01):
                pass
        finally:
            self.ended.set()


@pytest.mark.parametrize("path", ["/v1/ask", "/v1/chat/completions"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_disconnect_cancels_generation(tmp_path: Path, path: str, stream: bool) -> None:
    generator = Endless()
    body: dict[str, Any] = {"stream": stream}
    if path == "/v1/ask":
        body["text"] = "the ferry"
    else:
        body |= {"model": "wavrag", "messages": [{"role": "user", "content": "the ferry"}]}
    with create_rag(tmp_path, generator) as rag, serving(rag) as url, client(url) as http:
        if stream:
            with http.stream("POST", path, json=body) as reply:
                lines = reply.iter_lines()
                while "word" not in next(lines):
                    pass
        else:
            with pytest.raises(httpx.ReadTimeout):
                http.post(path, json=body, timeout=1)
        assert generator.writing.wait(10)
        assert generator.ended.wait(10)
        # The answer is no longer counted as being written.
        wait_for(lambda: "wavrag_answers_in_progress 0.0" in http.get("/metrics").text, seconds=4)


def test_an_answer_times_out(tmp_path: Path) -> None:
    from dataclasses import replace

    generator = Endless()
    options = replace(OPTIONS, answer_timeout=0.3)
    with create_rag(tmp_path, generator) as rag, serving(rag, options) as url, client(url) as http:
        reply = http.post("/v1/ask", json={"text": "the ferry"})
        assert reply.status_code == 502
        assert "not finished in time" in reply.json()["error"]["message"]
        events = events_of(http.post("/v1/ask", json={"text": "ferry", "stream": True}).text)
        assert events[-1][0] == "error"
        assert generator.ended.wait(10)


def test_a_knowledge_base_has_one_server(url: str, rag: Rag) -> None:
    with pytest.raises(StoreError, match="another server serves"), serving(rag):
        pass


def test_connections_have_no_nagle_delay() -> None:
    with bind_socket("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
