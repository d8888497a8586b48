"""Request bodies with a question: their models, and reading them from JSON or a form."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)

from wavrag import audio
from wavrag.answer import ReasoningOptions
from wavrag.generate import GenerateOptions
from wavrag.server import limits
from wavrag.server.errors import RequestError
from wavrag.server.multipart import receive_form
from wavrag.server.session import open_session
from wavrag.types import Clip, HistoryTurn, Query

Text = Annotated[str, Field(max_length=limits.MAX_QUESTION_CHARS)]
# Strict types, because pydantic would otherwise turn true into 1 and "7" into 7. The store keeps
# 64-bit integers.
MetadataValue: TypeAlias = (
    StrictBool
    | StrictStr
    | Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)]
    | Annotated[StrictFloat, Field(allow_inf_nan=False)]
)
Filter = Annotated[str, Field(max_length=limits.MAX_FILTER_CHARS)]
M = TypeVar("M", bound="QuestionBody")


class StrictBody(BaseModel):
    """A body without unknown keys."""

    model_config = ConfigDict(extra="forbid")


class HistoryTurnBody(StrictBody):
    """An earlier question of the conversation with its answer."""

    question: Text = Field(description="the question as text")
    answer: Text = Field("", description="text of the answer; empty if there was none")

    def to_turn(self) -> HistoryTurn:
        """The turn for retrieval and generation."""
        return HistoryTurn(self.question, self.answer)


class InputAudio(BaseModel):
    """A recording in a JSON body."""

    data: str = Field(description="audio file in base64, of any format that can be indexed")
    format: str | None = Field(None, description="ignored; the format is detected")


class QuestionBody(StrictBody):
    """A text, a recording, or both."""

    text: Text | None = Field(None, description="the question as text")
    audio: InputAudio | None = Field(None, description="the question as a recording")
    where: Filter | None = Field(None, description="metadata filter, such as `year >= 2020`")
    spelling: bool = Field(True, description="search also for words that resemble misspelled ones")


class SearchRequest(QuestionBody):
    """Body of `POST /v1/search`."""

    k: int = Field(10, ge=1, le=limits.MAX_HITS, description="maximum number of hits")


class AskRequest(QuestionBody):
    """Body of `POST /v1/ask`."""

    stream: bool = Field(False, description="reply with server-sent events")
    max_tokens: int = Field(
        256, ge=1, le=limits.MAX_ANSWER_TOKENS, description="maximum length of the answer"
    )
    temperature: float = Field(0.0, ge=0, le=2, description="sampling temperature; 0 is greedy")
    seed: int | None = Field(None, ge=0, lt=2**31, description="random seed of the sampling")
    think: bool = Field(False, description="let the model reason before it answers")
    paths: int = Field(1, ge=1, le=16, description="number of answers to sample and choose from")
    history: list[HistoryTurnBody] = Field(
        default_factory=list,
        max_length=limits.MAX_HISTORY_TURNS,
        description="earlier turns, oldest first",
    )

    def generate_options(self) -> GenerateOptions:
        """Options of the generator."""
        return GenerateOptions(
            max_tokens=self.max_tokens, temperature=self.temperature, seed=self.seed
        )

    def reasoning_options(self) -> ReasoningOptions | None:
        """Options of reasoning; None without `think` and `paths`."""
        if not self.think and self.paths == 1:
            return None
        return ReasoningOptions(paths=self.paths, think=self.think)


async def read_question(request: Request, model: type[M]) -> tuple[M, Query]:
    """Read a question from a JSON body, or from a form with a file named `audio`.

    Raises:
        RequestValidationError: the body does not match the model.
        RequestError: the recording is damaged or too long, or there is no question.
    """
    state = open_session(request)
    data: bytes | None = None
    # FastAPI declares a body as JSON or as a form, not both, so both are read here.
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        async with receive_form(request, state.incoming_folder, max_files=1) as form:
            body = _validate(model, form.fields)
            if form.files:
                data = form.files[0].path.read_bytes()
    else:
        body = _validate(model, await request.body() or b"{}")
    if body.audio is not None:
        data = decode_base64(body.audio.data)
    clip = None if data is None else await state.run_in_thread("decode", decode_question, data)
    text = body.text.strip() if body.text else None
    if clip is None and not text:
        raise RequestError(400, "there is no question: give text, audio, or both")
    return body, Query(text or None, clip, body.where, body.spelling)


def _validate(model: type[M], body: Mapping[str, Any] | bytes) -> M:
    try:
        if isinstance(body, bytes):
            return model.model_validate_json(body)
        return model.model_validate(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def decode_base64(data: str) -> bytes:
    """The bytes of a base64 text.

    Raises:
        RequestError: the text is not valid base64.
    """
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(
            400, f"the recording is not valid base64 ({error}): encode the file again"
        ) from error


class _RecordingFile(io.BytesIO):
    name = "the recording"  # shown in error messages instead of a file name


def decode_question(data: bytes) -> Clip:
    """Decode a spoken question.

    Raises:
        AudioError: the recording cannot be decoded.
        RequestError: the recording is too long.
    """
    limit = limits.MAX_QUESTION_SECONDS
    # One second past the limit is enough to know, and bounds the memory of a long recording.
    clip = audio.load(_RecordingFile(data), end=limit + 1)
    if clip.duration > limit:
        raise RequestError(413, f"the recording is longer than {limit:g} s: ask a shorter question")
    return Clip(clip.samples, clip.sample_rate)


def describe_question_body(model: type[QuestionBody]) -> dict[str, Any]:
    """The body of a question in OpenAPI: JSON, or a form with a file `audio`."""
    schema = inline_schema(model, "validation")
    form = {**schema, "properties": dict(schema["properties"])}
    form["properties"]["audio"] = {"type": "string", "format": "binary"}
    return describe_body({"application/json": schema, "multipart/form-data": form})


def describe_body(schemas: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A request body in OpenAPI, with a schema for each media type."""
    content = {media_type: {"schema": schema} for media_type, schema in schemas.items()}
    return {"requestBody": {"required": True, "content": content}}


def inline_schema(
    model: type[BaseModel], mode: Literal["validation", "serialization"]
) -> dict[str, Any]:
    """The JSON schema of a model, with nested models inlined instead of `$ref`s.

    FastAPI collects models from signatures only, so a `$ref` in hand-written OpenAPI would point to
    nothing. A model within itself, such as the similar hits of a hit, is an object without fields.
    """
    schema = model.model_json_schema(mode=mode)
    definitions = schema.pop("$defs", {})

    def resolve(node: Any, outer: tuple[str, ...] = ()) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                name = node["$ref"].rpartition("/")[2]
                if name in outer:
                    return {"type": "object", "title": name}
                return resolve(definitions[name], (*outer, name))
            return {key: resolve(value, outer) for key, value in node.items()}
        return [resolve(element, outer) for element in node] if isinstance(node, list) else node

    result: dict[str, Any] = resolve(schema)
    return result
