"""Text: read documents, split them into sentences and passages. No models."""

from wavrag.text.distance import edit_distance
from wavrag.text.document import ParsedText
from wavrag.text.function_words import FUNCTION_WORDS
from wavrag.text.html import html_encoding
from wavrag.text.plain import decode
from wavrag.text.read import TEXT_SUFFIXES, parse, read
from wavrag.text.segmentation import sentences
from wavrag.text.split import split
from wavrag.text.table import SEPARATOR as CELL_SEPARATOR

__all__ = [
    "CELL_SEPARATOR", "FUNCTION_WORDS", "TEXT_SUFFIXES", "ParsedText", "decode", "edit_distance",
    "html_encoding", "parse", "read", "sentences", "split",
]  # fmt: skip
