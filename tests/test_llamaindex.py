"""The adapter of LlamaIndex."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from llama_index.core.schema import MetadataMode

from serving import BEES, FERRY, TONE, create_harbour_rag
from wavrag import WavRAG
from wavrag.audio import wav_bytes, write_wav
from wavrag.errors import InputError
from wavrag.integrations.llamaindex import (
    AudioQueryBundle,
    WavRAGIndexRetriever,
    WavRAGReader,
    create_search_tool,
)


@pytest.fixture(scope="module")
def rag(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WavRAG]:
    with create_harbour_rag(tmp_path_factory.mktemp("llamaindex")) as rag:
        yield rag


def test_nodes_have_times_and_speakers(rag: WavRAG) -> None:
    retriever = WavRAGIndexRetriever(rag, k=1, where="year = 2024")
    (result,) = retriever.retrieve("harbour dusk")
    metadata = result.node.metadata
    assert "closes at dusk" in result.text
    assert (metadata["start"], metadata["end"], metadata["speaker"]) == (5.0, 9.0, "Bob")
    assert (metadata["year"], metadata["title"], metadata["score"]) == (
        2024,
        "harbour",
        result.score,
    )
    shown = result.node.get_content(MetadataMode.LLM)
    assert "speaker: Bob" in shown
    assert "document_id" not in shown
    (again,) = asyncio.run(retriever.aretrieve("harbour dusk"))
    assert again.node == result.node


def test_spoken_questions(rag: WavRAG, tmp_path: Path) -> None:
    path = tmp_path / "question.wav"
    write_wav(path, TONE)
    retriever = WavRAGIndexRetriever(rag)
    bundles = [AudioQueryBundle(question) for question in (path, TONE)]
    assert [bundle.query_str for bundle in bundles] == [str(path), "recording of 1.0 s"]
    results = [[result.node_id for result in retriever.retrieve(bundle)] for bundle in bundles]
    assert results[0] == results[1] != []


def test_the_reader_reads_passages(rag: WavRAG) -> None:
    documents = {document.metadata["title"]: document for document in WavRAGReader(rag).load_data()}
    assert documents["ferry"].text == FERRY.strip()
    assert documents["Bees"].text in BEES
    harbour = documents["harbour"].metadata
    assert (harbour["start"], harbour["speaker"]) == (5.0, "Bob")
    (ferry,) = WavRAGReader(rag).load_data([documents["ferry"].metadata["document_id"]])
    assert ferry == documents["ferry"]
    with pytest.raises(InputError, match="there is no document x"):
        WavRAGReader(rag).load_data(["x"])


def test_the_tool(rag: WavRAG) -> None:
    tool = create_search_tool(rag, k=2)
    properties = tool.metadata.get_parameters_dict()["properties"]
    assert set(properties) == {"query", "audio", "where"}
    assert tool.call(query="harbour dusk", where="year = 2024").content.startswith(
        "[1] harbour, 0:05"
    )
    sound = base64.b64encode(wav_bytes(TONE)).decode()
    assert "[2] " in tool.call(audio=sound).content
    assert tool.call(query="ferry", where="year = 1900").content == "no passages found"
    for arguments, expected in (
        ({}, "there is no query"), ({"audio": "!"}, "the recording is not valid base64"),
        ({"query": "a", "where": "((("}, "syntax error in the filter"),
    ):  # fmt: skip
        assert asyncio.run(tool.acall(**arguments)).content.startswith(f"error: {expected}")
