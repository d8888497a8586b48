"""Titles, metadata, chapters and texts that are embedded in recordings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from wavrag.audio.source import AudioSource
from wavrag.types import Metadata, Scalar

# FFmpeg's names of tags, which are the same for ID3, Vorbis comments and MP4.
KEYS = (
    "artist", "album", "album_artist", "composer", "performer", "genre", "publisher", "show",
    "episode_id", "language", "comment",
)  # fmt: skip
DATES = ("date", "year", "creation_time", "com.apple.quicktime.creationdate")
TEXTS = {"lyrics": "Lyrics", "unsyncedlyrics": "Lyrics", "synopsis": "Description",
         "description": "Description", "comment": "Comment"}  # fmt: skip
MAX_VALUE_CHARS = 300  # longer values, such as the notes of a podcast, are texts to search
EARLIEST_YEAR = 1970  # earlier creation times are those of a clock that was never set

_USELESS_TITLE = re.compile(
    r"(audio ?|new )?(track|title|titel|piste|pista|spur|recording|voice|file|audio)?[ _#-]*\d*"
    r"|<.*>|untitled.*|unknown.*|no title|sans titre|ohne titel",
    re.IGNORECASE,
)
_LINE_TIME = re.compile(
    r"^[^\S\n]*(\[\d{1,4}:\d\d(\.\d+)?\][^\S\n]*)+", re.MULTILINE
)  # of timed lyrics
_CHAPTER = re.compile(r"chapter(\d+)(name)?")  # Vorbis comments of FLAC
_CLOCK = re.compile(r"(\d{1,4}):(\d{1,2}):(\d{1,2}(?:\.\d{1,9})?)")


@dataclass(frozen=True, slots=True)
class ChapterTag:
    """A chapter of a recording, in seconds."""

    start: float
    end: float
    title: str


@dataclass(frozen=True, slots=True)
class Tags:
    """What a recording says about itself.

    Attributes:
        title: its title; empty without one, and for a title such as "Track 1".
        metadata: artist, album, genre, date and the like; `year` and `track_number` are numbers.
        chapters: chapters with a title, by start.
        texts: heading and content of longer texts, such as lyrics.
    """

    title: str = ""
    metadata: Metadata = field(default_factory=dict)
    chapters: tuple[ChapterTag, ...] = ()
    texts: tuple[tuple[str, str], ...] = ()

    def section(self, start: float, end: float) -> str:
        """Title of the chapter in the middle of a span; empty without a chapter."""
        middle = (start + end) / 2
        return next((c.title for c in self.chapters if c.start <= middle < c.end), "")


def read_tags(source: AudioSource) -> Tags:
    """Read the tags of an open recording."""
    # Ogg has the tags in its stream, all others in the container.
    mapping = source.container.metadata or source.stream.metadata
    tags = {_decode(key).lower(): _decode(value).strip() for key, value in mapping.items()}
    if len(source.container.streams) > 1:
        tags.pop("language", None)  # that of a track
    title = _line(tags.get("title", ""))
    return Tags(
        "" if _USELESS_TITLE.fullmatch(title) else title,
        _metadata(tags),
        tuple(_chapters(source, tags)),
        tuple(_texts(tags)),
    )


def track_title(metadata: Mapping[str, str]) -> str:
    """Title of an audio track by its own tags; empty without one."""
    return _line(_decode(metadata.get("title", "")))


def _metadata(tags: Mapping[str, str]) -> dict[str, Scalar]:
    metadata: dict[str, Scalar] = {}
    for key in KEYS:
        value = _line(tags.get(key, ""))
        if value and value != "und" and len(value) <= MAX_VALUE_CHARS:
            metadata[key] = value
    for key in DATES:
        year = re.match(r"(\d{4})(-\d\d-\d\d)?", tags.get(key, ""))
        if year and (key in ("date", "year") or int(year[1]) > EARLIEST_YEAR):
            metadata["date"], metadata["year"] = year[0], int(year[1])
            break
    # `track` is the audio track of a passage in filters.
    if number := re.match(r"\d{1,6}", tags.get("track", "")):
        metadata["track_number"] = int(number[0])
    return metadata


def _texts(tags: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    seen: set[str] = set()
    for key, value in tags.items():
        # ID3 has lyrics by language: `lyrics-eng`.
        heading = TEXTS.get(key.partition("-")[0])
        text = _LINE_TIME.sub("", value).strip()
        is_short = heading == "Comment" and len(text) <= MAX_VALUE_CHARS
        if heading and text and not is_short and text not in seen:
            seen.add(text)
            yield heading, text


def _chapters(source: AudioSource, tags: Mapping[str, str]) -> Iterable[ChapterTag]:
    chapters = [
        ChapterTag(
            float(chapter["start"] * chapter["time_base"]) - source.origin,
            float(chapter["end"] * chapter["time_base"]) - source.origin,
            _line(_decode(chapter["metadata"].get("title", ""))),
        )
        for chapter in source.container.chapters()
        if chapter["time_base"] is not None
    ]
    if not chapters:
        starts = [
            (_seconds(tags[key]), _line(tags.get(f"{key}name", "")))
            for key in sorted(tags)
            if _CHAPTER.fullmatch(key) and not key.endswith("name")
        ]
        pairs = pairwise([*starts, (float("inf"), "")])
        chapters = [ChapterTag(start, end, title) for (start, title), (end, _) in pairs]
    return sorted((c for c in chapters if c.title), key=lambda chapter: chapter.start)


def _seconds(clock: str) -> float:
    match = _CLOCK.fullmatch(clock.strip())
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else 0.0


def _line(text: str) -> str:
    """A text on one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _decode(text: str) -> str:
    """A tag that is not UTF-8 as Windows-1252, the usual encoding of old tags."""
    data = text.encode("utf-8", "surrogateescape")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
