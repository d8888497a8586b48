"""Transcribe a recording that is not in a knowledge base."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from wavrag import audio
from wavrag.audio import SAMPLE_RATE
from wavrag.embed import Recogniser, WordAligner, load_recogniser
from wavrag.errors import InputError
from wavrag.kb.passages import split_document
from wavrag.kb.transcript import Segment, Transcript, remove_repetition, split_sentences
from wavrag.types import Document, NoteCallback, Passage, TimedWord


class Transcriber:
    """Transcribes recordings of any length, with the times of all words.

    Example:
        >>> from wavrag.demo import DATA
        >>> transcript = Transcriber().transcribe(DATA / "questions" / "old-tram.opus")
        >>> print(transcript.format("txt"), end="")
        What did the farmer do with the old tram?
    """

    def __init__(self, recogniser: Recogniser | str | None = None) -> None:
        """Use a recogniser, or a name for `load_recogniser` (default: `moonshine`, English)."""
        if recogniser is None or isinstance(recogniser, str):
            recogniser = load_recogniser(recogniser or "moonshine")
        self.recogniser = recogniser

    @cached_property
    def _aligner(self) -> WordAligner:
        return WordAligner()

    def transcribe(
        self, path: str | os.PathLike[str], on_note: NoteCallback = lambda note: None
    ) -> Transcript:
        """Transcribe a recording; the transcript is empty if there is no speech.

        Args:
            path: the recording.
            on_note: called with remarks about defects, such as a truncated file.

        Raises:
            InputError: the file is no recording or cannot be read.
        """
        segments = sorted(self.segments(path, on_note), key=lambda segment: segment.start)
        chapters = audio.inspect_recording(path).tags.chapters
        return Transcript(
            os.fspath(path), Path(path).stem, tuple(segments),
            chapters=tuple((chapter.start, chapter.title) for chapter in chapters),
        )  # fmt: skip

    def segments(
        self, path: str | os.PathLike[str], on_note: NoteCallback = lambda note: None
    ) -> Iterator[Segment]:
        """Yield the sentences of a recording as they are transcribed; see `transcribe`."""
        name = os.fspath(path)
        if not audio.is_recording(name):
            raise InputError(f"{name}: there is no audio in it: give a recording")
        return join_windows(self._windows(name, on_note))

    def _windows(
        self, name: str, on_note: NoteCallback
    ) -> Iterator[tuple[Passage, tuple[TimedWord, ...]]]:
        for pending in split_document(Document(name, path=name), SAMPLE_RATE, on_note):
            clip = pending.embed_input.clip
            if clip is None or clip.speech is False:
                continue
            text = self.recogniser.transcribe(clip)
            if text:
                yield replace(pending.passage, text=text), self._aligner.align(clip, text)


def join_windows(windows: Iterable[tuple[Passage, tuple[TimedWord, ...]]]) -> Iterator[Segment]:
    """Yield the sentences of windows of a recording, without words that two windows have.

    Args:
        windows: passages with text, and their words with times, in the order of their times.
    """
    earlier: dict[tuple[int | None, int | None], tuple[TimedWord, ...]] = {}
    for passage, words in windows:
        voice = passage.track, passage.channel
        new_words = remove_repetition(earlier.get(voice, ()), words)
        if words:
            earlier[voice] = words
        if len(new_words) == len(words):
            yield from split_sentences(passage, words)
        elif new_words:
            text = " ".join(word.text for word in new_words)
            yield from split_sentences(replace(passage, text=text), new_words)
