"""`/v1/chat/completions`: answers from the knowledge base in OpenAI's chat format.

The last message is the question, as text or audio; the messages before it are the history.
Citations, hits and timings are in the extension field `wavrag`.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from fastapi.sse import format_sse_event
from pydantic import BaseModel, Field

from wavrag.answer import RetrievalResult
from wavrag.errors import WavRAGError
from wavrag.generate import GenerateOptions, ToolResult
from wavrag.server.answer_events import (
    AnswerEvent,
    collect_answer,
    reply_with_events,
    stream_answer,
)
from wavrag.server.embeddings import join_text, recordings_of
from wavrag.server.errors import COMMON_ERRORS, RequestError, error_body, error_responses
from wavrag.server.limits import MAX_ANSWER_TOKENS
from wavrag.server.models import CHAT_MODEL, check_model
from wavrag.server.requests import Filter, Text, decode_base64, decode_question
from wavrag.server.schemas import (
    ChatReplyShape,
    ChatToolCall,
    ChoiceShape,
    CompletionShape,
    UsageShape,
)
from wavrag.server.session import Session, State
from wavrag.server.tools import (
    MAX_TOOLS,
    ChatMessage,
    ChatTool,
    ToolChoice,
    check_tool_choice,
    choose_tool,
    split_conversation,
)
from wavrag.shapes import AnswerShape
from wavrag.types import Answer, HistoryTurn, Query

MAX_MESSAGES = 200

router = APIRouter(prefix="/v1", tags=["openai"], responses=COMMON_ERRORS)


class StreamOptions(BaseModel):
    """Options of a streamed completion."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """Body of `POST /v1/chat/completions`; parameters without an effect here are ignored."""

    # Clients of OpenAI's API send many parameters (top_p, user, ...); an error would break them,
    # so that this is no `StrictBody`.
    model: str
    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1, le=MAX_ANSWER_TOKENS)
    max_completion_tokens: int | None = Field(None, ge=1, le=MAX_ANSWER_TOKENS)
    temperature: float | None = Field(None, ge=0, le=2)
    seed: int | None = Field(None, ge=0, lt=2**31)
    stop: Text | list[Text] | None = None
    n: Literal[1] | None = None  # several answers are not supported
    tools: list[ChatTool] | None = Field(None, max_length=MAX_TOOLS)
    tool_choice: ToolChoice | None = None
    where: Filter | None = Field(None, description="metadata filter; an extension")

    def generate_options(self, tool_results: tuple[ToolResult, ...]) -> GenerateOptions:
        """Options of the generator."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return GenerateOptions(
            max_tokens=self.max_completion_tokens or self.max_tokens or 256,
            temperature=self.temperature or 0.0,
            seed=self.seed,
            stop=tuple(filter(None, stop)),
            tools=tuple(tool.function.to_tool() for tool in self.tools or ()),
            tool_choice=choose_tool(self.tool_choice),
            tool_results=tool_results,
        )


@router.post(
    "/chat/completions",
    response_model=CompletionShape,
    responses={
        **error_responses(404, 408, 502),
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
    },
)
async def chat(body: ChatRequest, request: Request, state: State) -> Response:
    """Answer the last message; closing the connection cancels generation."""
    check_model(body.model, CHAT_MODEL)
    conversation = split_conversation(body.messages)
    options = body.generate_options(conversation.tool_results)
    check_tool_choice(options)
    query = await read_question(conversation.question, body.where, state)
    events = stream_answer(state, query, options, read_history(conversation.history))
    completion = _Completion(body)
    if body.stream:
        return await reply_with_events(request, events, completion.encode_event)
    return JSONResponse(completion.to_json(await collect_answer(request, events)))


