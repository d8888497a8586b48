"""Convert a written answer to spoken text, whole or while it is generated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from wavrag.speech.sentence_rules import spoken_sentence
from wavrag.speech.table_reader import TableReader
from wavrag.text import sentences

# A block ends at an empty line, and before a heading, list item, quote or fence.
_BREAK = re.compile(r"\n(?=[ \t]*(?:\n|#{1,6}[ \t]|[-*+\u2022][ \t]|\d+[.)][ \t]|>|```|~~~))")
_ITEM = re.compile(r"\s*(?:[-*+\u2022]|\d{1,2}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?(?=\S)")
_LONGEST_QUOTE = 400  # characters held back by an opening quotation mark without a closing one
_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t].*\n", re.MULTILINE)


def spoken_text(text: str) -> str:
    """Convert a written answer to the text for a speech engine, on one line; it may be empty.

    Citation marks and the markup of Markdown and HTML are removed. Rows of tables are read as
    "header: value", list items and headings as sentences. Numbers with their units and signs, and
    common abbreviations become English words; a web address becomes its host. Spoken text stays as
    it is.

    Example:
        >>> spoken_text("The **ferry** leaves at 9:30 and costs \u20ac5 [1][2].")
        'The ferry leaves at nine thirty and costs five euros.'
    """
    return " ".join(spoken_sentences([text]))


def spoken_sentences(deltas: Iterable[str]) -> Iterator[str]:
    """Yield the sentences of a streamed answer as spoken text.

    A sentence is complete when the next one has begun, or when its block has ended.
    """
    text, tables = "", TableReader()
    for delta in deltas:
        text += tables.feed(delta)
        complete, text = _take_complete(text)
        yield from filter(None, map(spoken_sentence, complete))
    text += tables.close()
    yield from filter(None, map(spoken_sentence, _split_sentences(_blocks(text))))


def _take_complete(text: str) -> tuple[list[str], str]:
    """The complete sentences of a text, and the remainder."""
    *blocks, last = _blocks(text)
    complete = _split_sentences(blocks)
    last = _without_item(last)
    spans = sentences(last)
    # The last sentence may continue, and so may the one before until the next word is complete.
    while spans and not re.search(r"\w\s", last[spans[-1][0] :]):
        spans.pop()
    at = 0
    for (start, end), (following, _) in pairwise(spans):
        if last.count('"', at, following) % 2 and len(last) - at < _LONGEST_QUOTE:
            break  # a quotation may be part of one sentence
        complete.append(last[start:end])
        at = following
    return complete, last[at:]


def _split_sentences(blocks: Iterable[str]) -> list[str]:
    return [block[a:b] for block in map(_without_item, blocks) for a, b in sentences(block)]


def _without_item(block: str) -> str:
    """Remove the marker of a list item, because its number would become a sentence."""
    match = _ITEM.match(block)
    return block[match.end() :] if match else block


def _blocks(text: str) -> list[str]:
    """Split a text into blocks such as paragraphs, headings and list items."""
    cuts = {match.end() for match in _BREAK.finditer(text)}
    cuts |= {match.end() for match in _HEADING.finditer(text)}
    bounds = [0, *sorted(cuts - {0, len(text)}), len(text)]
    return [text[a:b] for a, b in pairwise(bounds)]
