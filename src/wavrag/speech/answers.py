"""Speak an answer: whole, sentence by sentence during generation, or into a file."""

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
from wavrag.speech.base import NEUTRAL, SPEECH_ERRORS, Engine, Style, describe_error
from wavrag.speech.registry import best_engine
from wavrag.speech.spoken_text import spoken_text
from wavrag.speech.style import Follow, match_style, measure_voice
from wavrag.text import sentences
from wavrag.types import Clip

PAUSE = 0.3  # seconds between sentences
# A block ends at an empty line, and before a heading, list item, quote, table row or fence.
_BREAK = re.compile(r"\n(?=[ \t]*(?:\n|#{1,6}[ \t]|[-*+\u2022][ \t]|\d+[.)][ \t]|>|\||```|~~~))")
_ITEM = re.compile(r"\s*(?:[-*+\u2022]|\d{1,2}[.)])[ \t]+(?=\S)")
_LONGEST_QUOTE = 400  # characters held back by an opening quotation mark without a closing one
_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t].*\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SpokenAnswer:
    """An answer in a WAV file: its duration in seconds, and the engine, voice and style."""

    path: Path
    duration: float
    engine: str
    voice: str
    style: Style


def speak(text: str, engine: Engine, voice: str | None = None, style: Style = NEUTRAL) -> Clip:
    """Speak an answer, with pauses of `PAUSE` between its sentences.

    Args:
        text: the answer, with citation marks and Markdown; see `spoken_text`.
        engine: speech engine.
        voice: a voice of the engine; None for its default.
        style: style of the speech.

    Returns:
        A clip at 16 kHz.

    Raises:
        SpeechError: the text has no words, or the engine cannot speak it.
    """
    clips = [clip.samples for clip in speak_stream([text], engine, voice, style)]
    if not clips:
        raise SpeechError(f"there is nothing to say in {text[:60]!r}: give a text with words")
    gap = np.zeros(round(PAUSE / style.rate * SAMPLE_RATE), np.float32)
    samples = [array for clip in clips for array in (gap, clip)][1:]
    return Clip(np.concatenate(samples), SAMPLE_RATE)


def speak_stream(
    deltas: Iterable[str], engine: Engine, voice: str | None = None, style: Style = NEUTRAL
) -> Iterator[Clip]:
    """Speak an answer during its generation, with a clip for each complete sentence.

    Args:
        deltas: text of the answer as it is generated; a sentence may begin and end anywhere.
        engine: speech engine.
        voice: a voice of the engine; None for its default.
        style: style of the speech.

    Yields:
        Clips at 16 kHz, in the order of the text.

    Raises:
        SpeechError: the engine has no such voice, or cannot speak a sentence.
    """
    voice = _voice(engine, voice)
    for sentence in spoken_sentences(deltas):
        try:
            yield engine.speak(sentence, voice, style)
        except SPEECH_ERRORS as error:
            raise SpeechError(
                f"{engine.name} ({voice}) cannot speak {sentence[:60]!r}: {describe_error(error)}"
            ) from error


def spoken_sentences(deltas: Iterable[str]) -> Iterator[str]:
    """Yield the sentences of a streamed answer as spoken text.

    A sentence is complete when the next one has begun, or when its block has ended.
    """
    text = ""
    for delta in deltas:
        text += delta
        complete, text = _take_complete(text)
        yield from filter(None, map(spoken_text, complete))
    yield from filter(None, map(spoken_text, _split_sentences(_blocks(text))))


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
    """Speak an answer into a 16-bit WAV file.

    Example:
        >>> spoken = write_answer("The bridge is closed until noon [1].", "answer.wav")

    Args:
        text: the answer.
        path: the file.
        engine: a speech engine or its name (default: `best_engine`).
        voice: a voice of the engine (default: its default voice).
        follow: clip whose prosody the speech follows; None for the engine's default style. The
            same applies if there is no such clip, as with a typed question.
        question: the spoken question.
        source: the recording behind the answer.

    Raises:
        SpeechError: no engine is available, the text has no words, or it cannot be spoken.
        InputError: the configuration of the engine is not usable.
        AudioError: the file cannot be written.
    """
    speaker = best_engine(engine) if engine is None or isinstance(engine, str) else engine
    voice = _voice(speaker, voice)
    clip = {"question": question, "source": source, None: None}[follow]
    style = NEUTRAL if clip is None else _follow_clip(clip, speaker, voice)
    speech = speak(text, speaker, voice, style)
    write_wav(path, speech)
    return SpokenAnswer(Path(path), speech.duration, speaker.name, voice, style)


def _follow_clip(clip: Clip, engine: Engine, voice: str) -> Style:
    """The style that brings a voice closest to a clip."""
    try:
        default = measure_voice(engine, voice)
    except SPEECH_ERRORS as error:
        raise SpeechError(
            f"{engine.name} ({voice}) cannot speak: {describe_error(error)}"
        ) from error
    return match_style(measure_prosody(clip), default)


def _voice(engine: Engine, voice: str | None) -> str:
    if voice is None:
        return engine.default_voice
    if voice not in engine.voices:
        names = ", ".join(engine.voices)
        raise SpeechError(f"{engine.name} has no voice {voice!r}: choose from {names}")
    return voice


def _take_complete(text: str) -> tuple[list[str], str]:
    """The complete sentences of a text, and the remainder."""
    *blocks, last = _blocks(text)
    complete = _split_sentences(blocks)
    last = _without_item(last)
    spans = sentences(last)
    # The last sentence may continue, and so may the one before until the next word is complete.
    while spans and not re.search(r"\w\s", last[spans[-1][0] :]):
        spans.pop()
    at = 0
    for (start, end), (following, _) in pairwise(spans):
        if last.count('"', at, following) % 2 and len(last) - at < _LONGEST_QUOTE:
            break  # a quotation may be part of one sentence
        complete.append(last[start:end])
        at = following
    return complete, last[at:]


def _split_sentences(blocks: Iterable[str]) -> list[str]:
    return [block[a:b] for block in map(_without_item, blocks) for a, b in sentences(block)]


def _without_item(block: str) -> str:
    """Remove the marker of a list item, because its number would become a sentence."""
    match = _ITEM.match(block)
    return block[match.end() :] if match else block


def _blocks(text: str) -> list[str]:
    """Split a text into blocks such as paragraphs, headings and list items."""
    cuts = {match.end() for match in _BREAK.finditer(text)}
    cuts |= {match.end() for match in _HEADING.finditer(text)}
    bounds = [0, *sorted(cuts - {0, len(text)}), len(text)]
    return [text[a:b] for a, b in pairwise(bounds)]
