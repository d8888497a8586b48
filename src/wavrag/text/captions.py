"""Parse transcripts with times: SubRip, WebVTT, SubStation Alpha, JSON of Whisper and WhisperX."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from wavrag.text.document import ParsedText, TextBuilder, one_line, shorten

TARGET_CHARS = 400  # of a passage of cues, as for other text
MAX_CHARS = 700
MAX_SPEAKER_CHARS = 100
MAX_GAP = 8.0  # seconds without words that end a passage
_TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES = re.compile(rf"^[ \t]*{_TIME}[ \t]*-->[ \t]*{_TIME}.*$", re.MULTILINE)
_VOICE = re.compile(r"<v(?:\.[\w.]{1,200})?\s{1,9}([^>]{1,500})>")
_TAG = re.compile(r"</?[A-Za-z\d][^>\n]{0,500}>|\{\\[^}]{0,500}\}|\{[ibu]\}")
_NOTE = re.compile(r"^(?:NOTE|STYLE|REGION)\b.*?(?:\n[^\S\n]*\n|\Z)", re.MULTILINE | re.DOTALL)
# `SPEAKER: words`, `Ada Lovelace: words` and `[Ada]: words`
_SPEAKER = re.compile(r"^(?:-\s*)?\[?([A-Z][\w.'’-]*(?: [A-Z\d][\w.'’-]*){0,3})\]?:\s+(?=\S)")
_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)\]]*$")


@dataclass(frozen=True, slots=True)
class Cue:
    """Words with their times in seconds and their speaker, if known."""

    start: float
    end: float
    text: str
    speaker: str | None = None


def parse_subtitles(text: str) -> ParsedText:
    """Parse SubRip (srt) or WebVTT."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return _build(_subtitle_cues(text))


def parse_substation(text: str) -> ParsedText:
    """Parse SubStation Alpha (ass, ssa)."""
    return _build(_substation_cues(text.removeprefix("\ufeff")))


def parse_transcript(data: Any) -> ParsedText | None:
    """Build the text of a transcript in JSON; None for other JSON.

    Whisper, WhisperX, whisper.cpp and faster-whisper's servers write a list of segments with
    `start`, `end`, `text` and perhaps `speaker`.
    """
    segments = data
    if isinstance(data, dict):
        segments = data.get("segments", data.get("transcription"))
    if not isinstance(segments, list) or not segments:
        return None
    cues = []
    for segment in segments:
        cue = _json_cue(segment)
        if cue is None:
            return None
        cues.append(cue)
    return _build(cues)


def _json_cue(segment: Any) -> Cue | None:
    if not isinstance(segment, dict) or not isinstance(segment.get("text"), str):
        return None
    start, end = segment.get("start"), segment.get("end")
    offsets = segment.get("offsets")
    if isinstance(offsets, dict):  # whisper.cpp: milliseconds
        start, end = (
            value / 1e3 if isinstance(value := offsets.get(key), int) else None
            for key in ("from", "to")
        )
    if not isinstance(start, int | float) or not isinstance(end, int | float):
        return None
    speaker = segment.get("speaker")
    return Cue(
        float(start), float(end), segment["text"], speaker if isinstance(speaker, str) else None
    )


def _subtitle_cues(text: str) -> Iterator[Cue]:
    text = _NOTE.sub("", text)
    matches = list(_TIMES.finditer(text))
    for match, following in zip(matches, [*matches[1:], None], strict=False):
        body = text[match.end() : following.start() if following else len(text)]
        lines = body.strip("\n").split("\n")
        # The number or name of the next cue stands on the line before its times.
        is_number = lines[-1].strip().isdigit() or (len(lines) > 1 and not lines[-2].strip())
        if following and is_number:
            lines.pop()
        body = "\n".join(lines)
        voice = _VOICE.search(body)
        speaker = one_line(voice[1]) if voice else None
        words = html.unescape(_TAG.sub("", _VOICE.sub("", body)))
        yield Cue(_seconds(match.groups()[:4]), _seconds(match.groups()[4:]), words, speaker)


