"""Strict parsers of SubRip and WebVTT, compared with those of webvtt-py, for tests."""

import io
import re
from typing import NamedTuple

import webvtt

_TIMES = r"(\d{2,}):([0-5]\d):([0-5]\d)%s(\d{3})"


class Cue(NamedTuple):
    """A cue; times in seconds."""

    start: float
    end: float
    text: str
    voice: str = ""


def parse_srt(data: str) -> list[Cue]:
    """Cues of a SubRip file: numbered from 1, in order, of one or two lines."""
    cues = []
    for number, block in enumerate(_blocks(data), start=1):
        label, times, *lines = block.split("\n")
        assert label == str(number), block
        start, end = _read_times(times, ",")
        assert len(lines) in (1, 2), block
        assert all(lines), block
        cues.append(Cue(start, end, " ".join(lines)))
    if cues:  # webvtt-py does not know an empty file
        _compare(cues, webvtt.from_buffer(io.StringIO(data), "srt", strict=True))
    return cues


def parse_vtt(data: str) -> list[Cue]:
    """Cues of a WebVTT file without settings, notes or identifiers."""
    header, *blocks = _blocks(data)
    assert header == "WEBVTT"
    cues = []
    for block in blocks:
        times, *lines = block.split("\n")
        start, end = _read_times(times, r"\.")
        assert len(lines) in (1, 2), block
        assert all(lines), block
        text = "\n".join(lines)
        voice = re.fullmatch(r"<v ([^<>\n]+)>(.*)</v>", text, re.DOTALL)
        text = voice[2] if voice else text
        assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", text), block
        for entity, letter in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
            text = text.replace(entity, letter)
        cues.append(Cue(start, end, " ".join(text.split("\n")), voice[1] if voice else ""))
    captions = webvtt.from_buffer(io.StringIO(data), strict=True)
    _compare(cues, captions)
    assert [caption.voice or "" for caption in captions] == [cue.voice for cue in cues]
    return cues


def _compare(cues: list[Cue], captions: webvtt.WebVTT) -> None:
    times = [(caption.start_in_seconds, caption.end_in_seconds) for caption in captions]
    assert times == [(int(cue.start), int(cue.end)) for cue in cues]
    assert [len(caption.lines) for caption in captions] == [
        len(caption.raw_text.splitlines()) for caption in captions
    ]
    assert all(caption.text for caption in captions)


def _blocks(data: str) -> list[str]:
    assert data.endswith("\n")
    assert not re.search(r"\r|\n{3}", data)
    return data.strip("\n").split("\n\n") if data.strip("\n") else []


def _read_times(line: str, separator: str) -> tuple[float, float]:
    match = re.fullmatch(rf"{_TIMES % separator} --> {_TIMES % separator}", line)
    assert match, line
    values = [int(value) for value in match.groups()]
    start, end = (h * 3600 + m * 60 + s + ms / 1000 for h, m, s, ms in (values[:4], values[4:]))
    assert start < end, line
    return start, end
