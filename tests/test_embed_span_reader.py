"""The packaged span reader, and its graph that takes layers out of the text embedder's file."""

from __future__ import annotations

import pytest

from wavrag.embed import SpanReader, SpanScores

FERRY = "The ferry to Skomer leaves at ten past nine, except on Mondays. A ticket costs 16 pounds."


@pytest.fixture(scope="module")
def reader() -> SpanReader:
    return SpanReader()


def best(scores: SpanScores, text: str, start: int = 0, end: int | None = None) -> str:
    span = scores.best_span(start, len(text) if end is None else end)
    return "" if span is None else text[span.start : span.end]


@pytest.mark.parametrize(
    ("question", "answer"),
    [("How much is a ticket?", "16 pounds"), ("Where does the ferry go?", "Skomer")],
)
def test_the_answer_is_found(reader: SpanReader, question: str, answer: str) -> None:
    assert answer in best(reader.read(question, FERRY), FERRY)


def test_an_answer_is_more_likely_where_there_is_one(reader: SpanReader) -> None:
    other = "Mitochondria carry DNA of their own, and divide like bacteria do."
    for title in ("", "Skomer"):
        right, wrong = (
            reader.read("How much is a ticket?", text, title).best_span(0, len(text))
            for text in (FERRY, other)
        )
        assert right is not None
        assert wrong is not None
        assert right.score > 0 > wrong.score


def test_a_span_stays_within_its_characters_and_has_whole_words(reader: SpanReader) -> None:
    scores = reader.read("How much is a ticket?", FERRY)
    end = FERRY.index(" A ticket")
    span = scores.best_span(0, end)
    assert span is not None
    assert span.end <= end
    text = "Saint Bernadette Soubirous"
    assert set(best(reader.read("Who?", text), text).split()) <= set(text.split())
    assert scores.best_span(1, 2) is None
    assert reader.read("When?", "").best_span(0, 0) is None


def test_a_long_passage_is_read_to_its_end(reader: SpanReader) -> None:
    text = "The harbour has a museum with many old ships. " * 60 + FERRY
    scores = reader.read("How much is a ticket?", text)
    assert len(scores.starts) == len(scores.offsets) > 600
    assert best(scores, text) == "16 pounds"
