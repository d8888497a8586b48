"""Chapters and summaries without a generator: topic shifts, phrases and central sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, zip_longest

import numpy as np

from wavrag.answer import EmbedTexts
from wavrag.embed import MiniLM
from wavrag.kb import Segment, Transcript
from wavrag.outline.borders import find_borders
from wavrag.outline.model import Chapter, Summary, SummarySentence
from wavrag.outline.titles import find_titles
from wavrag.text import count_words
from wavrag.types import Float32

SENTENCES = 5  # of the summary of a recording
CHAPTER_SENTENCES = 2
MIN_WORDS, MAX_WORDS = 5, 45  # of a sentence that is worth quoting
MAX_COSINE = 0.75  # of two sentences of a summary
# A sentence that begins with one of these is hard to understand alone.
_DEPENDENT = re.compile(
    r"(?:he|she|it|they|this|that|these|those|but|and|so|or|however|then|there)\b", re.IGNORECASE
)
DEPENDENT_PENALTY = 0.1  # cosine


@dataclass(frozen=True, slots=True, eq=False)
class ChapterContent:
    """A chapter with its sentences, best first in `ranking`."""

    chapter: Chapter
    segments: tuple[Segment, ...]
    ranking: tuple[int, ...]  # indices of sentences worth quoting


@cache
def _text_model() -> MiniLM:
    return MiniLM()


def embed_texts(texts: Sequence[str]) -> Float32:
    """Embed texts with the packaged model, shape = (len(texts), 384)."""
    return _text_model().embed_texts(texts)


def read_chapters(transcript: Transcript, embed: EmbedTexts = embed_texts) -> list[ChapterContent]:
    """Divide a transcript into chapters with titles and summaries.

    Chapters that are embedded in the recording are kept; otherwise they begin where the topic
    changes.
    """
    segments = transcript.segments
    if not segments and not transcript.chapters:
        return []
    vectors = embed([segment.text for segment in segments])
    if transcript.chapters:
        starts, titles = _embedded_starts(transcript)
        middles = [(segment.start + segment.end) / 2 for segment in segments]
        borders = [sum(middle < start for middle in middles) for start in starts[1:]]
    else:
        speakers = [segment.voice for segment in segments]
        borders = find_borders(
            vectors, [s.start for s in segments], [s.end for s in segments], speakers
        )
        starts, titles = [0.0, *(segments[border].start for border in borders)], []
    spans = list(pairwise([0, *borders, len(segments)]))
    centroids = np.stack([_mean(vectors[slice(*span)]) for span in spans])
    texts = [" ".join(s.text for s in segments[slice(*span)]) for span in spans]
    phrases = find_titles(texts, centroids, embed)
    end = max([starts[-1], *(segment.end for segment in segments)])
    contents = []
    for index, (span, (start, stop)) in enumerate(
        zip(spans, pairwise([*starts, end]), strict=True)
    ):
        members = segments[slice(*span)]
        ranking = _rank_sentences(members, vectors[slice(*span)], centroids[index])
        title = (titles[index] if titles else "") or phrases[index]
        quotes = [_quote(members[number]) for number in sorted(ranking[:CHAPTER_SENTENCES])]
        chapter = Chapter(title, start, stop, tuple(quotes))
        contents.append(ChapterContent(chapter, members, ranking))
    return contents


def extract_summary(
    transcript: Transcript, sentences: int = SENTENCES, embed: EmbedTexts = embed_texts
) -> Summary:
    """Summarise a transcript with its most central sentences.

    Each chapter gives its best sentence, the longest chapters first, then its second best.
    """
    contents = read_chapters(transcript, embed)
    by_length = sorted(contents, key=lambda c: c.chapter.start - c.chapter.end)
    rounds = zip_longest(*([c.segments[i] for i in c.ranking] for c in by_length))
    best = [segment for segments in rounds for segment in segments if segment is not None]
    quotes = [_quote(segment) for segment in best[:sentences]]
    return Summary(
        transcript.source, transcript.title, tuple(sorted(quotes, key=lambda quote: quote.start)),
        tuple(content.chapter for content in contents), None, transcript.document_id,
    )  # fmt: skip


def _embedded_starts(transcript: Transcript) -> tuple[list[float], list[str]]:
    """Starts and titles of the chapters of a recording, from its beginning."""
    chapters = sorted(transcript.chapters)
    starts, titles = [start for start, _ in chapters], [title for _, title in chapters]
    if transcript.segments and transcript.segments[0].end <= starts[0]:
        return [0.0, *starts], ["", *titles]
    return [0.0, *starts[1:]], titles


def _quote(segment: Segment) -> SummarySentence:
    return SummarySentence(segment.text, segment.start, segment.end)


def _mean(vectors: Float32) -> Float32:
    return vectors.mean(0) if len(vectors) else np.zeros(vectors.shape[1], np.float32)


def _rank_sentences(
    segments: Sequence[Segment], vectors: Float32, centroid: Float32
) -> tuple[int, ...]:
    """Indices of the sentences closest to the centroid, without those that repeat a better one."""
    scores = vectors @ centroid
    scores -= DEPENDENT_PENALTY * np.array(
        [_DEPENDENT.match(segment.text) is not None for segment in segments], np.float32
    )
    usable = [
        index
        for index, segment in enumerate(segments)
        if MIN_WORDS <= count_words(segment.text) <= MAX_WORDS
        and not segment.text.endswith(("?", "\uff1f"))
    ]
    ranking: list[int] = []
    for index in sorted(usable, key=lambda i: (-scores[i], i)):
        if not ranking or float((vectors[ranking] @ vectors[index]).max()) <= MAX_COSINE:
            ranking.append(index)
    return tuple(ranking)
