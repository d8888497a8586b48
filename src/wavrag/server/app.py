"""The ASGI application: routers, middleware, health checks and the web page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from prometheus_client import generate_latest
from starlette.middleware.cors import CORSMiddleware

from wavrag.rag import WavRAG
from wavrag.server import (
    ask,
    chat,
    collection_routes,
    documents,
    embeddings,
    file_batches,
    library,
    live,
    models,
    openai_files,
    outline,
    realtime,
    responses,
    speakers,
    speech,
    transcripts,
    vector_store_files,
    vector_stores,
)
from wavrag.server.collections import CollectionFolder, CollectionMiddleware, Collections
from wavrag.server.errors import RequestError, add_error_handlers
from wavrag.server.metrics import MetricsMiddleware
from wavrag.server.middleware import SecurityMiddleware
from wavrag.server.options import ServerOptions
from wavrag.server.request_log import RequestLogMiddleware
from wavrag.server.session import check_unlimited, find_sender
from wavrag.server.state import SharedState

if TYPE_CHECKING:
    from wavrag.server.mcp import McpEndpoint

# Headers of clients of `/mcp`
MCP_HEADERS = ("mcp-method", "mcp-name", "mcp-protocol-version", "mcp-session-id")
STATIC_FOLDER = Path(__file__).parent / "static"


def create_app(
    source: WavRAG | CollectionFolder,
    options: ServerOptions | None = None,
    on_start: Callable[[], object] = lambda: None,
) -> FastAPI:
    """Create the server application of a `WavRAG`, or of a folder of knowledge bases.

    Its lifespan locks the knowledge bases and resumes unfinished jobs; at shutdown it finishes the
    document being stored. The `WavRAG` or the folder stays open.

        app = create_app(WavRAG.open("my-kb"))
        uvicorn.run(app, port=8321)

    Args:
        source: the `WavRAG` to serve, or a folder of knowledge bases.
        options: access control and limits.
        on_start: called once everything is loaded.
    """
    options = options or ServerOptions()
    collections = Collections(source, options)
    mcp_endpoint = _create_mcp_endpoint()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await to_thread.run_sync(collections.start)
        try:
            async with AsyncExitStack() as stack:
                if mcp_endpoint is not None:
                    await stack.enter_async_context(mcp_endpoint.run())
                on_start()
                yield
        finally:
            await to_thread.run_sync(collections.stop)

    app = FastAPI(
        title="WavRAG",
        version=version("wavrag"),
        summary="Ask with your voice, over recordings and documents.",
        docs_url=None,  # Swagger UI and ReDoc load scripts from a CDN, which the CSP forbids
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.collections = collections
    add_error_handlers(app)
    _add_routes(app, collections, mcp_endpoint)
    _add_middleware(app, collections.shared, options)
    return app


def _add_routes(app: FastAPI, collections: Collections, mcp_endpoint: McpEndpoint | None) -> None:
    # Before the documents, whose routes match ids with any further path.
    for module in (collection_routes, transcripts, outline, speakers, library, documents):
        app.include_router(module.router)
    for module in (ask, models, embeddings, chat, speech, live, openai_files):
        app.include_router(module.router)
    for module in (file_batches, vector_store_files, vector_stores, responses, realtime):
        app.include_router(module.router)
    _add_health_routes(app, collections)
    if mcp_endpoint is not None:
        app.router.routes += mcp_endpoint.routes
    _add_api_fallback(app)
    # Mounted last, because it matches every path.
    app.mount("/", StaticFiles(directory=STATIC_FOLDER, html=True), name="page")


def _add_middleware(app: FastAPI, shared: SharedState, options: ServerOptions) -> None:
    # The last middleware added is the outermost: CORS headers must not skip the security checks.
    if options.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(options.allowed_origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["authorization", "content-type", *MCP_HEADERS],
        )
    app.add_middleware(
        SecurityMiddleware, options=options, authenticator=shared.authenticator, audit=shared.audit
    )
    app.add_middleware(CollectionMiddleware)
    app.add_middleware(MetricsMiddleware, metrics=shared.metrics)
    app.add_middleware(RequestLogMiddleware)


def _create_mcp_endpoint() -> McpEndpoint | None:
    """The endpoint of the Model Context Protocol, if its extra is installed."""
    if find_spec("mcp") is None:
        return None
    from wavrag.server.mcp import McpEndpoint

    return McpEndpoint()


def _add_api_fallback(app: FastAPI) -> None:
    """Reject unknown operations of the API: the page would reply to them with 405."""

    # Functions of OpenAI's API that are missing here should look like that to its clients.
    @app.api_route(
        "/v1/{path:path}",
        methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        include_in_schema=False,
    )
    async def reject_unknown(request: Request) -> None:
        method, path = request.method, request.url.path
        raise RequestError(
            404, f"there is no operation {method} {path[:200]} here: see /openapi.json"
        )


def _add_health_routes(app: FastAPI, collections: Collections) -> None:
    @app.get("/healthz", tags=["health"])
    async def health() -> dict[str, str]:
        """Check that the process responds, and what its writers are doing."""
        conditions = [state.worker.condition for state in collections.states if state.is_ready]
        unusual = [condition for condition in conditions if condition != "running"]
        writer = next(iter(unusual), "running") if collections.is_ready else "stopped"
        return {"status": "ok", "writer": writer}

    @app.get("/readyz", tags=["health"], responses={503: {}})
    async def ready() -> Response:
        """Check that the models are loaded and the workers are running."""
        workers = (state.is_ready and state.worker.is_alive for state in collections.states)
        is_ready = collections.is_ready and all(workers)
        return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)

    @app.get("/metrics", tags=["health"], response_class=Response)
    async def metrics(request: Request) -> Response:
        """Get metrics in Prometheus's text format; gauges are sums over all collections."""
        _, principal = find_sender(request)
        check_unlimited(principal)
        shared, states = collections.shared, collections.states
        pending = [
            await shared.run_in_thread("count", state.worker.count_pending) for state in states
        ]  # fmt: skip
        shared.metrics.pending_jobs.set(sum(pending))
        counts = [
            await shared.run_in_thread("count", state.rag.kb.count) for state in states
        ]  # fmt: skip
        shared.metrics.passages.set(sum(counts))
        return Response(
            generate_latest(shared.metrics.registry), media_type="text/plain; version=0.0.4"
        )
