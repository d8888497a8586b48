"""The adapter of LangChain, with the kit `langchain-tests`."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import RetrieversIntegrationTests, ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from serving import FERRY, TONE, create_harbour_rag
from wavrag import Query, WavRAG
from wavrag.audio import wav_bytes, write_wav
from wavrag.errors import FilterError
from wavrag.integrations.langchain import WavRAGRetriever, WavRAGTool

pytestmark = pytest.mark.anyio  # runs the asynchronous tests of the kit


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def rag(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WavRAG]:
    with create_harbour_rag(tmp_path_factory.mktemp("langchain")) as rag:
        yield rag


@pytest.fixture(scope="class", autouse=True)
def share_rag(request: pytest.FixtureRequest, rag: WavRAG) -> None:
    if request.cls is not None:
        request.cls.rag = rag


class TestRetrieverKit(RetrieversIntegrationTests):
    rag: ClassVar[WavRAG]

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return WavRAGRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"rag": self.rag}

    @property
    def retriever_query_example(self) -> str:
        return "When does the ferry leave the harbour?"


class ToolUnderTest:
    rag: ClassVar[WavRAG]

    @property
    def tool_constructor(self) -> type[BaseTool]:
        return WavRAGTool

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"rag": self.rag}

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"query": "When does the ferry leave?"}


class TestToolKit(ToolUnderTest, ToolsUnitTests):
    pass


class TestToolCallKit(ToolUnderTest, ToolsIntegrationTests):
    pass


def test_documents_have_times_and_speakers(rag: WavRAG) -> None:
    retriever = WavRAGRetriever(rag=rag, k=1)
    (document,) = retriever.invoke("harbour dusk", where="year = 2024")
    metadata = document.metadata
    assert "closes at dusk" in document.page_content
    assert (metadata["start"], metadata["end"], metadata["speaker"]) == (5.0, 9.0, "Bob")
    assert (metadata["year"], metadata["rank"], metadata["title"]) == (2024, 1, "harbour")
    assert asyncio.run(retriever.ainvoke(Query("harbour dusk"))) == [document]
    (text,) = WavRAGRetriever(rag=rag, k=1, where="year is null").invoke("harbour dusk ferry")
    assert text.page_content == FERRY.strip()
    assert "start" not in text.metadata
    with pytest.raises(FilterError):
        retriever.invoke("ferry", where="(((")


def test_spoken_questions(rag: WavRAG, tmp_path: Path) -> None:
    queries = []

    class Recorder(BaseCallbackHandler):
        def on_retriever_start(self, serialized: Any, query: str, **_: Any) -> None:
            queries.append(query)

    path = tmp_path / "question.wav"
    write_wav(path, TONE)
    retriever = WavRAGRetriever(rag=rag)
    config = {"callbacks": [Recorder()]}
    results = [retriever.invoke(question, config) for question in (path, TONE)]
    ids = [[document.id for document in documents] for documents in results]
    assert ids[0] == ids[1] != []
    assert queries == [str(path), "recording of 1.0 s"]
    sound = base64.b64encode(wav_bytes(TONE)).decode()
    call = {"name": "x", "args": {"audio": sound}, "id": "1", "type": "tool_call"}
    message = WavRAGTool(rag=rag).invoke(call)
    assert [document.id for document in message.artifact] == ids[0]


def test_errors_go_to_the_model(rag: WavRAG) -> None:
    tool = WavRAGTool(rag=rag)
    for arguments, expected in (
        ({}, "there is no query"), ({"audio": "!"}, "not valid base64"),
        ({"query": "a", "where": "((("}, "syntax error in the filter"),
    ):  # fmt: skip
        call = {"name": tool.name, "args": arguments, "id": "1", "type": "tool_call"}
        for message in (tool.invoke(call), asyncio.run(tool.ainvoke(call))):
            assert message.status == "error"
            assert expected in message.content
