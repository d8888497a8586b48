"""What requests carry, and how it reads in the OpenAPI description."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wavrag import audio
from wavrag.answer import ReasoningOptions
from wavrag.generate import GenerateOptions
from wavrag.server.problems import RequestError
from wavrag.server.receive import received
from wavrag.server.room import Room, room_of
from wavrag.types import Clip, HistoryTurn, Query

LONGEST_TEXT = 20_000  # characters of a question
LONGEST_IN_URL = 1_500  # characters: two of them, escaped, fit in the 64 KiB of a request's head
MOST_HITS = 100
MOST_TOKENS = 4096
MOST_TURNS = 100  # of a conversation

Words = Annotated[str, Field(max_length=LONGEST_TEXT)]
M = TypeVar("M", bound="QuestionBody")


class Strict(BaseModel):
    """A body in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid")


class Said(Strict):
    """An earlier turn of a conversation."""

    question: Words = Field(description="in words")
    answer: Words = Field("", description="its text; empty if nothing was found")

    def turn(self) -> HistoryTurn:
        """As generators and the search take it."""
        return HistoryTurn(self.question, self.answer)


class InputAudio(BaseModel):
    """A recording in a JSON body."""

    data: str = Field(description="the file, of any format that is indexed too, in base64")
    format: str | None = Field(None, description="ignored: the content tells")


class QuestionBody(Strict):
    """Words, a recording, or both."""

    text: Words | None = Field(None, description="the question in words")
    audio: InputAudio | None = Field(None, description="the question as a recording")
    where: Words | None = Field(None, description="filter, such as `year >= 2020`")


class SearchRequest(QuestionBody):
    """What `POST /v1/search` takes."""

    k: int = Field(10, ge=1, le=MOST_HITS, description="most hits")


class AskRequest(QuestionBody):
    """What `POST /v1/ask` takes."""

    stream: bool = Field(False, description="answer with server-sent events")
    max_tokens: int = Field(256, ge=1, le=MOST_TOKENS, description="longest answer")
    temperature: float = Field(0.0, ge=0, le=2, description="0 is greedy")
    seed: int | None = Field(None, ge=0, lt=2**31, description="of the sampling")
    think: bool = Field(False, description="let the model reason before it answers")
    paths: int = Field(1, ge=1, le=16, description="answers to sample and to choose among")

    history: list[Said] = Field(
        default_factory=list, max_length=MOST_TURNS, description="earlier turns, oldest first"
    )

    def generation(self) -> GenerateOptions:
        """How to write."""
        return GenerateOptions(
            max_tokens=self.max_tokens, temperature=self.temperature, seed=self.seed
        )

    def reasoning(self) -> ReasoningOptions | None:
        """How to reason; None if nothing of it is asked for."""
        if not self.think and self.paths == 1:
            return None
        return ReasoningOptions(paths=self.paths, think=self.think)


async def read_question(request: Request, model: type[M]) -> tuple[M, Query]:
    """A question from a body that is JSON, or a form with a file named `audio`.

    Raises:
        RequestValidationError: the body is no such thing.
        RequestError: the recording is damaged or too long, or there is neither words nor sound.
    """
    room = room_of(request)
    sound: bytes | None = None
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        options = room.options
        async with received(request, room.incoming, 1, options.free_bytes) as form:
            asked = checked(model, form.fields)
            if form.files:
                sound = form.files[0].path.read_bytes()
    else:
        asked = checked_json(model, await request.body())
    if asked.audio is not None:
        sound = decoded(asked.audio.data)
    clip = await room.compute("decode", spoken, sound, room) if sound is not None else None
    text = asked.text.strip() if asked.text else None
    if clip is None and not text:
        raise RequestError(400, "there is no question: give text, audio, or both")
    return asked, Query(text or None, clip, asked.where)


def checked(model: type[M], values: Mapping[str, Any]) -> M:
    """The fields of a form as a body.

    Raises:
        RequestValidationError: they are none.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def checked_json(model: type[M], body: bytes) -> M:
    """A JSON body.

    Raises:
        RequestValidationError: it is none.
    """
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def decoded(data: str) -> bytes:
    """The bytes of a base64 text.

    Raises:
        RequestError: it is none.
    """
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(400, f"the recording is no base64 ({error}): encode it so") from error


class _Recording(io.BytesIO):
    name = "the recording"  # in messages


def spoken(data: bytes, room: Room) -> Clip:
    """A recording that asks, decoded.

    Raises:
        AudioError: it cannot be decoded.
        RequestError: it is too long.
    """
    limit = room.options.max_question_seconds
    clip = audio.load(_Recording(data), end=limit + 1)
    if clip.duration > limit:
        raise RequestError(
            413, f"the recording lasts more than {limit:g} s: ask a shorter question"
        )
    return Clip(clip.samples, clip.sample_rate)


def question_body(model: type[QuestionBody]) -> dict[str, Any]:
    """The body of a question in OpenAPI: JSON, or a form whose part `audio` is a file."""
    schema = _inlined(model)
    form = {**schema, "properties": dict(schema["properties"])}
    form["properties"]["audio"] = {"type": "string", "format": "binary"}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": schema},
                "multipart/form-data": {"schema": form},
            },
        }
    }


def _inlined(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a model with the schemas of its parts in their places."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return resolve(parts[node["$ref"].rpartition("/")[2]])
            return {key: resolve(value) for key, value in node.items()}
        return [resolve(item) for item in node] if isinstance(node, list) else node

    found: dict[str, Any] = resolve(schema)
    return found
