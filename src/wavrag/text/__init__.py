"""Texts: reading documents, finding sentences, cutting into passages. Knows no model."""

from wavrag.text.document import Block, ParsedText
from wavrag.text.read import TEXT_SUFFIXES, parse, read
from wavrag.text.sentences import sentences
from wavrag.text.split import SplitOptions, TextChunk, split

__all__ = [
    "TEXT_SUFFIXES",
    "Block",
    "ParsedText",
    "SplitOptions",
    "TextChunk",
    "parse",
    "read",
    "sentences",
    "split",
]
