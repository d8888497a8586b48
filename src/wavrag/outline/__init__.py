"""Chapters and summaries of recordings, from their transcripts.

`extract` quotes sentences and phrases: `borders` finds topic shifts, `titles` characteristic
phrases. `generate` has a generator write titles and summaries.
"""

from wavrag.outline.extract import SENTENCES, embed_texts, extract_summary, read_chapters
from wavrag.outline.formats import (
    CHAPTER_FORMATS,
    SUMMARY_FORMATS,
    ChapterFormat,
    SummaryFormat,
    format_chapters,
    format_summary,
)
from wavrag.outline.generate import Summariser
from wavrag.outline.model import Chapter, Summary, SummarySentence

__all__ = [
    "CHAPTER_FORMATS", "SENTENCES", "SUMMARY_FORMATS", "Chapter", "ChapterFormat", "Summariser",
    "Summary", "SummaryFormat", "SummarySentence", "embed_texts", "extract_summary",
    "format_chapters", "format_summary", "read_chapters",
]  # fmt: skip
