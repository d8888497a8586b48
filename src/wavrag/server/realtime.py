"""`/v1/realtime`: voice turns over a WebSocket in the format of OpenAI's Realtime API.

A client sends audio and gets text. Turns are detected by voice activity, or end with a commit.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

from fastapi import APIRouter, WebSocket
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wavrag.access import COLLECTION
from wavrag.errors import AudioError, InputError, WavRAGError
from wavrag.live import AsyncLiveTurn, Cancelled, TurnEnded
from wavrag.server.collections import Collections
from wavrag.server.errors import RequestError, public_message
from wavrag.server.live import (
    AudioIntake,
    admit,
    check_again,
    closing_with_error,
    describe_failure,
    receive_in_time,
)
from wavrag.server.models import CHAT_MODEL, check_model
from wavrag.server.realtime_events import EventTranslator, Json, create_id, describe_error
from wavrag.server.realtime_session import RealtimeSession
from wavrag.server.requests import decode_base64
from wavrag.server.session import Session
from wavrag.shapes import validation_message

router = APIRouter()


class ClientEvent(BaseModel):
    """An event of a client; only the fields of its type are set."""

    model_config = ConfigDict(extra="ignore")

    type: Literal[
        "session.update",
        "input_audio_buffer.append",
        "input_audio_buffer.commit",
        "input_audio_buffer.clear",
        "response.create",
        "response.cancel",
    ]
    event_id: str | None = Field(None, max_length=512)
    session: dict[str, Any] | None = None
    audio: str | None = Field(None, description="16-bit PCM at 24 kHz in base64")


@router.websocket("/v1/realtime")
async def realtime(socket: WebSocket, model: str = CHAT_MODEL) -> None:
    """Serve one speaker until the connection ends."""
    collections: Collections = socket.app.state.collections
    await socket.accept()

    async def send_error(message: str) -> None:
        await _send(socket, describe_error(message))

    async with closing_with_error(socket, send_error):
        check_model(model, CHAT_MODEL)
        _, _, token = socket.headers.get("authorization", "").partition(" ")
        authenticator = collections.shared.authenticator
        principal = await authenticator.identify(token.strip())
        if principal is None:
            raise RequestError(401, "a token is needed: send it as `Authorization: Bearer TOKEN`")
        server = collections.get(socket.scope.get(COLLECTION), principal)
        state = Session(server, principal, socket.scope)
        with admit(socket, state):
            connection = _Connection(socket, state)
            guard = check_again(collections.shared, token.strip(), principal)
            await connection.run(guard)


async def _send(socket: WebSocket, event: Json) -> None:
    await socket.send_json({"event_id": create_id("event"), **event})


class _Connection:
    """The turns of one speaker."""

    def __init__(self, socket: WebSocket, state: Session) -> None:
        self._socket, self._state = socket, state
        self._session, self._id = RealtimeSession.model_validate({}), create_id("sess")
        self._has_audio = False
        # Without voice activity detection: between the first audio of a turn and its end.
        self._in_turn = False
        self._turn_count = 0
        self._sending = asyncio.Lock()  # keeps the order of events of an answer
        self._turns: AsyncLiveTurn
        self._events: EventTranslator
        self._audio: AudioIntake

    async def run(self, guard: Any) -> None:
        """Receive audio and send events, until the client disconnects or `guard` fails."""
        await self._send({"type": "session.created", "session": self._session.describe(self._id)})
        guardian = asyncio.ensure_future(guard)
        receiver = asyncio.ensure_future(self._serve())
        try:
            await asyncio.wait((guardian, receiver), return_when=asyncio.FIRST_COMPLETED)
            for task in (guardian, receiver):
                if task.done():
                    task.result()  # raises its error
        finally:
            guardian.cancel()
            receiver.cancel()
            await asyncio.gather(guardian, receiver, return_exceptions=True)

    async def _serve(self) -> None:
        """Serve events of the client: options first, then audio with those of turns."""
        self._open_turns()
        try:
            while not self._has_audio:
                await self._receive()
            sender = asyncio.ensure_future(self._send_events())
            try:
                while True:
                    await self._receive()
            finally:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
        finally:
            await self._turns.close()

    def _open_turns(self) -> None:
        detection = self._session.turn_detection
        self._turns = AsyncLiveTurn(
            self._state.rag,
            self._session.live_options(),
            scheduler=self._state.scheduler,
            describe_error=describe_failure,
        )
        self._events = EventTranslator(
            detects=detection is not None,
            answers=detection is not None and detection.create_response,
        )
        self._audio = AudioIntake(self._turns, self._state.intake)

    async def _receive(self) -> None:
        """Serve the next event of the client; a faulty one is reported, and has no effect."""
        message = await receive_in_time(self._socket, self._turns)
        event_id = None
        try:
            event = ClientEvent.model_validate_json(message)
            event_id = event.event_id
            await self._execute(event)
        except ValidationError as error:
            reason = validation_message(error.errors(), "the event")
            await self._send(describe_error(reason, event_id=event_id or _find_id(message)))
        except (AudioError, InputError, RequestError) as error:
            await self._send(describe_error(public_message(error), event_id=event_id))

    async def _execute(self, event: ClientEvent) -> None:
        match event.type:
            case "session.update":
                await self._update(event.session or {})
            case "input_audio_buffer.append":
                await self._append(event.audio or "")
            case "input_audio_buffer.commit":
                if not self._in_turn:
                    raise InputError("there is no audio to commit: append some first")
                self._in_turn = False
                self._turns.end()
            case "input_audio_buffer.clear":
                self._in_turn = False
                self._turns.drop()
            case "response.create":
                if not self._has_audio or self._in_turn:
                    raise InputError("there is nothing to answer: append audio, and commit it")
                async with self._sending:
                    for held in self._events.request_answer():
                        await self._send(held)
            case "response.cancel":
                self._turns.interrupt()

    async def _update(self, changes: dict[str, Any]) -> None:
        session = self._session.updated(changes)
        if self._has_audio:
            raise InputError("the options come before the first audio: connect again for others")
        turns = self._turns
        self._session, before = session, self._session
        try:
            self._open_turns()
        except WavRAGError:
            self._session = before
            raise
        await turns.close()
        await self._send({"type": "session.updated", "session": session.describe(self._id)})

    async def _append(self, audio: str) -> None:
        data = decode_base64(audio)
        if len(data) % 2:
            raise InputError("the audio ends in the middle of a sample: send 16-bit samples")
        if self._session.turn_detection is None and not self._in_turn:
            self._events.begin_turn()
            self._turns.begin()
            self._in_turn = True
            self._turn_count += 1
        self._has_audio = True
        await self._audio.push(data)

    async def _send_events(self) -> None:
        async for event in self._turns:
            is_end = isinstance(event, TurnEnded | Cancelled) and event.turn == self._turn_count
            if is_end:  # also by its length, or because the client fell silent
                self._in_turn = False
            async with self._sending:
                for translated in self._events.translate(event):
                    await self._send(translated)

    async def _send(self, event: Json) -> None:
        await _send(self._socket, event)


def _find_id(message: str | bytes) -> str | None:
    """The id of a faulty event, if it can be read."""
    try:
        event_id = json.loads(message)["event_id"]
    except (ValueError, TypeError, KeyError):
        return None
    return event_id if isinstance(event_id, str) else None
