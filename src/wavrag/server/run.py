"""Runs an application with uvicorn until it is interrupted."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from wavrag.access import LOOPBACK
from wavrag.errors import InputError, MissingExtraError
from wavrag.rag import WavRAG
from wavrag.server.app import create_app
from wavrag.server.collections import CollectionFolder
from wavrag.server.limits import MAX_CONNECTIONS
from wavrag.server.options import ServerOptions
from wavrag.server.request_log import log_json

if TYPE_CHECKING:
    import uvicorn

SEND_BUFFER = 256 << 10  # bytes of a reply in the kernel, for each connection
SHUTDOWN_TIMEOUT = 5  # seconds for running requests to end
MAX_WEBSOCKET_MESSAGE = 256 << 10  # bytes: 8 s of 16-bit mono at 16 kHz


def check_host(host: str, options: ServerOptions) -> None:
    """Refuse to serve other machines without tokens.

    Raises:
        InputError: the host is not a loopback address, and there are no tokens.
    """
    if not _is_loopback(host) and not options.needs_token:
        raise InputError(
            f"{host} is reachable from other machines, and everybody there could read and change"
            " the knowledge base: give tokens (--token FILE, or $WAVRAG_TOKEN), or serve 127.0.0.1"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name; `127.example.org` is one, too
        return host in LOOPBACK


def serve(
    source: WavRAG | CollectionFolder,
    host: str,
    port: int,
    options: ServerOptions,
    on_start: Callable[[str], object] = lambda url: None,
) -> None:
    """Serve until interrupted.

    Args:
        source: the `WavRAG` to serve, or a folder of knowledge bases.
        host: address of this machine.
        port: TCP port; 0 for any free one.
        options: access control and limits.
        on_start: called with the URL once requests are served.

    Raises:
        InputError: see `check_host`.
        MissingExtraError: the extra is not installed.
        WavRAGError: the knowledge base is not usable, or another server has it open.
    """
    if find_spec("uvicorn") is None or find_spec("websockets") is None:
        raise MissingExtraError("the server", "server")
    check_host(host, options)
    if options.json_logs:
        log_json()
    with bind_socket(host, port) as listener:
        name = f"[{host}]" if ":" in host else host
        url = f"http://{name}:{listener.getsockname()[1]}/"
        app = create_app(source, options, lambda: on_start(url))
        # Started here and not by the lifespan, where uvicorn would turn an error into a traceback.
        app.state.collections.start()
        try:
            # uvicorn shuts down gracefully at Ctrl-C, and raises the interrupt again afterwards.
            with suppress(KeyboardInterrupt):
                create_uvicorn_server(app, json_logs=options.json_logs).run(sockets=[listener])
        finally:
            app.state.collections.stop()


def create_uvicorn_server(app: FastAPI, *, json_logs: bool = False) -> uvicorn.Server:
    """Create a uvicorn server with limits on connections; `json_logs` after `log_json`."""
    import uvicorn

    from wavrag.server.connections import ConnectionGuard, GuardedHTTP, GuardedWebSocket

    guard = ConnectionGuard()
    # uvicorn calls these instead of classes of its own; its types allow classes only.
    http: Any = partial(GuardedHTTP, guard=guard)
    websocket: Any = partial(GuardedWebSocket, guard=guard)
    config = uvicorn.Config(
        app,
        log_level="warning",
        # Without a configuration of its own, uvicorn logs as the other parts do.
        log_config=None if json_logs else uvicorn.config.LOGGING_CONFIG,
        use_colors=False,  # escape sequences in logs: the command line would show them as text
        http=http,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
        server_header=False,
        proxy_headers=False,  # X-Forwarded-For is not used, and any client could forge it
        ws=websocket,
        ws_max_size=MAX_WEBSOCKET_MESSAGE,
        ws_per_message_deflate=False,  # samples do not compress, and each socket would need memory
        lifespan="on",
    )
    return uvicorn.Server(config)


def bind_socket(host: str, port: int) -> socket.socket:
    """Bind a listening socket.

    Raises:
        InputError: this machine does not have the address, or the port is in use.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=MAX_CONNECTIONS)
        # Accepted connections inherit this option; asyncio sets it only on sockets that it creates
        # itself. With Nagle's algorithm a reply in two packets waits 40 ms for a delayed ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Linux would let the buffer of each client that does not read grow to 4 MB.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        return listener
    except OSError as error:
        reason = error.strerror or error
        raise InputError(
            f"cannot serve {host}:{port} ({reason}): choose another port (--port), or an address"
            " of this machine (--host)"
        ) from error
