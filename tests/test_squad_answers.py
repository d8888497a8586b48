"""Answers of recognised paragraphs, mapped to the written ones."""

import importlib
import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
RECOGNISED = "super bowl fifty was played on february seventh twenty sixteen at levis stadium"
WRITTEN = "Super Bowl 50 was played on February 7, 2016, at Levi's Stadium."


@pytest.mark.parametrize(
    ("recognised", "written"),
    [
        ("super bowl", "Super Bowl"),
        ("fifty", "50"),
        ("february seventh twenty sixteen", "February 7, 2016"),
        ("levis stadium", "Levi's Stadium"),
        ("seventh twenty", None),  # neither "twenty" nor the next word has a counterpart
    ],
)
def test_an_answer_is_mapped_by_the_words_around_it(
    recognised: str, written: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    squad = importlib.import_module("squad_answers")
    start = RECOGNISED.index(recognised)
    span = squad.Alignment(RECOGNISED, WRITTEN).map_span(start, start + len(recognised))
    assert (WRITTEN[slice(*span)] if span else None) == written


def test_questions_of_two_paragraphs_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    squad = importlib.import_module("squad_answers")
    answer = {"answer_start": 11, "text": "fifty"}
    items = [{"question": question, "answers": [answer]} for question in ("Which?", "Where?")]
    paragraph = {"context": RECOGNISED, "qas": items}
    folder = tmp_path / "text"
    folder.mkdir()
    document = {"data": [{"title": "Bowl", "paragraphs": [paragraph]}]}
    (folder / "spoken_test-v1.1.json").write_text(json.dumps(document))
    rows = [
        {"id": "1", "title": "Bowl", "context": WRITTEN, "questions": ["Which?", "Where?"]},
        {"id": "2", "title": "Bowl", "context": "Another.", "questions": ["Where?"]},
    ]
    (question,) = squad.read_answered_questions(tmp_path, rows)
    assert (question.question, question.paragraph, question.answers) == ("Which?", "1", ["50"])
