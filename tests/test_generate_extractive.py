from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from wavrag.answer import check_citations
from wavrag.generate import (
    ExtractiveGenerator,
    GenerateOptions,
    QuestionPart,
    SourcePart,
    answer_messages,
    attribute,
    extractive,
    list_sources,
    parse_citations,
)
from wavrag.generate.extractive import Candidate, find_quotes, rank_quotes, select_quotes
from wavrag.testing.generator import GeneratorConformance
from wavrag.types import Clip, Hit, Passage

FERRY = (
    "# Timetable\n\nThe island has one harbour. The ferry to the island\nleaves at nine [4]. When"
    " does it return? It returns at noon."
)
GULLS = Passage("gulls.wav", 0, None, 12.0, 27.0, title="Gulls")


def hit(passage: Passage | str, dense: float | None = 0.6, rank: int = 1) -> Hit:
    if isinstance(passage, str):
        passage = Passage(f"{rank}.md", 0, passage)
    return Hit(passage, rank, 1.0 / rank, {"lexical": 3.0} if dense is None else {"dense": dense})


def answer(question: str | None, hits: Sequence[Hit]) -> str:
    messages = answer_messages(QuestionPart(question), hits)
    return "".join(ExtractiveGenerator().stream(messages, GenerateOptions()))


class TestConformance(GeneratorConformance):
    @pytest.fixture
    def generator(self) -> ExtractiveGenerator:
        return ExtractiveGenerator()


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        # Weights 5 and 3: (5 * 0.8 + 3 * 0.6) / 8 = 0.725.
        ((0.8, 0.6), 0.725),
        ((0.8, None), 0.8),
        ((-0.3, None), 0.0),
    ],
)
def test_evidence_is_the_weighted_mean_of_what_there_is(
    signals: tuple[float, float | None], expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extractive, "DENSE_WEIGHT", 5)
    monkeypatch.setattr(extractive, "OVERLAP_WEIGHT", 3)
    candidate = Candidate(SourcePart(1, hit(FERRY)), 0, "", *signals)
    assert candidate.evidence == pytest.approx(expected)


def test_the_sentence_that_answers_is_quoted_with_its_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extractive, "MAX_SENTENCES", 1)
    text = answer("Where does the ferry leave for at nine?", [hit(FERRY)])
    assert text == "The ferry to the island leaves at nine (4). [1]"


def test_quotes_are_found_again_in_the_passage() -> None:
    messages = answer_messages(QuestionPart("When does the ferry leave the island?"), [hit(FERRY)])
    text = "".join(ExtractiveGenerator().stream(messages, GenerateOptions()))
    cited = parse_citations(text, list_sources(messages))
    assert cited.invented_count == 0
    assert "The ferry to the island\nleaves at nine [4]." in [c.quote for c in cited.citations]
    assert all(citation.quote in FERRY for citation in cited.citations)


def test_several_sentences_of_a_source_keep_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extractive, "MAX_SCORE_GAP", 1.0)
    passage = "The bell is old. Boats serve the island. The ferry returns to the island at noon."
    text = answer("When does the ferry return to the island?", [hit(passage)])
    assert text.index("The bell") < text.index("Boats") < text.index("The ferry returns")
    assert text.count("[1]") == 3
    monkeypatch.setattr(extractive, "MAX_SENTENCES", 1)
    text = answer("When does the ferry return to the island?", [hit(passage)])
    assert text == "The ferry returns to the island at noon. [1]"


def test_weak_sentences_do_not_follow_a_strong_one() -> None:
    text = answer("What rings?", [hit("The bell rings."), hit("A lamp is lit.", 0.45, 2)])
    assert text == "The bell rings. [1]"


def test_two_rules_of_a_notice_are_quoted_together() -> None:
    source = list_sources(answer_messages(QuestionPart("Where?"), [hit("A notice.")]))[0]
    best = Candidate(
        source, 1, "In the restaurant only assistance dogs may stay.", 0.8, 0.8, reader=6
    )
    deck = Candidate(source, 0, "Dogs are welcome on the upper deck.", 0.8, 0.65, reader=5)
    assert select_quotes([best, deck]) == [deck, best]
    assert select_quotes([best, replace(deck, reader=-1)]) == [best]
    assert select_quotes([best, replace(deck, overlap=0.3)]) == [best]


