"""Serving an application with uvicorn, until it is told to end."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

from fastapi import FastAPI

from wavrag.errors import InputError, MissingExtraError
from wavrag.rag import WavRAG
from wavrag.server.app import create_app
from wavrag.server.options import ServerOptions, is_loopback

if TYPE_CHECKING:
    import uvicorn

CONNECTIONS = 512  # at a time; beyond, requests are answered with 503
SHUTDOWN = 5  # seconds that requests have to come to their end


def check_host(host: str, options: ServerOptions) -> None:
    """Refuse to let others in without tokens.

    Raises:
        InputError: the host is no loopback address, and there are no tokens.
    """
    if not is_loopback(host) and not options.tokens:
        raise InputError(
            f"{host} can be reached from other machines, and everybody there could read and change"
            " the knowledge base: give tokens (--token FILE, or $WAVRAG_TOKEN), or serve 127.0.0.1"
        )


def serve(
    rag: WavRAG,
    host: str,
    port: int,
    options: ServerOptions,
    on_start: Callable[[str], object] = lambda url: None,
) -> None:
    """Serve until interrupted.

    Args:
        rag: what answers.
        host: address of this machine.
        port: 0 for any that is free.
        options: limits and permissions.
        on_start: told the address when requests are served.

    Raises:
        InputError: see `check_host`.
        MissingExtraError: the extra is not installed.
        WavRAGError: the knowledge base cannot be used, or is served already.
    """
    if find_spec("uvicorn") is None or find_spec("websockets") is None:
        raise MissingExtraError("the server", "server")
    check_host(host, options)
    with listening(host, port) as bound:
        name = f"[{host}]" if ":" in host else host
        app = create_app(rag, options, lambda: on_start(f"http://{name}:{bound.getsockname()[1]}/"))
        # Now rather than when it starts: an error is to be told in its own words.
        app.state.room.take()
        try:
            # uvicorn ends well at Ctrl-C, and then passes the interrupt on.
            with suppress(KeyboardInterrupt):
                uvicorn_server(app).run(sockets=[bound])
        finally:
            app.state.room.release()


def uvicorn_server(app: FastAPI) -> uvicorn.Server:
    """A server of an application, with the limits on connections that belong to it."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=SHUTDOWN,
        server_header=False,
        proxy_headers=False,
        ws="websockets-sansio",
        ws_max_size=1 << 20,
        lifespan="on",
    )
    return uvicorn.Server(config)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens at an address.

    Raises:
        InputError: there is no such address here, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family, backlog=CONNECTIONS)
        # Connections have this from the socket that listens; an event loop sets it only on sockets
        # of its own making. Without it a reply in two pieces waits 40 ms for an acknowledgement.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return bound
    except OSError as error:
        reason = error.strerror or error
        raise InputError(
            f"cannot serve {host}:{port} ({reason}): choose another port (--port), or an address"
            " of this machine (--host)"
        ) from error
