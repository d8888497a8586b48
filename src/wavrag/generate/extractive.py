"""Extractive answers: the best sentences of the best passages, quoted, or nothing.

There is no model, so nothing can be invented. Whether the sources answer the question is decided
before (`wavrag.answer.estimate_answerability`). A recording without a transcript is named with its
span.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

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
from wavrag.text import sentences
from wavrag.types import Hit

MAX_SOURCES = 5
MAX_SENTENCES = 3  # in an answer
DENSE_WEIGHT = 0.7  # cosine of passage and question
OVERLAP_WEIGHT = 0.3  # words of the question in the sentence and its passage
MIN_RELATIVE_EVIDENCE = 0.92  # of further sentences, as a share of the best one's
# Minimum cosine of a passage, as a share of that of a table without the row of the question: a
# passage much further away than the right table without an answer has none either.
MIN_TABLE_SHARE = 0.8
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
        candidates = rank_quotes(question, list_sources(messages)[: self._max_sources])
        before = ""
        for quote in select_quotes(candidates):
            # A row stands on a line of its own, as in a table.
            space = "\n" if is_row(before) or is_row(quote.text) else " "
            yield f"{space if before else ''}{quote.text} [{quote.source.number}]"
            before = quote.text


def rank_quotes(question: str | None, sources: Sequence[SourcePart]) -> list[Candidate]:
    """Rank all sentences of the sources by evidence, best first."""
    quotes = [split_quotes(source.hit.passage.text or "") for source in sources]
    query_words = content_words(question or "")
    weights = _idf_weights(query_words, [content_words(text) for text in chain(*quotes)])
    cosines = _dense_scores([source.hit for source in sources])
    candidates: list[Candidate] = []
    closest_table = 0.0  # cosine
    for source, texts, cosine in zip(sources, quotes, cosines, strict=True):
        passage = source.hit.passage
        context = content_words(f"{passage.title} {passage.section} {passage.text or ''}")
        headings = content_words(f"{passage.title} {passage.section}")
        for position, text in enumerate(texts):
            if is_row(text) and question:
                # The words of other rows belong to other answers: they are no context.
                closest_table = max(closest_table, cosine)
                if match := match_row(text, question, headings):
                    words = set(content_words(text))
                    share = _word_overlap(weights, words, set(headings))
                    share = 1.0 if match.is_precise else share
                    row = Candidate(source, position, match.text, cosine, share, match.named)
                    candidates.append(row)
                continue
            words = set(content_words(text))
            overlap = _word_overlap(weights, words, set(context)) if query_words else None
            candidates.append(Candidate(source, position, text, cosine, overlap))
        if not texts and passage.modality == "audio":
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
    return sorted(candidates, key=lambda item: (-item.evidence, item.source.number, item.position))


def select_quotes(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Select the sentences of the answer from candidates, best first.

    They are grouped by source, in the order of their text, the source of the best one first.
    """
    quotes: list[Candidate] = []
    for candidate in candidates:
        if len(quotes) == MAX_SENTENCES:
            break
        if quotes and candidate.evidence < MIN_RELATIVE_EVIDENCE * quotes[0].evidence:
            break
        if not any(_is_repetition(candidate, earlier) for earlier in quotes):
            quotes.append(candidate)
    order = list(dict.fromkeys(quote.source.number for quote in quotes))
    return sorted(quotes, key=lambda quote: (order.index(quote.source.number), quote.position))


def split_quotes(text: str) -> list[str]:
    """Split a passage into sentences, each on one line, without headings and questions.

    A passage of nothing else keeps them all.
    """
    lines = [without_marks(" ".join(text[a:b].split())) for a, b in sentences(text)]
    quotes = [line for line in lines if content_words(line)]
    statements = [line for line in quotes if len(line.split()) > 2 and not line.endswith("?")]
    return statements or quotes


def _dense_scores(hits: Sequence[Hit]) -> list[float]:
    """Cosines of hits; a hit of the lexical leg alone gets the minimum of the others."""
    minimum = min((hit.legs["dense"] for hit in hits if "dense" in hit.legs), default=0.0)
    return [hit.legs.get("dense", minimum) for hit in hits]


def _idf_weights(query_words: Sequence[str], pool: Sequence[Sequence[str]]) -> dict[str, float]:
    """Inverse document frequency of query words over a pool of sentences, as in BM25."""
    sets = [set(words) for words in pool]
    counts = {word: sum(word in words for words in sets) for word in query_words}
    return {
        word: math.log1p((len(sets) - count + 0.5) / (count + 0.5))
        for word, count in counts.items()
    }


def _word_overlap(weights: dict[str, float], sentence: set[str], passage: set[str]) -> float:
    """Weighted share of the query words; a word in the passage but not the sentence counts half."""
    score = sum(
        weight * (1.0 if word in sentence else 0.5 if word in passage else 0.0)
        for word, weight in weights.items()
    )
    return score / sum(weights.values())


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