def test_overlapping_windows_are_quoted_once() -> None:
    one = "The ferry to the island leaves at nine."
    text = answer("When does the ferry leave?", [hit(one), hit(f"And so {one}", 0.59, 2)])
    assert text == f"{one} [1]"


@pytest.mark.parametrize(
    ("question", "hits"),
    [
        ("When does the ferry leave?", []),
        ("When does the ferry leave?", [hit("", 0.9)]),
        ("When does the ferry leave?", [hit("--- *** ---", 0.9)]),
    ],
)
def test_nothing_is_said_without_a_sentence(question: str | None, hits: list[Hit]) -> None:
    assert answer(question, hits) == ""


def test_a_recording_without_words_is_named_with_its_span() -> None:
    assert answer("gulls crying", [hit(GULLS)]) == 'Recording "Gulls", 0:12.0-0:27.0 [1]'
    unnamed = replace(GULLS, title="", source="/kb/dawn.wav", text=" ")
    assert answer("gulls crying", [hit(unnamed)]) == 'Recording "dawn.wav", 0:12.0-0:27.0 [1]'


def test_overlapping_spans_of_a_recording_are_named_once() -> None:
    later = replace(GULLS, ordinal=1, start=20.0, end=35.0)
    after = replace(GULLS, ordinal=2, start=35.0, end=50.0)
    other = replace(GULLS, document_id="b.wav", title="Waves")
    hits = [hit(p, 0.6, r) for r, p in enumerate([GULLS, later, after, other], start=1)]
    text = answer("gulls crying", hits)
    assert [mark for mark in ("[1]", "[2]", "[3]", "[4]") if mark in text] == ["[1]", "[3]", "[4]"]


def test_a_question_without_words_follows_the_hits() -> None:
    hits = [hit(GULLS, 0.8), hit("The ferry leaves at nine.", 0.5, 2)]
    messages = answer_messages(QuestionPart(None, Clip(np.zeros(8, np.float32), 16_000)), hits)
    pieces = list(ExtractiveGenerator().stream(messages, GenerateOptions()))
    assert pieces == ['Recording "Gulls", 0:12.0-0:27.0 [1]']


def test_a_hit_of_the_lexical_leg_alone_counts_as_the_least_dense_one() -> None:
    sources = list_sources(
        answer_messages(
            QuestionPart("bell"),
            [hit("The bell rings.", None), hit("A lamp.", 0.5, 2), hit("A door.", 0.4, 3)],
        )
    )
    found = rank_quotes("bell", sources)
    assert {c.source.number: c.dense for c in found} == {1: 0.4, 2: 0.5, 3: 0.4}
    assert found[0].source.number == 1


def test_only_the_best_sources_are_read() -> None:
    hits = [hit("A lamp.", 0.6, 1), hit("A door.", 0.6, 2), hit("The bell rings.", 0.6, 3)]
    messages = answer_messages(QuestionPart("bell"), hits)
    for count, mark in ((2, "[1]"), (3, "[3]")):
        generator = ExtractiveGenerator(max_sources=count)
        assert mark in next(iter(generator.stream(messages, GenerateOptions())))


LIST = (
    "# Picnic\n\nFor the picnic you need:\n\n- three blankets\n- apples\n- a bottle of lemonade\n\n"
    "It starts at noon."
)


def test_a_list_is_quoted_with_its_items_and_an_item_with_the_line_above() -> None:
    text = answer("What do you need for the picnic?", [hit(LIST)])
    assert text.startswith("For the picnic you need: [1]\n- three blankets [1]\n- apples [1]\n")
    candidates = rank_quotes("Is there lemonade?", [SourcePart(1, hit(LIST))])
    item = next(candidate for candidate in candidates if "lemonade" in candidate.text)
    quotes = extractive.select_quotes([item, *(c for c in candidates if c is not item)])
    assert [quote.text for quote in quotes][:1] == ["For the picnic you need:"]
    assert "- a bottle of lemonade" in [quote.text for quote in quotes]


CODE = "def apples(people):\n    # Two for each. Children eat one.\n    return 2 * people"


