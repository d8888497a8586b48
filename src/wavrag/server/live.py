"""`/v1/live`: voice turns over a WebSocket.

The client's first message says how it will be listened to (`Start`, in JSON). From then on binary
messages are 16-bit PCM, and JSON messages `{"type": "begin" | "end" | "interrupt" | "finish"}` are
the calls of `LiveTurn`. What comes back is `{"event": "ready"}`, the events of `wavrag.live` and,
before the server closes, `{"event": "error", "message": ...}`.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

from fastapi import APIRouter, WebSocket
from pydantic import Field, ValidationError
from starlette.websockets import WebSocketDisconnect

from wavrag.audio import SAMPLE_RATE
from wavrag.errors import InputError, WavRAGError
from wavrag.generate import GenerateOptions
from wavrag.live import AsyncLiveTurn, LiveOptions, event_dict
from wavrag.server.bodies import MOST_HITS, MOST_TOKENS, MOST_TURNS, Said, Strict, Words
from wavrag.server.guard import Tokens
from wavrag.server.problems import RequestError
from wavrag.server.room import Room

FIRST_MESSAGE = 10.0  # seconds in which a client says how it will be listened to
REFUSED, FAULTY = 1008, 1007  # WebSocket close codes

router = APIRouter()


class Start(Strict):
    """The first message of a client."""

    token: str | None = Field(None, description="where the server wants one")
    mode: Literal["hands-free", "push-to-talk"] = "hands-free"
    sample_rate: int = SAMPLE_RATE
    channels: int = 1
    silence_ms: float = 576.0
    max_seconds: float = 30.0
    k: int = Field(8, ge=1, le=MOST_HITS)
    where: Words | None = None
    answer: bool = True
    barge_in: bool = True
    early_answers: int = 0
    max_tokens: int = Field(256, ge=1, le=MOST_TOKENS)
    history: list[Said] = Field(default_factory=list, max_length=MOST_TURNS)

    def options(self) -> LiveOptions:
        """How to listen.

        Raises:
            WavRAGError: so it cannot be listened.
        """
        return LiveOptions(
            mode=self.mode,
            sample_rate=self.sample_rate,
            channels=self.channels,
            silence_ms=self.silence_ms,
            max_seconds=self.max_seconds,
            k=self.k,
            where=self.where,
            answer=self.answer,
            barge_in=self.barge_in,
            early_answers=self.early_answers,
            generate=GenerateOptions(max_tokens=self.max_tokens),
        )


@router.websocket("/v1/live")
async def live(socket: WebSocket) -> None:
    """Listen to one speaker until the connection ends."""
    room: Room = socket.app.state.room
    await socket.accept()
    try:
        start = await _start(socket, Tokens(room.options.tokens))
        turns = AsyncLiveTurn(
            room.rag,
            start.options(),
            scheduler=room.scheduler,
            history=[said.turn() for said in start.history],
        )
        async with turns:
            await socket.send_json({"event": "ready"})
            await _listen(socket, turns)
        await socket.close()
    except WebSocketDisconnect:
        return
    except RequestError as error:
        await _refuse(socket, REFUSED, str(error.detail))
    except WavRAGError as error:
        await _refuse(socket, FAULTY, str(error))


async def _start(socket: WebSocket, tokens: Tokens) -> Start:
    try:
        async with asyncio.timeout(FIRST_MESSAGE):
            start = Start.model_validate_json(await _text(socket))
    except TimeoutError:
        raise RequestError(
            408, f"no first message came within {FIRST_MESSAGE:g} s: say how to listen"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{place or 'the first message'}: {first['msg']}") from error
    if tokens and not tokens.accept(start.token or ""):
        raise RequestError(401, "a token is needed: send it as `token` in the first message")
    return start


async def _text(socket: WebSocket) -> str:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    text: str | None = message.get("text")
    if text is None:
        raise InputError("the first message is sound: say how to listen before it, in JSON")
    return text


async def _listen(socket: WebSocket, turns: AsyncLiveTurn) -> None:
    """Take in sound and tell events, until the client goes or has finished."""
    hearing = asyncio.ensure_future(_hear(socket, turns))
    telling = asyncio.ensure_future(_tell(socket, turns))
    try:
        await asyncio.wait((hearing, telling), return_when=asyncio.FIRST_COMPLETED)
        if hearing.done():
            hearing.result()  # raises what ended it, if it was not `finish`
            await telling
        telling.result()
    finally:
        for task in (hearing, telling):
            task.cancel()
        await asyncio.gather(hearing, telling, return_exceptions=True)


async def _hear(socket: WebSocket, turns: AsyncLiveTurn) -> None:
    calls = {"begin": turns.begin, "end": turns.end, "interrupt": turns.interrupt}
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1000))
        sound: bytes | None = message.get("bytes")
        if sound is not None:
            turns.push(sound)
            continue
        try:
            told: Any = json.loads(message["text"])
        except (ValueError, RecursionError) as error:
            raise InputError(f"a message is no JSON ({error}): send an object") from error
        kind = told.get("type") if isinstance(told, dict) else None
        if kind == "finish":
            turns.finish()
            return
        if not isinstance(kind, str) or kind not in calls:
            raise InputError(f"a message has the type {str(kind)[:40]!r}: send one of {[*calls]}")
        calls[kind]()


async def _tell(socket: WebSocket, turns: AsyncLiveTurn) -> None:
    async for event in turns:
        await socket.send_json(event_dict(event))


async def _refuse(socket: WebSocket, code: int, message: str) -> None:
    try:
        await socket.send_json({"event": "error", "message": message})
        await socket.close(code)
    except (RuntimeError, WebSocketDisconnect):
        return  # it is gone already
