"""Follow-up questions: recognise them, and complete them from the history before the search.

Pure functions on English text. Only the search uses the completed question; the generator gets the
question as asked, after the earlier turns (`answer_messages`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from wavrag.text import FUNCTION_WORDS
from wavrag.types import HistoryTurn

# Words that refer to something mentioned before: "it", "there", "that one".
_REFERENCE = re.compile(
    r"\b(?:it|its|itself|he|him|his|she|her|hers|they|them|their|theirs|this|that|these|those|there"
    r"|then|one|ones|same|another|else|instead|afterwards|both|either|neither|former|latter)\b"
)
# "that" and "there" refer to nothing in "the man that sings", "is there a ferry", "that is".
_NON_REFERENCE = re.compile(
    r"\b(?:(?:is|are|was|were|has|have|had|will|would|can|could|should) there\b(?! *[?.!]*$)"
    r"|there (?:is|are|was|were|will)\b|\w+ that (?:is|are|was|were|has|have|can|\w+s|\w+ed)\b"
    r"|one (?:day|night|time|year|hour|of the)\b|no one\b|at least one\b|(?:this|these) (?:year|"
    r"month|week|days?|morning|evening|afternoon|night)\b)"
)
_CONTINUATION = re.compile(
    r"^\W*(?:and|but|or|so|also|what about|how about|what else|why|why not|how so|since when|until"
    r" when|from where|with whom|by whom|for how long|how come)\b"
)
_BACK_REFERENCE = re.compile(r"\b(?:there|then|the same|another one|the other)\b")
_HOW = re.compile(
    r"\bhow (?:long|many|much|far|often|old|big|large|high|tall|wide|deep|fast|soon)\b"
)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_MARK_WITH_SPACE = re.compile(r"\s*\[\d+\]")
MIN_CONTENT_WORDS = 2  # a question with fewer content words is a follow-up
# About 400 tokens, a tenth of the context of the default local model.
MAX_TURNS = 4
MAX_CHARS = 1_600


def truncate_history(
    history: Sequence[HistoryTurn], max_turns: int = MAX_TURNS, max_chars: int = MAX_CHARS
) -> list[HistoryTurn]:
    """Keep the latest turns within the limits, oldest first, without citation marks.

    The marks number the sources of their own turn; a model would copy them into the next answer.
    The oldest turns are dropped first, and a single answer beyond `max_chars` is cut after a word.
    """
    turns: list[HistoryTurn] = []
    remaining = max_chars
    for turn in reversed(history[max(0, len(history) - max_turns) :]):
        answer = _MARK_WITH_SPACE.sub("", turn.answer)
        available = remaining - len(turn.question)
        if available < 0 or (len(answer) > available and turns):
            break
        if len(answer) > available:
            answer = answer[: available + 1].rpartition(" ")[0]
        turns.append(replace(turn, answer=answer))
        remaining = available - len(answer)
    return turns[::-1]


def is_follow_up(question: str) -> bool:
    """True if a question cannot be understood without the conversation before it.

    It refers to something without naming it ("who founded it?", but not "when does the museum open
    its doors?"), continues a question ("and in winter?"), or has too few content words ("how
    far?").
    """
    text = question.casefold().replace("\u2019", "'")
    if _CONTINUATION.search(text) and _count_content_words(text) <= 2 * MIN_CONTENT_WORDS:
        return True
    references = _NON_REFERENCE.sub(" ", text)
    if _BACK_REFERENCE.search(references):
        return True
    reference = _REFERENCE.search(references)
    # A reference after enough content words points into its own question: "the museum ... its".
    if reference and _count_content_words(references[: reference.start()]) < MIN_CONTENT_WORDS:
        return True
    return _count_content_words(text) < MIN_CONTENT_WORDS


def resolve_follow_up(question: str, history: Sequence[HistoryTurn]) -> str | None:
    """Complete a follow-up with the latest standalone question.

    Args:
        question: the question as typed or recognised.
        history: earlier turns, oldest first.

    Returns:
        Text to search for; None if the question is no follow-up, or without earlier questions.

    Example:
        >>> history = [HistoryTurn("When does the ferry leave?", "At nine [1].")]
        >>> resolve_follow_up("And in winter?", history)
        'When does the ferry leave? And in winter?'
    """
    questions = [turn.question.strip() for turn in history if turn.question.strip()]
    if not questions or not is_follow_up(question):
        return None
    standalone = (earlier for earlier in reversed(questions) if not is_follow_up(earlier))
    return f"{next(standalone, questions[0])} {question.strip()}"


def _count_content_words(text: str) -> int:
    # "How long" asks for a duration, but its topic is in the words that follow.
    return sum(word not in FUNCTION_WORDS for word in _WORD.findall(_HOW.sub(" ", text)))
