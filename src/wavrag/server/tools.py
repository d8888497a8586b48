"""Tools of a request in OpenAI's formats, for generators that call them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, Field

from wavrag.generate import GenerateOptions, Tool, ToolResult
from wavrag.server.embeddings import Content, join_text
from wavrag.server.errors import RequestError
from wavrag.server.schemas import ChatToolCall

MAX_TOOLS = 128  # as in OpenAI's API
_NAME = r"^[a-zA-Z0-9_-]{1,64}$"


class FunctionBody(BaseModel):
    """A function that the model may call."""

    name: str = Field(pattern=_NAME)
    description: str | None = Field(None, max_length=10_000)
    parameters: dict[str, Any] | None = Field(None, description="JSON schema of the arguments")

    def to_tool(self) -> Tool:
        """The tool for the generator."""
        return Tool(self.name, self.description or "", self.parameters or {})


class ChatTool(BaseModel):
    """A tool in the format of chat completions."""

    type: Literal["function"]
    function: FunctionBody


class FunctionName(BaseModel):
    """The name of a function."""

    name: str = Field(pattern=_NAME)


class ChatToolChoice(BaseModel):
    """The tool to call."""

    type: Literal["function"]
    function: FunctionName


class ChatMessage(BaseModel):
    """A message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content | None = None
    tool_calls: list[ChatToolCall] | None = Field(None, max_length=MAX_TOOLS)
    tool_call_id: str | None = Field(None, description="the call that a tool's message answers")

    @property
    def text(self) -> str:
        """Its text."""
        return join_text(self.content or "")


ToolChoice: TypeAlias = Literal["auto", "none", "required"] | ChatToolChoice


@dataclass(frozen=True, slots=True)
class Conversation:
    """The messages of a request: the history, the question, and results of tools for it."""

    history: Sequence[ChatMessage]
    question: ChatMessage
    tool_results: tuple[ToolResult, ...]


def split_conversation(messages: Sequence[ChatMessage]) -> Conversation:
    """Split messages at the question, the last message of the user.

    Raises:
        RequestError: there is none, it has an answer, or a call of a tool has no result.
    """
    roles = [message.role for message in messages]
    if "user" not in roles:
        role = f"the last message is the {roles[-1]}'s" if roles else "there is no message"
        raise RequestError(400, f"{role}: end with the user's")
    at = len(roles) - 1 - roles[::-1].index("user")
    following = messages[at + 1 :]
    if following and not any(message.tool_calls for message in following):
        raise RequestError(400, f"the last message is the {roles[-1]}'s: end with the user's")
    return Conversation(messages[:at], messages[at], _read_results(following))


def _read_results(messages: Sequence[ChatMessage]) -> tuple[ToolResult, ...]:
    outputs = {message.tool_call_id: message.text for message in messages if message.tool_call_id}
    results = []
    for round, message in enumerate(messages):
        for body in message.tool_calls or ():
            if body.id not in outputs:
                raise RequestError(
                    400, f"the call {body.id[:100]} of a tool has no result: send its message"
                )
            results.append(ToolResult(body.to_call(), outputs[body.id], round))
    return tuple(results)


def choose_tool(choice: ToolChoice | None) -> str:
    """The choice for the generator; see `GenerateOptions.tool_choice`."""
    if isinstance(choice, ChatToolChoice):
        return choice.function.name
    return choice or "auto"


def check_tool_choice(options: GenerateOptions) -> None:
    """Check that the chosen tool is one of the request.

    Raises:
        RequestError: it is not.
    """
    names = {tool.name for tool in options.tools}
    choice = options.tool_choice
    if choice not in ("auto", "none") and not names:
        raise RequestError(400, "tool_choice needs tools: send them, or leave tool_choice out")
    if choice not in ("auto", "none", "required", *names):
        raise RequestError(400, f"tool_choice names {choice[:64]!r}, which is not among the tools")
