"""Figures of answers on values derived by hand, and the command over a real knowledge base."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from wavrag import Document, KnowledgeBase, WavRAG
from wavrag.answer.citation_check import check_citations
from wavrag.cli import main
from wavrag.errors import InputError
from wavrag.evaluate.answers import (
    GoldQuestion,
    answers_to_dict,
    contains,
    evaluate_answers,
    exact_match,
    format_answers,
    load_questions,
    normalise,
    score,
    token_f1,
)
from wavrag.generate import FakeGenerator, GenerateOptions, Message, SourcePart
from wavrag.generate.prompts import find_question
from wavrag.types import Answer, Citation, Hit, Passage, Support

ROOT = Path(__file__).parent.parent
NINE = Passage("/kb/ferry.md", 0, "The ferry leaves at nine o'clock.")
TEN = Passage("/kb/museum.md", 0, "The museum opens at ten.")


def test_normalisation_is_that_of_squad() -> None:
    assert normalise("  The U.S. Navy's  an 'A' boat! ") == "us navys boat"
    assert normalise("Anthem") == "anthem"


def test_exact_match_and_f1_by_hand() -> None:
    assert exact_match("The Ferry!", ["boat", "ferry"]) == 1
    assert exact_match("ferries", ["ferry"]) == 0
    # Shared: red, boat; precision 2/3, recall 2/4, F1 = 2 * 2 / (3 + 4).
    assert token_f1("a red red boat", ["the old red boat sank"]) == pytest.approx(4 / 7)
    assert token_f1("red boat", ["ship", "boat"]) == pytest.approx(2 / 3)
    assert token_f1("ship", ["boat"]) == 0
    assert token_f1("", ["boat"]) == 0
    assert token_f1("boat", []) == 0


def test_containing_is_in_whole_words() -> None:
    assert contains("It leaves at nine o'clock.", ["at nine"])
    assert not contains("It leaves at nineteen.", ["nine"])
    assert not contains("It leaves.", ["the", ""])


def support(text: str, *passages: Passage) -> tuple[Support, ...]:
    return check_citations(
        text, [SourcePart(n, Hit(p, n, 0.0, {})) for n, p in enumerate(passages, 1)]
    )


def test_an_answered_question_by_hand() -> None:
    question = GoldQuestion("q", "When?", ("nine",), ("ferry.md", "other.md"))
    citations = (Citation(1, NINE), Citation(2, TEN), Citation(1, NINE, "quote"))
    text = "At nine [1][2]."
    answer = Answer(
        text, True, citations=citations, support=support(text, NINE, TEN), invented_citations=2
    )
    assert score(question, answer) == {
        "abstention": 1,
        "answered": 1,
        "invented": 2,
        "exact_match": 0,
        "f1": pytest.approx(2 / 3),  # 'at nine' against 'nine': 2 * 1 / (2 + 1)
        "contains": 1,
        "citation_precision": 0.5,  # of two passages one holds 'nine'
        "citation_recall": 0.5,  # of two documents one was cited
        "supported": 1,  # 'At nine' cites passages of which one has the nine
    }


def test_silence_is_wrong_where_there_is_an_answer_and_right_where_there_is_none() -> None:
    silent = Answer("I don't know nine.", False, citations=(Citation(1, NINE),))
    assert score(GoldQuestion("q", "When?", ("nine",), ("ferry.md",)), silent) == {
        "abstention": 0, "answered": 0, "invented": 0, "exact_match": 0, "f1": 0, "contains": 0,
        "citation_recall": 0,
    }  # fmt: skip
    unanswerable = GoldQuestion("q", "Who?", answerable=False)
    assert score(unanswerable, silent) == {"abstention": 1, "silent": 1, "invented": 0}
    text = "Ada [1]. The ferry leaves at nine [1]."
    loud = Answer(text, True, citations=(Citation(1, NINE),), support=support(text, NINE))
    assert score(unanswerable, loud) == {
        "abstention": 0, "silent": 0, "invented": 0, "supported": 0.5
    }  # fmt: skip


def test_a_document_is_named_by_its_id_or_the_end_of_its_path() -> None:
    answer = Answer("x", True, citations=(Citation(1, NINE),))
    for name, recall in (("/kb/ferry.md", 1), ("kb/ferry.md", 1), ("ferry.md", 1), ("erry.md", 0)):
        assert score(GoldQuestion("q", "?", (), (name,)), answer)["citation_recall"] == recall


class Oracle(FakeGenerator):
    """Knows one answer, and says that it does not know the others."""

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[str]:
        yield "nine [1][9]" if "ferry" in (find_question(messages).text or "") else "I don't know."


QUESTIONS = [
    GoldQuestion("1", "When does the ferry leave", ("nine",), ("ferry",)),
    GoldQuestion("2", "When does the museum open", ("ten",), ("museum",)),
    GoldQuestion("3", "Who is the mayor", answerable=False),
]


def test_a_report_over_a_knowledge_base(tmp_path: Path) -> None:
    asked = []
    with WavRAG(KnowledgeBase.open(tmp_path, embedder="fake"), Oracle()) as rag:
        rag.add(Document("ferry", text="The ferry leaves at nine."))
        report = evaluate_answers(
            rag.ask, QUESTIONS, generator=rag.generator.spec.name,
            on_question=lambda done, total: asked.append((done, total)),
        )  # fmt: skip
    assert asked == [(0, 3), (1, 3), (2, 3)]
    means = {name: figure.mean for name, figure in report.figures.items() if name != "seconds"}
    assert means == {
        "exact_match": 0.5,
        "f1": 0.5,
        "contains": 0.5,
        "citation_precision": 1,  # of the one answer that cites
        "citation_recall": 0.5,
        "supported": 1,
        "answered": 0.5,
        "silent": 1,
        "abstention": pytest.approx(2 / 3),
        "invented": pytest.approx(1 / 3),
    }
    assert report.figures["citation_precision"].questions == 1
    assert report.figures["silent"].ci95 == (1, 1)
    low, high = report.figures["exact_match"].ci95
    assert low == 0
    assert high == 1
    figures = answers_to_dict(report)
    assert (figures["generator"], figures["paths"]) == ("fake", 1)
    assert (figures["answerable"], figures["unanswerable"]) == (2, 1)
    assert figures["figures"]["abstention"]["mean"] == 0.6667
    table = format_answers(report)
    assert table.startswith("fake: 2 answerable questions, 1 others\n")
    assert "exact_match          0.500  [0.000 1.000]      2" in table


def test_figures_that_apply_to_no_question_are_left_out(tmp_path: Path) -> None:
    with WavRAG(KnowledgeBase.open(tmp_path, embedder="fake"), Oracle()) as rag:
        report = evaluate_answers(rag.ask, QUESTIONS[2:])
    assert set(report.figures) == {"silent", "abstention", "invented", "seconds"}


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    return path


def test_questions_are_read_up_to_a_limit(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "question": "Where?", "answers": ["here"], "passages": ["d"]},
        {"id": "2", "question": "Who?", "answerable": False},
    ]
    path = write(tmp_path / "q.jsonl", *rows)
    assert load_questions(path) == [
        GoldQuestion("1", "Where?", ("here",), ("d",)), GoldQuestion("2", "Who?", answerable=False)
    ]  # fmt: skip
    assert [one.id for one in load_questions(path, 1)] == ["1"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "contains no questions"),
        ([[]], "line 1: is not a JSON object"),
        ([{"id": 1, "question": "?"}], "id is 1"),
        ([{"id": "1", "question": " "}], "question is ' '"),
        ([{"id": "1", "question": "?", "answers": "x"}], "answers is 'x'"),
        ([{"id": "1", "question": "?", "answerable": 1}], "answerable is 1"),
        ([{"id": "1", "question": "?"}], "neither answers nor passages"),
        ([{"id": "1", "question": "?", "answers": ["x"]}] * 2, "line 2: duplicate id '1'"),
    ],
)
def test_malformed_questions_name_their_line(
    rows: list[object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        load_questions(write(tmp_path / "q.jsonl", *rows))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_questions(tmp_path / "none.jsonl")
    path = tmp_path / "q.jsonl"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="line 1: is not JSON"):
        load_questions(path)


def run(*arguments: object) -> int:
    return main(["answers", *map(str, arguments)])


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
        kb.add([Document("ferry", text="The ferry leaves at nine.")])
    rows = [
        {"id": one.id, "question": one.question, "answers": one.answers, "passages": one.passages,
         "answerable": one.answerable}
        for one in QUESTIONS
    ]  # fmt: skip
    path = write(tmp_path / "q.jsonl", *rows)
    common = (path, "--kb", tmp_path / "kb", "--generator", "fake", "--limit", 2)
    assert run(*common, "--json", tmp_path / "out.json") == 0
    table = capsys.readouterr().out
    assert table.startswith("fake: 2 answerable questions, 0 others")
    assert run(*common, "--json", "-") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    printed = json.loads(captured.out)
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    # The fake answers with the first sentence of the first source, which is all that there is.
    assert printed["figures"]["contains"]["mean"] == 0.5
    for figures in (printed, written):
        del figures["figures"]["seconds"]
    assert printed == written


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--limit", "0"], 2, "--limit: 0 is not a whole number of at least 1"),
        (["--paths", "0"], 2, "--paths: 0 is not a whole number of at least 1"),
        (["--json", "/nowhere/at/all.json"], 1, "there is no folder"),
        (["--kb", "/nowhere"], 1, "no knowledge base"),
    ],
)
def test_what_cannot_be_done(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(tmp_path / "q.jsonl", {"id": "1", "question": "?", "answers": ["x"]})
    assert run(path, *arguments) == code
    assert message in capsys.readouterr().err


def test_questions_from_collected_data(tmp_path: Path) -> None:
    rows = [
        {
            "id": str(n), "question": f"who is {n}", "title": f"Title {n // 2}",
            "paragraph": f"Paragraph {n}.", "answers": [[{"string": f"{n}"}, {"string": "x"}]],
        }
        for n in range(8)
    ]  # fmt: skip
    (tmp_path / "data" / "text").mkdir(parents=True)
    write(tmp_path / "data" / "text" / "qed_eval.jsonl", *rows)
    command = [
        sys.executable, str(ROOT / "tools" / "make_questions.py"), str(tmp_path / "out"), "--data",
        str(tmp_path / "data"), "--questions", "4", "--unanswerable", "0.5",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    questions = load_questions(tmp_path / "out" / "questions.jsonl")
    assert len(questions) == 4
    files = {path.name: path.read_text("utf-8") for path in (tmp_path / "out/documents").iterdir()}
    for question in questions:
        title = f"# Title {int(question.id) // 2}\n"
        if question.answerable:
            assert question.answers == (f"{question.id}, x",)
            assert files[question.passages[0]] == f"{title}\nParagraph {question.id}.\n"
        else:
            assert not any(text.startswith(title) for text in files.values())
    assert sum(not question.answerable for question in questions) >= 2
    again = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert "is there already" in again.stderr
