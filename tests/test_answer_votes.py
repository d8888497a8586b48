from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavrag.answer.votes import is_decided, majority, normalise, parse_answer, parse_choice

NINE = "The ferry leaves at nine [1]."


@pytest.mark.parametrize(
    "text",
    [
        f"The timetable says so.\nAnswer: {NINE}",
        f"The timetable says so.\nanswer : {NINE}",
        f"The timetable says so.\nFINAL ANSWER: {NINE}",
        f"The timetable says so.\n\n**Answer:** {NINE}",
        f"The timetable says so.\n**Answer**: {NINE}",
        f"The timetable says so.\n**Answer: {NINE}**",
        f"### Answer:\n\n{NINE}",
        f"> Answer： {NINE}",
        f"So, by [1], answer: {NINE}",
        f"Answer: at eight?\nNo, that is the museum.\nAnswer: {NINE}\n\nI hope that this helps.",
        f"Answer: {NINE}\nAnswer:",
        f"<think>Answer: at eight</think>\nAnswer: {NINE}",
        f"<think>Hm.</think>{NINE}",
        f"<think>Answer: {NINE}</think>",
        f"Let us see. The museum opens at ten. {NINE}",
        f"Step 1: the museum opens at ten.\n\nStep 2. We know. {NINE}",
        "The museum opens at ten.\n\nThe ferry leaves at nine. [1]",
        f"{NINE}\n\n---\n",
    ],
)
def test_the_answer_is_found(text: str) -> None:
    assert parse_answer(text).replace(". [1]", " [1].") == NINE


def test_a_path_without_words_has_no_answer() -> None:
    assert parse_answer("") == ""
    assert parse_answer(" \n\n ** ") == ""


def test_the_marker_is_a_word_of_its_own() -> None:
    assert parse_answer("Nine. Myanswer: is a word") == "Myanswer: is a word"


@given(st.text() | st.text(alphabet="answer: *[]1\n.", max_size=40))
def test_any_text_has_an_answer_made_of_its_words(text: str) -> None:
    answer = parse_answer(text)
    assert "\n" not in answer
    assert answer == answer.strip()
    without_space = "".join(text.split())
    assert "".join(answer.split()) in without_space or "</think" in text.casefold()


@given(st.text(alphabet="abc d.\n*", max_size=40), st.sampled_from(["Answer:", "**ANSWER**:"]))
def test_what_follows_the_marker_is_the_answer_whatever_stands_before(
    before: str, marker: str
) -> None:
    assert parse_answer(f"{before}\n{marker} at nine") == "at nine"


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("Response 3", 2),
        ("The most consistent response is Response 2.", 1),
        ("the most consistent response is 2", 1),
        ("**The most consistent response is Response 4**, as 1, 2 and 4 agree.", 3),
        ("Responses 1 and 2 say nine, 3 says ten. The most consistent response is 1.", 0),
        ("[4]", 3),
        ("  5.", 4),
        ("#2", 1),
        ("(3)", 2),
        ("Response #5 because it is what most say", 4),
        ("Response 3: it agrees with responses 1 and 2.", 2),
        ("I would choose response 2, not 3.", 1),
        ("My choice: 4", 3),
        ("It must be response three.", 2),
        ("<think>1 or 2? 1.</think>2", 1),
        ("3, since 1 and 2 differ.", 2),
        ("Response 2, since the answer is 1 pm", 1),
        ("I think that it is number 4.", 3),
        ("It is 2", 1),
        ("Three of them say so, as does Response 5.", 4),
        ("Response 2, at 9.30, and again response 2", 1),
        # No choice.
        ("", None),
        ("They are all alike.", None),
        ("Response 6", None),
        ("Response 0", None),
        ("The most consistent response is Response 12. Response 1 is worse.", None),
        ("1, 2 and 4", None),
        ("Responses 1 and 2", None),
        ("1 or 2", None),
        ("Response 1 or Response 2", None),
        ("The most consistent response is 1. The most consistent response is 2.", None),
        ("Either of response 1 and response 3.", None),
        ("At 3.5 hours", None),
        ("The most consistent response is not Response 1 but Response 2.", None),
        ("The ferry to the island leaves at nine in the morning [1].", None),
        ("The most consistent response is that it leaves at nine, say most of them [1].", None),
        ("99999999999999999999", None),
    ],
)
def test_the_choice_is_read(text: str, index: int | None) -> None:
    assert parse_choice(text, 5) == index


