"""Spans and metrics of searches and answers, request ids and logs."""

import http.server
import io
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from serving import create_rag, serving
from wavrag import WavRAG, telemetry
from wavrag.generate import FakeGenerator
from wavrag.types import Clip

pytest.importorskip("opentelemetry.sdk")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from wavrag.server.request_log import JsonFormatter

QUESTION = "When does the ferry leave?"


@pytest.fixture
def rag(tmp_path: Path) -> Iterator[WavRAG]:
    with closing(create_rag(tmp_path)) as rag:
        yield rag


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """The spans that have ended; telemetry is on."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry.enable(provider, MeterProvider([InMemoryMetricReader()]))
    yield exporter
    telemetry.disable()


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def test_an_answer_is_one_trace_of_its_stages(rag: WavRAG, spans: InMemorySpanExporter) -> None:
    stream = rag.stream(QUESTION)
    assert "".join(stream)
    assert stream.answer.found
    named = by_name(spans)
    assert list(named) == [
        "embeddings fake", "retrieval", "fuse", "read", "chat fake", "check", "answer",
    ]  # fmt: skip
    answer = named.pop("answer")
    assert all(
        span.parent and span.parent.span_id == answer.context.span_id for span in named.values()
    )
    chat = dict(named["chat fake"].attributes or {})
    assert chat["gen_ai.operation.name"] == "chat"
    assert chat["gen_ai.request.model"] == "fake"
    assert chat["gen_ai.usage.output_tokens"] == 9
    assert dict(answer.attributes or {}) == {"wavrag.found": True, "wavrag.citations": 1}


def test_a_spoken_question_is_heard(rag: WavRAG, spans: InMemorySpanExporter) -> None:
    rag.search(Clip(np.ones(16_000, np.float32), 16_000))
    stages = [dict(span.attributes or {})["wavrag.stage"] for span in spans.get_finished_spans()]
    assert stages == ["hear", "search", "fuse"]


def test_words_are_recorded_only_on_request(
    rag: WavRAG, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    rag.ask(QUESTION)
    assert "ferry" not in "".join(span.to_json() for span in spans.get_finished_spans())
    monkeypatch.setenv(telemetry.CONTENT, "true")
    spans.clear()
    rag.ask(QUESTION)
    attributes = dict(by_name(spans)["retrieval"].attributes or {})
    assert attributes["gen_ai.retrieval.query.text"] == QUESTION


class Broken(FakeGenerator):
    def stream(self, messages: Any, options: Any) -> Any:
        raise RuntimeError(QUESTION)
        yield ""


def test_an_error_is_recorded_by_its_class(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    with closing(create_rag(tmp_path, Broken())) as rag, pytest.raises(RuntimeError):
        rag.ask(QUESTION)
    answer = by_name(spans)["answer"]
    assert dict(answer.attributes or {})["error.type"] == "RuntimeError"
    assert not answer.status.is_ok
    assert "ferry" not in answer.to_json()


def test_an_answer_that_is_not_read_to_its_end_ends_its_span(
    rag: WavRAG, spans: InMemorySpanExporter
) -> None:
    stream = rag.stream(QUESTION)
    next(iter(stream))
    stream.close()
    assert by_name(spans)["answer"].status.is_unset


def test_stages_and_tokens_are_measured(rag: WavRAG) -> None:
    reader = InMemoryMetricReader()
    telemetry.enable(TracerProvider(), MeterProvider([reader]))
    try:
        rag.ask(QUESTION)
    finally:
        telemetry.disable()
    data = reader.get_metrics_data()
    assert data is not None
    metrics = {
        metric.name: list(metric.data.data_points)
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
    }
    stages = {
        dict(point.attributes or {})["wavrag.stage"] for point in metrics["wavrag.stage.duration"]
    }
    assert stages == {"embed", "search", "fuse", "read", "generate", "check"}
    tokens = {
        dict(point.attributes or {})["gen_ai.token.type"]: point.sum  # type: ignore[union-attr]
        for point in metrics["gen_ai.client.token.usage"]
    }
    assert tokens["output"] == 9
    assert tokens["input"] > 9


def test_a_request_and_its_answer_are_one_trace_below_that_of_the_client(
    rag: WavRAG, spans: InMemorySpanExporter
) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01", "x-request-id": "from-a-proxy"}
    with serving(rag) as url, httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        spans.clear()
        reply = client.post("/v1/ask", json={"text": QUESTION}, headers=headers)
        assert reply.status_code == 200
        assert reply.headers["x-request-id"] == "from-a-proxy"
        other = client.get("/healthz", headers={"x-request-id": "two words\tand more"})
        assert len(other.headers["x-request-id"]) == 16
    named = by_name(spans)  # the server has stopped, so all spans have ended
    assert named.pop("GET /healthz").parent is None
    assert {span.context.trace_id for span in named.values()} == {int(trace, 16)}
    assert dict(named["POST /v1/ask"].attributes or {}) == {
        "http.request.method": "POST", "http.route": "/v1/ask",
        "http.response.status_code": 200, "wavrag.request.id": "from-a-proxy",
    }  # fmt: skip
    assert {"answer", "chat fake", "check"} < set(named)


def test_each_request_is_a_line_of_json_without_content(rag: WavRAG) -> None:
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("wavrag")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with serving(rag) as url, httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            id = client.post("/v1/search", json={"text": QUESTION}).headers["x-request-id"]
            client.get("/v1/documents/secret%20name?q=secret")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    search = next(line for line in lines if line.get("request") == id)
    assert search["message"] == "POST /v1/search"
    assert search["status"] == 200
    assert search["ms"] > 0
    assert search["level"] == "info"
    assert "secret" not in log.getvalue()
    assert "ferry" not in log.getvalue()


class Collector(http.server.BaseHTTPRequestHandler):
    """Receives spans by OTLP over HTTP."""

    received: list[ExportTraceServiceRequest] = []  # noqa: RUF012 - one collector at a time

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/traces":
            self.received.append(ExportTraceServiceRequest.FromString(_decompress(body)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


def _decompress(body: bytes) -> bytes:
    import gzip

    return gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body


def test_spans_are_exported_to_a_collector(rag: WavRAG, monkeypatch: pytest.MonkeyPatch) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        providers = telemetry.enable_export()
        try:
            rag.search(QUESTION)
        finally:
            telemetry.disable()
            for provider in providers:
                provider.shutdown()
            server.shutdown()
    request = Collector.received[0].resource_spans[0]
    service = {item.key: item.value.string_value for item in request.resource.attributes}
    assert service["service.name"] == "wavrag"
    names = [span.name for span in request.scope_spans[0].spans]
    assert names == ["embeddings fake", "retrieval", "fuse"]
