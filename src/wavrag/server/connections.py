"""Limits of connections: a share for each client, and timeouts for heads, replies and closing.

uvicorn has a timeout for idle connections only, and it answers every client with 503 once all
connections are taken. Here, a connection that waits for its client gives way to a new one.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from functools import partial
from ipaddress import IPv6Address, ip_address
from typing import Any, Literal

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from wavrag.server import limits
from wavrag.server.middleware import CONNECTION

SWEEP_SECONDS = 1.0  # between two checks of the timeouts


class GuardedConnection(asyncio.Protocol, ABC):
    """A connection under a `ConnectionGuard`; the base of both protocols.

    Attributes:
        transport: its socket.
        address: network address of the client; see `client_address`.
        is_authenticated: True once a request has carried a valid token.
        progress: a number that grows with each reply, and whenever the client has read a buffer.
    """

    transport: asyncio.Transport
    app: Any

    def __init__(self, *arguments: Any, guard: ConnectionGuard, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.address = ""
        self.is_authenticated = False
        self.progress = 0
        self._guard = guard
        self.app = partial(self._run, self.app)

    async def _run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        scope[CONNECTION] = self
        await app(scope, receive, send)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection."""
        super().connection_made(transport)
        self.address = client_address(transport)
        self._guard.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._guard.remove(self)
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        """Count a buffer that the client has read."""
        self.progress += 1
        super().resume_writing()

    @abstractmethod
    def is_stalled(self) -> bool:
        """True if the client leaves more than a buffer of the reply unread."""

    @abstractmethod
    def awaits(self) -> Literal["head", "body"] | None:
        """What the client still has to send before the server works on a request."""

    @property
    def waits(self) -> bool:
        """True if the server waits for the client, and not the client for the server."""
        return self.is_stalled() or self.awaits() is not None

    def timeout(self) -> float:
        """Seconds that the present state may last."""
        if self.transport.is_closing():
            return limits.CLOSE_TIMEOUT
        if self.is_stalled():
            return limits.WRITE_TIMEOUT
        return limits.HEAD_TIMEOUT if self.awaits() == "head" else float("inf")


class ConnectionGuard:
    """Admits connections and closes those that exceed a timeout."""

    def __init__(self) -> None:
        # With the timeout and the progress of the last check, and the second of their last change.
        self._connections: dict[GuardedConnection, tuple[float, int, float]] = {}
        self._sweep_timer: asyncio.TimerHandle | None = None

    def add(self, connection: GuardedConnection) -> None:
        """Admit a connection; at a limit, close another one that waits, or else this one.

        A connection without a request goes before one with an incomplete one, an old one first.
        """
        loop = asyncio.get_running_loop()
        self._connections[connection] = (connection.timeout(), 0, loop.time())
        strangers = [member for member in self._connections if not member.is_authenticated]
        neighbours = [member for member in strangers if member.address == connection.address]
        for group, limit in (
            (neighbours, limits.MAX_CLIENT_CONNECTIONS),
            (strangers, limits.MAX_UNAUTHENTICATED),
            (list(self._connections), limits.MAX_CONNECTIONS),
        ):
            if len(group) <= limit:
                continue
            idle = [member for member in group if member.waits and member is not connection]
            # The room beyond the share of strangers is for clients that have yet to send their
            # token, so only a full server or a full share of one address rejects them.
            if idle or group is not strangers:
                victim = min(idle, key=self._order, default=connection)
                victim.transport.abort()
                self.remove(victim)
                break
        if self._sweep_timer is None:
            self._sweep_timer = loop.call_later(SWEEP_SECONDS, self._sweep)

    def remove(self, connection: GuardedConnection) -> None:
        """Forget a connection; idempotent."""
        self._connections.pop(connection, None)

    def _order(self, connection: GuardedConnection) -> tuple[bool, float]:
        return connection.awaits() != "head", self._connections[connection][2]

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        for connection, (timeout, progress, since) in list(self._connections.items()):
            state = connection.timeout(), connection.progress
            if state != (timeout, progress):
                self._connections[connection] = (*state, loop.time())
            elif loop.time() - since > timeout:
                # Not `close`, which waits until the client has read the buffer.
                connection.transport.abort()
                self.remove(connection)
        self._sweep_timer = None
        if self._connections:
            self._sweep_timer = loop.call_later(SWEEP_SECONDS, self._sweep)


def client_address(transport: asyncio.BaseTransport) -> str:
    """The address that a share of connections belongs to: of IPv6 the network of 64 bits."""
    peer = transport.get_extra_info("peername")
    try:
        address = ip_address(peer[0].partition("%")[0])
    except (TypeError, ValueError, IndexError):
        return ""
    if isinstance(address, IPv6Address):
        # A single customer usually has 2**64 addresses.
        return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))
    return str(address)


class GuardedHTTP(GuardedConnection, H11Protocol):
    """HTTP/1.1 under a `ConnectionGuard`."""

    _is_lingering = False

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Leave the connection to the other protocol."""
        self._guard.remove(self)
        super().handle_websocket_upgrade(event)

    def data_received(self, data: bytes) -> None:
        """Process data, unless the connection is about to be closed."""
        if not self._is_lingering:
            super().data_received(data)

    def on_response_complete(self) -> None:
        """Close the connection if the client still sends the body of an answered request."""
        self.progress += 1
        is_sending = self.conn.their_state is h11.SEND_BODY
        super().on_response_complete()
        if is_sending and not self.transport.is_closing():
            # Data that arrives after `close` resets the connection, and the client might lose the
            # reply. So the end of the replies is announced, and the body discarded for a moment.
            self._is_lingering = True
            self.transport.write_eof()
            self.loop.call_later(limits.LINGER_SECONDS, self.transport.abort)

    def awaits(self) -> Literal["head", "body"] | None:
        """What the client still has to send."""
        if self.cycle is None or self.cycle.response_complete:
            return "head"
        return "body" if self.cycle.more_body else None

    def is_stalled(self) -> bool:
        """True if the client leaves more than a buffer of the reply unread."""
        return self.flow.write_paused


class GuardedWebSocket(GuardedConnection, WebSocketsSansIOProtocol):
    """A WebSocket under a `ConnectionGuard`."""

    def awaits(self) -> Literal["head", "body"] | None:
        """The options of a voice connection count as a body."""
        return None if self.is_authenticated else "body"

    def is_stalled(self) -> bool:
        """True if the client leaves more than a buffer of the events unread."""
        return not self.writable.is_set()
