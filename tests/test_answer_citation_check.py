from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavrag.answer import citation_check, should_abstain
from wavrag.answer.citation_check import (
    CitationCheckOptions,
    check_citations,
    flag_unsupported_sentences,
)
from wavrag.answer.numerals import find_numbers, has_negation
from wavrag.generate import SourcePart, parse_citations
from wavrag.types import Float32, Hit, Passage

FERRY = Passage(
    "ferry",
    0,
    "The ferry leaves at nine. It carries 40 people. Dogs are not allowed.",
    title="Pier",
)
MUSEUM = Passage("museum", 0, "The museum opens at ten.")
SILENT = Passage("gulls.wav", 0, start=0.0, end=5.0)
HITS = [
    Hit(passage, rank, 1.0 / rank, {"dense": 0.6 / rank})
    for rank, passage in enumerate([FERRY, MUSEUM, SILENT], start=1)
]
SOURCES = [SourcePart(hit.rank, hit) for hit in HITS]


@pytest.mark.parametrize(
    ("answer", "supported"),
    [
        ("The ferry leaves at nine [1].", [True]),
        ("The ferry leaves at 9 [1].", [True]),
        ("The ferry leaves at ten [1].", [False]),  # the number is another
        ("The ferry leaves at ten [1][2].", [True]),  # 'ten' stands in the museum's passage
        ("The ferry does not leave at nine [1].", [False]),
        ("Dogs aren't allowed [1].", [True]),
        ("Dogs are allowed [1].", [False]),
        ("The ferry leaves at nine [2].", [False]),  # it cites another passage
        ("The ferry leaves at nine.", [False]),  # it cites none
        ("Gulls cry [3].", [False]),  # there are no words to compare with
        ("At the pier the ferry leaves at nine [1].", [True]),  # the title counts
        ("It carries forty people [1]. The museum opens at ten [2].", [True, True]),
        ("It carries forty people. [1] The museum opens at nine. [2]", [True, False]),
        ("[1] The ferry leaves at nine.", [True]),
        ("I don't know.", []),
        ("", []),
        ("[1]", []),
        ("Nine [1].", [True]),
        ("At nine [1].", [True]),
        ("At 8 [1].", [False]),
        ("It is [1].", [False]),  # says nothing that could be compared
    ],
)
def test_each_sentence_against_what_it_cites(answer: str, supported: list[bool]) -> None:
    assert [one.supported for one in check_citations(answer, SOURCES)] == supported


def test_a_verbatim_quote_is_supported_whatever_resembles_it() -> None:
    text = "No dogs enter the museum garden. Dogs enter the garden. It is wrong that cats swim."
    sources = [SourcePart(1, Hit(Passage("dogs", 0, text), 1, 1.0, {}))]
    # The sentence closest by words is the first one, which is negated.
    assert [s.supported for s in check_citations("Dogs enter the garden. [1]", sources)] == [True]
    assert [s.supported for s in check_citations("Dogs enter a garden. [1]", sources)] == [False]
    (claim,) = check_citations("Cats swim. [1]", sources)
    assert not citation_check._is_verbatim("cats swim.", [text])
    assert claim.lexical == 1


def test_the_beginning_of_a_sentence_is_no_quote() -> None:
    text = "Entry is free for nobody. Bring [2] a ticket. Dogs wait outside."
    sources = [SourcePart(1, Hit(Passage("zoo", 0, text), 1, 1.0, {}))]
    assert [s.supported for s in check_citations("Entry is free [1].", sources)] == [False]
    for quote in ("Entry is free for nobody", "Bring (2) a ticket. Dogs wait outside."):
        assert citation_check._is_verbatim(quote, [text])


def test_the_scores_of_a_sentence() -> None:
    (one,) = check_citations("A blue ferry leaves the port at 9 [1].", SOURCES)
    # Content words: blue, ferry, leave, port; two of the four stand in the passage.
    assert one.lexical == pytest.approx(0.5)
    assert (one.text, one.cited) == ("A blue ferry leaves the port at 9.", (1,))
    assert (one.start, one.end) == (0, 38)
    assert (one.same_numbers, one.same_negation, one.supported) == (True, True, False)
    assert one.dense is None
    assert check_citations(
        "A blue ferry leaves the port at 9 [1].", SOURCES, CitationCheckOptions(lexical=0.5)
    )[0].supported


def test_a_number_in_words_is_no_word_that_lacks_where_the_passage_has_digits() -> None:
    (one,) = check_citations("It carries forty people [1].", SOURCES)
    assert one.lexical == 1


def test_numbers_and_negation_can_be_left_to_others() -> None:
    answer = "The ferry leaves at ten [1]. Dogs are allowed [1]."
    options = CitationCheckOptions(numbers=False, negation=False)
    assert [one.supported for one in check_citations(answer, SOURCES, options)] == [True, True]


def letters(texts: Sequence[str]) -> Float32:
    """Twice the number of the letters a to z."""
    return np.array(
        [[2 * text.lower().count(chr(97 + n)) for n in range(26)] for text in texts], np.float32
    )


