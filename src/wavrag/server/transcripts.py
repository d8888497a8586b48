"""Transcripts of documents, and `/v1/audio/transcriptions` in OpenAI's format."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, aclosing
from functools import partial
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.sse import format_sse_event
from pydantic import BaseModel, Field, ValidationError, field_validator

from wavrag.audio import open_audio
from wavrag.errors import AudioError, InputError, WavRAGError
from wavrag.kb import Segment, Transcript, TranscriptFormat
from wavrag.server.answer_events import EventResponse, run_while_connected
from wavrag.server.documents import read_document
from wavrag.server.errors import COMMON_ERRORS, RequestError, error_body, error_responses
from wavrag.server.models import check_model
from wavrag.server.multipart import ReceivedFile, receive_form
from wavrag.server.requests import StrictBody, Text, describe_body, inline_schema
from wavrag.server.session import Session, State
from wavrag.shapes import TranscriptShape

# Clients of OpenAI's API have these names built in; they stand for the recogniser of the server.
OPENAI_MODELS = ("whisper-1", "gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")
LANGUAGE = "english"  # of the recogniser, spelt as in OpenAI's replies

MEDIA_TYPES: dict[TranscriptFormat, str] = {
    "txt": "text/plain", "md": "text/markdown", "vtt": "text/vtt", "srt": "application/x-subrip",
    "json": "application/json",
}  # fmt: skip

ReplyFormat: TypeAlias = Literal["json", "text", "srt", "verbose_json", "vtt"]
Segments: TypeAlias = AsyncGenerator[Segment, None]

router = APIRouter(prefix="/v1", responses=COMMON_ERRORS)


@router.get(
    "/documents/{document_id:path}/transcript",
    tags=["documents"],
    response_model=TranscriptShape,
    responses={
        **error_responses(404),
        200: {
            "content": {name: {"schema": {"type": "string"}} for name in MEDIA_TYPES.values()}
            | {"application/json": {"schema": inline_schema(TranscriptShape, "serialization")}}
        },
    },
)
async def get_transcript(
    state: State,
    document_id: str,
    format: Annotated[TranscriptFormat, Query(description="format of the reply")] = "json",
) -> Response:
    """Get the transcript of a recording, with the time and the probability of every word."""
    await read_document(state, state.rag.kb.head, document_id)
    try:
        transcript = await state.run_in_thread("transcribe", state.rag.kb.transcript, document_id)
    except AudioError as error:
        message = f"there is no recording of {document_id}: its file is missing or damaged"
        raise RequestError(404, message) from error
    return Response(transcript.format(format), media_type=MEDIA_TYPES[format])


class CorrectionBody(StrictBody):
    """Words in place of those of a span, usually a sentence of the transcript."""

    start: float = Field(ge=0, description="start time of the words, seconds")
    end: float = Field(ge=0, description="end time of the words, seconds")
    text: Text = Field(description="the correct words; empty if there is no speech")
    track: int | None = Field(None, ge=1, description="their track, if there are several")
    channel: int | None = Field(None, ge=1, description="their channel, if it has a speaker")


@router.patch(
    "/documents/{document_id:path}/transcript",
    tags=["documents"],
    response_model_exclude_unset=True,
    responses=error_responses(404),
)
async def correct_transcript(
    state: State, document_id: str, body: CorrectionBody
) -> TranscriptShape:
    """Replace words of a transcript, also in the index, and get the new transcript."""

    def correct() -> Transcript:
        kb = state.rag.kb
        kb.correct_transcript(
            document_id, body.start, body.end, body.text, track=body.track, channel=body.channel
        )
        return kb.transcript(document_id)

    await read_document(state, state.rag.kb.head, document_id)
    return TranscriptShape.model_validate(await state.run_in_thread("transcribe", correct))


class TranscriptionForm(BaseModel):
    """Form of `POST /v1/audio/transcriptions`; parameters without an effect are ignored."""

    file: bytes = Field(b"", description="the recording")
    model: str = Field(description="a name from /v1/models, or `whisper-1`")
    language: str | None = Field(None, description="ISO 639-1 code, one that the model knows")
    response_format: ReplyFormat = "json"
    timestamp_granularities: list[Literal["word", "segment"]] = Field(
        ["segment"], alias="timestamp_granularities[]", description="for `verbose_json`"
    )
    stream: bool = Field(False, description="reply with server-sent events")

    @field_validator("timestamp_granularities", mode="before")
    @classmethod
    def _split(cls, value: str | list[str]) -> list[str]:
        return value.split(",") if isinstance(value, str) else value


@router.post(
    "/audio/transcriptions",
    tags=["openai"],
    response_class=JSONResponse,
    responses={
        **error_responses(404, 408, 415),
        200: {
            "content": {
                name: {"schema": {"type": "string"}} for name in ("text/plain", "text/event-stream")
            }
        },
    },
    openapi_extra=describe_body(
        {"multipart/form-data": inline_schema(TranscriptionForm, "validation")}
    ),
)
async def create_transcription(request: Request, state: State) -> Response:
    """Transcribe a recording; closing the connection stops it."""
    async with AsyncExitStack() as stack:
        form = await stack.enter_async_context(
            receive_form(request, state.incoming_folder, max_files=1)
        )
        try:
            body = TranscriptionForm.model_validate(form.fields)
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from error
        if not form.files:
            raise RequestError(400, "there is no recording: send it as the file `file`")
        file = form.files[0]
        _check(body, state)
        duration = await state.run_in_thread("take", _measure, file, state)
        segments = _transcribe(state, file)
        if not body.stream:
            transcript = await run_while_connected(request, _collect(segments, file.name))
            return _reply(body, transcript, duration)
        # The file has to exist until the end of the reply.
        events = _encode_events(segments, duration, stack.pop_all())
        return EventResponse(events)


def _check(body: TranscriptionForm, state: Session) -> None:
    spec = state.transcriber.recogniser.spec
    if body.model not in OPENAI_MODELS:
        check_model(body.model, spec.name)
    if body.language and body.language not in spec.languages:
        raise RequestError(
            400, f"{spec.name} does not know the language {body.language[:20]!r}: it transcribes"
            f" {', '.join(spec.languages)}"
        )  # fmt: skip
    if body.stream and body.response_format not in ("json", "text"):
        raise RequestError(400, "a stream has the format json or text: leave out stream")


def _measure(file: ReceivedFile, state: Session) -> float:
    """Check a recording and return its duration in seconds; 0 if its header has none."""
    try:
        with open_audio(file.path) as source:
            seconds = source.duration or 0.0
    except AudioError as error:
        raise RequestError(415, str(error).replace(str(file.path), file.name)) from error
    limit = state.options.max_recording_seconds
    if seconds > limit:
        raise RequestError(413, f"{file.name}: longer than {limit / 3600:g} h: split the file")
    return seconds


async def _transcribe(state: Session, file: ReceivedFile) -> Segments:
    """Transcribe a recording on threads, one window at a time."""
    iterator = state.transcriber.segments(file.path)
    assert isinstance(iterator, Generator)
    try:
        async with state.speech.slot():
            while True:
                step = state.speech.run_step(partial(next, iterator, None))
                with state.metrics.stages.labels("transcribe").time():
                    segment = await step
                if segment is None:
                    return
                yield segment
    except InputError as error:
        raise InputError(str(error).replace(str(file.path), file.name)) from error
    finally:
        iterator.close()


async def _collect(segments: Segments, name: str) -> Transcript:
    async with aclosing(segments):
        collected = [segment async for segment in segments]
    return Transcript(name, name, tuple(sorted(collected, key=lambda segment: segment.start)))


def _reply(body: TranscriptionForm, transcript: Transcript, duration: float) -> Response:
    match body.response_format:
        case "text":
            return PlainTextResponse(f"{transcript.text}\n")
        case "srt" | "vtt":
            return PlainTextResponse(transcript.format(body.response_format))
        case "json":
            return JSONResponse({"text": transcript.text, "usage": _usage(duration)})
    segments = transcript.segments
    reply: dict[str, Any] = {
        "task": "transcribe",
        "language": LANGUAGE,
        "duration": round(duration or (segments[-1].end if segments else 0.0), 3),
        "text": transcript.text,
        "usage": _usage(duration),
    }
    if "segment" in body.timestamp_granularities:
        reply["segments"] = [_describe(index, segment) for index, segment in enumerate(segments)]
    if "word" in body.timestamp_granularities:
        reply["words"] = [
            {"word": word.text, "start": word.start, "end": word.end} for word in transcript.words
        ]
    return JSONResponse(reply)


def _usage(duration: float) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(duration)}


def _describe(index: int, segment: Segment) -> dict[str, Any]:
    """A segment in OpenAI's format; fields that only Whisper has are constant."""
    logs = [math.log(max(word.probability, 1e-3)) for word in segment.words]
    data = segment.text.encode()
    return {
        "id": index, "seek": 0, "start": segment.start, "end": segment.end, "text": segment.text,
        "tokens": [], "temperature": 0.0, "no_speech_prob": 0.0,
        "avg_logprob": round(sum(logs) / max(len(logs), 1), 4),
        "compression_ratio": round(len(data) / len(zlib.compress(data)), 4),
    }  # fmt: skip


async def _encode_events(
    segments: Segments, duration: float, resources: AsyncExitStack
) -> AsyncGenerator[bytes, None]:
    """Encode sentences as OpenAI's events, and delete the file at the end."""
    text = ""
    async with resources, aclosing(segments):
        try:
            async for segment in segments:
                delta = f" {segment.text}" if text else segment.text
                text += delta
                yield _encode({"type": "transcript.text.delta", "delta": delta})
            usage = _usage(duration)
            yield _encode({"type": "transcript.text.done", "text": text, "usage": usage})
        except WavRAGError as error:
            yield _encode(error_body(error))
        yield format_sse_event(data_str="[DONE]")


def _encode(data: dict[str, Any]) -> bytes:
    return format_sse_event(data_str=json.dumps(data, ensure_ascii=False))
