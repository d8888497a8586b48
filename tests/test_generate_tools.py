"""Tools: calls and results between a user, a knowledge base and a model."""

import importlib.util
from pathlib import Path

import pytest

from scripted_server import Says, serving
from wavrag import KnowledgeBase, Tool, ToolCall, ToolResult, WavRAG
from wavrag.answer import NOTHING_FOUND
from wavrag.embed import FakeEmbedder
from wavrag.errors import InputError
from wavrag.generate import FakeGenerator, GenerateOptions, load_generator
from wavrag.store import MemoryStore
from wavrag.types import Document

WEATHER = Tool("weather", "Weather of a city", {"type": "object", "properties": {"city": {}}})
CALL = ToolCall("call_1", "weather", '{"city": "Oban"}')
PIECES = [
    {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather"}},
    {"index": 0, "function": {"arguments": '{"city": '}},
    {"index": 0, "function": {"arguments": '"Oban"}'}},
]


def test_a_generator_without_tools_refuses_them(tmp_path: Path) -> None:
    kb = KnowledgeBase(tmp_path, FakeEmbedder(), MemoryStore(64))
    with (
        WavRAG(kb, FakeGenerator()) as rag,
        pytest.raises(InputError, match="fake calls no tools: leave out tools"),
    ):
        rag.ask("Does it rain?", options=GenerateOptions(tools=(WEATHER,)))


@pytest.mark.skipif(importlib.util.find_spec("openai") is None, reason="needs wavrag[openai]")
def test_a_model_calls_a_tool_and_answers_from_its_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kb = KnowledgeBase(tmp_path, FakeEmbedder(), MemoryStore(64))
    kb.add([Document("ferry", text="The ferry leaves at nine.")])
    says = [Says("", calls=PIECES), Says("It rains in Oban."), Says("It rains in Oban.")]
    with serving(says, says[0]) as script:
        monkeypatch.setenv("OPENAI_BASE_URL", script.url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        rag = WavRAG(kb, load_generator("openai:m"))
        question = "Does it rain in Oban?"
        options = GenerateOptions(tools=(WEATHER,), tool_choice="weather", seed=0)
        stream = rag.stream(question, options=options)
        assert list(stream) == []  # although no source answers the question
        assert (stream.answer.text, stream.answer.tool_calls) == ("", (CALL,))
        results = (ToolResult(CALL, "rain"),)
        answer = rag.ask(
            question, options=GenerateOptions(tools=(WEATHER,), tool_results=results, seed=1)
        )
        assert (answer.text, answer.found, answer.tool_calls) == ("It rains in Oban.", True, ())
        # Without a result of a tool, only sources support an answer.
        answer = rag.ask(question, options=GenerateOptions(tools=(WEATHER,), seed=2))
        assert (answer.text, answer.withheld) == (NOTHING_FOUND, "It rains in Oban.")
    first, second, _ = script.requests
    function = {"name": "weather", "description": "Weather of a city"}
    assert first["tools"] == [
        {"type": "function", "function": {**function, "parameters": WEATHER.parameters}}
    ]
    assert first["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert "You can call tools" in first["messages"][-1]["content"]
    assert "tool_choice" not in second
    called = {"name": "weather", "arguments": CALL.arguments}
    assert second["messages"][-2:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": called}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]