async def read_question(message: ChatMessage, where: str | None, state: Session) -> Query:
    """The question in a message.

    Raises:
        RequestError: there is none.
        AudioError: its recording cannot be decoded.
    """
    content = message.content or ""
    recordings = recordings_of(content)
    if len(recordings) > 1:
        raise RequestError(400, "the question has more than one recording: send one")
    clip = None
    if recordings:
        data = decode_base64(recordings[0])
        clip = await state.run_in_thread("decode", decode_question, data)
    text = join_text(content).strip() or None
    if text is None and clip is None:
        raise RequestError(400, "the question is empty: give text or a recording")
    return Query(text, clip, where)


def read_history(messages: Sequence[ChatMessage]) -> list[HistoryTurn]:
    """Pairs of question and answer.

    Instructions, answers without a question and questions without text (audio only) are left out.
    """
    turns: list[HistoryTurn] = []
    question: str | None = None
    for message in messages:
        if message.role == "user":
            question = message.text.strip() or None
        elif message.role == "assistant" and question is not None and not message.tool_calls:
            turns.append(HistoryTurn(question, message.text))
            question = None
    return turns


class _Completion:
    """Builds the reply to a request, as one object or as chunks."""

    def __init__(self, body: ChatRequest) -> None:
        self._id = f"chatcmpl-{secrets.token_hex(12)}"
        self._created = int(time.time())
        options = body.stream_options
        self._include_usage = options is not None and options.include_usage

    def to_json(self, answer: Answer) -> dict[str, Any]:
        """The complete reply."""
        completion = CompletionShape(
            id=self._id,
            created=self._created,
            model=CHAT_MODEL,
            choices=[_describe_choice(answer)],
            usage=count_usage(answer),
            wavrag=AnswerShape.model_validate(answer),
        )
        # Defaults are part of OpenAI's format, but fields of `wavrag` that do not apply are not.
        reply = {**completion.model_dump(), "wavrag": AnswerShape.dump(answer)}
        if not answer.tool_calls:
            del reply["choices"][0]["message"]["tool_calls"]
        return reply

    def encode_event(self, event: AnswerEvent | WavRAGError) -> bytes:
        """The server-sent events for an event; the last chunk has the extension field."""
        end_event = format_sse_event(data_str="[DONE]")
        match event:
            case RetrievalResult():
                return self._encode_choice({"role": "assistant", "content": ""})
            case str():
                return self._encode_choice({"content": event})
            case WavRAGError():
                return _encode(error_body(event)) + end_event
        reason, calls = _finish_reason(event), b""
        if event.tool_calls:
            deltas = [
                {"index": index, **ChatToolCall.of(call).model_dump()}
                for index, call in enumerate(event.tool_calls)
            ]
            calls = self._encode_choice({"tool_calls": deltas})
        last = calls + self._encode_choice({}, reason, wavrag=AnswerShape.dump(event))
        if self._include_usage:
            last += self._encode_chunk(choices=[], usage=count_usage(event).model_dump())
        return last + end_event

    def _encode_choice(
        self, delta: dict[str, Any], reason: str | None = None, **extension: Any
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return self._encode_chunk(choices=[choice], **extension)

    def _encode_chunk(self, **fields: Any) -> bytes:
        head = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": CHAT_MODEL,
        }
        return _encode({**head, **fields})


def _describe_choice(answer: Answer) -> ChoiceShape:
    calls = [ChatToolCall.of(call) for call in answer.tool_calls] or None
    message = ChatReplyShape(content=answer.text or None, tool_calls=calls)
    return ChoiceShape(message=message, finish_reason=_finish_reason(answer))


def _finish_reason(answer: Answer) -> Literal["stop", "tool_calls"]:
    return "tool_calls" if answer.tool_calls else "stop"


def _encode(data: dict[str, Any]) -> bytes:
    return format_sse_event(data_str=json.dumps(data, ensure_ascii=False))


def count_usage(answer: Answer) -> UsageShape:
    """Tokens of all stages; 0 if the generator does not report them."""
    prompt = sum(stage["in"] for stage in answer.usage.values())
    completion = sum(stage["out"] for stage in answer.usage.values())
    return UsageShape(
        prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion
    )
