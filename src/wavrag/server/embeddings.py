"""`/v1/embeddings`: texts as OpenAI takes them, sound as vLLM does.

Sound goes as an `input_audio` part: of a chat in `messages`, as `wavrag.embed.remote` sends it, or
as an entry of `input`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from wavrag import audio
from wavrag.embed import check_inputs
from wavrag.errors import EmbedderError
from wavrag.server.bodies import InputAudio, Words, decoded, spoken
from wavrag.server.models import check_model
from wavrag.server.problems import RequestError
from wavrag.server.room import Room, room_of
from wavrag.server.shapes import EmbeddingsShape, problems
from wavrag.types import EmbedInput, Float32

AT_ONCE = 32  # items that are embedded together

router = APIRouter(prefix="/v1", tags=["openai"])


class TextInput(BaseModel):
    """Words of a message."""

    type: Literal["text"]
    text: Words


class AudioPart(BaseModel):
    """Sound of a message."""

    type: Literal["input_audio"]
    input_audio: InputAudio


Part = Annotated[TextInput | AudioPart, Field(discriminator="type")]


class PartsMessage(BaseModel):
    """A message that is embedded."""

    role: str = Field(max_length=32)
    content: Words | list[Part]


class EmbeddingsRequest(BaseModel):
    """What `POST /v1/embeddings` takes: `input`, or one conversation in `messages`."""

    model_config = ConfigDict(extra="ignore")

    model: str
    input: Words | Annotated[list[Words | Part], Field(min_length=1)] | None = None
    messages: Annotated[list[PartsMessage], Field(min_length=1, max_length=1)] | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, description="only the model's own")
    input_type: Literal["query", "passage"] = Field(
        "passage", description="questions, or what they are to find"
    )


@router.post("/embeddings", response_model=EmbeddingsShape, responses=problems(404, 408, 502))
async def embeddings(body: EmbeddingsRequest, room: Annotated[Room, Depends(room_of)]) -> Response:
    """Unit vectors of texts and sounds, as the knowledge base's embedder makes them."""
    spec = room.rag.kb.embedder.spec
    check_model(body.model, spec.name)
    if body.dimensions not in (None, spec.dim):
        raise RequestError(400, f"{spec.name} has {spec.dim} dimensions: leave dimensions out")
    entries = _entries(body)
    if len(entries) > room.options.max_inputs:
        raise RequestError(413, f"more than {room.options.max_inputs} inputs: send fewer at a time")
    vectors = await room.compute("embed", _embedded, room, entries, body.input_type)
    as_base64 = body.encoding_format == "base64"
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(row.astype("<f4").tobytes()).decode()
            if as_base64
            else [float(value) for value in row],
        }
        for index, row in enumerate(vectors)
    ]
    # Tokens are not counted: texts are cut into pieces by the embedder.
    usage = {"prompt_tokens": 0, "total_tokens": 0}
    return JSONResponse({"object": "list", "data": data, "model": spec.name, "usage": usage})


Entry = Sequence[TextInput | AudioPart]


def _entries(body: EmbeddingsRequest) -> list[Entry]:
    """The parts of each item that is embedded."""
    if (body.input is None) == (body.messages is None):
        raise RequestError(400, "give either input or messages")
    if body.messages is not None:
        content = body.messages[0].content
        return [[_text(content)] if isinstance(content, str) else content]
    assert body.input is not None
    given = [body.input] if isinstance(body.input, str) else body.input
    return [[_text(one) if isinstance(one, str) else one] for one in given]


def _text(words: str) -> TextInput:
    return TextInput(type="text", text=words)


def _embedded(room: Room, entries: list[Entry], role: Literal["query", "passage"]) -> Float32:
    embedder = room.rag.kb.embedder
    rows = []
    for first in range(0, len(entries), AT_ONCE):
        items = [_item(room, entry) for entry in entries[first : first + AT_ONCE]]
        try:
            check_inputs(embedder.spec, items)
        except EmbedderError as error:
            raise RequestError(400, str(error)) from error
        rows.append(embedder.embed(items, role))
    return np.concatenate(rows)


def _item(room: Room, entry: Entry) -> EmbedInput:
    """What is embedded for the parts of a message."""
    words = "\n".join(part.text for part in entry if isinstance(part, TextInput))
    sounds = [part.input_audio for part in entry if isinstance(part, AudioPart)]
    if not sounds:
        if not words.strip():
            raise RequestError(400, "an input is empty: give it words or sound")
        return EmbedInput(words)
    if len(sounds) > 1:
        raise RequestError(400, "a message holds more than one recording: send one at a time")
    rate = room.rag.kb.embedder.spec.sampling_rate
    clip = spoken(decoded(sounds[0].data), room)
    return EmbedInput(words.strip() or None, clip if rate is None else audio.resample(clip, rate))
