"""Wrong arguments of the public API are an `InputError` that names the argument and the remedy."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavrag import Clip, Document, LiveOptions, LiveTurn, Query, WavRAG, load_embedder
from wavrag.errors import InputError
from wavrag.generate import FakeGenerator
from wavrag.kb import find_files
from wavrag.live.intake import Intake


@pytest.fixture(scope="module")
def rag(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WavRAG]:
    folder = tmp_path_factory.mktemp("arguments")
    with WavRAG.open(folder / "kb", embedder="fake", generator=FakeGenerator()) as rag:
        rag.add(Document("bees", text="Bees dance to show where flowers are."))
        yield rag


WRONG: dict[str, tuple[Callable[[WavRAG], Any], str]] = {
    "no question": (lambda rag: rag.ask(None), "the question is None: give a string"),
    "bytes": (lambda rag: rag.search(b"bees"), "the question is of type bytes"),
    "number": (lambda rag: rag.stream(5), "the question is of type int"),
    "query of the base": (lambda rag: rag.kb.search(None), "the query is None: give str or Query"),
    "text": (lambda rag: rag.search(Query(text=5)), r"Query\.text is of type int"),
    "clip": (lambda rag: rag.search(Query(clip=np.zeros(9))), r"Query\.clip is of type ndarray"),
    "filter": (lambda rag: rag.search("bees", where=["year"]), "the filter is of type list"),
    "k 0": (lambda rag: rag.search("bees", k=0), "k is 0: give a whole number from 1"),
    "k -1": (lambda rag: rag.search("bees", k=-1), "k is -1: give a whole number from 1"),
    "k None": (lambda rag: rag.search("bees", k=None), "k is None"),
    "k 2.0": (lambda rag: rag.search("bees", k=2.0), "k is of type float"),
    "k array": (lambda rag: rag.kb.search("bees", k=np.array([3, 4])), "k is of type ndarray"),
    "k True": (lambda rag: rag.kb.search("bees", k=True), "k is of type bool"),
    "no history": (lambda rag: rag.ask("bees", history=None), "no list of HistoryTurn"),
    "history": (lambda rag: rag.ask("bees", history=["bees"]), "no list of HistoryTurn"),
    "no path": (lambda rag: rag.add(None), "a path is None: give a string or a Path"),
    "path": (lambda rag: rag.add(5), "a path is of type int"),
    "one path": (lambda rag: find_files("talks"), "paths are of type str: give a list"),
    "one document": (lambda rag: rag.kb.add(Document("a", text="a")), "give a list of Document"),
    "no document": (lambda rag: rag.kb.add(["a.txt"]), "a document is of type str"),
    "id of a document": (lambda rag: rag.kb.add([Document(5, text="a")]), r"Document\.id is"),
    "one id": (lambda rag: rag.kb.remove("bees"), "document ids are of type str: give a list"),
    "id": (lambda rag: rag.kb.transcript(None), "a document id is None: give str"),
    "folder": (lambda rag: WavRAG.open(5), "a path is of type int"),
    "embedder": (lambda rag: WavRAG.open("none", embedder=5), "the embedder is of type int"),
    "generator": (lambda rag: WavRAG.open("none", generator=5), "the generator is of type int"),
    "no name": (lambda rag: load_embedder(None), "the embedder is None: give str"),
    "options": (lambda rag: rag.ask("bees", options=5), "give GenerateOptions or None"),
    "reasoning": (lambda rag: rag.ask("bees", reasoning=True), "give ReasoningOptions or None"),
    "samples": (lambda rag: rag.search(Clip(None, 16_000)), r"Clip\.samples are None"),
    "stereo": (lambda rag: rag.search(Clip(np.zeros((2, 9)), 16_000)), r"of shape \(2, 9\)"),
    "rate": (lambda rag: rag.search(Clip(np.zeros(9), None)), r"Clip\.sample_rate is None"),
    "text of a document": (lambda rag: rag.add(Document("a", text=5)), "the text of the document"),
    "metadata": (lambda rag: rag.add(Document("a", text="a", metadata=None)), "give Mapping"),
    "channels": (
        lambda rag: rag.add(Document("a", text="a", channels="left")), "choose auto, mix, split"
    ),
    "empty id": (lambda rag: rag.add(Document("", text="a")), r"Document\.id is empty"),
    "one url": (lambda rag: rag.kb.add_urls("https://example.org"), "give a list"),
    "live turn": (lambda rag: LiveTurn(rag.kb), "rag is of type KnowledgeBase: give WavRAG"),
    "live options": (lambda rag: LiveOptions(k="5"), "k is of type str: give int or float"),
    "chunk": (lambda rag: Intake(16_000, 1).push(None), "a chunk is None: give bytes"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_argument_is_an_input_error(rag: WavRAG, name: str) -> None:
    call, message = WRONG[name]
    with pytest.raises(InputError, match=message):
        call(rag)
    assert rag.kb.count() == 1


def test_integers_of_numpy_and_any_iterable_of_documents_pass(rag: WavRAG) -> None:
    assert len(rag.search("bees", k=np.int64(1))) == 1
    documents = iter([Document("bees", text="Bees dance to show where flowers are.")])
    assert rag.kb.add(documents).unchanged == ["bees"]


def test_a_path_in_a_query_is_read_as_a_recording(rag: WavRAG, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.wav"):
        rag.ask(tmp_path / "none.wav")
