"""Tools of chat completions and responses with the official OpenAI client."""

from collections.abc import Iterator, Sequence
from typing import Any

import openai
import pytest

from serving import create_rag, serving
from wavrag.generate import (
    FakeGenerator,
    GenerateOptions,
    Generator,
    GeneratorSpec,
    Message,
    Stream,
)
from wavrag.generate.base import AnswerEnd
from wavrag.types import ToolCall

ARGUMENTS = '{"city": "Oban"}'
FUNCTION = {"name": "weather", "description": "Weather", "parameters": {"type": "object"}}
CHAT_TOOLS: Any = [{"type": "function", "function": FUNCTION}]
TOOLS: Any = [{"type": "function", **FUNCTION}]
QUESTION: Any = {"role": "user", "content": "Does it rain in Oban?"}


class CallingGenerator(Generator):
    """Calls its first tool, and then repeats the result."""

    spec = GeneratorSpec("calling", calls_tools=True)

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Stream[str]:
        def generate() -> Iterator[str]:
            calls: tuple[ToolCall, ...] = ()
            if options.tool_results:
                yield f"It says {options.tool_results[-1].output}."
            else:
                calls = (ToolCall("call_1", options.tools[0].name, ARGUMENTS),)
            return AnswerEnd(None, calls)

        return Stream(generate())


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    with (
        create_rag(tmp_path_factory.mktemp("rag"), CallingGenerator()) as rag,
        serving(rag) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as opened,
    ):
        yield opened


def test_chat_completions_call_tools(client: openai.OpenAI) -> None:
    create = client.chat.completions.create
    first = create(model="wavrag", messages=[QUESTION], tools=CHAT_TOOLS, tool_choice="required")
    choice = first.choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    (call,) = choice.message.tool_calls or []
    assert call.type == "function"
    assert (call.id, call.function.name, call.function.arguments) == (
        "call_1",
        "weather",
        ARGUMENTS,
    )
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
    conversation = [QUESTION, choice.message, result]
    second = create(model="wavrag", messages=conversation, tools=CHAT_TOOLS)
    assert second.choices[0].message.content == "It says rain."
    assert second.choices[0].finish_reason == "stop"
    chunks = list(create(model="wavrag", messages=[QUESTION], tools=CHAT_TOOLS, stream=True))
    deltas = [d for chunk in chunks for d in chunk.choices[0].delta.tool_calls or []]
    assert [(d.index, d.id, d.function and d.function.arguments) for d in deltas] == [
        (0, "call_1", ARGUMENTS)
    ]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_responses_call_tools(client: openai.OpenAI) -> None:
    create = client.responses.create
    first = create(model="wavrag", input=[QUESTION], tools=TOOLS)
    assert [item.type for item in first.output] == ["file_search_call", "function_call"]
    call = first.output[1]
    assert call.type == "function_call"
    assert (call.call_id, call.name, call.arguments) == ("call_1", "weather", ARGUMENTS)
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    conversation: Any = [QUESTION, *first.output, result]
    assert create(model="wavrag", input=conversation, tools=TOOLS).output_text == "It says rain."
    with client.responses.stream(model="wavrag", input=[QUESTION], tools=TOOLS) as stream:
        names = [event.type for event in stream][7:]
        final = stream.get_final_response()
    assert names == [
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [item.type for item in final.output] == ["file_search_call", "function_call"]


def test_rejections(client: openai.OpenAI, url: str) -> None:
    create = client.chat.completions.create
    with pytest.raises(openai.BadRequestError, match="tool_choice needs tools"):
        create(model="wavrag", messages=[QUESTION], tool_choice="required")
    choice: Any = {"type": "function", "function": {"name": "clock"}}
    with pytest.raises(openai.BadRequestError, match="'clock', which is not among the tools"):
        create(model="wavrag", messages=[QUESTION], tools=CHAT_TOOLS, tool_choice=choice)
    with pytest.raises(openai.UnprocessableEntityError, match="web_search"):
        client.responses.create(model="wavrag", input="hello", tools=[{"type": "web_search"}])
    with (  # the fixture of another generator
        openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as other,
        pytest.raises(openai.BadRequestError, match=f"{FakeGenerator.spec.name} calls no tools"),
    ):
        other.responses.create(model="wavrag", input="hello", tools=TOOLS)
