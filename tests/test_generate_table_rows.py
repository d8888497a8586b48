"""Answers from rows of tables: the right cell or none, never a neighbour's value."""

import importlib
from pathlib import Path

import pytest

from wavrag import text
from wavrag.answer import check_citations
from wavrag.generate import ExtractiveGenerator, GenerateOptions, QuestionPart, SourcePart
from wavrag.generate.prompts import answer_messages, render
from wavrag.generate.table_rows import match_row
from wavrag.speech import spoken_text
from wavrag.types import Hit, Passage

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
NIGHT_BUS = "Route: Night bus | Weekday fare: \u2014 | Weekend fare: 4.50"
NOTE = "The airport line is free."
FARES = f"Route: Hill tram | Weekday fare: 1.90 | Weekend fare: \u2014\n{NIGHT_BUS}"


def make_hits(passages: list[Passage], cosine: float = 0.5) -> list[Hit]:
    return [Hit(p, rank, cosine, {"dense": cosine}) for rank, p in enumerate(passages, start=1)]


def ask(question: str, hits: list[Hit]) -> str:
    messages = answer_messages(QuestionPart(question), hits)
    return "".join(ExtractiveGenerator().stream(messages, GenerateOptions()))


def test_tables_of_all_formats_answer_single_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    benchmark = importlib.import_module("tables")
    verdicts = []
    for number, table in enumerate(benchmark.TABLES):
        path = tmp_path / f"{number}.{table.suffix}"
        path.write_bytes(benchmark.WRITERS[table.suffix](table))
        parsed = text.read(path)
        passages = text.split(parsed, Passage(path.name, 0, title=parsed.title))
        for question, expected in table.questions:
            # The five best of the long table: those with most words of the question.
            words = question.lower().strip("?").split()
            passages.sort(key=lambda p: -sum(f" {w} " in f" {p.text} ".lower() for w in words))
            answer = ask(question, make_hits(passages[:5]))
            verdicts.append((benchmark.judge(table, answer, expected), question, answer))
    assert len(verdicts) == 24
    assert [verdict for verdict in verdicts if verdict[0] != "right"] == []


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is the weekday fare of the night bus?", "Route: Night bus | Weekday fare: \u2014"),
        ("How much is the night bus at the weekend?", "Route: Night bus | Weekend fare: 4.50"),
        ("Which bus costs 4.50 at the weekend?", "Route: Night bus | Weekend fare: 4.50"),
        ("Tell me about the night bus", NIGHT_BUS),
        ("What is the weekday fare of the airport bus?", None),
        ("What is the weekday fare of the hill tram?", None),
        ("How much is night bus 7 on a weekday?", None),
    ],
)
def test_a_question_names_a_row_and_a_column(question: str, expected: str | None) -> None:
    match = match_row(NIGHT_BUS, question)
    assert (match.text if match else None) == expected


def test_a_number_names_the_row_and_not_a_value_of_the_column_asked_for() -> None:
    rows = [f"Station: Station {n:02} platform | Walking time: {3 * n} min" for n in (9, 27)]
    question = "What is the walking time at station 27?"
    assert match_row(rows[0], question) is None
    match = match_row(rows[1], question)
    assert match is not None
    assert match.text == rows[1]


def test_related_words_name_a_column() -> None:
    row = "Course: Chemistry | Room: C30 | Teacher: \u2014 | Day: Friday"
    match = match_row(row, "Who teaches chemistry?")
    assert match is not None
    assert match.text == "Course: Chemistry | Teacher: \u2014"


def test_rows_of_the_same_name_are_all_quoted_each_on_its_line() -> None:
    rows = "Low season | Pitch: Tent | Adult: 8.00\nHigh season | Pitch: Tent | Adult: 12.50"
    answer = ask("What does an adult pay for a tent?", make_hits([Passage("a", 0, rows)]))
    assert answer == (
        "Low season | Pitch: Tent | Adult: 8.00 [1]\nHigh season | Pitch: Tent | Adult: 12.50 [1]"
    )


def test_a_table_without_the_row_leaves_no_answer_to_passages_further_away() -> None:
    table, near, far = Passage("a", 0, FARES), Passage("b", 0, NOTE), Passage("c", 0, NOTE)
    question = "What does the airport line cost?"
    hits = make_hits([table], 0.6)
    assert ask(question, [*hits, *make_hits([far], 0.3)]) == ""
    assert ask(question, [*hits, *make_hits([near], 0.55)]).startswith(NOTE)


def test_cells_of_a_row_are_supported_by_it_and_by_no_other() -> None:
    rows = "Station: Pier | Walk: 3 min | Lift: no\nStation: Dock | Walk: 9 min | Lift: yes"
    sources = [SourcePart(1, hit) for hit in make_hits([Passage("a", 0, rows)])]
    for statement, supported in (
        ("Station: Dock | Walk: 9 min [1]", True),
        ("Station: Pier | Walk: 3 min [1]", True),
        ("Station: Pier | Walk: 4 min [1]", False),
    ):
        assert [s.supported for s in check_citations(statement, sources)] == [supported]


def test_rows_stay_lines_in_prompts_and_are_spoken_with_their_labels() -> None:
    hit = make_hits([Passage("a", 0, f"Fares of\nthe city.\n\n{FARES}\nAll in euros.")])[0]
    assert (
        render([SourcePart(1, hit)]).split("\n", 1)[1]
        == f"Fares of the city.\n{FARES}\nAll in euros."
    )
    assert spoken_text("Route: Night bus | Weekday fare: \u2014 [1]") == (
        "Route: Night bus, Weekday fare: none."
    )
