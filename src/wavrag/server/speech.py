"""`/v1/audio/speech`: a text said aloud, where something here can speak."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from wavrag.audio import AudioFormat, encode, media_type
from wavrag.server.models import check_model, speech_model
from wavrag.server.problems import RequestError
from wavrag.server.room import Room, room_of
from wavrag.server.shapes import problems
from wavrag.speech import Engine, Style, speak

router = APIRouter(prefix="/v1", tags=["openai"])


class SpeechRequest(BaseModel):
    """What `POST /v1/audio/speech` takes."""

    model_config = ConfigDict(extra="ignore")

    model: str = Field(description="as /v1/models lists it")
    input: str = Field(description="text; marks of citations and Markdown are not said")
    voice: str = Field("default", description="one of the engine's, or `default`")
    response_format: AudioFormat = "mp3"
    speed: float = Field(1.0, ge=0.25, le=4.0, description="factor of the pace")


@router.post(
    "/audio/speech",
    response_class=Response,
    responses={
        **problems(404, 408),
        200: {"content": {"audio/*": {"schema": {"type": "string", "format": "binary"}}}},
    },
)
async def speech(body: SpeechRequest, room: Annotated[Room, Depends(room_of)]) -> Response:
    """A text said aloud."""
    engine = room.voice
    if engine is None:
        raise RequestError(404, "nothing here can speak: apt-get install espeak-ng on the server")
    check_model(body.model, speech_model(engine))
    if len(body.input) > room.options.max_speech_chars:
        limit = room.options.max_speech_chars
        raise RequestError(413, f"the text has more than {limit} characters: send less at a time")
    data = await room.compute("speak", _said, engine, body)
    return Response(data, media_type=media_type(body.response_format))


def _said(engine: Engine, body: SpeechRequest) -> bytes:
    voice = None if body.voice == "default" else body.voice
    clip = speak(body.input, engine, voice, Style(rate=body.speed))
    return encode(clip, body.response_format)
