"""The probability that passages answer a question."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wavrag import Document, KnowledgeBase, Query
from wavrag.answer import MIN_PROBABILITY, answer_features, estimate_answerability
from wavrag.types import Hit, Passage

NOTES = {
    "ferry": "The ferry to Gull Island leaves at nine. Dogs travel free on the upper deck.",
    "museum": "The museum opens at ten. A ticket costs seven euros.",
    "bees": "Bees dance to show their sisters where flowers are.",
    "bread": "The dark rye loaf bakes for fifty minutes at 220 degrees.",
    "bridge": "The old bridge was built of oak in 1874 and repaired after the flood.",
}
SOUND = Passage("gulls.wav", 0, start=0.0, end=5.0, title="Gulls", speech=False)


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    with KnowledgeBase.open(tmp_path_factory.mktemp("kb"), embedder="minilm") as kb:
        kb.add([Document(name, text=text) for name, text in NOTES.items()])
        yield kb


@pytest.mark.parametrize(
    ("question", "answerable"),
    [
        ("When does the ferry to Gull Island leave?", True),
        ("How long does the rye loaf bake?", True),
        ("What year was the old bridge built?", True),
        ("Who won the chess championship in Reykjavik?", False),
        ("What is the boiling point of mercury?", False),
        ("How tall is the lighthouse keeper's daughter?", False),
    ],
)
def test_a_question_without_an_answer_has_a_low_probability(
    kb: KnowledgeBase, question: str, answerable: bool
) -> None:
    result = kb.retrieve(Query(question), 20)
    probability = estimate_answerability(result.words, result.hits)
    assert 0 < probability < 1
    assert (probability >= MIN_PROBABILITY) is answerable


def hit(passage: Passage, score: float, cosine: float) -> Hit:
    return Hit(passage, 1, score, {"dense": cosine})


def test_every_feature_raises_the_probability() -> None:
    question = "When does the ferry leave?"
    near = Passage("a", 0, text="The ferry leaves at nine.")
    far = Passage("a", 0, text="The museum opens at ten.")
    best = estimate_answerability(question, [hit(near, 0.8, 0.6)])
    assert estimate_answerability(question, [hit(near, 0.5, 0.6)]) < best
    assert estimate_answerability(question, [hit(near, 0.8, 0.4)]) < best
    assert estimate_answerability(question, [hit(far, 0.8, 0.6)]) < best


def test_the_order_of_the_hits_does_not_count() -> None:
    question = "When does the ferry leave?"
    hits = [
        hit(Passage("a", 0, text="The ferry leaves at nine."), 0.8, 0.6),
        hit(Passage("b", 0, text="The museum opens at ten."), 0.1, 0.3),
    ]
    assert estimate_answerability(question, hits) == estimate_answerability(question, hits[::-1])


def test_cosines_of_other_scales_do_not_count() -> None:
    question, passage = "When does the ferry leave?", Passage("a", 0, text="The ferry leaves.")
    low, high = (
        estimate_answerability(question, [hit(passage, 0.5, cosine)], calibrated=False)
        for cosine in (0.1, 0.9)
    )
    assert low == high


def test_without_words_the_cosine_decides() -> None:
    assert answer_features("gulls", [hit(SOUND, 0.1, 0.5)]).overlap is None  # type: ignore[union-attr]
    assert estimate_answerability("gulls", [hit(SOUND, 0.1, 0.41)]) >= MIN_PROBABILITY
    assert estimate_answerability("gulls", [hit(SOUND, 0.1, 0.39)]) < MIN_PROBABILITY


def test_scores_of_certainty_and_no_passages() -> None:
    passage = Passage("a", 0, text="The ferry leaves at nine.")
    for score in (0.0, 1.0):
        assert 0 < estimate_answerability("ferry", [hit(passage, score, 0.5)]) < 1
    assert estimate_answerability("ferry", []) == 0.0
    assert estimate_answerability("ferry", [hit(Passage("a", 0, text="***"), 0.9, 0.9)]) == 0.0
