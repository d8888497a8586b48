"""Follow-ups: what an earlier turn must lend a question so that it can be searched for.

Pure functions on words; English. What a model writes from is the question itself after the earlier
turns, which `answer_messages` puts before it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wavrag.errors import InputError
from wavrag.text import FUNCTION_WORDS
from wavrag.types import HistoryTurn

# What points at something said before: "it", "there", "that one".
_POINTS = re.compile(
    r"\b(?:it|its|itself|he|him|his|she|her|hers|they|them|their|theirs|this|that|these|those|there"
    r"|then|one|ones|same|another|else|instead|afterwards|both|either|neither|former|latter)\b"
)
# "that" and "there" point nowhere in "the man that sings", "is there a ferry", "that is".
_POINTS_NOWHERE = re.compile(
    r"\b(?:(?:is|are|was|were|has|have|had|will|would|can|could|should) there\b(?! *[?.!]*$)"
    r"|there (?:is|are|was|were|will)\b|\w+ that (?:is|are|was|were|has|have|can|\w+s|\w+ed)\b"
    r"|one (?:day|night|time|year|hour|of the)\b|no one\b|at least one\b|(?:this|these) (?:year|"
    r"month|week|days?|morning|evening|afternoon|night)\b)"
)
_GOES_ON = re.compile(
    r"^\W*(?:and|but|or|so|also|what about|how about|what else|why|why not|how so|since when|until"
    r" when|from where|with whom|by whom|for how long|how come)\b"
)
_POINTS_BACK = re.compile(r"\b(?:there|then|the same|another one|the other)\b")
_HOW = re.compile(
    r"\bhow (?:long|many|much|far|often|old|big|large|high|tall|wide|deep|fast|soon)\b"
)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_MARKS = re.compile(r"\s*\[\d+\]")
LEAST_WORDS = 2  # content words; a question with fewer cannot stand alone


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """How much of a conversation is kept in mind.

    Attributes:
        turns: latest turns that are told; 0 for none.
        max_chars: characters of all of them together; the oldest are left out first, and an
            answer that is longer alone is cut after a word.
    """

    turns: int = 4
    max_chars: int = 1_600

    def __post_init__(self) -> None:
        if self.turns < 0:
            raise InputError(f"{self.turns} turns: keep 0 or more in mind")
        if self.max_chars < 1:
            raise InputError(f"{self.max_chars} characters of history: allow at least 1")


def bounded(
    history: Sequence[HistoryTurn], options: HistoryOptions | None = None
) -> list[HistoryTurn]:
    """The latest turns that fit, the oldest first; their answers without citation marks.

    The marks name sources of their own time, and would be taken for those of the next answer.
    """
    options = options or HistoryOptions()
    kept: list[HistoryTurn] = []
    room = options.max_chars
    for turn in reversed(history[max(0, len(history) - options.turns) :] if options.turns else []):
        answer = _MARKS.sub("", turn.answer)
        left = room - len(turn.question)
        if left < 0 or (len(answer) > left and kept):
            break
        if len(answer) > left:
            answer = answer[: left + 1].rpartition(" ")[0]
        kept.append(replace(turn, answer=answer))
        room = left - len(answer)
    return kept[::-1]


def leans(question: str) -> bool:
    """Whether a question cannot be understood without what was said before.

    It points at something that it does not name itself ("who founded it?", not "when does the
    museum open its doors?"), goes on from something ("and in winter?"), or has too few words that
    carry meaning ("how far?").
    """
    asked = question.casefold().replace("\u2019", "'")
    if _GOES_ON.search(asked) and _meaning(asked) <= 2 * LEAST_WORDS:
        return True
    rest = _POINTS_NOWHERE.sub(" ", asked)
    pointer = _POINTS.search(rest)
    if _POINTS_BACK.search(rest) or (pointer and _meaning(rest[: pointer.start()]) < LEAST_WORDS):
        return True
    return _meaning(asked) < LEAST_WORDS


def _meaning(text: str) -> int:
    """How many words of a text carry meaning; that of "how long" lies in what follows."""
    return sum(word not in FUNCTION_WORDS for word in _WORD.findall(_HOW.sub(" ", text)))


def resolve(question: str, history: Sequence[HistoryTurn]) -> str | None:
    """The question with what it leans on: the latest question that stood alone.

    Args:
        question: in words, as typed or recognised.
        history: earlier turns, the oldest first.

    Returns:
        Words to search for; None if the question stands alone, or there is nothing to lean on.
    """
    asked = [turn.question.strip() for turn in history if turn.question.strip()]
    if not asked or not leans(question):
        return None
    topic = next((earlier for earlier in reversed(asked) if not leans(earlier)), asked[0])
    return f"{topic} {question.strip()}"