def _seconds(groups: Sequence[str | None]) -> float:
    hours, minutes, seconds = (int(group or 0) for group in groups[:3])
    return 3600 * hours + 60 * minutes + seconds + float(f"0.{groups[3]}")


def _substation_cues(text: str) -> Iterator[Cue]:
    columns: list[str] = []
    in_events = False
    cues = []
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if line.startswith("["):
            in_events = line.strip().lower() == "[events]"
        elif in_events and key == "Format":
            columns = [name.strip().lower() for name in value.split(",")]
        elif in_events and key == "Dialogue" and columns:
            cells = value.strip().split(",", len(columns) - 1)
            row = dict(zip(columns, cells, strict=False))
            times = [re.fullmatch(_TIME, row.get(name, "").strip()) for name in ("start", "end")]
            if times[0] and times[1]:
                words = re.sub(r"\\[Nnh]", " ", _TAG.sub("", row.get("text", "")))
                speaker = one_line(row.get("name", row.get("actor", ""))) or None
                start, end = (_seconds(match.groups()) for match in times if match)
                cues.append(Cue(start, end, words, speaker))
    # Lines of several styles are grouped by style in some files.
    yield from sorted(cues, key=lambda cue: cue.start)


def _build(cues: Iterable[Cue]) -> ParsedText:
    builder = TextBuilder()
    for cue in _merge(_clean(cues)):
        builder.add(cue.text, times=(cue.start, cue.end), speaker=cue.speaker)
    return builder.build("")


def _clean(cues: Iterable[Cue]) -> Iterator[Cue]:
    """Yield cues with words on one line, and the speaker taken from the start of the words."""
    before = ""
    for cue in cues:
        words, speaker = one_line(cue.text), cue.speaker
        speaker = None if speaker is None else shorten(speaker, MAX_SPEAKER_CHARS)
        if speaker is None and (match := _SPEAKER.match(words)):
            speaker, words = match[1], words[match.end() :]
        # Captions that roll up repeat the line before.
        if before and words != before and words.startswith(f"{before} "):
            words = words[len(before) + 1 :]
        elif words == before:
            continue
        before = one_line(cue.text) if speaker is None else words
        if words:
            yield from _split(Cue(cue.start, max(cue.start, cue.end), words, speaker))


def _split(cue: Cue) -> Iterator[Cue]:
    """Cut a cue longer than a passage between words, with times in proportion to the letters."""
    words = cue.text.split(" ")
    count = -(-len(cue.text) // MAX_CHARS)
    rate = (cue.end - cue.start) / max(len(cue.text), 1)
    size = -(-len(words) // count)
    position = 0
    for first in range(0, len(words), size):
        text = " ".join(words[first : first + size])
        start = cue.start + position * rate
        position += len(text) + 1
        yield Cue(start, min(cue.start + position * rate, cue.end), text, cue.speaker)


def _merge(cues: Iterable[Cue]) -> Iterator[Cue]:
    """Merge cues of a speaker to passages that end with a sentence, if they can."""
    pending: list[Cue] = []
    for cue in cues:
        if pending:
            last = pending[-1]
            length = sum(len(c.text) + 1 for c in pending)
            total = length + len(cue.text)
            ends = _SENTENCE_END.search(last.text) is not None
            if (
                cue.speaker != last.speaker
                or cue.start - last.end > MAX_GAP
                or total > MAX_CHARS
                or (total > TARGET_CHARS and ends)
            ):
                yield _join(pending)
                pending = []
        pending.append(cue)
    if pending:
        yield _join(pending)


def _join(cues: Sequence[Cue]) -> Cue:
    text = " ".join(cue.text for cue in cues)
    return Cue(cues[0].start, max(cue.end for cue in cues), text, cues[0].speaker)
