"""Traces and metrics with OpenTelemetry; off until `enable` is called.

Each stage of a search and of an answer is a span, and its time a measurement of the histogram
`wavrag.stage.duration`. Names and attributes follow OpenTelemetry's semantic conventions for
generative AI. Questions and answers are recorded only on request, as those conventions ask.

https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from wavrag.errors import MissingExtraError

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, MeterProvider
    from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider
    from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
    from opentelemetry.trace import Span, Tracer, TracerProvider

Stage: TypeAlias = Literal["hear", "embed", "search", "fuse", "rerank", "read", "generate", "check"]
# The variable of OpenTelemetry's instrumentations of generative AI.
CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
OPERATIONS = {
    "hear": "embeddings",
    "embed": "embeddings",
    "search": "retrieval",
    "generate": "chat",
}
_OPERATION = "gen_ai.operation.name"
_LABELS = (_OPERATION, "gen_ai.provider.name", "gen_ai.request.model")  # of measurements
Attributes: TypeAlias = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True)
class _Instruments:
    tracer: Tracer
    stage_seconds: Histogram
    operation_seconds: Histogram
    tokens: Histogram


_instruments: _Instruments | None = None


def enable(
    tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
) -> None:
    """Record spans and metrics with OpenTelemetry.

    Args:
        tracer_provider: receives the spans; None for the provider of the process.
        meter_provider: receives the metrics; None for the provider of the process.

    Raises:
        MissingExtraError: OpenTelemetry is not installed.

    Example:
        >>> from wavrag import telemetry
        >>> telemetry.enable()
        >>> telemetry.disable()
    """
    global _instruments  # noqa: PLW0603 - a switch of the process, like OpenTelemetry's providers
    try:
        from opentelemetry import metrics, trace
    except ImportError as error:
        raise MissingExtraError("telemetry", "telemetry") from error
    meter = metrics.get_meter("wavrag", meter_provider=meter_provider)
    _instruments = _Instruments(
        trace.get_tracer("wavrag", tracer_provider=tracer_provider),
        meter.create_histogram("wavrag.stage.duration", "s", "Time of a stage"),
        meter.create_histogram("gen_ai.client.operation.duration", "s", "Time of a model's call"),
        meter.create_histogram("gen_ai.client.token.usage", "{token}", "Tokens read and written"),
    )


def disable() -> None:
    """Record nothing any more."""
    global _instruments  # noqa: PLW0603
    _instruments = None


def current_tracer() -> Tracer | None:
    """The tracer of this package; None while telemetry is off."""
    return None if _instruments is None else _instruments.tracer


def enable_export(service: str = "wavrag") -> tuple[SdkTracerProvider, SdkMeterProvider]:
    """Send spans and metrics to a collector by OTLP over HTTP, and `enable`.

    OpenTelemetry's variables set the address, headers, sampling and more:
    `OTEL_EXPORTER_OTLP_ENDPOINT` is `http://localhost:4318` by default.

    Args:
        service: name of the service, unless `OTEL_SERVICE_NAME` names another.

    Returns:
        The providers; the end of the process, or their `shutdown`, sends what they still hold.

    Raises:
        MissingExtraError: the exporter is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk import metrics, trace
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingExtraError("telemetry", "telemetry") from error
    name = os.environ.get("OTEL_SERVICE_NAME") or service
    resource = Resource.create({"service.name": name})
    tracers = trace.TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    meters = metrics.MeterProvider([reader], resource=resource)
    enable(tracers, meters)
    return tracers, meters


def records_content() -> bool:
    """True if questions and answers may be recorded: the variable `CONTENT` is `true`."""
    return os.environ.get(CONTENT, "").lower() == "true"


class StageRecorder:
    """Sets attributes of the span of a stage; without a span it does nothing."""

    def __init__(self, span: Span | None = None) -> None:
        self._span = span

    def set(self, attributes: Attributes, content: Attributes | None = None) -> None:
        """Set attributes, and those with words of users if they may be recorded."""
        if self._span is None:
            return
        if content and records_content():
            attributes = {**attributes, **content}
        self._span.set_attributes(_present(attributes))


