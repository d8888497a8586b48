"""Rows of tables as answers: the row that a question names, and its cells that answer it.

A row is text such as `Route: Night bus | Weekday fare: — | Weekend fare: 4.50`; see
`wavrag.text.table`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from wavrag.generate.words import content_words, stem, words
from wavrag.text import CELL_SEPARATOR, FUNCTION_WORDS

MAX_ENDING = 3  # letters by which related words may differ


@dataclass(frozen=True, slots=True)
class _Cell:
    """A cell with the stems of its column label, if it has one, and of its value."""

    text: str
    label: frozenset[str]
    value: frozenset[str]


def is_row(text: str) -> bool:
    """True if a quote is a row of a table."""
    return CELL_SEPARATOR in text


@dataclass(frozen=True, slots=True)
class RowMatch:
    """A row that a question names.

    Attributes:
        text: the row; if the question asks for columns, only its first cell, the named cells and
            those of these columns.
        named: number of words of the question in the values of the named cells.
        is_precise: the question names a complete cell, and a column.
        value: value of the only column that the question asks for; empty without one.
        value_start: its first character in the text.
    """

    text: str
    named: int
    is_precise: bool
    value: str = ""
    value_start: int = 0


def match_row(row: str, question: str, context: Iterable[str] = ()) -> RowMatch | None:
    """Match a row with a question; None if the question does not mean the row.

    The question must name a cell completely, or by a part without another word before it: "the
    tram" may be the hill tram, "the airport line" is not the harbour line. A number in the question
    must be in the row.

    Args:
        row: the row.
        question: the question.
        context: stems of the words of title and section, which apply to all rows.

    Example:
        >>> row = "Route: Night bus | Weekday fare: — | Weekend fare: 4.50"
        >>> match_row(row, "What does the night bus cost on a weekday?").text
        'Route: Night bus | Weekday fare: —'
    """
    query = frozenset(content_words(question))
    cells = _parse(row)
    columns = _find_columns(cells, query)
    # A value of a column asked for names the row only if the question holds all of it: the "27 min"
    # of another station do not answer a question about station 27.
    keys = [cell for cell in cells if cell not in columns or cell.value <= query]
    context_words = frozenset(context).union(*(c.label for c in cells), *(c.value for c in keys))
    if any(word.isdigit() for word in query - context_words):
        return None
    matches = [cell for cell in keys if cell.value & query]
    is_complete = any(cell.value <= query for cell in matches)
    if not is_complete:
        matches = [cell for cell in matches if not _is_other(cell, question, context_words)]
    if not matches:
        return None
    first = next((index for index, cell in enumerate(cells) if cell.label), len(cells))
    text = CELL_SEPARATOR.join(
        cell.text
        for index, cell in enumerate(cells)
        if not columns or index <= first or cell in columns or (cell.value and cell.value <= query)
    )
    count = len(query & frozenset().union(*(cell.value for cell in matches)))
    is_precise = is_complete and bool(columns)
    if len(columns) != 1:
        return RowMatch(text, count, is_precise)
    cell = f"{CELL_SEPARATOR}{columns[0].text}"  # never the first one
    value = cell.partition(": ")[2]
    return RowMatch(text, count, is_precise, value, text.index(cell) + len(cell) - len(value))


def _find_columns(cells: Sequence[_Cell], query: frozenset[str]) -> list[_Cell]:
    """Cells of the columns that a question names best; none if it names no column."""
    columns = [cell for cell in cells if cell.label][1:]
    # A word of all labels, such as "fare", tells no column from another.
    common = frozenset.intersection(*(c.label for c in columns)) if columns[1:] else frozenset()
    scores = [sum(_closeness(word, query) for word in cell.label - common) for cell in columns]
    best = max(scores, default=0)
    return [c for c, score in zip(columns, scores, strict=True) if best and score == best]


def _closeness(word: str, query: frozenset[str]) -> int:
    """2 for a word of the question, 1 for one with the same beginning: "teaches" and "teacher"."""
    if word in query:
        return 2
    shorter = (word[:length] for length in range(max(3, len(word) - MAX_ENDING), len(word)))
    return int(
        not query.isdisjoint(shorter)
        or any(len(word) > 3 and other.startswith(word) for other in query)
    )


def _parse(row: str) -> list[_Cell]:
    cells = []
    for text in row.split(CELL_SEPARATOR):
        label, colon, value = text.partition(": ")
        if not colon:
            label, value = "", text
        cells.append(_Cell(text, _stems(label), _stems(value)))
    return cells


def _stems(text: str) -> frozenset[str]:
    return frozenset(map(stem, words(text)))


def _is_other(cell: _Cell, question: str, context_words: frozenset[str]) -> bool:
    """True if the question adds a word of its own before a word of the cell."""
    sequence: Sequence[str] = words(question)
    return any(
        stem(word) in cell.value
        and before not in FUNCTION_WORDS
        and stem(before) not in context_words
        for before, word in pairwise(sequence)
    )
