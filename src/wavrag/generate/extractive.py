"""Extractive answers: the best sentences of the best passages, quoted, or nothing.

Sentences are only quoted, so nothing can be invented. A small model (`SpanReader`) reads question
and passage together, and finds the few words that answer. Whether the sources answer the question
is decided before (`wavrag.answer.estimate_answerability`). A recording without a transcript is
named with its span.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

from wavrag.embed import SpanReader, SpanScores
from wavrag.generate.base import GenerateOptions, Generator, GeneratorSpec, Message, SourcePart
from wavrag.generate.prompts import (
    find_question,
    get_location,
    get_title,
    list_sources,
    without_marks,
)
from wavrag.generate.table_rows import is_row, match_row
from wavrag.generate.words import content_words
from wavrag.text import FENCE, sentences
from wavrag.types import Hit

MAX_SOURCES = 5
MAX_SENTENCES = 3  # in an answer
DENSE_WEIGHT = 0.7  # cosine of passage and question
OVERLAP_WEIGHT = 0.3  # words of the question in the sentence and its passage
# Of the reader's log odds, beside the evidence: best of .01 to .1 on 250 training questions that
# the reader has not seen.
READER_WEIGHT = 0.02
ROW_ODDS = 10.0  # of a row with the cell asked for, as of a sentence with a clear answer
MAX_SCORE_GAP = 0.04  # of further sentences to the best one
# A sentence with this share of its evidence, in which the reader finds an answer too, is quoted as
# well: the reader alone is no reason to leave out one of two rules of a notice.
MIN_RELATIVE_EVIDENCE = 0.92
# Minimum cosine of a passage, as a share of that of a table without the row of the question: a
# passage much further away than the right table without an answer has none either.
MIN_TABLE_SHARE = 0.8
RANKINGS = 8  # kept, for as many questions at once
_ITEM = re.compile(r"(?:[-*+\u2022]|\d{1,3}[.)])\s")  # of a list
_BLOCK = re.compile(r"[^\S\n]*\S(?:.|\n(?!\s*\n))*")  # lines up to an empty one
_INDENTED = re.compile(r"\S.*\n(?:  +|\t)\S")
_PRONOUN = re.compile(
    r"(?:it|its|he|his|she|her|they|their|this|these|those|such|both)\b", re.IGNORECASE
)
MAX_REPETITION = 0.75  # share of words of a further sentence that the answer may have already


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence to quote, or a span of a recording to name."""

    source: SourcePart  # its source
    position: int  # position of the sentence in its passage, from 0
    text: str  # the quote, or the description of the span
    dense: float  # cosine of its passage and the question
    # weighted share of the question's words in it, from 0 to 1; None without words
    overlap: float | None = None
    named: int = 0  # of a row of a table: number of words of its cells in the question
    short: str = ""  # the words of it that answer the question, if the reader finds some
    short_start: int = 0  # their first character in the quote
    reader: float | None = None  # the reader's log odds that they do
    span: tuple[int, int] | None = None  # its characters in the passage

    @property
    def score(self) -> float:
        """The evidence and the reader's log odds, weighted: the best candidate has the highest."""
        return self.evidence + READER_WEIGHT * (self.reader or 0.0)

    @property
    def evidence(self) -> float:
        """Weighted mean of the cosine and, if there is one, the overlap."""
        cosine = max(self.dense, 0.0)
        if self.overlap is None:
            return cosine
        weighted = DENSE_WEIGHT * cosine + OVERLAP_WEIGHT * self.overlap
        return weighted / (DENSE_WEIGHT + OVERLAP_WEIGHT)


