"""Whether the passages that an answer cites say what it says, and when to say nothing instead.

Pure functions. What embeds and what judges entailment are passed in as callables: this room knows
no model. An answer is read in the form that `parse_citations` gives it, where every mark is `[n]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from wavrag.generate import CitedText, SourcePart, content_words, declines, parse_citations
from wavrag.text import FUNCTION_WORDS, sentences
from wavrag.types import Abstention, Citation, Float32, Hit, Passage, Support

Embed: TypeAlias = Callable[[Sequence[str]], Float32]  # texts to rows, shape = (n_texts, dim)
Entails: TypeAlias = Callable[[str, str], float]  # passage and statement to a probability

UNSUPPORTED = "[unsupported]"
MIN_DENSE: Mapping[str, float] = MappingProxyType({"cascade": 0.4, "minilm": 0.4})
"""Least cosines on which `benchmarks/grounding.py` was run, by embedder."""

_MARK = re.compile(r"\[(\d+)\]")
_LEADING_MARKS = re.compile(r"\s*(?:\[\d+\]\s*)+")
_SPACE_BEFORE_MARK = re.compile(r"\s*\[\d+\]")
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_UNITS = (
    "zero . two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen"
).split()  # "one" is a pronoun as often as a number, and counts as a word
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_VALUES = {word: value for value, word in enumerate(_UNITS) if word != "."} | {
    word: 10 * value for value, word in enumerate(_TENS, start=2)
}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000}
_NEGATIONS = frozenset("no not never none nobody nothing neither nor without cannot".split())


@dataclass(frozen=True, slots=True)
class GroundingOptions:
    """When a sentence counts as supported.

    Attributes:
        lexical: least share, from 0 to 1, of its content words that the cited passages have.
        dense: least cosine with a sentence of them; bears only where an embedder is given.
        entailment: least probability that they entail it; bears only where a judge is given.
        numbers: whether every number of it must stand in the cited passages.
        negation: whether it must be negated just as the sentence that says most of it.
    """

    lexical: float = 0.6
    dense: float = 0.4
    entailment: float = 0.5
    numbers: bool = True
    negation: bool = True


def check(
    text: str,
    sources: Sequence[SourcePart],
    options: GroundingOptions | None = None,
    *,
    embed: Embed | None = None,
    entails: Entails | None = None,
) -> tuple[Support, ...]:
    """Compare each sentence of an answer with the passages that it cites.

    Args:
        text: the answer as `parse_citations` gives it.
        sources: what could be cited.
        options: when a sentence counts as supported.
        embed: gives a vector for each text; without it words decide alone.
        entails: gives the probability that a passage entails a statement.

    Returns:
        One for each sentence, in order; none for an answer that declines. A sentence that cites
        nothing is unsupported.
    """
    options = options or GroundingOptions()
    if declines(text):
        return ()
    by_number = {source.number: source.hit.passage for source in sources}
    return tuple(
        _judge(
            text,
            span,
            [by_number[number] for number in _cited(text, span) if number in by_number],
            options,
            embed=embed,
            entails=entails,
        )
        for span in _statements(text)
        if content_words(_MARK.sub("", text[slice(*span)]))
    )


def mark_unsupported(text: str, supports: Sequence[Support], mark: str = UNSUPPORTED) -> str:
    """The answer with a mark after each sentence that could be checked and is not supported.

    Args:
        text: the answer that was checked.
        supports: what `check` gave for it.
        mark: put after a space; it must not read as a citation.
    """
    pieces = []
    at = 0
    for support in supports:
        if support.checkable and not support.supported:
            pieces += [text[at : support.end], " ", mark]
            at = support.end
    return "".join(pieces) + text[at:]


def drop_unretrieved(text: str, citations: Sequence[Citation], hits: Sequence[Hit]) -> CitedText:
    """Leave out citations of passages that are not among the hits, and their marks.

    Args:
        text: an answer with marks.
        citations: what its marks are said to name.
        hits: what was retrieved.

    Returns:
        The answer with the marks that name a hit, with their citations; `invented` counts the rest.
    """
    retrieved = {hit.passage.id: hit for hit in hits}
    named: dict[int, SourcePart] = {}
    for citation in citations:
        hit = retrieved.get(citation.passage.id)
        if hit is not None:
            named.setdefault(citation.number, SourcePart(citation.number, hit))
    return parse_citations(text, list(named.values()))


@dataclass(frozen=True, slots=True)
class AbstainOptions:
    """When to say nothing.

    Attributes:
        min_dense: least cosine of the best hit with the question. It is on the scale of the
            embedder: `MIN_DENSE` has it by name, and -1 leaves it to the rest.
        min_supported: least share of the sentences of an answer that are supported, from 0 to 1;
            at 0 one supported sentence is enough.
    """

    min_dense: float = 0.4
    min_supported: float = 0.0


def should_abstain(
    hits: Sequence[Hit],
    support: Sequence[Support] | None = None,
    options: AbstainOptions | None = None,
) -> Abstention | None:
    """Whether "I don't know" is the better answer, whatever the generator.

    Args:
        hits: what was retrieved.
        support: what `check` gave for the answer; None before there is one.
        options: thresholds.

    Returns:
        The reason; None if nothing speaks against the answer. Hits that no dense leg found are not
        judged by their cosine, and sentences that cannot be checked are not counted.
    """
    options = options or AbstainOptions()
    if not hits:
        return Abstention("nothing retrieved", "no passage was found")
    cosines = [hit.legs["dense"] for hit in hits if "dense" in hit.legs]
    if cosines and max(cosines) < options.min_dense:
        detail = f"the best cosine is {max(cosines):.2f}, below {options.min_dense:.2f}"
        return Abstention("weak retrieval", detail)
    checked = [one.supported for one in support or () if one.checkable]
    if checked:
        good = sum(checked)
        if not good or good < options.min_supported * len(checked):
            detail = f"{good} of {len(checked)} sentences are supported by what they cite"
            return Abstention("nothing supported", detail)
    return None


def numbers_of(text: str) -> frozenset[str]:
    """The numbers in a text, as digits: `9`, `nine`, `1,000` and `a thousand` count.

    Ordinals in letters and the word "one" do not.
    """
    text = _THOUSANDS.sub("", text.casefold())
    found: set[str] = set()
    total: int | None = None  # of the number in words that is being read
    at = 0
    for match in _TOKEN.finditer(text):
        token, between = match[0], text[at : match.start()]
        at = match.end()
        value, scale = _VALUES.get(token), _SCALES.get(token)
        goes_on = total is not None and not between.strip(" -") and (
            scale is not None
            or (value is not None and _continues(total, value))
            or (token == "and" and total >= 100)
        )  # fmt: skip
        if total is not None and not goes_on:
            found.add(str(total))
            total = None
        if scale is not None:
            total = (total or 1) * scale
        elif value is not None:
            total = (total or 0) + value
        elif token[0].isdigit():
            found.add(token.lstrip("0") or "0")
    return frozenset(found if total is None else {*found, str(total)})


def is_negated(text: str) -> bool:
    """Whether a text has a word of negation."""
    words = (match[0].replace("\u2019", "'") for match in _TOKEN.finditer(text.casefold()))
    return any(word in _NEGATIONS or word.endswith("n't") for word in words)


def _continues(total: int, value: int) -> bool:
    """Whether "twenty", 20, goes on with "three", or "two hundred" with "fifty"."""
    if value < 10 and total % 100 in range(20, 100, 10):
        return True
    return total >= 100 and total % 100 == 0


def _statements(text: str) -> list[tuple[int, int]]:
    """Spans of the sentences with their marks.

    Marks at the head of a sentence belong to the one before, if there is one.
    """
    spans: list[tuple[int, int]] = []
    for start, end in sentences(text):
        leading = _LEADING_MARKS.match(text, start, end) if spans else None
        begin = start
        if leading is not None:
            begin = leading.end()
            spans[-1] = spans[-1][0], start + len(leading[0].rstrip())
        if begin < end:
            spans.append((begin, end))
    return spans


def _cited(text: str, span: tuple[int, int]) -> tuple[int, ...]:
    """Numbers in the marks of a sentence, each once."""
    return tuple(dict.fromkeys(map(int, _MARK.findall(text, *span))))


def _judge(
    text: str,
    span: tuple[int, int],
    passages: Sequence[Passage],
    options: GroundingOptions,
    *,
    embed: Embed | None,
    entails: Entails | None,
) -> Support:
    statement = _SPACE_BEFORE_MARK.sub("", text[slice(*span)]).strip()
    told = [sentence for passage in passages for sentence in _sentences_of(passage)]
    whole = " ".join(f"{passage.title} {passage.section}." for passage in passages)
    wanted, had = _words(statement), _words(f"{whole} {' '.join(told)}")
    numbers = numbers_of(statement)
    lexical = len(wanted & had) / len(wanted) if wanted else float(bool(numbers and told))
    same_numbers = numbers <= numbers_of(f"{whole} {' '.join(told)}")
    closest = max(told, key=lambda sentence: len(wanted & _words(sentence)), default="")
    same_negation = is_negated(statement) == is_negated(closest)
    dense = _best_cosine(statement, told, embed) if embed is not None else None
    judged = [entails(passage.text, statement) for passage in passages if passage.text and entails]
    entailment = max(judged, default=0.0) if entails is not None else None
    supported = (
        bool(told)
        and lexical >= options.lexical
        and (dense is None or dense >= options.dense)
        and (entailment is None or entailment >= options.entailment)
        and (same_numbers or not options.numbers)
        and (same_negation or not options.negation)
    )
    cited = _cited(text, span)
    return Support(
        *span, statement, cited, lexical, dense, entailment, same_numbers, same_negation,
        checkable=bool(told) or not cited, supported=supported,
    )  # fmt: skip


def _words(text: str) -> set[str]:
    """Stems of the content words without numbers, which are compared for themselves."""
    return set(content_words(_TOKEN.sub(lambda token: _if_content(token[0]), text)))


def _if_content(token: str) -> str:
    word = token.casefold().replace("\u2019", "'")
    left_out = word[0].isdigit() or any(word in kind for kind in (_VALUES, _SCALES, FUNCTION_WORDS))
    return " " if left_out else token


def _sentences_of(passage: Passage) -> list[str]:
    text = passage.text or ""
    return [text[start:end] for start, end in sentences(text)]


def _best_cosine(statement: str, told: Sequence[str], embed: Embed) -> float:
    if not statement or not told:
        return 0.0
    rows = embed([statement, *told])
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return float((rows[1:] @ rows[0]).max())
