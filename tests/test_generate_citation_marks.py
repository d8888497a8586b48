from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavrag.generate import SourcePart, parse_citations
from wavrag.generate.citation_marks import attribute, best_sentence
from wavrag.types import Hit, Passage

FERRY = "The harbour is old. The ferry leaves at nine. It carries forty people."
MUSEUM = "The museum opens at ten. Tickets cost five euros."
SOURCES = [
    SourcePart(number, Hit(Passage(f"d{number}", 0, text), number, 1.0, {}))
    for number, text in enumerate([FERRY, MUSEUM, None], start=1)
]


@pytest.mark.parametrize(
    ("answer", "text", "numbers", "invented"),
    [
        ("At nine [1].", "At nine [1].", [1], 0),
        ("At nine [1, 2].", "At nine [1][2].", [1, 2], 0),
        ("At nine [1][3].", "At nine [1][3].", [1, 3], 0),
        ("At nine [1] [3].", "At nine [1][3].", [1, 3], 0),
        ("At nine [1-3].", "At nine [1][2][3].", [1, 2, 3], 0),
        ("At nine [1\u20132].", "At nine [1][2].", [1, 2], 0),
        ("At nine [3-1].", "At nine [3][1].", [3, 1], 0),
        ("At nine [1; 2 and 3].", "At nine [1][2][3].", [1, 2, 3], 0),
        ("At nine [Source 1].", "At nine [1].", [1], 0),
        ("At nine [1][1].", "At nine [1].", [1], 0),
        ("At nine [7].", "At nine.", [], 1),
        ("At nine [7] sharp.", "At nine sharp.", [], 1),
        ("[7] At nine", "At nine", [], 1),
        ("At nine [1, 7].", "At nine [1].", [1], 1),
        ("At nine [2-9].", "At nine [2][3].", [2, 3], 1),
        ("In [2019] and [0].", "In and.", [], 2),
        ("In [1000-99999999999].", "In.", [], 2),
        ("At nein [sic] [1].", "At nein [sic] [1].", [1], 0),
        ("A list [] [x] [1.5] [ ].", "A list [] [x] [1.5] [ ].", [], 0),
        ("At nine [[9]1].", "At nine [1].", [1], 1),
        ("At nine [[9]8].", "At nine.", [], 2),
        ("", "", [], 0),
    ],
)
def test_marks(answer: str, text: str, numbers: list[int], invented: int) -> None:
    cited = parse_citations(answer, SOURCES)
    assert cited.text == text
    assert [citation.number for citation in cited.citations] == numbers
    assert cited.invented_count == invented


def test_each_mark_quotes_the_sentence_that_supports_its_statement() -> None:
    answer = "The ferry leaves at nine [1] and carries forty people [1]. Tickets cost five [2]."
    assert [(c.number, c.quote) for c in parse_citations(answer, SOURCES).citations] == [
        (1, "The ferry leaves at nine."),
        (1, "It carries forty people."),
        (2, "Tickets cost five euros."),
    ]


def test_one_citation_for_the_same_quote() -> None:
    cited = parse_citations("The ferry leaves at nine [1]. At nine it leaves [1].", SOURCES)
    assert cited.text.count("[1]") == 2
    assert len(cited.citations) == 1


@pytest.mark.parametrize(
    "answer", ["Hello. The ferry leaves at nine. [1] Bye.", "[1] The ferry leaves at nine. Bye."]
)
def test_a_mark_after_the_full_stop_or_before_the_words(answer: str) -> None:
    (citation,) = parse_citations(answer, SOURCES).citations
    assert citation.quote == "The ferry leaves at nine."
    assert citation.passage is SOURCES[0].hit.passage


@pytest.mark.parametrize("answer", ["Gulls cry [3].", "Zebras graze [1].", "[1]"])
def test_no_quote_where_no_words_agree(answer: str) -> None:
    (citation,) = parse_citations(answer, SOURCES).citations
    assert citation.quote == ""


def test_a_long_sentence_does_not_win_by_its_length() -> None:
    # Dice of {red, boat} with {red, boat}: 4/4; with the six content words of the other: 4/8.
    text = "A red boat and old blue sails near harbours. A red boat."
    assert best_sentence("The red boat", text) == "A red boat."


@given(st.text(alphabet="ab.[]1234 ,-\n", max_size=60))
def test_any_text_is_parsed_and_stays_parsed(answer: str) -> None:
    cited = parse_citations(answer, SOURCES)
    again = parse_citations(cited.text, SOURCES)
    assert again.text == cited.text
    assert again.invented_count == 0


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The ferry leaves at nine.", "The ferry leaves at nine. [1]"),
        (
            "Tickets cost five euros. Zebras graze.\n",
            "Tickets cost five euros. [2] Zebras graze.\n",
        ),
        ("The ferry leaves at nine [2].", "The ferry leaves at nine [2]."),
        ("The ferry leaves at nine. [2]", "The ferry leaves at nine. [2]"),
        ("The ferry sank in stormy weather.", "The ferry sank in stormy weather."),
        ("", ""),
    ],
)
def test_statements_without_a_mark_are_given_one(answer: str, expected: str) -> None:
    assert attribute(answer, SOURCES) == expected
