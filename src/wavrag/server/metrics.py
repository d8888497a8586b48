"""Prometheus metrics at `/metrics`."""

from __future__ import annotations

import time
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BUCKETS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5, 5, 10, 30, 120)  # seconds
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Metrics of one server, in a registry of its own so that tests can run several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        histogram = partial(Histogram, buckets=_BUCKETS, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        self.requests = histogram(
            "wavrag_request_seconds",
            "Time from the head of a request to the end of its reply",
            ["method", "route", "status"],
        )
        self.stages = histogram(
            "wavrag_stage_seconds",
            "Time of each stage, including the wait for a free slot",
            ["stage"],
        )
        self.jobs = Counter(
            "wavrag_jobs", "Jobs that have ended", ["kind", "state"], registry=self.registry
        )
        self.answers = gauge("wavrag_answers_in_progress", "Answers being generated")
        self.pending_jobs = gauge("wavrag_jobs_waiting", "Jobs that have not ended")
        self.passages = gauge("wavrag_passages", "Passages in the knowledge base")


def route_of(scope: Scope) -> str:
    """The route of a request: paths of clients are arbitrary, and may hold names of documents."""
    return getattr(scope.get("route"), "path", "other")


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
            # Methods of clients are arbitrary, and each would create a new time series.
            method = scope["method"] if scope["method"] in METHODS else "other"
            route = route_of(scope)
            seconds = time.perf_counter() - start_time
            self._metrics.requests.labels(method, route, str(status)).observe(seconds)
