"""The citation check: do the cited passages support each sentence of an answer?

Each sentence is compared with its cited passages by content words, numbers and negation, and
optionally by the cosine of embeddings. `wavrag.generate.parse_citations` has parsed the marks
before this step.
Pure functions; an embedder is passed in as a callable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from wavrag.answer.numerals import NUMBER_WORDS, TOKEN, find_numbers, has_negation
from wavrag.generate import SourcePart, content_words, is_refusal, without_marks
from wavrag.text import CELL_SEPARATOR, FUNCTION_WORDS, answer_sentences, sentences
from wavrag.types import Float32, Passage, Support

EmbedTexts: TypeAlias = Callable[[Sequence[str]], Float32]  # rows of shape (n_texts, dim)

UNSUPPORTED_MARK = "[unsupported]"

_MARK = re.compile(r"\[(\d+)\]")
_LEADING_MARKS = re.compile(r"\s*(?:\[\d+\]\s*)+")
_MARK_WITH_SPACE = re.compile(r"\s*\[\d+\]")


@dataclass(frozen=True, slots=True)
class CitationCheckOptions:
    """Thresholds of the check. `benchmarks/grounding.py` measures their precision and recall.

    Attributes:
        lexical: minimum share, from 0 to 1, of content words in the cited passages.
        dense: minimum cosine with a cited sentence; applies only with an embedder.
        numbers: require every number of the sentence in the cited passages.
        negation: require the negation of the closest cited sentence.
    """

    lexical: float = 0.6
    dense: float = 0.4
    numbers: bool = True
    negation: bool = True


def check_citations(
    text: str,
    sources: Sequence[SourcePart],
    options: CitationCheckOptions | None = None,
    *,
    embed: EmbedTexts | None = None,
) -> tuple[Support, ...]:
    """Compare each sentence of an answer with its cited passages.

    Args:
        text: the answer in the form of `parse_citations`: every mark is `[n]`.
        sources: the sources of the answer.
        options: thresholds.
        embed: embeds texts; without it, only words, numbers and negation are compared.

    Returns:
        One result for each sentence, in order; none for "I don't know". A sentence without a
        citation is unsupported.

    Example:
        >>> passage = Passage("timetable.md", 0, "The ferry leaves at nine.")
        >>> sources = [SourcePart(1, Hit(passage, 1, 1.0, {}))]
        >>> [s.supported for s in check_citations("It leaves at ten [1].", sources)]
        [False]
    """
    options = options or CitationCheckOptions()
    if is_refusal(text):
        return ()
    passages = {source.number: source.hit.passage for source in sources}
    return tuple(
        _check_sentence(text, span, passages, options, embed)
        for span in _sentence_spans(text)
        if content_words(_MARK.sub("", text[slice(*span)]))
    )


def flag_unsupported_sentences(
    text: str, support: Sequence[Support], flag: str = UNSUPPORTED_MARK
) -> str:
    """Insert a flag after each unsupported sentence.

    Args:
        text: the answer.
        support: result of `check_citations`.
        flag: text to insert; it must not read as a citation.
    """
    output = []
    position = 0
    for sentence in support:
        if sentence.checkable and not sentence.supported:
            output += [text[position : sentence.end], " ", flag]
            position = sentence.end
    return "".join(output) + text[position:]


def _sentence_spans(text: str) -> list[tuple[int, int]]:
    """Spans of the sentences with their marks; leading marks belong to the sentence before."""
    spans: list[tuple[int, int]] = []
    for start, end in answer_sentences(text):
        leading_marks = _LEADING_MARKS.match(text, start, end) if spans else None
        begin = start
        if leading_marks is not None:
            begin = leading_marks.end()
            spans[-1] = spans[-1][0], start + len(leading_marks[0].rstrip())
        if begin < end:
            spans.append((begin, end))
    return spans


def _check_sentence(
    text: str,
    span: tuple[int, int],
    passages: Mapping[int, Passage],
    options: CitationCheckOptions,
    embed: EmbedTexts | None,
) -> Support:
    """Compare a sentence, the span of a text, with those of the passages that it cites."""
    citations = tuple(dict.fromkeys(map(int, _MARK.findall(text, *span))))
    cited = [passages[number] for number in citations if number in passages]
    statement = _MARK_WITH_SPACE.sub("", text[slice(*span)]).strip()
    contents = [passage.text or "" for passage in cited]
    evidence = [content[start:end] for content in contents for start, end in sentences(content)]
    # Titles and section headings count too: answers may repeat them ("At the pier, ...").
    headings = " ".join(f"{passage.title} {passage.section}." for passage in cited)
    passage_text = f"{headings} {' '.join(evidence)}"
    words, numbers = _word_stems(statement), find_numbers(statement)
    # A statement of numbers alone ("Nine [1].") has no words to compare; its numbers decide.
    overlap = len(words & _word_stems(passage_text))
    lexical = overlap / len(words) if words else float(bool(numbers and evidence))
    same_numbers = numbers <= find_numbers(passage_text)
    closest = max(evidence, key=lambda sentence: len(words & _word_stems(sentence)), default="")
    same_negation = has_negation(statement) == has_negation(closest)
    dense = _max_cosine(statement, evidence, embed) if embed is not None else None
    is_close = (
        bool(evidence)
        and lexical >= options.lexical
        and (dense is None or dense >= options.dense)
        and (same_numbers or not options.numbers)
        and (same_negation or not options.negation)
    )
    # The comparison with whole sentences splits the passages again, so it comes last.
    supported = (
        is_close or _is_part_of_row(statement, evidence) or _is_verbatim(statement, contents)
    )
    return Support(
        *span, statement, citations, lexical, dense, same_numbers, same_negation,
        checkable=bool(evidence) or not citations, supported=supported,
    )  # fmt: skip


def _is_part_of_row(statement: str, evidence: Sequence[str]) -> bool:
    """True if a statement is cells of one row of a table: a "no" may be in another cell of it."""
    cells = set(statement.split(CELL_SEPARATOR))
    rows = (set(row.split(CELL_SEPARATOR)) for row in evidence)
    return len(cells) > 1 and any(cells <= row for row in rows)


def _is_verbatim(statement: str, contents: Sequence[str]) -> bool:
    """True if a statement quotes whole sentences, whatever the thresholds say.

    Before a part of one could stand "It is wrong that ...", and after it "... for nobody".
    """
    quote = " ".join(statement.strip("`").split()).rstrip(".")
    for content in contents:
        spans = sentences(content)
        for index, (start, _) in enumerate(spans):
            for _, end in spans[index:]:
                text = without_marks(" ".join(content[start:end].split())).rstrip(".")
                if text == quote and quote:
                    return True
                if not quote.startswith(text):
                    break
    return False


def _word_stems(text: str) -> set[str]:
    """Stems of the content words. Numbers are left out, since they are compared by value."""
    return set(content_words(TOKEN.sub(lambda token: _blank_ignored_word(token[0]), text)))


def _blank_ignored_word(token: str) -> str:
    """Replace a number or function word by a space; content words stay."""
    word = token.casefold().replace("\u2019", "'")
    ignored = word[0].isdigit() or word in NUMBER_WORDS or word in FUNCTION_WORDS
    return " " if ignored else token


def _max_cosine(statement: str, evidence: Sequence[str], embed: EmbedTexts) -> float:
    if not statement or not evidence:
        return 0.0
    rows = embed([statement, *evidence])
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return float((rows[1:] @ rows[0]).max())
