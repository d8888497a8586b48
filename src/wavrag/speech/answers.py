"""Answers said aloud: whole, sentence by sentence while they are written, and into a file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from wavrag.audio import SAMPLE_RATE, measure_prosody, write_wav
from wavrag.errors import SpeechError
from wavrag.speech.base import NEUTRAL, UNSPEAKABLE, Engine, Style, reason
from wavrag.speech.registry import best_engine
from wavrag.speech.spoken import spoken_text
from wavrag.speech.style import Follow, own_prosody, style_from
from wavrag.text import sentences
from wavrag.types import Clip

PAUSE = 0.3  # seconds between sentences
# A line that ends what was before it: after an empty line, or a heading, item, quote, row, fence.
_BREAK = re.compile(r"\n(?=[ \t]*(?:\n|#{1,6}[ \t]|[-*+\u2022][ \t]|\d+[.)][ \t]|>|\||```|~~~))")
_ITEM = re.compile(r"\s*(?:[-*+\u2022]|\d{1,2}[.)])[ \t]+(?=\S)")
_LONGEST_QUOTE = 400  # characters; a quotation mark without a second one holds no more back
_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t].*\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SpokenAnswer:
    """An answer in a file.

    Attributes:
        path: of the WAV file.
        duration: seconds.
        engine: name of what spoke it.
        voice: that it was spoken in.
        style: that it was spoken in.
    """

    path: Path
    duration: float
    engine: str
    voice: str
    style: Style


def speak(text: str, engine: Engine, voice: str | None = None, style: Style = NEUTRAL) -> Clip:
    """Say an answer, its sentences `PAUSE` apart.

    Args:
        text: as written, with marks and Markdown; `spoken_text` says what of it is spoken.
        engine: what speaks.
        voice: one of the engine's; None for its default.
        style: how it is said.

    Returns:
        The sound at 16 kHz.

    Raises:
        SpeechError: there is nothing to say, or the engine cannot say it.
    """
    clips = [clip.samples for clip in speak_stream([text], engine, voice, style)]
    if not clips:
        raise SpeechError(f"there is nothing to say in {text[:60]!r}")
    gap = np.zeros(round(PAUSE / style.rate * SAMPLE_RATE), np.float32)
    joined = [part for clip in clips for part in (gap, clip)][1:]
    return Clip(np.concatenate(joined), SAMPLE_RATE)


def speak_stream(
    pieces: Iterable[str], engine: Engine, voice: str | None = None, style: Style = NEUTRAL
) -> Iterator[Clip]:
    """A clip for each sentence of an answer, as soon as the sentence is known to have ended.

    Args:
        pieces: of the answer, as they are written; a sentence may begin and end anywhere in them.
        engine: what speaks.
        voice: one of the engine's; None for its default.
        style: how it is said.

    Yields:
        Clips at 16 kHz, in the order of the text.

    Raises:
        SpeechError: the engine does not have the voice, or cannot say a sentence.
    """
    voice = _voice(engine, voice)
    for sentence in spoken_sentences(pieces):
        try:
            yield engine.speak(sentence, voice, style)
        except UNSPEAKABLE as error:
            raise SpeechError(
                f"{engine.name} ({voice}) cannot say {sentence[:60]!r}: {reason(error)}"
            ) from error


def spoken_sentences(pieces: Iterable[str]) -> Iterator[str]:
    """The sentences of a streamed answer in the words that are said, each as soon as it ended.

    That is when the next one has begun, or a line that stands for itself.
    """
    text = ""
    for piece in pieces:
        text += piece
        done, text = _finished(text)
        yield from _said(done)
    yield from _said(_all_sentences(text))


def write_answer(
    text: str,
    path: str | os.PathLike[str],
    *,
    engine: Engine | str | None = None,
    voice: str | None = None,
    follow: Follow | None = None,
    question: Clip | None = None,
    source: Clip | None = None,
) -> SpokenAnswer:
    """Say an answer into a 16-bit WAV file.

    Args:
        text: of the answer.
        path: the file.
        engine: what speaks, or its name; None for `best_engine`.
        voice: one of the engine's; None for its default.
        follow: what the answer is to sound like; None for the engine's own way. Without a clip of
            it, as with a typed question, the engine speaks in its own way too.
        question: the spoken question.
        source: the recording that the answer rests on.

    Raises:
        SpeechError: nothing here can speak, there is nothing to say, or it cannot be said.
        InputError: the engine cannot be used as it is set up.
        AudioError: the file cannot be written.
    """
    speaker = best_engine(engine) if engine is None or isinstance(engine, str) else engine
    voice = _voice(speaker, voice)
    clip = {"question": question, "source": source, None: None}[follow]
    style = NEUTRAL if clip is None else style_after(clip, speaker, voice)
    spoken = speak(text, speaker, voice, style)
    write_wav(path, spoken)
    return SpokenAnswer(Path(path), spoken.duration, speaker.name, voice, style)


def style_after(clip: Clip, engine: Engine, voice: str) -> Style:
    """The style in which a voice of an engine comes closest to a clip.

    Raises:
        SpeechError: the engine cannot speak in the voice.
    """
    try:
        own = own_prosody(engine, voice)
    except UNSPEAKABLE as error:
        raise SpeechError(f"{engine.name} ({voice}) cannot speak: {reason(error)}") from error
    return style_from(measure_prosody(clip), own)


def _voice(engine: Engine, voice: str | None) -> str:
    if voice is None:
        return engine.default_voice
    if voice not in engine.voices:
        known = ", ".join(engine.voices)
        raise SpeechError(f"{engine.name} has no voice {voice!r}: choose from {known}")
    return voice


def _said(written: Iterable[str]) -> Iterator[str]:
    return filter(None, map(spoken_text, written))


def _finished(text: str) -> tuple[list[str], str]:
    """The sentences of a text that have ended, and what remains of it."""
    *blocks, last = _blocks(text)
    done = [sentence for block in blocks for sentence in _block_sentences(block)]
    last = _without_item(last)
    spans = sentences(last)
    # The last one may go on, and so may the one before until a word after it is whole.
    while spans and not re.search(r"\w\s", last[spans[-1][0] :]):
        spans.pop()
    at = 0
    for (start, end), (following, _) in pairwise(spans):
        if last.count('"', at, following) % 2 and len(last) - at < _LONGEST_QUOTE:
            break  # what is in quotation marks may be one sentence
        done.append(last[start:end])
        at = following
    return done, last[at:]


def _all_sentences(text: str) -> list[str]:
    return [sentence for block in _blocks(text) for sentence in _block_sentences(block)]


def _block_sentences(block: str) -> list[str]:
    block = _without_item(block)
    return [block[a:b] for a, b in sentences(block)]


def _without_item(block: str) -> str:
    """A block without the mark of a list's item, whose number would be a sentence."""
    found = _ITEM.match(block)
    return block[found.end() :] if found else block


def _blocks(text: str) -> list[str]:
    """A text cut where a line ends that stands for itself; joined they are the text."""
    cuts = {found.end() for found in _BREAK.finditer(text)}
    cuts |= {found.end() for found in _HEADING.finditer(text)}
    places = [0, *sorted(cuts - {0, len(text)}), len(text)]
    return [text[a:b] for a, b in pairwise(places)]
