"""What Prometheus reads at `/metrics`."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wavrag.server.jobs import IndexJob

_SECONDS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5, 5, 10, 30, 120)


class Metrics:
    """Figures of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Histogram(
            "wavrag_request_seconds",
            "From a request's first line to the end of its answer",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._stages = Histogram(
            "wavrag_stage_seconds",
            "Stages of the work, waiting for a place included",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._jobs = Counter(
            "wavrag_jobs", "Jobs that ended", ["kind", "state"], registry=self.registry
        )
        self.answers = Gauge(
            "wavrag_answers_in_progress", "Answers that are being written", registry=self.registry
        )
        self.jobs_waiting = Gauge(
            "wavrag_jobs_waiting", "Jobs that have not ended", registry=self.registry
        )
        self.passages = Gauge(
            "wavrag_passages", "Passages in the knowledge base", registry=self.registry
        )

    def stage(self, name: str, seconds: float) -> None:
        """Note what a stage took."""
        self._stages.labels(name).observe(seconds)

    def job_ended(self, job: IndexJob) -> None:
        """Note how a job ended."""
        self._jobs.labels(job.kind, job.state).inc()

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Note what a request took."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def text(self) -> bytes:
        """All figures, as Prometheus reads them."""
        return generate_latest(self.registry)


class Measuring:
    """Times every request, by the route that served it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request and note its time."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        finally:
            # Names of routes and known methods only: a request must not make a series of its own.
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.request(method, route, status, time.perf_counter() - started)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
