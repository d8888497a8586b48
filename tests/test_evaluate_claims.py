"""Claims of answers, judged by a scripted OpenAI-compatible server on a loopback port."""

import importlib.util

import pytest

from scripted_server import Refuses, Says, serving
from wavrag.errors import GenerationError
from wavrag.evaluate.answers import GoldQuestion, evaluate_answers
from wavrag.evaluate.claims import judge_answer, parse_verdict
from wavrag.generate import load_generator
from wavrag.generate.base import Generator
from wavrag.types import Answer, Citation, Passage

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("openai"), reason="needs the extra wavrag[openai]"
)
PASSAGE = Passage("d", 0, text="The bridge was opened in 1932. It is made of {steel}.")
ANSWER = Answer(
    "The steel bridge opened in 1932 [1], and it is red [1].",
    found=True,
    citations=(Citation(1, PASSAGE), Citation(1, PASSAGE)),
)


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Generator:
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    return load_generator("openai:judge")


def test_claims_are_split_and_judged(judge: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    script = [
        Says("Facts:\n- The bridge opened in 1932.\n2) The bridge is steel.\n* The bridge is red."),
        Says("Supported."),
        Says("supported"),
        Says("The claim is not supported"),
    ]
    with serving(script, Says("")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        found = judge_answer(ANSWER, judge)
    assert [(claim.text, claim.supported) for claim in found.claims] == [
        ("The bridge opened in 1932.", True),
        ("The bridge is steel.", True),
        ("The bridge is red.", False),
    ]
    assert found.precision == pytest.approx(2 / 3)
    split, first, *_ = (body["messages"][-1]["content"] for body in server.requests)
    assert "Text: The steel bridge opened in 1932, and it is red." in split, "without marks"
    assert first.count("made of {steel}") == 1, "a passage once, whatever is in it"
    assert "Claim: The bridge opened in 1932." in first


def test_a_verdict_that_cannot_be_read_is_in_no_figure(
    judge: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = [
        Says("- One.\n- Two.\n- Three."),
        Says("supported"),
        Says("Perhaps."),
        Says("supported or unsupported"),
    ]
    with serving(script, Says("")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        found = judge_answer(ANSWER, judge)
    assert [claim.supported for claim in found.claims] == [True, None, None]
    assert found.precision == 1.0


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ([Says("I cannot help with that.")], "no list of claims but 'I cannot help"),
        ([Says("- One."), Says("supp", then="break")], "cannot be reached"),
        ([Says("- One."), Says("", then="garbage")], "no chat completion"),
        ([Refuses(401)], "so it is|401"),
    ],
)
def test_a_judge_that_fails_gives_an_error_and_no_figure(
    script: list, message: str, judge: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(script, Says("")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with pytest.raises(GenerationError, match=message):
            judge_answer(ANSWER, judge)


def test_what_was_not_said_has_no_claims_and_what_cites_nothing_no_support(
    judge: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert judge_answer(Answer("I don't know.", found=False), judge).precision is None
    with serving([Says("- It is red.")], Says("")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        found = judge_answer(Answer("It is red.", found=True), judge)
    assert found.precision == 0
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("supported", True),
        ("**Supported**", True),
        ("Unsupported, because the passages are silent.", False),
        ("Not supported.", False),
        ("", None),
        ("true", None),
        ("insupportable", None),
        ("Is it supported or not? Unsupported.", None),
    ],
)
def test_verdicts(said: str, expected: bool | None) -> None:
    assert parse_verdict(said) is expected


def test_claims_are_a_figure_of_answers(judge: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    script = [Says("- One.\n- Two."), Says("supported"), Says("unsupported")]
    question = GoldQuestion("q", "When?", answers=("1932",))
    with serving(script, Says("")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        report = evaluate_answers(lambda _: ANSWER, [question], judge=judge)
    assert report.figures["claims"].mean == 0.5
    assert "claims" not in evaluate_answers(lambda _: ANSWER, [question]).figures