class ExtractiveGenerator(Generator):
    """Quotes the best sentences; the stream is empty if the sources have none.

    Sentences are quoted completely: `GenerateOptions` has no effect.

    Args:
        max_sources: number of sources to read.
    """

    spec = GeneratorSpec("extractive", follows_instructions=False, quotes=True)

    def __init__(self, max_sources: int = MAX_SOURCES) -> None:
        self._max_sources = max_sources

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[str]:
        """Yield one quote after another, each followed by its mark."""
        question = find_question(messages).text
        sources = list_sources(messages)[: self._max_sources]
        candidates = rank_quotes(question, sources, read=True)
        before = ""
        for quote in select_quotes(candidates):
            # A row and an item stand on lines of their own, as in their table or list.
            space = "\n" if _is_line(before) or _is_line(quote.text) else " "
            mark_space = "\n" if quote.text.endswith(FENCE) else " "
            text = f"{quote.text}{mark_space}[{quote.source.number}]"
            yield f"{space if before else ''}{text}"
            before = quote.text


def rank_quotes(
    question: str | None, sources: Sequence[SourcePart], *, read: bool = False
) -> list[Candidate]:
    """Rank all sentences of the sources by their score, best first.

    Args:
        question: the question; None without words.
        sources: the sources.
        read: let the span reader find short answers, and count its odds.
    """
    return _RANKINGS.get(question, sources, read)


class _Rankings:
    """The latest rankings: the estimate of answerability, the generator and the check share one."""

    def __init__(self) -> None:
        self._latest: dict[bool, tuple[tuple[object, list[Candidate]], ...]] = {}

    def get(
        self, question: str | None, sources: Sequence[SourcePart], read: bool
    ) -> list[Candidate]:
        key = question, [(source.number, source.hit.passage, source.hit.legs) for source in sources]
        for earlier, candidates in self._latest.get(read, ()):
            if earlier == key:
                return candidates
        if read:
            candidates = _read(question, self.get(question, sources, read=False))
        else:
            candidates = _rank(question, sources)
        # Of two threads here at once, one may replace the other's ranking, which costs time only.
        latest = self._latest.get(read, ())[: RANKINGS - 1]
        self._latest[read] = (key, candidates), *latest
        return candidates


_RANKINGS = _Rankings()
_READER = SpanReader()


def _rank(question: str | None, sources: Sequence[SourcePart]) -> list[Candidate]:
    quotes = [find_quotes(source.hit.passage.text or "") for source in sources]
    query_words = content_words(question or "")
    stems = [[set(content_words(quote.text)) for quote in group] for group in quotes]
    weights = _idf_weights(query_words, list(chain(*stems)))
    cosines = _dense_scores([source.hit for source in sources])
    candidates: list[Candidate] = []
    closest_table = 0.0  # cosine
    for source, source_quotes, source_stems, cosine in zip(
        sources, quotes, stems, cosines, strict=True
    ):
        passage = source.hit.passage
        headings = content_words(f"{passage.title} {passage.section}")
        context = {*headings, *content_words(passage.text or "")}
        for position, (quote, words) in enumerate(zip(source_quotes, source_stems, strict=True)):
            base = Candidate(source, position, quote.text, cosine, span=(quote.start, quote.end))
            if is_row(quote.text) and question:
                # The words of other rows belong to other answers: they are no context.
                closest_table = max(closest_table, cosine)
                if match := match_row(quote.text, question, headings):
                    share = _word_overlap(weights, words, set(headings))
                    share, odds = (1.0, ROW_ODDS) if match.is_precise else (share, None)
                    candidates.append(
                        replace(
                            base,
                            text=match.text,
                            overlap=share,
                            named=match.named,
                            short=match.value,
                            short_start=match.value_start,
                            reader=odds,
                        )
                    )
                continue
            overlap = _word_overlap(weights, words, context) if query_words else None
            candidates.append(replace(base, overlap=overlap))
        if not source_quotes and passage.modality == "audio":
            name = f'Recording "{get_title(passage)}", {get_location(passage)}'
            candidates.append(Candidate(source, 0, name, cosine))
    # Of rows, those with most words of the question.
    most = max((candidate.named for candidate in candidates), default=0)
    min_cosine = 0.0 if most else MIN_TABLE_SHARE * closest_table
    candidates = [
        item
        for item in candidates
        if (item.named == most if is_row(item.text) else item.dense >= min_cosine)
    ]
    return sorted(candidates, key=_order)


