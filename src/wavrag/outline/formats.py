"""Formats of chapters and summaries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias, get_args

from wavrag.kb import format_clock
from wavrag.outline.model import Chapter, Summary, SummarySentence
from wavrag.types import format_whole_seconds

ChapterFormat: TypeAlias = Literal["txt", "vtt", "json", "md"]
SummaryFormat: TypeAlias = Literal["txt", "json", "md"]
CHAPTER_FORMATS: tuple[ChapterFormat, ...] = get_args(ChapterFormat)
SUMMARY_FORMATS: tuple[SummaryFormat, ...] = get_args(SummaryFormat)


def format_chapters(chapters: Sequence[Chapter], kind: ChapterFormat) -> str:
    r"""Chapters as a list with times for video platforms, WebVTT, JSON or Markdown.

    Example:
        >>> format_chapters([Chapter("Tides", 0.0, 65.0), Chapter("Moon", 65.0, 90.0)], "txt")
        '0:00 Tides\n1:05 Moon\n'
    """
    match kind:
        case "txt":
            return _lines(f"{format_whole_seconds(c.start)} {_title(c)}" for c in chapters)
        case "md":
            return _lines(f"- **{format_whole_seconds(c.start)}** {_title(c)}" for c in chapters)
        case "vtt":
            cues = (
                # An arrow in a title would be read as the times of a cue.
                f"{format_clock(c.start)} --> {format_clock(max(c.end, c.start + 0.001))}\n"
                + _title(c).replace("&", "&amp;").replace("<", "&lt;").replace("-->", "\u2192")
                for c in chapters
            )
            return "\n\n".join(["WEBVTT", *cues]) + "\n"
    from wavrag.shapes import ChaptersShape

    return ChaptersShape.model_validate({"chapters": chapters}).model_dump_json() + "\n"


def format_summary(summary: Summary, kind: SummaryFormat) -> str:
    """A summary with its chapters as text, JSON or Markdown."""
    if kind == "json":
        from wavrag.shapes import SummaryShape

        return SummaryShape.model_validate(summary).model_dump_json() + "\n"
    lines = [f"# {' '.join(summary.title.split())}", ""] if kind == "md" else []
    lines += _sentence_lines(summary.sentences, kind)
    for chapter in summary.chapters:
        clock, title = format_whole_seconds(chapter.start), _title(chapter)
        lines += ["", f"## {clock} {title}" if kind == "md" else f"{clock} {title}"]
        lines += ["", *_sentence_lines(chapter.sentences, kind)] if kind == "md" else []
        if kind == "txt":
            lines += [f"  {line}" for line in _sentence_lines(chapter.sentences, kind)]
    return _lines(lines)


def _sentence_lines(sentences: Iterable[SummarySentence], kind: SummaryFormat) -> list[str]:
    mark = "- " if kind == "md" else ""
    return [
        f"{mark}{' '.join(s.text.split())} [{format_whole_seconds(s.start)}]"
        + ("" if s.supported else " [unsupported]")
        for s in sentences
    ]


def _title(chapter: Chapter) -> str:
    return " ".join(chapter.title.split()) or "Untitled"


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
