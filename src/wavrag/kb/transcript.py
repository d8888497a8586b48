"""Transcripts of recordings: sentences with times, and the formats of subtitles and documents."""

from __future__ import annotations

import bisect
import html
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from wavrag.text import sentences
from wavrag.types import Passage, TimedWord, format_seconds

TranscriptFormat: TypeAlias = Literal["txt", "vtt", "srt", "json", "md"]
TRANSCRIPT_FORMATS: tuple[TranscriptFormat, ...] = get_args(TranscriptFormat)

# Two lines of 42 characters and seconds a cue: usual limits of subtitles (BBC, Netflix).
CUE_LINE, CUE_CHARS, CUE_SECONDS = 42, 84, 7.0
MIN_CUE_SECONDS = 0.1  # also for a word without measurable duration
_WORD = re.compile(r"\S+")
PARAGRAPH_GAP = 2.0  # seconds of silence that begin a paragraph
PARAGRAPH_SECONDS = 45.0  # a longer paragraph ends with its sentence


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence of a transcript.

    Attributes:
        text: the sentence.
        start: start time in the recording in seconds.
        end: end time in the recording in seconds.
        words: its words with their times; empty if they are unknown.
        speaker: name of the speaker, if known.
        channel: channel of a recording with a speaker per channel, from 1.
        track: audio track of a file with several, from 1.
    """

    text: str
    start: float
    end: float
    words: tuple[TimedWord, ...] = ()
    speaker: str | None = None
    channel: int | None = None
    track: int | None = None

    @property
    def voice(self) -> str:
        """The speaker, or else the track and the channel; empty if the recording has one."""
        numbers = {"track": self.track, "channel": self.channel}
        labels = [f"{name} {number}" for name, number in numbers.items() if number is not None]
        return self.speaker or ", ".join(labels)


@dataclass(frozen=True, slots=True)
class Transcript:
    """The transcript of a recording.

    Attributes:
        source: path or URI of the recording.
        title: title of the recording.
        segments: its sentences in the order of their start times.
        document_id: id in the knowledge base; None if it is not in one.
        chapters: start in seconds and title of the chapters that are embedded in the recording.
    """

    source: str
    title: str
    segments: tuple[Segment, ...]
    document_id: str | None = None
    chapters: tuple[tuple[float, str], ...] = ()

    @property
    def text(self) -> str:
        """The complete text in one line."""
        return " ".join(segment.text for segment in self.segments)

    @property
    def words(self) -> tuple[TimedWord, ...]:
        """All words with known times."""
        return tuple(word for segment in self.segments for word in segment.words)

    def paragraphs(self) -> list[tuple[Segment, ...]]:
        """Sentences in groups: one voice each, divided at long pauses."""
        groups: list[list[Segment]] = []
        for segment in self.segments:
            last = groups[-1] if groups else []
            is_continued = bool(last) and (
                last[-1].voice == segment.voice
                and segment.start - last[-1].end <= PARAGRAPH_GAP
                and segment.end - last[0].start <= PARAGRAPH_SECONDS
            )
            if is_continued:
                last.append(segment)
            else:
                groups.append([segment])
        return [tuple(group) for group in groups]

    def format(self, kind: TranscriptFormat) -> str:
        """The transcript as plain text, WebVTT, SubRip, JSON or Markdown, ended by a line break.

        An empty transcript is valid in every format.
        """
        match kind:
            case "txt":
                return _format_text(self)
            case "md":
                return _format_markdown(self)
            case "vtt":
                return _format_vtt(self)
            case "srt":
                return _format_srt(self)
        from wavrag.shapes import TranscriptShape

        return TranscriptShape.model_validate(self).model_dump_json(exclude_unset=True) + "\n"


def section_chapters(passages: Sequence[Passage]) -> tuple[tuple[float, str], ...]:
    """Start in seconds and title of the chapters of passages, by their sections."""
    chapters: list[tuple[float, str]] = []
    for passage in passages:
        is_new = not chapters or chapters[-1][1] != passage.section
        if passage.section and passage.start is not None and is_new:
            chapters.append((passage.start, passage.section))
    return tuple(chapters)


def split_sentences(passage: Passage, words: Sequence[TimedWord]) -> list[Segment]:
    """Divide a passage with words into its sentences.

    Args:
        passage: a passage with text and times.
        words: its words with their times, in order; empty if they are unknown.
    """
    text = passage.text or ""
    start, end = passage.start or 0.0, passage.end or 0.0
    base = Segment(
        "", start, end, (), passage.speaker, passage.channel, passage.track
    )  # fmt: skip
    if not words:
        # Without times of words, a sentence has its share of the passage by its length.
        scale = (end - start) / max(len(text), 1)
        return [
            replace(
                base,
                text=" ".join(text[first:last].split()),
                start=round(start + scale * first, 3),
                end=round(start + scale * last, 3),
            )
            for first, last in sentences(text)
        ]
    starts = [match.start() for match in _WORD.finditer(text)]
    segments, position = [], 0
    for _, last in sentences(text):
        # A word belongs to the sentence in which it begins.
        end = bisect.bisect_left(starts, last)
        if end > position:
            segments.append(_join_words(base, tuple(words[position:end])))
        position = end
    return segments


def _join_words(base: Segment, words: tuple[TimedWord, ...]) -> Segment:
    text = " ".join(word.text for word in words)
    return replace(base, text=text, start=words[0].start, end=words[-1].end, words=words)


def remove_repetition(
    earlier: Sequence[TimedWord], words: Sequence[TimedWord]
) -> tuple[TimedWord, ...]:
    """Drop the words of a window that the window before it has too, where both overlap in time.

    Args:
        earlier: words of the earlier window.
        words: words of the window after it.
    """
    if not earlier or not words or words[0].start >= earlier[-1].end:
        return tuple(words)
    # Both recognised the words of the overlap: drop the longest common run of words, if there is
    # one, or else the words that begin before the end of the earlier window.
    tail = [_spelling(word) for word in earlier if word.end > words[0].start]
    head = [_spelling(word) for word in words if word.start < earlier[-1].end]
    for count in range(min(len(tail), len(head)), 0, -1):
        if tail[-count:] == head[:count]:
            return tuple(words[count:])
    return tuple(word for word in words if (word.start + word.end) / 2 >= earlier[-1].end)


def _spelling(word: TimedWord) -> str:
    return "".join(filter(str.isalnum, word.text.casefold()))


def split_cues(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Divide sentences into cues of at most 84 characters and, with known times, 7 s."""
    for segment in segments:
        words = segment.words or spread_words(segment)
        cue: list[TimedWord] = []
        for word in words:
            length = sum(len(cue_word.text) + 1 for cue_word in cue) + len(word.text)
            if cue and (length > CUE_CHARS or word.end - cue[0].start > CUE_SECONDS):
                yield _join_words(segment, tuple(cue))
                cue = []
            cue.append(word)
        if cue:
            yield _join_words(segment, tuple(cue))


