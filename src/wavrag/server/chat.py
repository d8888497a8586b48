"""`/v1/chat/completions`: answers from the knowledge base behind OpenAI's interface.

The last message asks, in words or sound; those before it are what was said. Citations, hits and
timings are in the extension field `wavrag`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from wavrag.errors import WavRAGError
from wavrag.generate import GenerateOptions
from wavrag.server.answering import Event, EventStream, sse, until_gone, whole, written
from wavrag.server.bodies import MOST_TOKENS, Words, decoded, spoken
from wavrag.server.embeddings import AudioPart, Part, TextInput
from wavrag.server.models import CHAT, check_model
from wavrag.server.problems import RequestError, message_of, problem, status_of
from wavrag.server.room import Room, room_of
from wavrag.server.shapes import CompletionShape, problems
from wavrag.shapes import AnswerShape
from wavrag.types import Answer, HistoryTurn, Query

MOST_MESSAGES = 200

router = APIRouter(prefix="/v1", tags=["openai"])


class ChatMessage(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    content: Words | list[Part]

    @property
    def words(self) -> str:
        """What is written in it."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if isinstance(part, TextInput))

    @property
    def sounds(self) -> list[str]:
        """Recordings in it, in base64."""
        if isinstance(self.content, str):
            return []
        return [part.input_audio.data for part in self.content if isinstance(part, AudioPart)]


class StreamOptions(BaseModel):
    """What a stream tells beside the answer."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """What `POST /v1/chat/completions` takes; keys that bear on nothing here are ignored."""

    model_config = ConfigDict(extra="ignore")

    model: str
    messages: list[ChatMessage] = Field(min_length=1, max_length=MOST_MESSAGES)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1, le=MOST_TOKENS)
    max_completion_tokens: int | None = Field(None, ge=1, le=MOST_TOKENS)
    temperature: float | None = Field(None, ge=0, le=2)
    seed: int | None = Field(None, ge=0, lt=2**31)
    stop: Words | list[Words] | None = None
    n: Literal[1] | None = None
    where: Words | None = Field(None, description="filter of passages; an extension")

    def generation(self) -> GenerateOptions:
        """How to write."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return GenerateOptions(
            max_tokens=self.max_completion_tokens or self.max_tokens or 256,
            temperature=self.temperature or 0.0,
            seed=self.seed,
            stop=tuple(filter(None, stop)),
        )


@router.post(
    "/chat/completions",
    response_model=CompletionShape,
    responses={
        **problems(404, 408, 502),
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
    },
)
async def chat(
    body: ChatRequest, request: Request, room: Annotated[Room, Depends(room_of)]
) -> Response:
    """An answer to the last message; closing the connection ends the writing."""
    check_model(body.model, CHAT)
    query = await _query(body, room)
    begin = partial(
        room.rag.stream, query, options=body.generation(), history=_history(body.messages[:-1])
    )
    events = written(room, begin)
    reply = _Reply(body)
    if body.stream:
        first = await until_gone(request, anext(events))
        return EventStream(reply.chunks(first, events))
    return JSONResponse(reply.completion(await until_gone(request, whole(events))))


async def _query(body: ChatRequest, room: Room) -> Query:
    """The question that the last message asks."""
    last = body.messages[-1]
    if last.role != "user":
        raise RequestError(400, f"the last message is the {last.role}'s: end with the user's")
    if len(last.sounds) > 1:
        raise RequestError(400, "the question holds more than one recording: send one")
    clip = None
    if last.sounds:
        clip = await room.compute("decode", spoken, decoded(last.sounds[0]), room)
    text = last.words.strip() or None
    if text is None and clip is None:
        raise RequestError(400, "the question is empty: give it words or a recording")
    return Query(text, clip, body.where)


def _history(messages: Sequence[ChatMessage]) -> list[HistoryTurn]:
    """What was asked and answered before; instructions and words without a question are left out.

    A turn that was asked in sound alone has no words, and is left out, too.
    """
    turns: list[HistoryTurn] = []
    asked: str | None = None
    for message in messages:
        if message.role == "user":
            asked = message.words.strip() or None
        elif message.role == "assistant" and asked is not None:
            turns.append(HistoryTurn(asked, message.words))
            asked = None
    return turns


class _Reply:
    """What is sent back for a request."""

    def __init__(self, body: ChatRequest) -> None:
        self._id = f"chatcmpl-{secrets.token_hex(12)}"
        self._created = int(time.time())
        options = body.stream_options
        self._with_usage = options is not None and options.include_usage

    def completion(self, answer: Answer) -> dict[str, Any]:
        """The whole answer."""
        message = {"role": "assistant", "content": answer.text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        head = self._head("chat.completion")
        return {
            **head,
            "choices": [choice],
            "usage": _usage(answer),
            "wavrag": AnswerShape.dump(answer),
        }

    async def chunks(
        self, first: Event, events: AsyncGenerator[Event, None]
    ) -> AsyncGenerator[bytes, None]:
        """The answer piece by piece; the last piece has the extension field."""
        async with aclosing(events):
            yield self._chunk({"role": "assistant", "content": ""})
            try:
                if isinstance(first, str):
                    yield self._chunk({"content": first})
                async for event in events:
                    if isinstance(event, str):
                        yield self._chunk({"content": event})
                    elif isinstance(event, Answer):
                        yield self._chunk({}, "stop", wavrag=AnswerShape.dump(event))
                        if self._with_usage:
                            yield self._data(choices=[], usage=_usage(event))
            except WavRAGError as error:
                yield sse(problem(status_of(error), message_of(error)))
            yield sse("[DONE]")

    def _chunk(self, delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return self._data(choices=[choice], **more)

    def _data(self, **more: Any) -> bytes:
        return sse({**self._head("chat.completion.chunk"), **more})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": CHAT}


def _usage(answer: Answer) -> dict[str, int]:
    """Tokens of all stages; 0 where the generator reports none."""
    read = sum(stage["in"] for stage in answer.usage.values())
    wrote = sum(stage["out"] for stage in answer.usage.values())
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
