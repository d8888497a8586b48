from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from wavrag.errors import GenerationError, MissingExtraError
from wavrag.generate import (
    FakeGenerator,
    GenerateOptions,
    QuestionPart,
    answer_messages,
    load_generator,
)
from wavrag.testing.generator import GeneratorConformance, supported
from wavrag.types import Hit, Passage


class TestFake(GeneratorConformance):
    @pytest.fixture
    def generator(self) -> FakeGenerator:
        return FakeGenerator()


def test_the_fake_says_the_first_sentence_of_the_first_source() -> None:
    pieces = list(FakeGenerator().stream(supported(), GenerateOptions()))
    assert "".join(pieces) == "The ferry to the island leaves at nine. [1]"
    assert len(pieces) == 9
    assert len(list(FakeGenerator().stream(supported(), GenerateOptions(max_tokens=3)))) == 3


def test_the_fake_names_the_span_of_a_recording_without_words() -> None:
    hit = Hit(Passage("a.wav", 0, None, 12.0, 27.0), 1, 1.0, {})
    messages = answer_messages(QuestionPart("What is it?"), [hit])
    answer = "".join(FakeGenerator().stream(messages, GenerateOptions()))
    assert answer == "0:12.0-0:27.0 [1]"


@pytest.mark.parametrize("spec", ["extractive", "fake"])
def test_a_generator_answers_to_the_name_it_was_loaded_by(spec: str) -> None:
    assert load_generator(spec).spec.name == spec


@pytest.mark.parametrize(
    "spec", ["", "gpt", "extractive:x", "fake:x", "Local", "openai", "map-reduce:"]
)
def test_an_unknown_name_lists_what_there_is(spec: str) -> None:
    with pytest.raises(GenerationError, match=r"extractive, local, .*map-reduce:NAME, fake"):
        load_generator(spec)


def test_each_source_may_be_read_alone_by_what_writes() -> None:
    assert load_generator("map-reduce:fake").spec.name == "map-reduce:fake"
    with pytest.raises(GenerationError, match="needs a generator that writes"):
        load_generator("map-reduce:extractive")
    with pytest.raises(GenerationError, match="no generator is called 'x'"):
        load_generator("map-reduce:x")


@pytest.mark.parametrize("spec", ["local:", "openai:", "qwen2-audio:"])
def test_a_name_without_its_model(spec: str) -> None:
    with pytest.raises(GenerationError, match="after the colon"):
        load_generator(spec)


@pytest.mark.parametrize(
    ("spec", "module", "extra"),
    [
        ("local", "xllamacpp", "local"),
        ("openai:m", "openai", "openai"),
        ("qwen2-audio:Qwen/Qwen2-Audio-7B-Instruct", "transformers", "models"),
    ],
)
def test_a_missing_extra_is_named(
    spec: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == module else find(name)
    )
    with pytest.raises(MissingExtraError, match=rf"pip install 'wavrag\[{extra}\]'") as caught:
        load_generator(spec)
    assert caught.value.extra == extra


def test_importing_the_room_imports_no_model(tmp_path: Path) -> None:
    code = (
        "import sys, wavrag.generate as g; g.load_generator('extractive');"
        "print({'openai', 'torch', 'xllamacpp', 'httpx2', 'onnxruntime'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "set()"
