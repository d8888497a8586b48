"""Chapters and summaries as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SummarySentence:
    """A sentence of a summary, with the span of the recording that it rests on.

    Attributes:
        text: the sentence, without marks.
        start: start time in the recording in seconds.
        end: end time in the recording in seconds.
        supported: False if a generator wrote it and the citation check found no support.
    """

    text: str
    start: float
    end: float
    supported: bool = True


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter of a recording.

    Attributes:
        title: its title; empty for a chapter without words.
        start: start time in the recording in seconds.
        end: end time in the recording in seconds; the start of the next chapter.
        sentences: its summary.
    """

    title: str
    start: float
    end: float
    sentences: tuple[SummarySentence, ...] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary of a recording and of its chapters.

    Attributes:
        source: path or URI of the recording.
        title: title of the recording.
        sentences: the summary.
        chapters: its chapters, each with a summary.
        generator: name of the generator; None if the sentences are quoted.
        document_id: id in the knowledge base; None if it is not in one.
    """

    source: str
    title: str
    sentences: tuple[SummarySentence, ...]
    chapters: tuple[Chapter, ...]
    generator: str | None = None
    document_id: str | None = None
