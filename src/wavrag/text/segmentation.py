"""Split text into sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

from wavrag.text.table import SEPARATOR

Span: TypeAlias = tuple[int, int]

FENCE = "```"  # a line before and after code in an answer
_FENCED = re.compile(rf"^{FENCE}.*?^{FENCE}$", re.MULTILINE | re.DOTALL)
LANGUAGE = "en"  # for its list of abbreviations; full stops of other scripts count, too
MAX_PROSE = 10_000  # characters of a paragraph that are segmented at once
# Scripts without spaces between words: Thai to Lao, Burmese, Khmer, Japanese, Chinese.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]"
)
_ROW = re.compile(r"^[^\S\n]*(\S.* \| .*\S)", re.MULTILINE)  # of a table: see table.py


def sentences(text: str) -> list[Span]:
    """Return the character spans of the sentences of a text, without surrounding white space.

    A row of a table is one sentence, whatever its cells hold.

    Example:
        >>> sentences("One bell. Two bells.")
        [(0, 9), (10, 20)]
    """
    spans: list[Span] = []
    start = 0
    if SEPARATOR in text:
        for row in _ROW.finditer(text):
            spans += _sentences_of_prose(text, start, row.start())
            spans.append(row.span(1))
            start = row.end()
    return [*spans, *_sentences_of_prose(text, start, len(text))]


def answer_sentences(text: str) -> list[Span]:
    """Return the spans of the sentences of an answer; a block of code between fences is one.

    Example:
        >>> answer_sentences("See: ```no``` [1]")
        [(0, 17)]
    """
    spans: list[Span] = []
    start = 0
    for block in _FENCED.finditer(text):
        spans += [(a + start, b + start) for a, b in sentences(text[start : block.start()])]
        spans.append(block.span())
        start = block.end()
    return [*spans, *((a + start, b + start) for a, b in sentences(text[start:]))]


def count_words(text: str) -> int:
    """Count the words of a text; two letters of a script without spaces count as a word.

    Example:
        >>> count_words("Two words"), count_words("\u8702\u5de2\u91cc\u7684\u871c\u8702\u3002")
        (2, 4)
    """
    return len(text.split()) + len(_UNSPACED.findall(text)) // 2


def _sentences_of_prose(text: str, start: int, end: int) -> Iterator[Span]:
    from sentencex import get_sentence_boundaries

    while start < end:
        cut = _find_cut(text, start, end)
        for boundary in get_sentence_boundaries(LANGUAGE, text[start:cut]):
            sentence: str = boundary["text"]
            core = sentence.strip()
            if core:
                first: int = start + boundary["start_index"] + sentence.index(core[0])
                yield first, first + len(core)
        start = cut


def _find_cut(text: str, start: int, end: int) -> int:
    """The end of a stretch for the segmenter, whose time grows with the square of some marks."""
    limit = start + MAX_PROSE
    if end <= limit:
        return end
    for separator in ("\n", ". ", " "):
        if (at := text.rfind(separator, start + MAX_PROSE // 2, limit)) >= 0:
            return at + len(separator)
    return limit
