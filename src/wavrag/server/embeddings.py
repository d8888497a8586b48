"""`/v1/embeddings`: text in OpenAI's format, audio in vLLM's.

Audio is an `input_audio` part: in `messages`, as `wavrag.embed.remote` sends it, or in `input`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Literal, TypeAlias

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from wavrag import audio
from wavrag.embed import check_inputs
from wavrag.errors import EmbedderError
from wavrag.server.answer_events import run_while_connected
from wavrag.server.errors import COMMON_ERRORS, RequestError, error_responses
from wavrag.server.limits import MAX_EMBED_CHARS, MAX_EMBED_INPUTS
from wavrag.server.models import check_model
from wavrag.server.requests import InputAudio, Text, decode_base64, decode_question
from wavrag.server.schemas import EmbeddingShape, EmbeddingsShape, UsageShape
from wavrag.server.session import Session, State
from wavrag.types import EmbedInput, Float32, Role

# Inputs and characters of a step of embedding; searches go in between.
BATCH_SIZE, BATCH_CHARS = 8, 8_000
# Estimated work per second of the packaged embedder on two processors, before any is measured.
CHARS_PER_SECOND, AUDIO_PER_SECOND = 20_000.0, 10.0

router = APIRouter(prefix="/v1", tags=["openai"], responses=COMMON_ERRORS)


class TextContent(BaseModel):
    """The text part of a message."""

    type: Literal["text"]
    text: Text


class AudioContent(BaseModel):
    """The audio part of a message."""

    type: Literal["input_audio"]
    input_audio: InputAudio


ContentPart = Annotated[TextContent | AudioContent, Field(discriminator="type")]
Content: TypeAlias = Text | list[ContentPart]


class EmbedMessage(BaseModel):
    """A message to embed."""

    role: str = Field(max_length=32)
    content: Content


class EmbeddingsRequest(BaseModel):
    """Body of `POST /v1/embeddings`: either `input`, or one message in `messages`."""

    model: str
    # Token ids, which OpenAI's API accepts as well, mean nothing to another model's tokenizer.
    input: Text | Annotated[list[Text | ContentPart], Field(min_length=1)] | None = None
    messages: Annotated[list[EmbedMessage], Field(min_length=1, max_length=1)] | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, description="must equal the model's, if given")
    input_type: Role = Field("passage", description="embed as queries or as passages")


@router.post("/embeddings", responses=error_responses(404, 408, 502))
async def create_embeddings(
    body: EmbeddingsRequest, request: Request, state: State
) -> EmbeddingsShape:
    """Embed texts and recordings into unit vectors of the knowledge base's embedder."""
    spec = state.rag.kb.embedder.spec
    check_model(body.model, spec.name)
    if body.dimensions not in (None, spec.dim):
        raise RequestError(400, f"{spec.name} has {spec.dim} dimensions: leave dimensions out")
    inputs = _read_inputs(body)
    if len(inputs) > MAX_EMBED_INPUTS:
        raise RequestError(413, f"there are more than {MAX_EMBED_INPUTS} inputs: send fewer")
    seconds = _estimate_seconds(inputs)
    async with state.embeddings.slot(seconds):
        with state.metrics.stages.labels("embed").time():
            vectors = await run_while_connected(request, _embed(state, inputs, body.input_type))
    data = [
        EmbeddingShape(index=index, embedding=_encode_vector(vector, body.encoding_format))
        for index, vector in enumerate(vectors)
    ]
    # The embedder splits long texts itself, so the number of tokens is not known here.
    return EmbeddingsShape(data=data, model=spec.name, usage=UsageShape())


def _encode_vector(vector: Float32, encoding: Literal["float", "base64"]) -> list[float] | str:
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return [float(value) for value in vector]


def _read_inputs(body: EmbeddingsRequest) -> list[Content]:
    if (body.input is None) == (body.messages is None):
        raise RequestError(400, "give either input or messages")
    if body.messages is not None:
        return [body.messages[0].content]
    assert body.input is not None
    inputs = [body.input] if isinstance(body.input, str) else body.input
    return [content if isinstance(content, str) else [content] for content in inputs]


def _estimate_seconds(inputs: Sequence[Content]) -> float:
    """Estimate the time of a request from its size.

    Raises:
        RequestError: the request is too large (413).
    """
    chars = sum(len(join_text(content)) for content in inputs)
    if chars > MAX_EMBED_CHARS:
        raise RequestError(
            413, f"the inputs have more than {MAX_EMBED_CHARS} characters: send fewer at a time"
        )
    # Seconds of PCM at 16 kHz; compressed audio may be ten times longer, which its decoding limits.
    data = sum(len(data) for content in inputs for data in recordings_of(content))
    return chars / CHARS_PER_SECOND + 0.75 * data / 32_000 / AUDIO_PER_SECOND


async def _embed(state: Session, inputs: Sequence[Content], role: Role) -> Float32:
    """Embed inputs step by step."""
    steps = [partial(_embed_batch, state, batch, role) for batch in _split_batches(inputs)]
    return np.concatenate([await state.embeddings.run_step(step) for step in steps])


def _split_batches(inputs: Sequence[Content]) -> Iterator[list[Content]]:
    batch: list[Content] = []
    chars = 0
    for content in inputs:
        size = len(join_text(content))
        if batch and (len(batch) == BATCH_SIZE or chars + size > BATCH_CHARS):
            yield batch
            batch, chars = [], 0
        batch.append(content)
        chars += size
    yield batch


def _embed_batch(state: Session, batch: Sequence[Content], role: Role) -> Float32:
    embedder = state.rag.kb.embedder
    inputs = [_decode_input(content, embedder.spec.sampling_rate) for content in batch]
    try:
        check_inputs(embedder.spec, inputs)
    except EmbedderError as error:
        # The client's fault here, unlike an embedder that fails at its work (502).
        raise RequestError(400, str(error)) from error
    return embedder.embed(inputs, role)


def join_text(content: Content) -> str:
    """The text of a message."""
    if isinstance(content, str):
        return content
    return "\n".join(item.text for item in content if isinstance(item, TextContent))


def recordings_of(content: Content) -> list[str]:
    """The recordings of a message, in base64."""
    if isinstance(content, str):
        return []
    return [item.input_audio.data for item in content if isinstance(item, AudioContent)]


def _decode_input(content: Content, sample_rate: int | None) -> EmbedInput:
    text = join_text(content)
    recordings = recordings_of(content)
    if not recordings:
        if not text.strip():
            raise RequestError(400, "an input is empty: give text or audio")
        return EmbedInput(text)
    if len(recordings) > 1:
        raise RequestError(400, "a message has more than one recording: send one at a time")
    clip = decode_question(decode_base64(recordings[0]))
    if sample_rate is not None:
        clip = audio.resample(clip, sample_rate)
    # None, because an empty text would count as text.
    return EmbedInput(text.strip() or None, clip)
