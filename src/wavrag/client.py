"""A client of a WavRAG server's voice turns, `/v1/live`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit, urlunsplit

import numpy as np
from numpy.typing import NDArray

from wavrag import config
from wavrag.errors import InputError, MissingExtraError, WavRAGError

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection


class LiveClient:
    """One speaker's voice turns on a server.

    The methods are those of `AsyncLiveTurn`, and the events are the same as JSON data. Audio and
    commands may be sent while another task reads the events.

    Example:
        >>> async with LiveClient("http://127.0.0.1:8321", answer=False) as live:
        ...     for chunk in chunks:
        ...         await live.push(chunk)
        ...     await live.finish()
        ...     hits = [event async for event in live if event["event"] == "hits"]
    """

    def __init__(self, url: str, *, token: str | None = None, **options: Any) -> None:
        """Prepare a connection; it is made by `async with`.

        Args:
            url: address of the server, such as `http://127.0.0.1:8321`.
            token: bearer token, if the server requires one.
            options: fields of the first message, such as `mode`, `sample_rate`, `k` and `where`.

        Raises:
            InputError: the URL is not one of HTTP.
            MissingExtraError: the extra `server`, which has the WebSocket client, is missing.
        """
        parts = urlsplit(url)
        schemes = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
        if parts.scheme not in schemes or not parts.netloc:
            raise InputError(f"{url!r} is no address of a server: give one like http://HOST:8321")
        try:
            import websockets  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("the live client", "server") from error
        path = f"{parts.path.rstrip('/')}/v1/live"
        self._url = urlunsplit((schemes[parts.scheme], parts.netloc, path, "", ""))
        self._name = config.redact_url(self._url)  # for errors
        self._start = {**options, "token": token}
        self._socket: ClientConnection | None = None

    async def __aenter__(self) -> Self:
        from websockets.asyncio.client import connect
        from websockets.exceptions import WebSocketException

        try:
            self._socket = await connect(self._url)
            await self._socket.send(json.dumps(self._start))
            await self._receive()  # `ready`, or the error of the server
        except (OSError, WebSocketException) as error:
            await self.close()
            raise WavRAGError(f"cannot connect to {self._name}: {error}") from error
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def push(self, samples: bytes | NDArray[np.int16] | NDArray[np.float32]) -> None:
        """Send audio: 16-bit little-endian PCM, or samples as int16 or as float32 from -1 to 1."""
        if not isinstance(samples, bytes):
            if samples.dtype.kind == "f":
                samples = (np.clip(samples, -1, 1) * 32_767).astype("<i2")
            elif samples.dtype != np.int16:
                raise InputError(f"samples have the type {samples.dtype}: give int16 or float32")
            samples = samples.astype("<i2").tobytes()
        await self._send(samples)

    async def begin(self) -> None:
        """Start a turn, in the mode push-to-talk."""
        await self._command("begin")

    async def end(self) -> None:
        """End the turn, in the mode push-to-talk."""
        await self._command("end")

    async def interrupt(self) -> None:
        """Cancel the turn in progress and its answer."""
        await self._command("interrupt")

    async def finish(self) -> None:
        """Signal the end of the audio; iteration ends after the last event."""
        await self._command("finish")

    async def close(self) -> None:
        """Close the connection, which cancels all work."""
        if self._socket is not None:
            await self._socket.close()

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        """Yield events until the server closes the connection.

        Raises:
            WavRAGError: the server reports an error, or the connection breaks.
        """
        while (event := await self._receive()) is not None:
            yield event

    async def _command(self, name: str) -> None:
        await self._send(json.dumps({"type": name}))

    async def _send(self, message: str | bytes) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            await self._connection().send(message)
        except ConnectionClosed:
            # The reason is an event of the server, which the reader of the events gets.
            return

    async def _receive(self) -> dict[str, Any] | None:
        """The next event; None at the end."""
        from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

        try:
            event: dict[str, Any] = json.loads(await self._connection().recv())
        except ConnectionClosedOK:
            return None
        except ConnectionClosedError as error:
            raise WavRAGError(f"the connection to {self._name} broke: {error}") from error
        if event["event"] == "error":
            raise WavRAGError(event["message"])
        return event

    def _connection(self) -> ClientConnection:
        if self._socket is None:
            raise InputError("the client is not connected: use it in `async with`")
        return self._socket
