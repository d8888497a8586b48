"""`/v1/responses`: answers from the knowledge base in the format of OpenAI's Responses API.

The last message is the question, as text or audio; the messages before it are the history. The
search is a `file_search_call`, and the citations are annotations of the text.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Discriminator, Field, Tag

from wavrag.generate import GenerateOptions
from wavrag.server.answer_events import collect_answer, reply_with_events, stream_answer
from wavrag.server.attribute_filters import AttributeFilter, to_where
from wavrag.server.chat import MAX_MESSAGES, ChatMessage, read_history, read_last_message
from wavrag.server.embeddings import AudioContent, ContentPart, TextContent, join_text
from wavrag.server.errors import COMMON_ERRORS, RequestError, error_responses
from wavrag.server.limits import MAX_ANSWER_TOKENS
from wavrag.server.models import CHAT_MODEL, check_model
from wavrag.server.requests import Filter, InputAudio, Text
from wavrag.server.response_events import ResponseBuilder, ResponseShape
from wavrag.server.session import Session, open_session
from wavrag.server.vector_store_state import open_vector_store

# Items of earlier replies that say nothing about the conversation.
_SKIPPED_ITEMS = ("file_search_call", "reasoning")

router = APIRouter(prefix="/v1", tags=["openai"], responses=COMMON_ERRORS)


class TextInput(BaseModel):
    """The text part of a message."""

    type: Literal["input_text", "output_text"]
    text: Text


class AudioInput(BaseModel):
    """The audio part of a message."""

    type: Literal["input_audio"]
    input_audio: InputAudio


class MessageItem(BaseModel):
    """A message of the conversation."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[Annotated[TextInput | AudioInput, Field(discriminator="type")]]

    def to_message(self) -> ChatMessage:
        """The message in the format of chat completions."""
        content: str | list[ContentPart] = self.content if isinstance(self.content, str) else [
            TextContent(type="text", text=part.text)
            if isinstance(part, TextInput)
            else AudioContent(type="input_audio", input_audio=part.input_audio)
            for part in self.content
        ]  # fmt: skip
        return ChatMessage(role=self.role, content=content)


class SkippedItem(BaseModel):
    """A search, or reasoning, of an earlier reply."""

    type: Literal["file_search_call", "reasoning"]


def _item_type(item: Any) -> str:
    kind = item.get("type", "message") if isinstance(item, dict) else item.type
    return "skipped" if kind in _SKIPPED_ITEMS else str(kind)


InputItem: TypeAlias = Annotated[
    Annotated[MessageItem, Tag("message")] | Annotated[SkippedItem, Tag("skipped")],
    Discriminator(_item_type),
]


class FileSearchTool(BaseModel):
    """The search of a vector store; parameters without an effect are ignored."""

    type: Literal["file_search"]
    vector_store_ids: list[str] = Field(min_length=1, max_length=1)
    filters: AttributeFilter | None = None


class ResponsesRequest(BaseModel):
    """Body of `POST /v1/responses`; parameters without an effect here are ignored."""

    model: str
    input: Text | Annotated[list[InputItem], Field(min_length=1, max_length=MAX_MESSAGES)]
    instructions: Text | None = Field(None, description="for generators that follow them")
    tools: list[FileSearchTool] = Field([], max_length=1)
    include: list[str] = Field([], description="`file_search_call.results` for the hits")
    stream: bool = False
    max_output_tokens: int | None = Field(None, ge=1, le=MAX_ANSWER_TOKENS)
    temperature: float | None = Field(None, ge=0, le=2)
    metadata: dict[str, str] | None = Field(None, description="returned unchanged")
    previous_response_id: str | None = Field(None, description="not supported")
    where: Filter | None = Field(None, description="metadata filter; an extension")

    def messages(self) -> list[ChatMessage]:
        """The messages of the conversation."""
        if isinstance(self.input, str):
            return [ChatMessage(role="user", content=self.input)]
        return [item.to_message() for item in self.input if isinstance(item, MessageItem)]

    def open_session(self, request: Request) -> Session:
        """The session of the vector store, or of the address."""
        if self.tools:
            return open_vector_store(request, self.tools[0].vector_store_ids[0])
        return open_session(request)

    def join_filters(self) -> str | None:
        """The filter of the question."""
        filters = [self.where, *(to_where(tool.filters) for tool in self.tools)]
        return " and ".join(f"({where})" for where in filters if where) or None

    def generate_options(self, messages: list[ChatMessage]) -> GenerateOptions:
        """Options of the generator, with the instructions of the messages."""
        texts = [
            self.instructions or "",
            *(join_text(m.content) for m in messages if m.role in ("system", "developer")),
        ]
        return GenerateOptions(
            max_tokens=self.max_output_tokens or 256,
            temperature=self.temperature or 0.0,
            instructions="\n\n".join(filter(None, (text.strip() for text in texts))),
        )


@router.post(
    "/responses",
    response_model=ResponseShape,
    responses={
        **error_responses(404, 408, 502),
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
    },
)
async def create_response(body: ResponsesRequest, request: Request) -> Response:
    """Answer the last message; closing the connection cancels generation."""
    check_model(body.model, CHAT_MODEL)
    if body.previous_response_id is not None:
        raise RequestError(
            400, "responses are not kept here: send the earlier messages in input instead of"
            " previous_response_id"
        )  # fmt: skip
    state = body.open_session(request)
    messages = body.messages()
    query = await read_last_message(messages, body.join_filters(), state)
    options = body.generate_options(messages)
    events = stream_answer(state, query, options, read_history(messages[:-1]))
    response = ResponseBuilder(
        {
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "temperature": options.temperature,
            "tools": [tool.model_dump(exclude_unset=True) for tool in body.tools],
            "metadata": body.metadata or {},
        },
        includes_results="file_search_call.results" in body.include,
    )
    if body.stream:
        return await reply_with_events(request, events, response.encode_event)
    return JSONResponse(response.complete(await collect_answer(request, events)))
