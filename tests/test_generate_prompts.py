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
    declines,
    render,
    sources_of,
)
from wavrag.generate.prompts import NO_ANSWER, chat, drop_source, question_of
from wavrag.types import Clip, Hit, Passage

CLIP = Clip(np.zeros(16, np.float32), 16_000)


def hit(rank: int, **fields: object) -> Hit:
    passage = Passage(f"/kb/{rank}.md", 0, **fields)  # type: ignore[arg-type]
    return Hit(passage, rank, 1.0, {"dense": 0.5})


HITS = [
    hit(1, text="The ferry\nleaves at nine.", start=723.4, end=739.0, title="Harbour radio"),
    hit(2, text="See [12] and [sic].", page=3, section="Timetable", char_start=0, char_end=9),
    hit(3, start=12.0, end=27.0, source="/kb/sounds/gulls.wav"),
]


def test_sources_are_numbered_lines() -> None:
    assert render(sources_of(answer_messages(QuestionPart("When?"), HITS))).split("\n\n") == [
        "[1] (audio, Harbour radio, 12:03.4-12:19.0) The ferry leaves at nine.",
        "[2] (text, 2.md, page 3, Timetable) See (12) and [sic].",
        "[3] (audio, gulls.wav, 0:12.0-0:27.0) sound without words",
    ]


def test_messages_stay_structured_and_render_as_chat() -> None:
    question = QuestionPart("When? ", CLIP)
    messages = answer_messages(question, HITS, [CLIP, None, CLIP])
    assert question_of(messages) is question
    assert [source.clip for source in sources_of(messages)] == [CLIP, None, CLIP]
    system, user = chat(messages)
    assert (system["role"], user["role"]) == ("system", "user")
    assert user["content"].startswith("[1] (audio, Harbour radio")
    assert NO_ANSWER in user["content"]
    assert user["content"].endswith("\n\nQuestion: When?")


def test_clips_must_match_the_hits() -> None:
    with pytest.raises(ValueError, match="zip"):
        answer_messages(QuestionPart("When?"), HITS, [CLIP])


def test_a_dropped_source_leaves_the_others_their_numbers() -> None:
    left = drop_source(answer_messages(QuestionPart("When?"), HITS), 2)
    assert [source.number for source in sources_of(left)] == [1, 3]


def test_a_question_without_words_cannot_be_read() -> None:
    with pytest.raises(GenerationError, match="without words"):
        render([SourcePart(1, HITS[0]), QuestionPart(None, CLIP)])


def test_messages_without_a_question() -> None:
    with pytest.raises(GenerationError, match="no question"):
        question_of([Message("user", (TextPart("hello"),))])


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
    assert declines(answer) is expected
