from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavrag.answer.history import is_follow_up, resolve_follow_up, truncate_history
from wavrag.types import HistoryTurn

FERRY = HistoryTurn("When does the ferry to Gull Island leave?", "At nine [1].")


@pytest.mark.parametrize(
    "question",
    [
        "and who founded it?",
        "And in winter?",
        "How far?",
        "Who runs them?",
        "What about the other one?",
        "Is it open on Sundays?",
        "Where is that?",
        "Why?",
        "how long does the trip there take",
        "When was she born\u2026?",
        "How many people live there?",
    ],
)
def test_what_leans_on_earlier_turns(question: str) -> None:
    assert is_follow_up(question)


@pytest.mark.parametrize(
    "question",
    [
        "How often should I descale the espresso machine?",
        "Is there a ferry to Gull Island on Sundays?",
        "Who is the man that sings in the harbour choir?",
        "What does the lighthouse keeper remember of that winter's storm, and who helped Ada Brown?"
        .replace("that winter's", "the winter"),
        "But when does the bakery in Mill Street open on Sunday mornings?",
        "What is the weather this morning in Stonecrop village?",
    ],
)  # fmt: skip
def test_what_stands_alone(question: str) -> None:
    assert not is_follow_up(question)


def test_a_follow_up_is_searched_with_the_latest_question_that_stood_alone() -> None:
    turns = [
        HistoryTurn("Who baked the rye bread?", "Ada."),
        FERRY,
        HistoryTurn("And in winter?", "At ten."),
    ]
    wanted = "When does the ferry to Gull Island leave? How long does it take?"
    assert resolve_follow_up(" How long does it take? ", turns) == wanted
    assert (
        resolve_follow_up("How long does it take?", turns[2:])
        == "And in winter? How long does it take?"
    )
    assert resolve_follow_up("How long does it take?", []) is None
    assert resolve_follow_up("How long does it take?", [HistoryTurn(" ", "x")]) is None
    assert resolve_follow_up("Who keeps the lighthouse at night?", turns) is None


def test_history_is_bounded_and_loses_its_marks() -> None:
    turns = [HistoryTurn(f"q{n}", f"a{n} [1][2].") for n in range(9)]
    assert truncate_history(turns, max_turns=2) == [
        HistoryTurn("q7", "a7."),
        HistoryTurn("q8", "a8."),
    ]
    assert truncate_history(turns, max_turns=0) == []
    assert truncate_history(turns, max_chars=11) == [
        HistoryTurn("q7", "a7."),
        HistoryTurn("q8", "a8."),
    ]
    long = HistoryTurn("q", "word " * 100)
    assert truncate_history([FERRY, long], max_chars=13) == [HistoryTurn("q", "word word")]


@given(
    st.lists(st.builds(HistoryTurn, st.text(max_size=30), st.text(max_size=60)), max_size=8),
    st.integers(0, 5),
    st.integers(1, 120),
)
def test_no_more_is_told_than_allowed(turns: list[HistoryTurn], most: int, chars: int) -> None:
    kept = truncate_history(turns, most, chars)
    assert len(kept) <= most
    assert sum(len(turn.question) + len(turn.answer) for turn in kept) <= chars
    latest = turns[len(turns) - len(kept) :]
    assert [turn.question for turn in kept] == [turn.question for turn in latest]
