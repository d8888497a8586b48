"""`/v1/live`: voice turns over a WebSocket.

`live_protocol` has the messages; after the first one, they call the methods of `LiveTurn`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, WebSocket
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from wavrag.access import COLLECTION, Principal
from wavrag.errors import InputError, WavRAGError
from wavrag.live import AsyncLiveTurn, event_dict
from wavrag.server import limits
from wavrag.server.collections import Collections
from wavrag.server.errors import RequestError, public_message
from wavrag.server.limits import START_TIMEOUT
from wavrag.server.live_protocol import CONTROLS, LiveControl, LiveStart, describe_protocol
from wavrag.server.middleware import mark_authenticated
from wavrag.server.session import Session
from wavrag.server.state import SharedState
from wavrag.shapes import validation_message

# WebSocket close codes (RFC 6455, section 7.4.1, and its registry at IANA)
POLICY_VIOLATION, INVALID_DATA, TRY_AGAIN_LATER = 1008, 1007, 1013

logger = logging.getLogger(__name__)
router = APIRouter()


def describe_failure(error: Exception) -> str:
    """The message of an error for clients; the log has it if that hides paths of the server."""
    message = public_message(error)
    if message != str(error) and not isinstance(error, RequestError):
        logger.warning("a voice turn failed: %s: %s", type(error).__name__, error)
    return message


@router.get("/asyncapi.json", include_in_schema=False)
async def get_protocol() -> dict[str, Any]:
    """Describe `/v1/live` in AsyncAPI 3.0."""
    return describe_protocol()


@router.websocket("/v1/live")
async def live(socket: WebSocket) -> None:
    """Serve one speaker until the connection ends."""
    collections: Collections = socket.app.state.collections
    await socket.accept()
    async with closing_with_error(socket, partial(_send_error, socket)):
        start = await _receive_start(socket)
        principal = await _identify(collections.shared, start.token)
        server = collections.get(socket.scope.get(COLLECTION), principal)
        state = Session(server, principal, socket.scope)
        with admit(socket, state):
            guard = partial(check_again, collections.shared, start.token, principal)
            await _converse(socket, state, start, guard)
        await socket.close()


@asynccontextmanager
async def closing_with_error(
    socket: WebSocket, send_error: Callable[[str], Awaitable[None]]
) -> AsyncIterator[None]:
    """Serve a connection during the block; an error is sent, and closes it."""
    try:
        yield
    except WebSocketDisconnect:
        return
    except (RequestError, WavRAGError) as error:
        code = INVALID_DATA
        if isinstance(error, RequestError):
            code = TRY_AGAIN_LATER if error.status_code == 429 else POLICY_VIOLATION
        with suppress(RuntimeError, WebSocketDisconnect):  # the client has disconnected
            await send_error(describe_failure(error))
            await socket.close(code)


async def _send_error(socket: WebSocket, message: str) -> None:
    await socket.send_json({"event": "error", "message": message})


@contextmanager
def admit(socket: WebSocket, state: Session) -> Iterator[None]:
    """Count a connection during the block; one too many is an error."""
    addresses = state.live_addresses
    address = socket.client.host if socket.client else ""
    if len(addresses) >= limits.MAX_LIVE or addresses.count(address) >= limits.MAX_CLIENT_LIVE:
        raise RequestError(429, "too many voice connections are open: try again later")
    addresses.append(address)
    mark_authenticated(socket.scope)
    try:
        yield
    finally:
        addresses.remove(address)


async def check_again(server: SharedState, token: str | None, principal: Principal) -> None:
    """Wait until a token has expired, was revoked, or stands for other rights."""
    while await server.authenticator.identify(token or "") == principal:
        await asyncio.sleep(limits.TOKEN_SECONDS)
    raise RequestError(401, "the token has expired or was revoked: connect again with another")


async def _converse(
    socket: WebSocket,
    state: Session,
    start: LiveStart,
    guard: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """Run the turns of a speaker until the client finishes."""
    turns = AsyncLiveTurn(
        state.rag,
        start.live_options(),
        scheduler=state.scheduler,
        describe_error=describe_failure,
        history=[turn.to_turn() for turn in start.history],
    )
    async with turns:
        await socket.send_json({"event": "ready"})
        await _run_turns(socket, turns, state.intake, guard)


async def _receive_start(socket: WebSocket) -> LiveStart:
    try:
        async with asyncio.timeout(START_TIMEOUT):
            message = await _receive(socket)
            if isinstance(message, bytes):
                raise InputError("the first message is audio: send the options before it, as JSON")
            start = LiveStart.model_validate_json(message)
    except TimeoutError:
        raise RequestError(
            408, f"no message within {START_TIMEOUT:g} s: send the options first, as JSON"
        ) from None
    except ValidationError as error:
        raise InputError(validation_message(error.errors(), "the first message")) from error
    return start


async def _identify(server: SharedState, token: str | None) -> Principal:
    principal = await server.authenticator.identify(token or "")
    if principal is None:
        raise RequestError(401, "a token is needed: send it as `token` in the first message")
    return principal


async def _receive(socket: WebSocket) -> str | bytes:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    data: str | bytes | None = message.get("bytes")
    return data if data is not None else message["text"]


async def _run_turns(
    socket: WebSocket,
    turns: AsyncLiveTurn,
    intake: CapacityLimiter,
    guard: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """Receive audio and send events, until the client finishes or disconnects, or `guard` fails."""
    receiver = asyncio.ensure_future(_receive_audio(socket, turns, intake))
    sender = asyncio.ensure_future(_send_events(socket, turns))
    guardian = asyncio.ensure_future(guard())
    tasks = (receiver, sender, guardian)
    try:
        # The receiver ends at `finish` or a disconnect; the sender when the turns are over.
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if guardian.done():
            guardian.result()  # raises its error
        if receiver.done():
            receiver.result()  # raises its error; returns after `finish`
            await sender
        sender.result()
    finally:
        receiver.cancel()
        sender.cancel()
        guardian.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def receive_in_time(socket: WebSocket, turns: AsyncLiveTurn) -> str | bytes:
    """The next message; a client that falls silent loses its turn, and later its connection."""
    for seconds in (limits.LIVE_SILENCE, limits.LIVE_TIMEOUT - limits.LIVE_SILENCE):
        try:
            async with asyncio.timeout(seconds):
                return await _receive(socket)
        except TimeoutError:
            turns.drop()
    raise RequestError(
        408, f"no message for {limits.LIVE_TIMEOUT:g} s: connect again to ask something"
    )


class AudioIntake:
    """Passes the audio of a connection on to its turns, no faster than it is spoken for long.

    Args:
        turns: the turns.
        limiter: limits the threads for voice activity detection.
    """

    def __init__(self, turns: AsyncLiveTurn, limiter: CapacityLimiter) -> None:
        options = turns.turn.options
        self._turns, self._limiter = turns, limiter
        self._bytes_per_second = 2 * options.channels * options.sample_rate
        self._start_time = time.monotonic()
        self._seconds = 0.0  # of audio

    async def push(self, data: bytes) -> None:
        """Process the next audio."""
        # On a thread and in steps of a quarter of a second, since voice activity detection of a
        # long message would delay other clients.
        step = self._bytes_per_second // 16 * 4  # whole samples of all channels
        for at in range(0, max(len(data), 1), step):
            push = partial(self._turns.push, data[at : at + step])
            await to_thread.run_sync(push, limiter=self._limiter)
        self._seconds += len(data) / self._bytes_per_second
        lead = self._seconds - (time.monotonic() - self._start_time) - limits.MAX_LIVE_LEAD
        await asyncio.sleep(max(0.0, lead))


async def _receive_audio(socket: WebSocket, turns: AsyncLiveTurn, intake: CapacityLimiter) -> None:
    audio = AudioIntake(turns, intake)
    while True:
        message = await receive_in_time(socket, turns)
        if isinstance(message, bytes):
            await audio.push(message)
            continue
        try:
            control = LiveControl.model_validate_json(message)
        except ValidationError as error:
            reason = validation_message(error.errors(), "a control message")
            commands = ", ".join(f'{{"type": "{name}"}}' for name in CONTROLS)
            raise InputError(
                f"{reason}; received: {message[:60]}: send audio as binary messages, or one of"
                f" {commands}"
            ) from error
        match control.type:
            case "begin":
                turns.begin()
            case "end":
                turns.end()
            case "interrupt":
                turns.interrupt()
            case "finish":
                turns.finish()
                return


async def _send_events(socket: WebSocket, turns: AsyncLiveTurn) -> None:
    async for event in turns:
        await socket.send_json(event_dict(event))
