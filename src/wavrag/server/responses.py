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
from wavrag.server.attribute_filters import SizedFilter, to_where
from wavrag.server.chat import MAX_MESSAGES, read_history, read_question
from wavrag.server.embeddings import AudioContent, ContentPart, TextContent
from wavrag.server.errors import COMMON_ERRORS, RequestError, error_responses
from wavrag.server.limits import MAX_ANSWER_TOKENS
from wavrag.server.models import CHAT_MODEL, check_model
from wavrag.server.requests import Filter, InputAudio, Text
from wavrag.server.response_events import ResponseBuilder, ResponseShape
from wavrag.server.session import open_session
from wavrag.server.tools import (
    MAX_TOOLS,
    ChatMessage,
    Conversation,
    FunctionBody,
    FunctionName,
    check_tool_choice,
    split_conversation,
)
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
        return ChatMessage.model_validate({"role": self.role, "content": content})


class FunctionCallItem(BaseModel):
    """A call of a tool in an earlier reply."""

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str

    def to_message(self) -> ChatMessage:
        """The message in the format of chat completions."""
        function = {"name": self.name, "arguments": self.arguments}
        return ChatMessage.model_validate(
            {"role": "assistant", "tool_calls": [{"id": self.call_id, "function": function}]}
        )


class FunctionOutputItem(BaseModel):
    """The result of a call of a tool."""

    type: Literal["function_call_output"]
    call_id: str
    output: Text | list[TextInput]

    def to_message(self) -> ChatMessage:
        """The message in the format of chat completions."""
        text = self.output
        if not isinstance(text, str):
            text = "\n".join(part.text for part in text)
        return ChatMessage.model_validate(
            {"role": "tool", "tool_call_id": self.call_id, "content": text}
        )


class SkippedItem(BaseModel):
    """A search, or reasoning, of an earlier reply."""

    type: Literal["file_search_call", "reasoning"]


def _item_type(item: Any) -> str:
    kind = item.get("type", "message") if isinstance(item, dict) else getattr(item, "type", None)
    return "skipped" if kind in _SKIPPED_ITEMS else str(kind)


InputItem: TypeAlias = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[FunctionCallItem, Tag("function_call")]
    | Annotated[FunctionOutputItem, Tag("function_call_output")]
    | Annotated[SkippedItem, Tag("skipped")],
    Discriminator(_item_type),
]


class FileSearchTool(BaseModel):
    """The search of a vector store; parameters without an effect are ignored."""

    type: Literal["file_search"]
    vector_store_ids: list[str] = Field(min_length=1, max_length=1)
    filters: SizedFilter | None = None


class FunctionTool(FunctionBody):
    """A function that the model may call."""

    type: Literal["function"]


class FunctionChoice(FunctionName):
    """The function to call."""

    type: Literal["function"]


ResponseTool: TypeAlias = Annotated[FileSearchTool | FunctionTool, Field(discriminator="type")]


class ResponsesRequest(BaseModel):
    """Body of `POST /v1/responses`; parameters without an effect here are ignored."""

    model: str
    input: Text | Annotated[list[InputItem], Field(min_length=1, max_length=MAX_MESSAGES)]
    instructions: Text | None = Field(None, description="for generators that follow them")
    tools: list[ResponseTool] = Field([], max_length=MAX_TOOLS)
    tool_choice: Literal["auto", "none", "required"] | FunctionChoice = "auto"
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
            return [ChatMessage.model_validate({"role": "user", "content": self.input})]
        items = [item for item in self.input if not isinstance(item, SkippedItem)]
        return [item.to_message() for item in items]

    def search_tool(self) -> FileSearchTool | None:
        """The search among the tools.

        Raises:
            RequestError: there are several.
        """
        searches = [tool for tool in self.tools if isinstance(tool, FileSearchTool)]
        if len(searches) > 1:
            raise RequestError(400, "there is more than one file_search: send one")
        return searches[0] if searches else None

    def generate_options(self, conversation: Conversation) -> GenerateOptions:
        """Options of the generator, with the instructions of the messages."""
        systems = [m.text for m in conversation.history if m.role in ("system", "developer")]
        texts = (text.strip() for text in (self.instructions or "", *systems))
        choice = self.tool_choice
        return GenerateOptions(
            max_tokens=self.max_output_tokens or 256,
            temperature=self.temperature or 0.0,
            instructions="\n\n".join(filter(None, texts)),
            tools=tuple(t.to_tool() for t in self.tools if isinstance(t, FunctionTool)),
            tool_choice=choice if isinstance(choice, str) else choice.name,
            tool_results=conversation.tool_results,
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
    search = body.search_tool()
    if search is None:
        state, where = open_session(request), body.where
    else:
        state = open_vector_store(request, search.vector_store_ids[0])
        filters = filter(None, (body.where, to_where(search.filters)))
        where = " and ".join(f"({expression})" for expression in filters) or None
    conversation = split_conversation(body.messages())
    options = body.generate_options(conversation)
    check_tool_choice(options)
    query = await read_question(conversation.question, where, state)
    events = stream_answer(state, query, options, read_history(conversation.history))
    response = ResponseBuilder(
        {
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "temperature": options.temperature,
            "tool_choice": body.model_dump(include={"tool_choice"})["tool_choice"],
            "tools": [tool.model_dump(exclude_unset=True) for tool in body.tools],
            "metadata": body.metadata or {},
        },
        includes_results="file_search_call.results" in body.include,
    )
    if body.stream:
        return await reply_with_events(request, events, response.encode_event)
    return JSONResponse(response.complete(await collect_answer(request, events)))