_NOTHING = StageRecorder()


@contextmanager
def stage(name: Stage, attributes: Attributes | None = None) -> Iterator[StageRecorder]:
    """Record a block as a stage, below the current span.

    Args:
        name: the stage.
        attributes: attributes of the span; those of None are left out.
    """
    instruments = _instruments
    if instruments is None:
        yield _NOTHING
        return
    values = _present(
        {"wavrag.stage": name, _OPERATION: OPERATIONS.get(name), **(attributes or {})}
    )
    model = values.get("gen_ai.request.model")
    label = " ".join(filter(None, (str(values.get(_OPERATION, name)), model)))
    start = time.perf_counter()
    try:
        # The messages of exceptions may quote a question, so they are not recorded.
        with instruments.tracer.start_as_current_span(
            label, attributes=values, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield StageRecorder(span)
            except Exception as error:
                _set_error(span, error)
                raise
    finally:
        seconds = time.perf_counter() - start
        instruments.stage_seconds.record(seconds, {"wavrag.stage": name})


class AnswerTrace:
    """The span of an answer, with its stages below it; nothing while telemetry is off.

    An answer is generated by a Python generator, which may run on several threads. So its span is
    OpenTelemetry's current one in parts of it only, and never while a piece is handed out.
    """

    def __init__(self) -> None:
        self._instruments = _instruments
        self._span: Span | None = None

    def __enter__(self) -> Self:
        if self._instruments is not None:
            self._span = self._instruments.tracer.start_span("answer")
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self._span is None:
            return
        if isinstance(error, Exception):  # and not a stream that is closed early
            _set_error(self._span, error)
        self._span.end()

    @contextmanager
    def activate(self) -> Iterator[None]:
        """Make the span current for a block without a `yield` of pieces."""
        if self._span is None:
            yield
            return
        from opentelemetry import trace

        with trace.use_span(self._span, record_exception=False, set_status_on_exception=False):
            yield

    def set(self, attributes: Attributes, content: Attributes | None = None) -> None:
        """Set attributes; see `StageRecorder.set`."""
        StageRecorder(self._span).set(attributes, content)

    def record_generation(
        self, model: str, start: float, first_piece: float | None, usage: tuple[int, int] | None
    ) -> None:
        """Record a model's writing of the answer as the stage `generate`.

        Args:
            model: name of the generator.
            start: reading of `time.perf_counter()` at its start.
            first_piece: seconds until its first piece; None without one.
            usage: tokens read and written; None if they are unknown.
        """
        if self._instruments is None:
            return
        seconds = time.perf_counter() - start
        attributes = _present(
            {
                "wavrag.stage": "generate", _OPERATION: OPERATIONS["generate"],
                "gen_ai.provider.name": model.partition(":")[0], "gen_ai.request.model": model,
                "gen_ai.response.time_to_first_chunk": first_piece,
                "gen_ai.usage.input_tokens": usage and usage[0],
                "gen_ai.usage.output_tokens": usage and usage[1],
            }
        )  # fmt: skip
        end_time = time.time_ns()
        with self.activate():
            self._instruments.tracer.start_span(
                f"chat {model}", attributes=attributes, start_time=end_time - int(seconds * 1e9)
            ).end(end_time)
        labels = {name: attributes[name] for name in _LABELS}
        self._instruments.stage_seconds.record(seconds, {"wavrag.stage": "generate"})
        self._instruments.operation_seconds.record(seconds, labels)
        for kind, count in zip(("input", "output"), usage or (), strict=False):
            self._instruments.tokens.record(count, {**labels, "gen_ai.token.type": kind})


def _set_error(span: Span, error: Exception) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(Status(StatusCode.ERROR))


def _present(attributes: Attributes) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}