def _order(candidate: Candidate) -> tuple[float, int, int]:
    return -candidate.score, candidate.source.number, candidate.position


def _read(question: str | None, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Add short answers and their log odds; rows and recordings without words stay as they are."""
    if not question:
        return list(candidates)
    scores: dict[int, SpanScores] = {}

    def read(candidate: Candidate) -> Candidate:
        if candidate.span is None or is_row(candidate.text):
            return candidate
        number, passage = candidate.source.number, candidate.source.hit.passage
        text = passage.text or ""
        if number not in scores:
            scores[number] = _READER.read(question, text, passage.title)
        span = scores[number].best_span(*candidate.span)
        if span is None:
            return candidate
        short = _quote_words(text[span.start : span.end])
        # The same words may stand in the quote several times, as a "5" in "15" does.
        count = len(_find_all(short, _quote_words(text[candidate.span[0] : span.end])))
        if len(starts := _find_all(short, candidate.text)) < count:
            return replace(candidate, reader=span.score)
        return replace(candidate, short=short, short_start=starts[count - 1], reader=span.score)

    return sorted(map(read, candidates), key=_order)


def _quote_words(text: str) -> str:
    """A text as in a quote: on one line, without citation marks."""
    return without_marks(" ".join(text.split()))


def _find_all(words: str, text: str) -> list[int]:
    return [match.start() for match in re.finditer(f"(?={re.escape(words)})", text)]


def find_short_answer(candidates: Sequence[Candidate], answer: str) -> tuple[int, int] | None:
    """Find the characters of the short answer in the text of an answer.

    It is that of the best candidate in the text: a generator may have read fewer sources.

    Returns:
        Offsets in the answer; None if that candidate has no short answer.
    """
    for candidate in candidates:
        if (start := answer.find(candidate.text)) >= 0:
            start += candidate.short_start
            is_word = any(map(str.isalnum, candidate.short))  # not the dash of an empty cell
            return (start, start + len(candidate.short)) if is_word else None
    return None


def select_quotes(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Select the sentences of the answer from candidates, best first.

    They are grouped by source, in the order of their text, the source of the best one first. A
    sentence that begins with a pronoun comes with the one before it, an item with the line that
    introduces its list, and that line with all items.
    """
    quotes: list[Candidate] = []
    for candidate in candidates:
        if len(quotes) == MAX_SENTENCES:
            break
        if quotes and not _is_near(candidate, quotes[0]):
            continue
        if not any(_is_repetition(candidate, earlier) for earlier in quotes):
            quotes.append(candidate)
    order = list(dict.fromkeys(quote.source.number for quote in quotes))
    for quote in list(quotes):
        quotes += [context for context in _find_context(quote, candidates) if context not in quotes]
    return sorted(quotes, key=lambda quote: (order.index(quote.source.number), quote.position))


def _is_near(candidate: Candidate, best: Candidate) -> bool:
    """True if a candidate is nearly as good as the best one."""
    has_evidence = candidate.evidence >= MIN_RELATIVE_EVIDENCE * best.evidence
    has_answer = candidate.reader is not None and candidate.reader > 0
    return candidate.score >= best.score - MAX_SCORE_GAP or (has_evidence and has_answer)


def _find_context(quote: Candidate, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates that a reader needs to understand a quote."""
    neighbours = {c.position: c for c in candidates if c.source.number == quote.source.number}
    if _PRONOUN.match(quote.text):
        return [neighbours[at] for at in (quote.position - 1,) if at in neighbours]
    first = quote.position
    while first in neighbours and _ITEM.match(neighbours[first].text):
        first -= 1
    introduction = neighbours.get(first)
    if introduction is None or not introduction.text.endswith(":"):
        return []
    items = []
    while (item := neighbours.get(first := first + 1)) and _ITEM.match(item.text):
        items.append(item)
    # A question with more words of the introduction than of one item is about the list.
    is_about_list = (introduction.overlap or 0.0) > (quote.overlap or 0.0)
    return [introduction, *items] if is_about_list or quote is introduction else [introduction]


class Quote(NamedTuple):
    """A sentence, a row or an item on one line, and its characters in the passage."""

    text: str
    start: int
    end: int


def find_quotes(text: str) -> list[Quote]:
    """Split a passage into sentences, each on one line, without headings and questions.

    A passage of nothing else keeps them all. A block with indented lines is code, which keeps its
    layout between fences.
    """
    lines: list[Quote] = []
    for block in _BLOCK.finditer(text):
        lines += _find_block_quotes(text, *block.span())
    quotes = [quote for quote in lines if content_words(quote.text)]
    following = [quote.text for quote in quotes[1:]]
    statements = [
        quote
        for quote, after in zip(quotes, [*following, ""], strict=False)
        if _is_statement(quote.text, after)
    ]
    return statements or quotes


def _find_block_quotes(text: str, start: int, end: int) -> Iterator[Quote]:
    lines = text[start:end]
    is_code = _INDENTED.search(lines) and not _ITEM.match(lines.lstrip()) and not is_row(lines)
    # A number in brackets would be read as a citation, even in code.
    if is_code and lines == without_marks(lines):
        yield Quote(f"{FENCE}\n{textwrap.dedent(lines).rstrip()}\n{FENCE}", start, end)
        return
    for a, b in sentences(lines):
        yield Quote(_quote_words(lines[a:b]), start + a, start + b)


def _is_statement(line: str, following: str) -> bool:
    if line.startswith(FENCE) or _ITEM.match(line):
        return True
    if line.endswith(":") and _ITEM.match(following):
        return True
    return len(line.split()) > 2 and not line.endswith("?")


def _dense_scores(hits: Sequence[Hit]) -> list[float]:
    """Cosines of hits; a hit of the lexical leg alone gets the minimum of the others."""
    minimum = min((hit.legs["dense"] for hit in hits if "dense" in hit.legs), default=0.0)
    return [hit.legs.get("dense", minimum) for hit in hits]


def _idf_weights(query_words: Sequence[str], pool: Sequence[set[str]]) -> dict[str, float]:
    """Inverse document frequency of query words over a pool of sentences, as in BM25."""
    counts = {word: sum(word in words for words in pool) for word in query_words}
    return {
        word: math.log1p((len(pool) - count + 0.5) / (count + 0.5))
        for word, count in counts.items()
    }


def _word_overlap(weights: dict[str, float], sentence: set[str], passage: set[str]) -> float:
    """Weighted share of the query words; a word in the passage but not the sentence counts half."""
    score = sum(
        weight * (1.0 if word in sentence else 0.5 if word in passage else 0.0)
        for word, weight in weights.items()
    )
    return score / sum(weights.values())


def _is_line(text: str) -> bool:
    """True for a row of a table, an item of a list, or code."""
    return is_row(text) or text.startswith(FENCE) or _ITEM.match(text) is not None


def _is_repetition(candidate: Candidate, earlier: Candidate) -> bool:
    """True if two candidates say the same, as overlapping windows of a recording do."""
    passage, earlier_passage = candidate.source.hit.passage, earlier.source.hit.passage
    if not passage.text and passage.start is not None and passage.end is not None:
        overlaps = (earlier_passage.start or 0.0) < passage.end and passage.start < (
            earlier_passage.end or 0.0
        )
        return passage.document_id == earlier_passage.document_id and overlaps
    if is_row(candidate.text):
        return candidate.text == earlier.text
    words, earlier_words = set(content_words(candidate.text)), set(content_words(earlier.text))
    shortest = max(min(len(words), len(earlier_words)), 1)
    return len(words & earlier_words) > MAX_REPETITION * shortest
