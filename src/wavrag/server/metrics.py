"""Prometheus metrics at `/metrics`."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wavrag.server.jobs import IndexJob

_BUCKETS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5, 5, 10, 30, 120)  # seconds
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Metrics of one server, in a registry of its own so that tests can run several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Histogram(
            "wavrag_request_seconds",
            "Time from the head of a request to the end of its reply",
            ["method", "route", "status"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._stages = Histogram(
            "wavrag_stage_seconds",
            "Time of each stage, including the wait for a free slot",
            ["stage"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._jobs = Counter(
            "wavrag_jobs", "Jobs that have ended", ["kind", "state"], registry=self.registry
        )
        self.answers = Gauge(
            "wavrag_answers_in_progress", "Answers being generated", registry=self.registry
        )
        self.pending_jobs = Gauge(
            "wavrag_jobs_waiting", "Jobs that have not ended", registry=self.registry
        )
        self.passages = Gauge(
            "wavrag_passages", "Passages in the knowledge base", registry=self.registry
        )

    def observe_stage(self, name: str, seconds: float) -> None:
        """Record the time of a stage."""
        self._stages.labels(name).observe(seconds)

    def count_job(self, job: IndexJob) -> None:
        """Count an ended job."""
        self._jobs.labels(job.kind, job.state).inc()

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Record the time of a request."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def render(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self.registry)


class MetricsMiddleware:
    """ASGI middleware to time every request by route."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request and record its time."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start_time = time.perf_counter()
        status = 500

        async def record_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, record_status)
        finally:
            # Labels have a bounded set of values: arbitrary paths and methods from clients would
            # each create a new time series.
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            seconds = time.perf_counter() - start_time
            self._metrics.observe_request(method, route, status, seconds)
