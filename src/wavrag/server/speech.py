"""`/v1/audio/speech`: text to speech, if an engine is installed."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, Field

from wavrag.audio import AudioFormat, encode, media_type
from wavrag.server.errors import COMMON_ERRORS, RequestError, error_responses
from wavrag.server.limits import MAX_SPEECH_CHARS
from wavrag.server.models import check_model, speech_model_name
from wavrag.server.session import State
from wavrag.speech import Engine, Style, speak

router = APIRouter(prefix="/v1", tags=["openai"], responses=COMMON_ERRORS)


class SpeechRequest(BaseModel):
    """Body of `POST /v1/audio/speech`."""

    model: str = Field(description="a name from /v1/models")
    input: str = Field(description="text; citation marks and Markdown are not spoken")
    voice: str = Field("default", description="a voice of the engine, or `default`")
    response_format: AudioFormat = "mp3"
    speed: float = Field(1.0, ge=0.25, le=4.0, description="speaking rate, relative to normal")


@router.post(
    "/audio/speech",
    response_class=Response,
    responses={
        **error_responses(404, 408),
        200: {"content": {"audio/*": {"schema": {"type": "string", "format": "binary"}}}},
    },
)
async def create_speech(body: SpeechRequest, state: State) -> Response:
    """Speak a text."""
    engine = state.speech_engine
    if engine is None:
        raise RequestError(
            404, "no speech engine is installed: apt-get install espeak-ng on the server"
        )
    check_model(body.model, speech_model_name(engine))
    if len(body.input) > MAX_SPEECH_CHARS:
        raise RequestError(
            413, f"input is longer than {MAX_SPEECH_CHARS} characters: split the text"
        )
    data = await state.run_in_thread("speak", _synthesize, engine, body)
    return Response(data, media_type=media_type(body.response_format))


def _synthesize(engine: Engine, body: SpeechRequest) -> bytes:
    # OpenAI's clients require a voice, so `default` stands for the engine's own choice.
    voice = None if body.voice == "default" else body.voice
    clip = speak(body.input, engine, voice, Style(rate=body.speed))
    return encode(clip, body.response_format)
