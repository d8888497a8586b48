"""The application: its rooms put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.middleware.cors import CORSMiddleware

from wavrag.rag import WavRAG
from wavrag.server import ask, chat, documents, embeddings, live, models, speech
from wavrag.server.guard import Guard
from wavrag.server.metrics import Measuring
from wavrag.server.options import ServerOptions
from wavrag.server.problems import add_handlers
from wavrag.server.room import Room, room_of

STATIC = Path(__file__).parent / "static"


def create_app(
    rag: WavRAG,
    options: ServerOptions | None = None,
    on_start: Callable[[], object] = lambda: None,
) -> FastAPI:
    """An application that serves a `WavRAG`.

    Its lifespan takes the knowledge base for itself, goes on with jobs that were promised before,
    and at its end finishes the document that is being stored. The `WavRAG` stays open.

    Args:
        rag: what answers.
        options: limits and permissions.
        on_start: called when everything is loaded.
    """
    options = options or ServerOptions()
    room = Room(rag, options)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await to_thread.run_sync(room.take)
        on_start()
        try:
            yield
        finally:
            await to_thread.run_sync(room.release)

    app = FastAPI(
        title="WavRAG",
        version=version("wavrag"),
        summary="Ask with your voice, over recordings and documents.",
        docs_url=None,  # they would load scripts from another host
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.room = room
    add_handlers(app)
    for part in (documents, ask, models, embeddings, chat, speech, live):
        app.include_router(part.router)
    _add_health(app)
    # The page, at every path that nothing else serves.
    app.mount("/", StaticFiles(directory=STATIC, html=True), name="page")
    # The last one added is the first that a request meets.
    if options.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(options.origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type"],
        )
    app.add_middleware(Guard, options=options)
    app.add_middleware(Measuring, metrics=room.metrics)
    return app


def _add_health(app: FastAPI) -> None:
    @app.get("/healthz", tags=["health"])
    async def health() -> dict[str, str]:
        """That the process answers."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"], responses={503: {}})
    async def ready(request: Request) -> Response:
        """Whether models are loaded and the writer works."""
        room = room_of(request)
        is_ready = room.is_ready and room.writer.is_working
        return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)

    @app.get("/metrics", tags=["health"], response_class=Response)
    async def metrics(request: Request) -> Response:
        """Figures for Prometheus."""
        room = room_of(request)
        room.metrics.jobs_waiting.set(room.writer.waiting())
        room.metrics.passages.set(await room.compute("count", room.rag.kb.count))
        return Response(room.metrics.text(), media_type="text/plain; version=0.0.4")
