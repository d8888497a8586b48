"""The programs in examples/ run, and print what their docstrings promise."""

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from wavrag import KnowledgeBase
from wavrag.demo import DATA
from wavrag.embed import Embedder
from wavrag.generate import Generator
from wavrag.testing.embedder import EmbedderConformance
from wavrag.testing.generator import GeneratorConformance
from wavrag.types import Document

EXAMPLES = Path(__file__).parent.parent / "examples"
DOCUMENTS = DATA / "corpus" / "documents"


def load_example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording and two documents."""
    folder = tmp_path_factory.mktemp("examples") / "files"
    folder.mkdir()
    for name in ("espresso-machine-manual.md", "ferry-conditions.txt"):
        shutil.copy(DOCUMENTS / name, folder)
    shutil.copy(DATA / "corpus" / "recordings" / "boat-shed-voice-memo.wav", folder)
    return folder


@pytest.fixture(scope="module")
def kb(folder: Path) -> Path:
    path = folder.with_name("kb")
    with KnowledgeBase.open(path) as kb:
        kb.add([Document(id=str(file), path=str(file)) for file in sorted(folder.iterdir())])
    return path


def test_every_example_is_short_and_is_run_here() -> None:
    tests = Path(__file__).read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.stem}"' in tests, f"no test runs {path.name}"
        assert 20 <= len(path.read_text(encoding="utf-8").splitlines()) <= 70


def test_ask_by_voice(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = DATA / "questions" / "spare-key.opus"
    load_example("ask_by_voice").main([str(folder), "--audio", str(question)])
    output = capsys.readouterr().out
    assert "3 files added" in output
    assert "blue flower" in output
    assert "boat-shed-voice-memo.wav  0:" in output


def test_microphone_turns(kb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = DATA / "questions" / "spare-key.opus"
    load_example("microphone_turns").main([str(kb), "--audio", str(question)])
    output = capsys.readouterr().out
    assert "You asked: Where can I find the spare key" in output
    assert "blue flower" in output


def test_mcp_client(kb: Path, capfd: pytest.CaptureFixture[str]) -> None:
    question = DATA / "questions" / "spare-key.opus"
    load_example("mcp_client").main([str(kb), "--audio", str(question)])
    output, progress = capfd.readouterr()
    assert output.startswith("Where can I find the spare key")
    assert "blue flower" in output
    assert "] boat-shed-voice-memo  0:" in output
    assert "audio/wav: " in output
    assert "passages found" in progress
    assert "writing the answer" in progress


def test_langchain_search(kb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = "Where can I find the spare key?"
    load_example("langchain_search").main([str(kb), question])
    sources, _, prompt = capsys.readouterr().out.partition("Human: ")
    assert "boat-shed-voice-memo  0:" in sources
    assert "blue flower" in prompt
    assert f"Question: {question}" in prompt


def test_haystack_pipeline(kb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = "Where can I find the spare key?"
    main = load_example("haystack_pipeline").main
    main([str(kb), question])
    prompt = capsys.readouterr().out
    assert "boat-shed-voice-memo, 0:" in prompt
    assert "blue flower" in prompt
    main([str(kb), question, "--after", "1000"])
    assert "boat-shed" not in capsys.readouterr().out


def test_llamaindex_search(kb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_example("llamaindex_search").main([str(kb), "Where can I find the spare key?"])
    output = capsys.readouterr().out
    assert "title: boat-shed-voice-memo\nlocation: 0:" in output
    assert "blue flower" in output


def test_custom_embedder(capsys: pytest.CaptureFixture[str]) -> None:
    load_example("custom_embedder").main(str(DOCUMENTS), "descalling the expresso machine")
    assert "Descaling" in capsys.readouterr().out


class TestTrigramEmbedder(EmbedderConformance):
    @pytest.fixture
    def embedder(self) -> Embedder:
        embedder: Embedder = load_example("custom_embedder").TrigramEmbedder()
        return embedder


def test_custom_generator(kb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_example("custom_generator").main(str(kb), "When should I descale the espresso machine?")
    output = capsys.readouterr().out
    assert "- Descale the machine after every 200 cups" in output
    assert "espresso-machine-manual.md" in output


class TestListGenerator(GeneratorConformance):
    @pytest.fixture
    def generator(self) -> Generator:
        generator: Generator = load_example("custom_generator").ListGenerator()
        return generator


def test_evaluate_own_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoken = json.loads((DATA / "questions" / "questions.json").read_text("utf-8"))["spoken"]
    for question in spoken[:3]:
        path = DATA / "questions" / question["file"]
        shutil.copy(path, tmp_path)
        (tmp_path / f"{path.stem}.txt").write_text(
            f"{question['text']} {question['answer_contains']}"
        )
    load_example("evaluate_own_task").main(str(tmp_path), "cascade")
    output = capsys.readouterr().out
    assert "recall@1" in output
    assert "1.000" in output
