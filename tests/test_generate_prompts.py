from __future__ import annotations

import numpy as np
import pytest

from wavrag.errors import GenerationError
from wavrag.generate import (
    Message,
    QuestionPart,
    SourcePart,
    TextPart,
    answer_messages,
    is_refusal,
    list_sources,
    render,
)
from wavrag.generate.prompts import (
    NO_ANSWER,
    chat,
    find_question,
    label,
    replace_sources,
    second_best_last,
)
from wavrag.types import Clip, HistoryTurn, Hit, Passage

CLIP = Clip(np.zeros(16, np.float32), 16_000)


def hit(rank: int, **fields: object) -> Hit:
    passage = Passage(f"/kb/{rank}.md", 0, **fields)  # type: ignore[arg-type]
    return Hit(passage, rank, 1.0, {"dense": 0.5})


HITS = [
    hit(1, text="The ferry\nleaves at nine.", start=723.4, end=739.0, title="Harbour radio"),
    hit(2, text="See [12] and [sic].", page=3, section="Timetable", char_start=0, char_end=9),
    hit(3, start=12.0, end=27.0, source="/kb/sounds/gulls.wav"),
]


def test_sources_have_labels_and_the_second_best_stands_last() -> None:
    facts = ["speech, 15.6 s, quiet (-38 dBFS)", "", ""]
    messages = answer_messages(QuestionPart("When?"), HITS, facts=facts)
    sources = [part for part in messages[-1].parts if isinstance(part, SourcePart)]
    assert render(sources).split("\n\n") == [
        '[1] recording "Harbour radio", 12:03.4-12:19.0, speech, 15.6 s, quiet (-38 dBFS)\n'
        "The ferry leaves at nine.",
        '[3] recording "gulls.wav", 0:12.0-0:27.0\n(sound without words)',
        '[2] document "2.md", page 3, Timetable\nSee (12) and [sic].',
    ]
    assert [source.number for source in list_sources(messages)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("ranked", "order"),
    [([], []), ([1], [1]), ([1, 2], [1, 2]), ([1, 2, 3], [1, 3, 2]), ([1, 2, 3, 4], [1, 3, 4, 2])],
)
def test_the_order_in_a_prompt(ranked: list[int], order: list[int]) -> None:
    assert second_best_last(ranked) == order


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"text": "x", "title": "Timetable", "page": 3, "section": "Winter [1]"},
            '[2] document "Timetable", page 3, Winter (1)',
        ),
        ({"text": "x", "title": 'Say "[1]\nrecording"'}, "[2] document \"Say '(1) recording'\""),
        (
            {"start": 1.0, "end": 2.0, "title": "call", "metadata": {"speaker": "Ada [2]"}},
            '[2] recording "call", 0:01.0-0:02.0, speaker Ada (2)',
        ),
        ({"text": "x", "title": "notes", "metadata": {"speaker": "Ada"}}, '[2] document "notes"'),
    ],
)
def test_labels(fields: dict[str, object], expected: str) -> None:
    assert label(SourcePart(2, hit(2, **fields))) == expected


def test_earlier_turns_stand_before_the_question() -> None:
    turns = [HistoryTurn("Where is it?", "By the quay."), HistoryTurn("And the other?", "")]
    messages = answer_messages(QuestionPart("When?"), HITS[:1], history=turns)
    assert [message.role for message in messages] == [
        "system", "user", "assistant", "user", "assistant", "user",
    ]  # fmt: skip
    assert [line["content"] for line in chat(messages)[1:5]] == [
        "Question: Where is it?", "By the quay.", "Question: And the other?", NO_ANSWER,
    ]  # fmt: skip
    assert find_question(messages).text == "When?"


def test_messages_stay_structured_and_render_as_chat() -> None:
    question = QuestionPart("When? ", CLIP)
    messages = answer_messages(question, HITS, [CLIP, None, CLIP])
    assert find_question(messages) is question
    assert [source.clip for source in list_sources(messages)] == [CLIP, None, CLIP]
    system, user = chat(messages)
    assert (system["role"], user["role"]) == ("system", "user")
    assert user["content"].startswith('[1] recording "Harbour radio"')
    assert NO_ANSWER in user["content"]
    assert user["content"].endswith("\n\nQuestion: When?")


def test_clips_must_match_the_hits() -> None:
    with pytest.raises(ValueError, match="zip"):
        answer_messages(QuestionPart("When?"), HITS, [CLIP])


def test_a_dropped_source_leaves_the_others_their_numbers() -> None:
    messages = answer_messages(QuestionPart("When?"), HITS)
    left = replace_sources(messages, [list_sources(messages)[0], list_sources(messages)[2]])
    assert [source.number for source in list_sources(left)] == [1, 3]


def test_a_question_without_words_cannot_be_read() -> None:
    with pytest.raises(GenerationError, match="without words"):
        render([SourcePart(1, HITS[0]), QuestionPart(None, CLIP)])


def test_messages_without_a_question() -> None:
    with pytest.raises(GenerationError, match="no question"):
        find_question([Message("user", (TextPart("hello"),))])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (NO_ANSWER, True),
        (" I do not know the answer.", True),
        ("I don\u2019t know.", True),
        ("At nine [1].", False),
        ("They say: I don't know.", False),
        ("", False),
    ],
)
def test_declines(answer: str, expected: bool) -> None:
    assert is_refusal(answer) is expected
