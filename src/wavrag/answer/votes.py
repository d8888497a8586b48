"""What a path of reasoning answers, which path a model chose, and how answers are counted.

Pure functions on text. Universal Self-Consistency (arXiv 2311.17311) shows a model its own paths
and lets it choose; these functions read both, and count where there is no choice to read.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from wavrag.generate import NO_ANSWER, content_words, declines
from wavrag.text import sentences

MARKER = "Answer:"
_DRESS = "*_`#>~"  # what Markdown puts around words
_THOUGHT = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_MARK = re.compile(r"\[[\d\s,;\u2013-]*\]")
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_WORDS_OF_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
# A whole number that is no part of another: not the 3 of 3.5 or of v3.
_NUMBER = r"(?<![\w.,])(\d{1,9})(?![\w]|[.,]\d)"
_ONE = r"(?:response|path|option|number)"
_STATED = re.compile(  # "the most consistent response is Response 2", "I choose [4]"
    r"(?:\bconsistent\b[^.\n\d]{0,60}?\b(?:is|are|be)\b|\bI(?:\s+would)?\s+(?:choose|select|pick)\b"
    rf"|\b(?:choice|selection)\b(?:\s+is\b)?)[\s:]*(?:the\s+)?{_ONE}?[\s:#\[(]*{_NUMBER}",
    re.IGNORECASE,
)
_LABELLED = re.compile(rf"\b{_ONE}\s*[#\[(]*{_NUMBER}", re.IGNORECASE)
_LEADING = re.compile(rf"(?:{_ONE}\s*)?[#\[(]*\s*{_NUMBER}", re.IGNORECASE)
_ALONE = re.compile(_NUMBER)
_LISTED = re.compile(  # what makes a number the first of several: "1, 2", "[1] or [2]"
    rf"\s*[\])]?\s*(?:,|;|/|&|-|\u2013|and\b|or\b|to\b)\s*(?:{_ONE}\s*)?[\[(#]*\s*\d",
    re.IGNORECASE,
)
_FEW = 8  # words in which a number that stands alone is a choice, and no hour or citation


def parse_answer(text: str, marker: str = MARKER) -> str:
    """The answer that a path of reasoning ends in.

    Args:
        text: the whole path.
        marker: what the model was told to begin its answer with.

    Returns:
        The paragraph after the last marker that anything follows. The marker may be in another
        case, have Markdown around or in it, and stand anywhere in a line. Without one, the last
        sentence with words; empty if the path has none. What a model thinks between tags
        (`<think>`) counts only if nothing follows.
    """
    spoken = _THOUGHT.split(text)[-1]
    if not spoken.strip():
        spoken = _THOUGHT.sub("\n", text)
    pattern = _marker_pattern(marker)
    end = len(spoken)
    for found in reversed(list(pattern.finditer(spoken)) if pattern else []):
        after = spoken[found.end() : end].lstrip(f"{_DRESS} \t\r\n")
        if answer := _undressed(re.split(r"\n\s*\n", after, maxsplit=1)[0]):
            return answer
        end = found.start()
    paragraphs = [part for part in re.split(r"\n\s*\n", spoken) if content_words(part)]
    if not paragraphs:
        return _undressed(spoken)
    last = paragraphs[-1]
    starts = [
        start for start, end in sentences(last) if content_words(_MARK.sub("", last[start:end]))
    ]
    return _undressed(last[starts[-1] :] if starts else last)


def parse_choice(text: str, count: int) -> int | None:
    """Which of the responses a model chose.

    Args:
        text: what it wrote, such as `The most consistent response is Response 3`, `[4]` or `2`.
        count: responses that it was shown, numbered from 1.

    Returns:
        The index of the response, from 0. None where no number is a choice: there is none, it is
        out of range, or there are several and nothing says which is meant. A number that is
        stated to be the choice goes before one that the text begins with, and that before the only
        response that is named, or the only number in a few words.
    """
    words = "|".join(_WORDS_OF_NUMBERS)
    plain = re.sub(
        rf"\b(response\s+)({words})\b",
        lambda found: f"{found[1]}{_WORDS_OF_NUMBERS.index(found[2].lower()) + 1}",
        re.sub(rf"[{re.escape(_DRESS)}\"“”]", "", _THOUGHT.split(text)[-1]),
        flags=re.IGNORECASE,
    ).strip()
    stated = {int(found[1]) for found in _STATED.finditer(plain) if not _listed(plain, found)}
    if len(stated) == 1:
        return _in_range(stated.pop(), count)
    if stated:
        return None
    leading = _LEADING.match(plain)
    if leading and not _listed(plain, leading):
        return _in_range(int(leading[1]), count)
    named = {int(number) for number in _LABELLED.findall(plain)}
    if not named and len(plain.split()) <= _FEW:
        named = {int(number) for number in _ALONE.findall(plain)}
    return _in_range(named.pop(), count) if len(named) == 1 else None


def normalise(answer: str) -> str:
    """An answer as it is counted: answers that differ only in dress are one.

    Case, citation marks, Markdown, punctuation, articles and white space do not count, nor do the
    words in which a model says that it does not know. The point of `3.5` and the sign of `-5` do.
    """
    text = unicodedata.normalize("NFKC", answer).casefold()
    text = _THOUSANDS.sub("", " ".join(_MARK.sub(" ", text).split()))
    if declines(text):
        text = NO_ANSWER.casefold()
    kept = "".join(
        char if _counts(text, at) else " " if char.isspace() or char in "-\u2013/" else ""
        for at, char in enumerate(text)
    )
    # Accents that stood beside what was dropped may combine with a letter now.
    kept = unicodedata.normalize("NFKC", kept).casefold()
    return " ".join(_ARTICLE.sub(" ", kept).split()) or " ".join(kept.split()) or text


def majority(answers: Sequence[str]) -> int | None:
    """The index of the first answer that most agree with; None where no two agree.

    Args:
        answers: normalised, in the order of their paths; that order breaks ties.
    """
    if not answers:
        return None
    answer, votes = Counter(answers).most_common(1)[0]  # keeps the order among equals
    return answers.index(answer) if votes > 1 else None


def decided(answers: Sequence[str], total: int) -> bool:
    """Whether the answers still to come cannot change which one most paths give.

    Args:
        answers: normalised, of the paths that finished.
        total: paths there are, less those that failed.
    """
    if not answers:
        return total <= 0
    counts = [votes for _, votes in Counter(answers).most_common(2)]
    to_come = max(total - len(answers), 0)
    return to_come == 0 or counts[0] > (counts[1] if len(counts) > 1 else 0) + to_come


def _marker_pattern(marker: str) -> re.Pattern[str] | None:
    """The marker in any case and dress, with its colon in either width."""
    dress = rf"[{re.escape(_DRESS)}\s]*"
    words = marker.strip().rstrip(":\uff1a").split()
    if not words:
        return None
    colon = rf"{dress}[:\uff1a]" if marker.strip()[-1] in ":\uff1a" else ""
    body = rf"{dress}\s+{dress}".join(map(re.escape, words))
    edge = r"(?<![^\W_])" if words[0][0].isalnum() else ""
    return re.compile(edge + body + colon, re.IGNORECASE)


def _undressed(text: str) -> str:
    """Text on one line, without Markdown around it."""
    return " ".join(text.split()).strip(f"{_DRESS} ")


def _listed(text: str, found: re.Match[str]) -> bool:
    """Whether a number is the first of several: `1, 2 and 4`, `1 or 2`."""
    return _LISTED.match(text, found.end(1)) is not None


def _in_range(number: int, count: int) -> int | None:
    return number - 1 if 1 <= number <= count else None


def _counts(text: str, at: int) -> bool:
    """Whether a character tells answers apart."""
    char = text[at]
    if char in "*_`~|" or char.isspace():
        return False
    if not unicodedata.category(char).startswith("P"):
        return True
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if char == ".":
        return before.isdigit() and after.isdigit()
    if char == "-":
        return after.isdigit() and (not before or before.isspace())
    return char == "%"
