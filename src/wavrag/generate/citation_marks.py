"""Citation marks in an answer, such as `[1]`: parse them, quote their passages, add missing ones.

Whether a cited passage supports its sentence is checked in `wavrag.answer.citation_check`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from wavrag.generate.base import SourcePart
from wavrag.generate.words import content_words
from wavrag.text import FENCE, answer_sentences, sentences
from wavrag.types import Citation

# [1], [1, 2], [1-3], [source 1]; other text in brackets, such as [sic], is no mark.
_MARK = re.compile(
    r"\[\s*(?:sources?\s+)?(\d+(?:\s*(?:,|;|-|\u2013|and)\s*\d+)*)\s*\]", re.IGNORECASE
)
_NEXT_MARK = re.compile(rf"\s*{_MARK.pattern}", re.IGNORECASE)
_NUMBER_OR_RANGE = re.compile(r"(\d+)(?:\s*[-\u2013]\s*(\d+))?")
MIN_SHARED_WORDS = 0.6  # share of content words, the threshold of the citation check too


@dataclass(frozen=True, slots=True)
class CitedText:
    """An answer with its citations."""

    text: str  # the answer, with every mark in the form `[1]` or `[1][2]`
    citations: tuple[Citation, ...]  # in the order of the text, one for each source and quote
    invented_count: int  # number of removed marks, whose sources do not exist


def parse_citations(text: str, sources: Sequence[SourcePart]) -> CitedText:
    """Parse the citation marks of an answer.

    Args:
        text: generated text with marks such as `[1]`, `[1, 2]`, `[1][3]` or `[1-3]`.
        sources: the sources of the answer.

    Returns:
        The answer without invented marks, and a citation with its quote for each other mark. A
        mark belongs to the sentence before it, or to the next one at the start of the text.

    Example:
        >>> passage = Passage("timetable.md", 0, "The ferry leaves at nine.")
        >>> cited = parse_citations("At nine [1][7].", [SourcePart(1, Hit(passage, 1, 1.0, {}))])
        >>> cited.text, cited.invented_count
        ('At nine [1].', 1)
    """
    by_number = {source.number: source for source in sources}
    result = _parse_once(text, by_number)
    total = result.invented_count
    # The text around a removed mark can form another mark: [[9]1] becomes [1].
    while result.invented_count:
        result = _parse_once(result.text, by_number)
        total += result.invented_count
    return CitedText(result.text, result.citations, total)


def attribute(text: str, sources: Sequence[SourcePart]) -> str:
    """Add a mark to each sentence without one, because small models forget them.

    The mark is that of the source with the most similar sentence, if this shares at least
    `MIN_SHARED_WORDS` of the content words; otherwise the sentence stays without a mark.
    """
    unmarked = [
        (start, end)
        for start, end in answer_sentences(text)
        # Inside a block of code, a mark would change the code.
        if not text.startswith(FENCE, start)
        and not _MARK.search(text, start, end)
        and not _NEXT_MARK.match(text, end)
    ]
    if not unmarked:
        return text
    passages = [
        (source.number, [set(content_words(quote[a:b])) for a, b in sentences(quote)])
        for source in sources
        if (quote := source.hit.passage.text)
    ]
    output: list[str] = []
    position = 0
    for start, end in unmarked:
        words = set(content_words(text[start:end]))
        # Negative numbers: `max` prefers the source with the lowest number among equals.
        shared, number = max(
            ((len(words & sentence), -number) for number, rows in passages for sentence in rows),
            default=(0, 0),
        )
        if words and shared >= MIN_SHARED_WORDS * len(words):
            body = text[position:end].rstrip()
            output.append(f"{body} [{-number}]{text[position + len(body) : end]}")
            position = end
    return "".join(output) + text[position:]


def best_sentence(statement: str, text: str) -> str:
    """Find the sentence of a text closest to a statement; empty if they share no word.

    The similarity is Dice's coefficient of the content words; it does not favour long sentences.
    """
    if statement.startswith(FENCE):
        lines = [
            re.escape(line.strip()) for line in statement.strip("`").split("\n") if line.strip()
        ]
        if code := re.search(r"\s*\n\s*".join(lines), text):
            return code[0]
    statement_words = set(content_words(statement))
    best, best_score = "", 0.0
    for start, end in sentences(text):
        words = set(content_words(text[start:end]))
        score = 2 * len(statement_words & words) / max(len(statement_words) + len(words), 1)
        if score > best_score:
            best, best_score = text[start:end].strip(), score
    return best


def _parse_once(text: str, by_number: dict[int, SourcePart]) -> CitedText:
    segments: list[str] = []  # text between groups of marks
    groups: list[list[int]] = []  # citation numbers after each segment
    position = invented_count = 0
    for mark in _MARK.finditer(text):
        numbers, unknown = _parse_numbers(mark[1], by_number)
        invented_count += unknown
        segment = text[position : mark.start()]
        position = mark.end()
        if groups and not segment.strip(" ,;"):  # adjacent marks are one group
            groups[-1] += [number for number in numbers if number not in groups[-1]]
        else:
            segments.append(segment)
            groups.append(numbers)
    segments.append(text[position:])
    citations: dict[tuple[int, str], Citation] = {}
    for index, group in enumerate(groups):
        before, after = map(_split_statements, segments[index : index + 2])
        statement = (before[-1:] or after[:1] or [""])[0]
        for number in group:
            passage = by_number[number].hit.passage
            quote = best_sentence(statement, passage.text or "")
            citations.setdefault((number, quote), Citation(number, passage, quote))
    return CitedText(_join(segments, groups), tuple(citations.values()), invented_count)


def _parse_numbers(mark: str, sources: dict[int, SourcePart]) -> tuple[list[int], int]:
    """Numbers of a mark with a source, and the count of numbers without one."""
    numbers: list[int] = []
    unknown = 0
    for match in _NUMBER_OR_RANGE.finditer(mark):
        first, last = int(match[1]), int(match[2] or match[1])
        unknown += len({first, last} - sources.keys())
        members = [number for number in sorted(sources) if first <= number <= last]
        # A reversed range, [3-1], contains nothing: take its ends.
        members = members or [number for number in (first, last) if number in sources]
        numbers += [number for number in members if number not in numbers]
    return numbers, unknown


def _split_statements(text: str) -> list[str]:
    """Sentences with content words."""
    text = text.strip()
    return [line for a, b in answer_sentences(text) if content_words(line := text[a:b])]


def _join(segments: Sequence[str], groups: Sequence[Sequence[int]]) -> str:
    """Join segments with their marks; a group without sources leaves no gap."""
    text = segments[0]
    for group, segment in zip(groups, segments[1:], strict=True):
        if not group and not segment[:1].isalnum():
            text = text.rstrip()
        text += "".join(f"[{number}]" for number in group) + segment
    return text.strip()
