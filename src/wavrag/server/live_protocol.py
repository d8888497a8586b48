"""The protocol of `/v1/live`: its messages, and their description in AsyncAPI 3.0.

A client sends `LiveStart` as JSON, then audio as binary messages and `LiveControl` as JSON. The
server sends `ready`, then the events of `wavrag.live`, and `error` before it closes a faulty
connection.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib.metadata import version
from typing import Any, Literal, get_args, get_type_hints

from pydantic import BaseModel, Field, create_model
from pydantic.json_schema import models_json_schema

from wavrag.audio import SAMPLE_RATE
from wavrag.generate import GenerateOptions
from wavrag.live import EVENT_NAMES, LiveOptions, Span
from wavrag.server import limits
from wavrag.server.limits import MAX_ANSWER_TOKENS, MAX_HISTORY_TURNS, MAX_HITS
from wavrag.server.requests import Filter, HistoryTurnBody, StrictBody
from wavrag.shapes import AnswerShape, CorrectionShape, HitShape
from wavrag.types import Answer, Correction, Hit

PATH = "/v1/live"
SCHEMAS = "#/components/schemas/{model}"


class LiveStart(StrictBody):
    """The first message of a client: options of its turns. Every field may be left out."""

    token: str | None = Field(None, description="bearer token, if the server requires one")
    mode: Literal["hands-free", "push-to-talk"] = Field(
        "hands-free", description="detect turns by voice activity, or by `begin` and `end`"
    )
    sample_rate: int = Field(SAMPLE_RATE, description="Hz of the audio, 8,000 to 192,000")
    channels: int = Field(1, description="1, or 2 with interleaved samples")
    silence_ms: float = Field(576.0, description="silence that ends a turn, in milliseconds")
    max_seconds: float = Field(
        limits.MAX_LIVE_SECONDS, le=limits.MAX_LIVE_SECONDS, description="longest turn in seconds"
    )
    k: int = Field(8, ge=1, le=MAX_HITS, description="number of hits")
    where: Filter | None = Field(None, description="filter expression of all searches")
    answer: bool = Field(True, description="answer each turn")
    barge_in: bool = Field(True, description="new speech cancels the answer before")
    early_answers: int = Field(
        0, description="answers of a turn that may start before its end, and be discarded"
    )
    max_tokens: int = Field(256, ge=1, le=MAX_ANSWER_TOKENS, description="length of an answer")
    history: list[HistoryTurnBody] = Field(
        default_factory=list,
        max_length=MAX_HISTORY_TURNS,
        description="earlier turns of the conversation, oldest first",
    )

    def live_options(self) -> LiveOptions:
        """Options of the live turn; raises a `WavRAGError` if one is not valid."""
        options = self.model_dump(exclude={"token", "max_tokens", "history"})
        return LiveOptions(**options, generate=GenerateOptions(max_tokens=self.max_tokens))


ControlType = Literal["begin", "end", "interrupt", "finish"]


class LiveControl(StrictBody):
    """A command of a client."""

    type: ControlType = Field(
        description="`begin` starts a turn and `end` ends it, in the mode push-to-talk; `interrupt`"
        " cancels the turn and its answer; `finish` ends the audio: the server completes the last"
        " turn and closes the connection"
    )


CONTROLS: tuple[str, ...] = get_args(ControlType)


class Ready(BaseModel):
    """The server is ready for audio."""

    event: Literal["ready"]


class Error(BaseModel):
    """The reason why the server closes the connection."""

    event: Literal["error"]
    message: str = Field(description="the error and its remedy")


class SpanShape(BaseModel):
    """A span of the audio."""

    start_ms: float = Field(description="milliseconds since the first sample")
    end_ms: float


@cache
def event_models() -> tuple[type[BaseModel], ...]:
    """A model of each message of the server, from the classes of `wavrag.live`."""
    models = [_event_model(event, name) for event, name in EVENT_NAMES.items()]
    return (Ready, *models, Error)


def describe_protocol() -> dict[str, Any]:
    """The AsyncAPI 3.0 description, as JSON data."""
    clients = (LiveStart, LiveControl)
    models: list[type[BaseModel]] = [*clients, *event_models()]
    _, schemas = models_json_schema(
        [(model, "validation" if model in clients else "serialization") for model in models],
        ref_template=SCHEMAS,
    )
    messages: dict[str, Any] = {
        model.__name__: {
            "summary": _summary(model),
            "contentType": "application/json",
            "payload": {"$ref": SCHEMAS.format(model=model.__name__)},
        }
        for model in models
    }
    messages["LiveAudio"] = {
        "summary": "Samples: 16-bit little-endian PCM, in messages of any length.",
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "format": "binary"},
    }
    received = ["LiveStart", "LiveAudio", "LiveControl"]
    channel = "#/channels/live"
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "WavRAG live voice turns",
            "version": version("wavrag"),
            "description": inspect.cleandoc(__doc__ or ""),
        },
        "defaultContentType": "application/json",
        "channels": {
            "live": {
                "address": PATH,
                "description": "A WebSocket for one speaker.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": {
            operation: {
                "action": action,
                "channel": {"$ref": channel},
                "messages": [{"$ref": f"{channel}/messages/{name}"} for name in names],
            }
            for operation, action, names in (
                ("speak", "receive", received),
                ("report", "send", [name for name in messages if name not in received]),
            )
        },
        "components": {"messages": messages, "schemas": schemas["$defs"]},
    }


def _event_model(event: type[Any], name: str) -> type[BaseModel]:
    descriptions = {**_attributes(event.__mro__[1]), **_attributes(event)}
    hints = get_type_hints(event)
    columns: dict[str, Any] = {
        field.name: (_json_type(hints[field.name]), Field(description=descriptions.get(field.name)))
        for field in fields(event)
    }
    columns = {"event": (Literal[name], Field()), **columns}
    model: type[BaseModel] = create_model(event.__name__, __doc__=_summary(event), **columns)
    return model


def _json_type(hint: Any) -> Any:
    """The type of an event's field in JSON."""
    shapes = {
        Span: SpanShape, Answer: AnswerShape, tuple[Hit, ...]: list[HitShape],
        tuple[Correction, ...]: list[CorrectionShape], Mapping[str, float]: dict[str, float],
    }  # fmt: skip
    return shapes.get(hint, hint)


def _summary(model: type[Any]) -> str:
    return inspect.cleandoc(model.__doc__ or "").partition("\n\n")[0].replace("\n", " ")


def _attributes(model: type[Any]) -> dict[str, str]:
    """Descriptions of attributes by name, from a docstring in Google's style."""
    _, _, section = inspect.cleandoc(model.__doc__ or "").partition("Attributes:\n")
    entries = re.findall(r"^ {4}(\w+): (.+?)(?=^ {4}\w|\Z)", section, re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()).rstrip(".") for name, text in entries}
