"""Text: read documents, split them into sentences and passages. No models."""

from wavrag.text.distance import edit_distance
from wavrag.text.document import ParsedText
from wavrag.text.formats import (
    HEAD_BYTES,
    INSTALL_OFFICE,
    TEXT_SUFFIXES,
    Format,
    Unread,
    detect_format,
    detect_open_format,
    format_suffix,
    has_signature,
    is_archive,
    needs_office,
    seems_text,
)
from wavrag.text.function_words import FUNCTION_WORDS
from wavrag.text.html import html_encoding
from wavrag.text.parsers import parse
from wavrag.text.plain import decode
from wavrag.text.read import read, read_pieces
from wavrag.text.segmentation import FENCE, answer_sentences, count_words, sentences
from wavrag.text.split import split, split_pieces
from wavrag.text.table import SEPARATOR as CELL_SEPARATOR
from wavrag.text.table import to_markdown

__all__ = [
    "CELL_SEPARATOR", "FENCE", "FUNCTION_WORDS", "HEAD_BYTES", "INSTALL_OFFICE", "TEXT_SUFFIXES",
    "Format", "ParsedText", "Unread", "answer_sentences", "count_words", "decode", "detect_format",
    "detect_open_format", "edit_distance", "format_suffix", "has_signature", "html_encoding",
    "is_archive", "needs_office", "parse", "read", "read_pieces", "seems_text", "sentences",
    "split", "split_pieces", "to_markdown",
]  # fmt: skip