def spread_words(segment: Segment) -> tuple[TimedWord, ...]:
    """Return the words of a sentence with times by their lengths, and probability 0."""
    texts = segment.text.split()
    lengths = [len(text) + 1 for text in texts]
    scale = (segment.end - segment.start) / max(sum(lengths), 1)
    edges = [segment.start + scale * sum(lengths[:index]) for index in range(len(texts) + 1)]
    return tuple(
        TimedWord(text, start, end, 0.0)
        for text, start, end in zip(texts, edges, edges[1:], strict=False)
    )


def format_clock(seconds: float, separator: str = ".") -> str:
    """A time as `00:12:03.400`, with another separator in SubRip."""
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}{separator}{milliseconds % 1000:03d}"
    )


def _cue_blocks(transcript: Transcript, separator: str) -> Iterator[tuple[str, Segment, list[str]]]:
    """The times, the segment and the lines of each cue."""
    for cue in split_cues(transcript.segments):
        end = max(cue.end, cue.start + MIN_CUE_SECONDS)
        times = f"{format_clock(cue.start, separator)} --> {format_clock(end, separator)}"
        # An arrow in a cue would be read as the times of another.
        text = cue.text.replace("-->", "\u2192")
        yield times, cue, textwrap.wrap(text, CUE_LINE, break_on_hyphens=False)


def _format_vtt(transcript: Transcript) -> str:
    blocks = ["WEBVTT"]
    for times, cue, lines in _cue_blocks(transcript, "."):
        text = html.escape("\n".join(lines), quote=False)
        voice = html.escape(" ".join(cue.voice.split()))
        blocks.append(f"{times}\n<v {voice}>{text}</v>" if voice else f"{times}\n{text}")
    return "\n\n".join(blocks) + "\n"


def _format_srt(transcript: Transcript) -> str:
    blocks = []
    for number, (times, cue, lines) in enumerate(_cue_blocks(transcript, ","), start=1):
        voice = f"{' '.join(cue.voice.split())}: " if cue.voice else ""
        blocks.append(f"{number}\n{times}\n{voice}" + "\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _format_text(transcript: Transcript) -> str:
    return "\n\n".join(
        f"{group[0].voice}: {_text(group)}" if group[0].voice else _text(group)
        for group in transcript.paragraphs()
    ) + "\n"  # fmt: skip


def _format_markdown(transcript: Transcript) -> str:
    blocks = [f"# {' '.join(transcript.title.split())}"]
    for group in transcript.paragraphs():
        labels = [f"**{format_seconds(group[0].start)}**", group[0].voice]
        blocks.append(f"{' '.join(filter(None, labels))}  \n{_text(group)}")
    return "\n\n".join(blocks) + "\n"


def _text(group: Sequence[Segment]) -> str:
    return " ".join(segment.text for segment in group)