def test_the_cosine_is_that_of_the_closest_sentence_whatever_the_length_of_the_rows() -> None:
    (one,) = check_citations("The museum opens at ten [2].", SOURCES, embed=letters)
    assert one.dense == pytest.approx(1)
    # Letters a, b of the statement against a of the passage: 1 / sqrt(2).
    source = SourcePart(1, Hit(Passage("d", 0, "A."), 1, 1.0, {}))
    (one,) = check_citations(
        "A b [1].", [source], CitationCheckOptions(lexical=0, dense=0.7), embed=letters
    )
    assert one.dense == pytest.approx(2**-0.5)
    assert one.supported
    (one,) = check_citations(
        "A b [1].", [source], CitationCheckOptions(lexical=0, dense=0.71), embed=letters
    )
    assert not one.supported


def test_unsupported_sentences_are_marked_behind_their_citations() -> None:
    answer = "The ferry leaves at nine [1]. Dogs are allowed. [1] Cats fly."
    marked = flag_unsupported_sentences(answer, check_citations(answer, SOURCES))
    assert marked == (
        "The ferry leaves at nine [1]. Dogs are allowed. [1] [unsupported] Cats fly. [unsupported]"
    )
    assert parse_citations(marked, SOURCES).text == marked


passages = st.builds(
    Passage,
    st.sampled_from("abc"),
    st.integers(0, 2),
    st.none() | st.text(alphabet="ab1 .[]", max_size=20),
)
hit_lists = st.lists(
    st.builds(Hit, passages, st.just(1), st.floats(0, 1), st.just({})),
    max_size=4,
    unique_by=lambda hit: hit.passage.id,
)
answers = st.text(alphabet="ab.[]1234 ,-\n", max_size=60)


@given(answers, hit_lists)
def test_any_answer_cites_only_retrieved_passages(answer: str, hits: list[Hit]) -> None:
    retrieved = {hit.passage.id for hit in hits}
    sources = [SourcePart(number, hit) for number, hit in enumerate(hits, start=1)]
    cited = parse_citations(answer, sources)
    assert {one.passage.id for one in cited.citations} <= retrieved
    numbers = {one.number for one in cited.citations}
    again = parse_citations(cited.text, [SourcePart(n, hits[0]) for n in numbers] if hits else [])
    assert again.invented_count == 0
    for one in check_citations(cited.text, sources):
        assert set(one.cited) <= {source.number for source in sources}
        assert not one.supported or one.cited
        assert 0 <= one.lexical <= 1


@given(answers, hit_lists)
def test_marking_only_adds_marks(answer: str, hits: list[Hit]) -> None:
    sources = [SourcePart(number, hit) for number, hit in enumerate(hits, start=1)]
    text = parse_citations(answer, sources).text
    supports = check_citations(text, sources)
    marked = flag_unsupported_sentences(text, supports, "(?)")
    assert marked.replace(" (?)", "") == text
    assert marked.count("(?)") == sum(one.checkable and not one.supported for one in supports)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("nine, 9 and 09", {"9"}),
        ("1,000 and a thousand", {"1000"}),
        ("two hundred and fifty-three boats", {"253"}),
        ("twenty three or four", {"23", "4"}),
        ("in two thousand nineteen", {"2019"}),
        ("1.5 m, 2019-20", {"1.5", "2019", "20"}),
        ("10,5", {"10,5"}),
        ("three hundred and two dogs", {"302"}),
        ("six and seven", {"6", "7"}),
        ("at twenty. Two dogs, sixty, five cats", {"20", "2", "60", "5"}),
        ("two thousand and ten", {"2010"}),
        ("a hundred and a half", {"100"}),
        ("one of the ninth", set()),
        ("", set()),
    ],
)
def test_numbers(text: str, numbers: set[str]) -> None:
    assert find_numbers(text) == numbers


@pytest.mark.parametrize(
    ("text", "negated"),
    [
        ("It is not here.", True),
        ("It isn\u2019t here.", True),
        ("Nobody CANNOT.", True),
        ("A knot, another note.", False),
        ("Without a lead", True),
    ],
)
def test_negation(text: str, negated: bool) -> None:
    assert has_negation(text) is negated


def test_nothing_retrieved_and_weak_retrieval() -> None:
    nothing = should_abstain([])
    assert nothing is not None
    assert nothing.reason == "nothing retrieved"
    assert should_abstain(HITS, probability=0.5, min_probability=0.5) is None
    weak = should_abstain(HITS, probability=0.3, min_probability=0.5)
    assert weak is not None
    assert (weak.reason, weak.detail) == (
        "weak retrieval",
        "the probability that these passages answer it is 0.30, below 0.50",
    )


def test_nothing_supported() -> None:
    good, bad = "The ferry leaves at nine [1].", "The ferry sinks at noon [1]."
    none = should_abstain(HITS, check_citations(bad, SOURCES))
    assert none is not None
    assert none.reason == "nothing supported"
    assert none.detail == "0 of 1 sentences are supported by their citations"
    half = check_citations(f"{good} {bad}", SOURCES)
    assert should_abstain(HITS, half) is None
    assert should_abstain(HITS, ()) is None


def test_what_cites_only_sound_is_neither_marked_nor_counted() -> None:
    support = check_citations("Gulls cry [3].", SOURCES)
    assert (support[0].checkable, support[0].supported) == (False, False)
    assert flag_unsupported_sentences("Gulls cry [3].", support) == "Gulls cry [3]."
    assert should_abstain(HITS, support) is None
    uncited = check_citations("Gulls cry.", SOURCES)
    assert uncited[0].checkable
    assert should_abstain(HITS, uncited) is not None