@given(st.text(), st.integers(1, 9))
def test_a_choice_is_in_range_or_none(text: str, count: int) -> None:
    choice = parse_choice(text, count)
    assert choice is None or 0 <= choice < count


@given(st.integers(1, 9), st.integers(1, 20))
def test_a_stated_choice_is_taken_exactly_if_it_is_in_range(count: int, number: int) -> None:
    expected = number - 1 if number <= count else None
    assert parse_choice(f"The most consistent response is Response {number}", count) == expected


@pytest.mark.parametrize(
    "same",
    [
        ("The ferry leaves at nine [1].", "ferry leaves at NINE", "**The ferry leaves, at nine.**"),
        ("I don't know.", "I do not know. [1]", "I don’t know, because no source says so"),
        ("1,000 people", "1000 people.", "1000 people [2, 3]"),
        ("3.5 km", "3.5 km."),
        ("semi-detached", "semi detached"),
        ("“Ada”", "ada", "ﬁn".replace("ﬁn", "Ada")),
    ],
)
def test_dress_does_not_count(same: tuple[str, ...]) -> None:
    assert len(set(map(normalise, same))) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3.5", "35"),
        ("-5", "5"),
        ("it is -5", "it is 5"),
        ("nine", "not nine"),
        ("5%", "5"),
        ("$5", "5"),
        ("C++", "C"),
        ("a", "the"),
        ("1,2", "1.2"),
    ],
)
def test_what_tells_answers_apart_counts(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


@given(st.text())
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert once or not text.strip() or not any(char.isalnum() for char in text)


def test_the_majority() -> None:
    assert majority([]) is None
    assert majority(["a"]) is None
    assert majority(["a", "b", "c"]) is None
    assert majority(["b", "a", "a"]) == 1
    assert majority(["c", "b", "a", "a", "b"]) == 1  # b and a have two each; b comes first


@given(st.lists(st.sampled_from("abcd"), max_size=8))
def test_the_majority_is_an_answer_that_none_outnumbers(answers: list[str]) -> None:
    index = majority(answers)
    counts = Counter(answers)
    if index is None:
        assert all(votes == 1 for votes in counts.values())
    else:
        assert counts[answers[index]] == max(counts.values()) > 1
        assert answers[index] not in answers[:index]


@given(st.lists(st.sampled_from("abc"), max_size=5), st.integers(0, 4))
def test_decided_is_what_trying_every_outcome_says(answers: list[str], to_come: int) -> None:
    """Whatever the rest answers (one of these or something new), one answer stays alone on top."""
    tops = set()
    for rest in product("abcx", repeat=to_come):
        counts = Counter([*answers, *rest]).most_common()
        ties = [answer for answer, votes in counts if votes == counts[0][1]]
        tops.add(tuple(sorted(ties)))
    unchanging = len(tops) == 1 and len(next(iter(tops))) == 1
    expected = True if to_come == 0 else unchanging and bool(answers)
    assert is_decided(answers, len(answers) + to_come) is expected


def test_more_than_half_decides() -> None:
    assert is_decided(["a", "a", "a"], 5)
    assert not is_decided(["a", "a"], 4)
    assert is_decided(["a", "a"], 3)
    assert not is_decided(["a", "a", "b"], 5)
    assert not is_decided([], 5)
    assert is_decided([], 0)
