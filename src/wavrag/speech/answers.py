"""Speak an answer: whole, sentence by sentence during generation, or into a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wavrag.audio import SAMPLE_RATE, measure_prosody, write_wav
from wavrag.errors import SpeechError
from wavrag.speech.base import NEUTRAL, SPEECH_ERRORS, Engine, Style, describe_error
from wavrag.speech.registry import best_engine
from wavrag.speech.sentence_stream import spoken_sentences
from wavrag.speech.style import Follow, match_style, measure_voice
from wavrag.types import Clip

PAUSE = 0.3  # seconds between sentences


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
