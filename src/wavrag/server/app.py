"""The ASGI application: routers, middleware, health checks and the web page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from anyio import to_thread
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from prometheus_client import generate_latest
from starlette.middleware.cors import CORSMiddleware

from wavrag.rag import WavRAG
from wavrag.server import (
    ask,
    chat,
    documents,
    embeddings,
    library,
    live,
    models,
    outline,
    speakers,
    speech,
    transcripts,
)
from wavrag.server.errors import add_error_handlers
from wavrag.server.metrics import MetricsMiddleware
from wavrag.server.middleware import SecurityMiddleware
from wavrag.server.options import ServerOptions
from wavrag.server.request_log import RequestLogMiddleware
from wavrag.server.state import Server, ServerState

STATIC_FOLDER = Path(__file__).parent / "static"


def create_app(
    rag: WavRAG, options: ServerOptions | None = None, on_start: Callable[[], object] = lambda: None
) -> FastAPI:
    """Create the server application of a `WavRAG`.

    Its lifespan locks the knowledge base and resumes unfinished jobs; at shutdown it finishes the
    document being stored. The `WavRAG` stays open.

        app = create_app(WavRAG.open("my-kb"))
        uvicorn.run(app, port=8321)

    Args:
        rag: the `WavRAG` to serve.
        options: access control and limits.
        on_start: called once everything is loaded.
    """
    options = options or ServerOptions()
    state = ServerState(rag, options)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await to_thread.run_sync(state.start)
        on_start()
        try:
            yield
        finally:
            await to_thread.run_sync(state.stop)

    app = FastAPI(
        title="WavRAG",
        version=version("wavrag"),
        summary="Ask with your voice, over recordings and documents.",
        docs_url=None,  # Swagger UI and ReDoc load scripts from a CDN, which the CSP forbids
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.server = state
    add_error_handlers(app)
    # Before the documents, whose routes match ids with any further path.
    for module in (transcripts, outline, speakers, library, documents):
        app.include_router(module.router)
    for module in (ask, models, embeddings, chat, speech, live):
        app.include_router(module.router)
    _add_health_routes(app)
    # Mounted last, because it matches every path.
    app.mount("/", StaticFiles(directory=STATIC_FOLDER, html=True), name="page")
    # The last middleware added is the outermost: CORS headers must not skip the security checks.
    if options.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(options.allowed_origins),
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["authorization", "content-type"],
        )
    app.add_middleware(
        SecurityMiddleware, options=options, authenticator=state.authenticator, audit=state.audit
    )
    app.add_middleware(MetricsMiddleware, metrics=state.metrics)
    app.add_middleware(RequestLogMiddleware)
    return app


def _add_health_routes(app: FastAPI) -> None:
    @app.get("/healthz", tags=["health"])
    async def health(state: Server) -> dict[str, str]:
        """Check that the process responds, and what its writer is doing."""
        return {"status": "ok", "writer": state.worker.condition if state.is_ready else "stopped"}

    @app.get("/readyz", tags=["health"], responses={503: {}})
    async def ready(state: Server) -> Response:
        """Check that the models are loaded and the worker is running."""
        is_ready = state.is_ready and state.worker.is_alive
        return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)

    @app.get("/metrics", tags=["health"], response_class=Response)
    async def metrics(state: Server) -> Response:
        """Get metrics in Prometheus's text format."""
        state.metrics.pending_jobs.set(state.worker.count_pending())
        state.metrics.passages.set(await state.run_in_thread("count", state.rag.kb.count))
        return Response(
            generate_latest(state.metrics.registry), media_type="text/plain; version=0.0.4"
        )
