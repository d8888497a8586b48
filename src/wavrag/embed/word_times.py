"""Times of the words of a transcript, by alignment with the letters of the packaged retriever."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wavrag import audio
from wavrag.audio import SAMPLE_RATE
from wavrag.embed.ctc import LETTER_INDEX, align_letters
from wavrag.embed.hearing import spell_word
from wavrag.embed.moonshine import MIN_SAMPLES, WAVRETRIEVER_WEIGHTS
from wavrag.embed.runtime import load_session
from wavrag.embed.wavretriever import LETTERS_FILE, REVISION
from wavrag.types import Clip, Float32, Int64, TimedWord

FRAME_SECONDS = 384 / SAMPLE_RATE  # stride of the convolutions
# Letters have narrow peaks: words extend beyond those of their first and last letter. Chosen on
# 1,185 words of `kathleen.jsonl`, compared with the forced alignment of pocketsphinx.
ONSET_SECONDS, DECAY_SECONDS = 0.10, 0.06
# Longer clips are processed in pieces; a margin on both sides gives the letters at a cut their
# context.
PIECE_SECONDS, MARGIN_SECONDS = 24.0, 2.0

_WORD = re.compile(r"\S+")


class WordAligner:
    """Finds the times of the words of an English transcript, made by any recogniser.

    Example:
        >>> from wavrag import audio
        >>> from wavrag.demo import DATA
        >>> clip = audio.load(DATA / "questions" / "great-fire.opus")
        >>> words = WordAligner().align(clip, "When did the Great Fire start?")  # doctest: +SKIP
        >>> words[3].text, words[3].start, words[3].end  # doctest: +SKIP
        ('Great', 0.58, 0.82)
    """

    revision = f"{REVISION}-1"  # changes whenever the times change

    def __init__(self, weights: Path = WAVRETRIEVER_WEIGHTS, threads: int = 1) -> None:
        """Use the letters in a folder; they are loaded on the first call."""
        self._weights = weights
        self._threads = threads

    @cached_property
    def _session(self) -> Any:
        return load_session(self._weights / LETTERS_FILE, self._threads, arena=False)

    def align(self, clip: Clip, text: str) -> tuple[TimedWord, ...]:
        """Find the time of each word of a transcript.

        Args:
            clip: speech of any length and sample rate.
            text: its transcript.

        Returns:
            A word for each run of characters without white space, with its punctuation, in order.
            Times count from the start of the recording (`clip.start` is added). Words without
            letters of the model, such as `&`, lie between their neighbours, with probability 0.
            Empty if the text has more letters than could be spoken in the clip.
        """
        matches = list(_WORD.finditer(text))
        spellings = [spell_word(match.group()) for match in matches]
        spoken = [index for index, spelling in enumerate(spellings) if spelling]
        clip = audio.resample(clip, SAMPLE_RATE)
        if not spoken or not len(clip.samples):
            return ()
        log_posteriors = self.letters(clip.samples)
        letters = " ".join(spellings[index] for index in spoken)
        path = align_letters(log_posteriors, letters)
        if path is None:
            return ()
        # Rows of start, end and probability; words without letters stay NaN until the end.
        rows = np.full((len(matches), 3), np.nan)
        rows[spoken] = _measure_words(log_posteriors, path, letters)
        rows[spoken, :2] = _widen(rows[spoken, :2], clip.duration)
        _interpolate(rows, clip.duration)
        rows[:, :2] += clip.start
        return tuple(
            TimedWord(match.group(), *(round(value, 3) for value in row))
            for match, row in zip(matches, rows.tolist(), strict=True)
        )

    def letters(self, samples: Float32) -> Float32:
        """Return log posteriors of letters, 41.7 frames a second, shape = (n_frames, 39).

        Args:
            samples: 16 kHz, any length, shape = (n_samples,).
        """
        if len(samples) < MIN_SAMPLES:
            samples = np.pad(samples, (0, MIN_SAMPLES - len(samples)))
        return np.concatenate(
            [
                self._run(samples[first:last])[drop:keep]
                for first, last, drop, keep in _pieces(len(samples))
            ]
        )

    def _run(self, samples: Float32) -> Float32:
        feed = {"samples": np.ascontiguousarray(samples[None], np.float32)}
        letters: Float32 = self._session.run(None, feed)[0]
        return letters


def _pieces(length: int) -> Iterator[tuple[int, int, int, int | None]]:
    """Yield first and last sample of each piece, and the frames of it to keep."""
    stride = round(FRAME_SECONDS * SAMPLE_RATE)
    margin = round(MARGIN_SECONDS / FRAME_SECONDS)
    size = round(PIECE_SECONDS / FRAME_SECONDS)
    if length <= (size + 2 * margin) * stride:
        yield 0, length, 0, None
        return
    for start in range(0, length // stride, size):
        before = min(margin, start)
        # The last piece keeps what is left, so that it is never too short for the network.
        is_last = length < (start + size + size // 2) * stride
        end = length if is_last else (start + size + margin) * stride
        yield (start - before) * stride, end, before, None if is_last else before + size
        if is_last:
            return


def _measure_words(log_posteriors: Float32, path: Int64, letters: str) -> Float32:
    """Start and end in seconds of each word, and the mean probability of its letters."""
    labels = np.zeros(len(path), np.int64)  # blanks
    voiced = path % 2 == 1
    labels[voiced] = [LETTER_INDEX[letters[state // 2]] for state in path[voiced]]
    probabilities = np.exp(log_posteriors[np.arange(len(path)), labels])
    rows, position = [], 0
    for word in letters.split(" "):
        states = range(2 * position + 1, 2 * (position + len(word)), 2)
        first, last = np.searchsorted(path, states), np.searchsorted(path, states, "right")
        best = [probabilities[a:b].max() for a, b in zip(first, last, strict=True)]
        rows.append((first[0] * FRAME_SECONDS, last[-1] * FRAME_SECONDS, np.mean(best)))
        position += len(word) + 1
    return np.array(rows, np.float32)


def _widen(spans: Float32, duration: float) -> Float32:
    """Extend words to their sound, without overlaps; spans have shape = (n_words, 2)."""
    gaps = np.append(spans[1:, 0] - spans[:-1, 1], duration - spans[-1, 1])
    gaps_before = np.append(spans[0, 0], gaps[:-1])
    share = ONSET_SECONDS / (ONSET_SECONDS + DECAY_SECONDS)
    starts = spans[:, 0] - np.minimum(ONSET_SECONDS, share * gaps_before)
    ends = spans[:, 1] + np.clip((1 - share) * gaps, 0.0, DECAY_SECONDS)
    return np.stack([starts, np.minimum(ends, duration)], 1)


def _interpolate(rows: Float32, duration: float) -> None:
    """Share the gap between two words equally among words without letters between them."""
    position = 0
    while position < len(rows):
        end = position
        while end < len(rows) and np.isnan(rows[end, 0]):
            end += 1
        if end > position:
            first = rows[position - 1, 1] if position else 0.0
            last = rows[end, 0] if end < len(rows) else duration
            edges = np.linspace(first, max(first, last), end - position + 1)
            rows[position:end] = np.stack([edges[:-1], edges[1:], np.zeros(end - position)], 1)
        position = end + 1