def test_code_keeps_its_layout_with_one_mark_and_is_supported() -> None:
    passage = f"It is about apples.\n\n{CODE}\n\nThe picnic starts at noon."
    messages = answer_messages(QuestionPart("Which function returns apples?"), [hit(passage)])
    text = "".join(ExtractiveGenerator().stream(messages, GenerateOptions()))
    assert f"```\n{CODE}\n```\n[1]" in text
    sources = list_sources(messages)
    cited = parse_citations(attribute(text, sources), sources)
    assert cited.text == text
    assert CODE in [citation.quote for citation in cited.citations]
    assert all(sentence.supported for sentence in check_citations(text, sources))
    # An index would be read as a citation.
    (quote,) = find_quotes("for a in b:\n    c = a[1]")
    assert quote.text == "for a in b: c = a(1)"


def test_a_sentence_that_begins_with_a_pronoun_comes_with_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extractive, "MAX_SENTENCES", 1)
    passage = "Rye bread is dense. It waits a full day before it is cut. Bakers start at three."
    text = answer("How long does it wait before it is cut?", [hit(passage)])
    assert text == "Rye bread is dense. [1] It waits a full day before it is cut. [1]"


def test_the_short_answer_is_found_in_the_text() -> None:
    passage = "The harbour is old. A ticket to Skomer costs\n16 pounds, and dogs go free."
    candidates = rank_quotes(
        "How much is a ticket to Skomer?", [SourcePart(1, hit(passage))], read=True
    )
    text = f"{candidates[0].text} [1]"
    span = extractive.find_short_answer(candidates, text)
    assert span is not None
    assert text[slice(*span)] == "16 pounds"
    assert extractive.find_short_answer(candidates, "Another text.") is None
    assert extractive.find_short_answer([], text) is None


def test_the_short_answer_of_a_row_is_the_cell_of_the_column_asked_for() -> None:
    row = "Route: Night bus | Weekday fare: 2.00 | Weekend fare: 4.50"
    (candidate,) = rank_quotes(
        "What is the weekend fare of the night bus?", [SourcePart(1, hit(row))]
    )
    assert (candidate.text, candidate.short) == ("Route: Night bus | Weekend fare: 4.50", "4.50")


@pytest.mark.parametrize(
    ("question", "passage", "before"),
    [
        ("How many pounds is a ticket?", "In 2005 a ticket\ncost [3] 5.", "cost (3) "),
        ("What is the fare of line 15?", "Line: Line 15 | Fare: 5", "Fare: "),
    ],
)
def test_the_short_answer_is_not_the_same_digits_elsewhere(
    question: str, passage: str, before: str
) -> None:
    (candidate,) = candidates = rank_quotes(question, [SourcePart(1, hit(passage))], read=True)
    text = f"A bell. [1] {candidate.text} [1]"
    span = extractive.find_short_answer(candidates, text)
    assert span is not None
    assert text[slice(*span)] == "5"
    assert text[: span[0]].endswith(before)


def test_an_empty_cell_is_no_short_answer() -> None:
    row = "Route: Night bus | Weekday fare: \u2014 | Weekend fare: 4.50"
    question = "What is the weekday fare of the night bus?"
    (candidate,) = rank_quotes(question, [SourcePart(1, hit(row))], read=True)
    assert candidate.short == "\u2014"
    assert extractive.find_short_answer([candidate], candidate.text) is None


def test_questions_at_the_same_time_are_ranked_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    questions: list[str | None] = []

    def rank(question: str | None, sources: Sequence[SourcePart]) -> list[Candidate]:
        questions.append(question)
        return []

    monkeypatch.setattr(extractive, "_rank", rank)
    monkeypatch.setattr(extractive, "_RANKINGS", extractive._Rankings())
    sources = [SourcePart(1, hit("The bell rings."))]
    for read in (False, True, True):
        for question in ("Who rings?", "What rings?"):
            rank_quotes(question, sources, read=read)
    assert questions == ["Who rings?", "What rings?"]
    rank_quotes("Who rings?", [SourcePart(1, hit("The bell rang."))])
    assert questions == ["Who rings?", "What rings?", "Who rings?"]


def test_headings_and_questions_are_quoted_only_where_there_is_nothing_else() -> None:
    (quote,) = find_quotes("Opening hours\n\nWhen do we open? We open at ten.")
    assert quote.text == "We open at ten."
    (quote,) = find_quotes("When do we open?")
    assert quote.text == "When do we open?"
