"""Citation marks in an answer: which source each names, and which of its words support it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from wavrag.generate.base import SourcePart
from wavrag.generate.words import content_words
from wavrag.text import sentences
from wavrag.types import Citation

# [1], [1, 2], [1-3], [source 1]; brackets around anything else, such as [sic], are words.
_MARK = re.compile(
    r"\[\s*(?:sources?\s+)?(\d+(?:\s*(?:,|;|-|\u2013|and)\s*\d+)*)\s*\]", re.IGNORECASE
)
LEAST_SHARED = 0.6  # of the content words of a statement that is given a source
_NUMBERS = re.compile(r"(\d+)(?:\s*[-\u2013]\s*(\d+))?")


@dataclass(frozen=True, slots=True)
class CitedText:
    """An answer with its citations.

    Attributes:
        text: the answer, every mark in the form `[1]` or `[1][2]`.
        citations: in the order of the text, one for each source and quote.
        invented: numbers in marks that named no source, and were dropped.
    """

    text: str
    citations: tuple[Citation, ...]
    invented: int


def parse_citations(text: str, sources: Sequence[SourcePart]) -> CitedText:
    """Read the marks of an answer.

    Args:
        text: the answer as written, with marks such as `[1]`, `[1, 2]`, `[1][3]` or `[1-3]`.
        sources: what could be cited.

    Returns:
        The answer without marks that name no source, and a citation with its quote for the rest.
        A mark supports the sentence that it ends, or the next one where no words precede it.
    """
    by_number = {source.number: source for source in sources}
    cited = _read(text, by_number)
    invented = cited.invented
    while cited.invented:  # what stood around a dropped mark may be a mark now: [[9]1]
        cited = _read(cited.text, by_number)
        invented += cited.invented
    return CitedText(cited.text, cited.citations, invented)


def attribute(text: str, sources: Sequence[SourcePart]) -> str:
    """Give a mark to each sentence of an answer that bears none, for models that forget them.

    A sentence is given the source with the sentence that has most of its content words, if it has
    at least `LEAST_SHARED` of them; otherwise it stays without a mark.
    """
    passages = [
        (source.number, [set(content_words(words[a:b])) for a, b in sentences(words)])
        for source in sources
        if (words := source.hit.passage.text)
    ]
    pieces: list[str] = []
    at = 0
    for start, end in sentences(text):
        stated = set(content_words(_MARK.sub("", text[start:end])))
        marked = _MARK.search(text, start, end) or _MARK.match(text, _past_space(text, end))
        shared, number = max(
            ((len(stated & has), -number) for number, found in passages for has in found),
            default=(0, 0),
        )
        if stated and not marked and shared >= LEAST_SHARED * len(stated):
            body = text[at:end].rstrip()
            pieces.append(f"{body} [{-number}]{text[at + len(body) : end]}")
            at = end
    return "".join(pieces) + text[at:]


def best_sentence(statement: str, text: str) -> str:
    """The sentence of a text that shares most words with a statement; empty if none shares any.

    The share is Dice's coefficient of the two sets of content words, so that a long sentence does
    not win by its length.
    """
    wanted = set(content_words(statement))
    best, most = "", 0.0
    for start, end in sentences(text):
        found = set(content_words(text[start:end]))
        share = 2 * len(wanted & found) / max(len(wanted) + len(found), 1)
        if share > most:
            best, most = text[start:end].strip(), share
    return best


def _read(text: str, by_number: dict[int, SourcePart]) -> CitedText:
    """One pass over the marks."""
    words: list[str] = []  # stretches of the answer between groups of marks
    groups: list[list[int]] = []  # what the marks after each stretch name
    at = invented = 0
    for mark in _MARK.finditer(text):
        numbers, unknown = _numbers(mark[1], by_number)
        invented += unknown
        between = text[at : mark.start()]
        at = mark.end()
        if groups and not between.strip(" ,;"):
            groups[-1] += [number for number in numbers if number not in groups[-1]]
        else:
            words.append(between)
            groups.append(numbers)
    words.append(text[at:])
    citations: dict[tuple[int, str], Citation] = {}
    for index, group in enumerate(groups):
        statement = _last_sentence(words[index]) or _first_sentence(words[index + 1])
        for number in group:
            passage = by_number[number].hit.passage
            quote = best_sentence(statement, passage.text or "")
            citations.setdefault((number, quote), Citation(number, passage, quote))
    return CitedText(_join(words, groups), tuple(citations.values()), invented)


def _numbers(inside: str, known: dict[int, SourcePart]) -> tuple[list[int], int]:
    """The sources that a mark names, and how many of its numbers name none."""
    named: list[int] = []
    unknown = 0
    for found in _NUMBERS.finditer(inside):
        first, last = int(found[1]), int(found[2] or found[1])
        unknown += len({first, last} - known.keys())
        inner = [number for number in sorted(known) if first <= number <= last]
        # A range may be written backwards; its ends are then all that it names.
        inner = inner or [number for number in (first, last) if number in known]
        named += [number for number in inner if number not in named]
    return named, unknown


def _past_space(text: str, at: int) -> int:
    return at + len(text[at:]) - len(text[at:].lstrip())


def _last_sentence(text: str) -> str:
    spans = sentences(text)
    return next((s for a, b in reversed(spans) if content_words(s := text[a:b])), "")


def _first_sentence(text: str) -> str:
    return next((s for a, b in sentences(text) if content_words(s := text[a:b])), "")


def _join(words: Sequence[str], groups: Sequence[Sequence[int]]) -> str:
    """The stretches with their marks; a group that named no source leaves no gap."""
    text = words[0]
    for group, after in zip(groups, words[1:], strict=True):
        if not group and not after[:1].isalnum():
            text = text.rstrip()
        text += "".join(f"[{number}]" for number in group) + after
    return text.strip()
