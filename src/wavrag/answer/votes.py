"""Answers of reasoning paths: extract them, normalise them, count votes, read the model's choice.

Pure functions on English text. Universal Self-Consistency (arXiv 2311.17311) shows a model its own
paths and asks for a choice.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from wavrag.answer.numerals import THOUSANDS_SEPARATOR
from wavrag.generate import NO_ANSWER, content_words, is_refusal
from wavrag.text import sentences

MARKER = "Answer:"
_MARKDOWN = "*_`#>~"
# Models vary the case, set the marker in bold with the colon inside or outside, and some write the
# full-width colon of Chinese. "Myanswer:" is not the marker.
_MARKER = re.compile(rf"(?<![^\W_])answer[{re.escape(_MARKDOWN)}\s]*[:\uff1a]", re.IGNORECASE)
_THINK_TAG = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_PARAGRAPH = re.compile(r"\n\s*\n")
_CITATION_MARK = re.compile(r"\[[\d\s,;\u2013-]*\]")
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_NUMBER_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
# A whole number by itself: not the 3 of 3.5 or of v3.
_NUMBER = r"(?<![\w.,])(\d{1,9})(?![\w]|[.,]\d)"
_LABEL = r"(?:response|path|option|number)"
_STATEMENT = re.compile(  # "the most consistent response is Response 2", "I choose [4]"
    r"(?:\bconsistent\b[^.\n\d]{0,60}?\b(?:is|are|be)\b|\bI(?:\s+would)?\s+(?:choose|select|pick)\b"
    rf"|\b(?:choice|selection)\b(?:\s+is\b)?)[\s:]*(?:the\s+)?{_LABEL}?[\s:#\[(]*{_NUMBER}",
    re.IGNORECASE,
)
_LABEL_WITH_NUMBER = re.compile(rf"\b{_LABEL}\s*[#\[(]*{_NUMBER}", re.IGNORECASE)
_LEADING_NUMBER = re.compile(rf"(?:{_LABEL}\s*)?[#\[(]*\s*{_NUMBER}", re.IGNORECASE)
_BARE_NUMBER = re.compile(_NUMBER)
_NEXT_IN_LIST = re.compile(  # follows a number that begins a list: "1, 2", "[1] or [2]"
    rf"\s*[\])]?\s*(?:,|;|/|&|-|\u2013|and\b|or\b|to\b)\s*(?:{_LABEL}\s*)?[\[(#]*\s*\d",
    re.IGNORECASE,
)
# In a longer text, a bare number is more likely a time of day or a citation than a choice.
_BARE_NUMBER_MAX_WORDS = 8


def parse_answer(text: str) -> str:
    """Extract the answer from the complete text of a reasoning path.

    Returns:
        The paragraph after the last `Answer:` with text after it, in any case and with any
        Markdown. Without the marker, the last sentence with words; empty if there is none. Text
        inside `<think>` tags counts only if nothing follows them.
    """
    output = _THINK_TAG.split(text)[-1]
    if not output.strip():
        output = _THINK_TAG.sub("\n", text)
    end = len(output)
    for marker in reversed(list(_MARKER.finditer(output))):
        tail = output[marker.end() : end].lstrip(f"{_MARKDOWN} \t\r\n")
        if answer := _strip_markdown(_PARAGRAPH.split(tail, maxsplit=1)[0]):
            return answer
        end = marker.start()
    paragraphs = [text for text in _PARAGRAPH.split(output) if content_words(text)]
    if not paragraphs:
        return _strip_markdown(output)
    last = paragraphs[-1]
    starts = [
        start
        for start, end in sentences(last)
        if content_words(_CITATION_MARK.sub("", last[start:end]))
    ]
    return _strip_markdown(last[starts[-1] :] if starts else last)


def parse_choice(text: str, count: int) -> int | None:
    """Read which response a model chose.

    Args:
        text: its output, such as `The most consistent response is Response 3`, `[4]` or `2`.
        count: number of responses, numbered from 1.

    Returns:
        Index of the response, from 0; None without a number in range, or with several numbers and
        no statement of the choice. In order of precedence: a stated choice, a number at the start,
        the only named response, the only number of a short text.
    """
    words = "|".join(_NUMBER_WORDS)
    output = re.sub(
        rf"\b(response\s+)({words})\b",
        lambda match: f"{match[1]}{_NUMBER_WORDS.index(match[2].lower()) + 1}",
        re.sub(rf"[{re.escape(_MARKDOWN)}\"“”]", "", _THINK_TAG.split(text)[-1]),
        flags=re.IGNORECASE,
    ).strip()
    matches = [match for match in _STATEMENT.finditer(output) if not _starts_list(output, match)]
    if not matches and (leading := _LEADING_NUMBER.match(output)):
        matches = [] if _starts_list(output, leading) else [leading]
    matches = matches or list(_LABEL_WITH_NUMBER.finditer(output))
    if not matches and len(output.split()) <= _BARE_NUMBER_MAX_WORDS:
        matches = list(_BARE_NUMBER.finditer(output))
    numbers = {int(match[1]) for match in matches}
    number = numbers.pop() if len(numbers) == 1 else 0
    return number - 1 if 1 <= number <= count else None


def normalise(answer: str) -> str:
    """Normalise an answer for voting, so that answers with the same words are equal.

    Removes case, citation marks, Markdown, punctuation, articles and white space, but keeps the
    point of `3.5` and the sign of `-5`. All ways to decline become one.
    """
    text = unicodedata.normalize("NFKC", answer).casefold()
    text = THOUSANDS_SEPARATOR.sub("", " ".join(_CITATION_MARK.sub(" ", text).split()))
    if is_refusal(text):
        text = NO_ANSWER.casefold()
    words = "".join(_normalise_char(text, index) for index in range(len(text)))
    # Without the punctuation between them, accents can combine with a letter: normalise again.
    words = unicodedata.normalize("NFKC", words).casefold()
    return " ".join(_ARTICLE.sub(" ", words).split()) or " ".join(words.split()) or text


def majority(answers: Sequence[str]) -> int | None:
    """Index of the first answer with the most votes; None if no two agree.

    Args:
        answers: normalised, in the order of their paths, which breaks ties.
    """
    if not answers:
        return None
    answer, votes = Counter(answers).most_common(1)[0]  # keeps the order among equals
    return answers.index(answer) if votes > 1 else None


def is_decided(answers: Sequence[str], total: int) -> bool:
    """True if the remaining answers cannot change the majority.

    `answers` are those of the finished paths; `total` counts the paths without failed ones.
    """
    if not answers:
        return total <= 0
    counts = [votes for _, votes in Counter(answers).most_common(2)]
    remaining = max(total - len(answers), 0)
    runner_up = counts[1] if len(counts) > 1 else 0
    return remaining == 0 or counts[0] > runner_up + remaining


def _strip_markdown(text: str) -> str:
    """Text on one line, without Markdown around it."""
    return " ".join(text.split()).strip(f"{_MARKDOWN} ")


def _starts_list(text: str, number: re.Match[str]) -> bool:
    """True if a number is the first of several: `1, 2 and 4`, `1 or 2`."""
    return _NEXT_IN_LIST.match(text, number.end(1)) is not None


def _normalise_char(text: str, index: int) -> str:
    """The character if it distinguishes answers, a space for a word separator, else nothing."""
    char = text[index]
    if _is_significant(text, index):
        return char
    return " " if char.isspace() or char in "-\u2013/" else ""


def _is_significant(text: str, index: int) -> bool:
    """True if a character distinguishes answers."""
    char = text[index]
    if char in "*_`~|" or char.isspace():
        return False
    if not unicodedata.category(char).startswith("P"):
        return True
    before, after = text[index - 1 : index], text[index + 1 : index + 2]
    if char == ".":
        return before.isdigit() and after.isdigit()
    if char == "-":
        return after.isdigit() and (not before or before.isspace())
    return char == "%"
