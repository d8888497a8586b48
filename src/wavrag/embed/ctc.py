"""Letters of a CTC model: greedy decoding, likelihoods of words, and alignment of a transcript.

Source: Graves et al., "Connectionist Temporal Classification", ICML 2006.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wavrag.types import Float32, Int64

LETTERS = " abcdefghijklmnopqrstuvwxyz0123456789'"
BLANK, SPACE = 0, 1
LETTER_INDEX = {letter: index + 1 for index, letter in enumerate(LETTERS)}
# Frames between rescalings of the forward probabilities, which would underflow float64 in long
# words.
RESCALE_INTERVAL = 8
MIN_PROBABILITY = 1e-300  # in place of a probability of 0, whose logarithm does not exist
IMPOSSIBLE = -1e30  # log probability of a path that cannot start


@dataclass(frozen=True, slots=True)
class WordSpan:
    """A word of the greedy decoding."""

    letters: str
    start: int  # first frame
    end: int  # frame after the last
    probability: float  # mean over the letters, from 0 to 1


def word_spans(log_posteriors: Float32) -> list[WordSpan]:
    """Decode greedily into words.

    Args:
        log_posteriors: natural logarithms of letter probabilities, shape =
            (n_frames, n_letters + 1), blank first.
    """
    best = log_posteriors.argmax(1)
    log_probabilities = log_posteriors.max(1)
    words: list[WordSpan] = []
    letters: list[str] = []
    logs: list[float] = []
    start = end = 0
    for at in range(len(best) + 1):
        value = int(best[at]) if at < len(best) else SPACE
        if value == SPACE:
            if letters:
                words.append(WordSpan("".join(letters), start, end, float(np.exp(np.mean(logs)))))
                letters, logs = [], []
        elif value != BLANK:
            if not letters:
                start = at
            # CTC: a letter over several frames counts once; a double letter has a blank between.
            if at == 0 or best[at - 1] != value:
                letters.append(LETTERS[value - 1])
            logs.append(float(log_probabilities[at]))
            end = at + 1
    return words


def greedy_letters(log_posteriors: Float32) -> str:
    """Decode greedily into letters without spaces."""
    best = log_posteriors.argmax(1)
    starts = np.flatnonzero(np.diff(best, prepend=BLANK) != 0)
    return "".join(LETTERS[value - 1] for value in best[starts] if value > SPACE)


def likelihoods(log_posteriors: Float32, words: Sequence[str]) -> Float32:
    """Return the log likelihood of each word given the frames, by the CTC forward algorithm.

    `log_posteriors` has shape = (n_frames, n_letters + 1), the result shape = (len(words),). Words
    may contain spaces.
    """
    lengths = np.array([len(word) for word in words])
    states = np.zeros((len(words), 2 * int(lengths.max()) + 1), np.int64)
    for row, word in enumerate(words):
        states[row, 1 : 2 * len(word) : 2] = [LETTER_INDEX[letter] for letter in word]
    # The blank between two letters is optional, unless the letters are equal.
    skips = (states[:, 2:] != BLANK) & (states[:, 2:] != states[:, :-2])
    frames = np.exp(log_posteriors.astype(np.float64))
    blank_or_space = np.maximum(frames[:, BLANK], frames[:, SPACE])
    emissions = np.where(states[None] == BLANK, blank_or_space[:, None, None], frames[:, states])
    alpha = np.zeros(states.shape)
    alpha[:, :2] = emissions[0, :, :2]
    scale = 0.0
    for at, frame in enumerate(emissions[1:], start=1):
        following = alpha.copy()
        following[:, 1:] += alpha[:, :-1]
        following[:, 2:] += alpha[:, :-2] * skips
        alpha = following * frame
        if at % RESCALE_INTERVAL == 0:
            largest = max(float(alpha.max()), MIN_PROBABILITY)
            alpha /= largest
            scale += np.log(largest)
    rows = np.arange(len(words))
    ends = alpha[rows, 2 * lengths] + alpha[rows, 2 * lengths - 1]
    result: Float32 = (np.log(np.maximum(ends, MIN_PROBABILITY)) + scale).astype(np.float32)
    return result


def align_words(log_posteriors: Float32, words: Sequence[str]) -> list[tuple[int, int]] | None:
    """Find the frames of each word of a transcript, by the Viterbi path over its letters.

    Args:
        log_posteriors: shape = (n_frames, n_letters + 1).
        words: words in the letters of the model, without spaces.

    Returns:
        First frame of each word and the frame after its last; None if the transcript has more
        letters than there are frames.
    """
    path = align_letters(log_posteriors, " ".join(words))
    if path is None:
        return None
    spans, position = [], 0
    for word in words:
        # The letters of a word have the odd states from 2 * position + 1 on.
        first, last = 2 * position + 1, 2 * (position + len(word)) - 1
        spans.append((int(np.searchsorted(path, first)), int(np.searchsorted(path, last, "right"))))
        position += len(word) + 1
    return spans


def align_letters(log_posteriors: Float32, text: str) -> Int64 | None:
    """Find the state of each frame on the Viterbi path over the letters of a text.

    Args:
        log_posteriors: shape = (n_frames, n_letters + 1).
        text: letters of the model.

    Returns:
        State of each frame, not decreasing, shape = (n_frames,): `2 * i + 1` is letter `i` of the
        text, even states are blanks. None if the text has more letters than there are frames.
    """
    frame_count, states = len(log_posteriors), np.full(2 * len(text) + 1, BLANK)
    states[1::2] = [LETTER_INDEX[letter] for letter in text]
    skips = np.zeros(len(states), bool)
    skips[3::2] = states[3::2] != states[1:-2:2]
    emissions = log_posteriors[:, states].astype(np.float64)
    # Steps back to the previous state: 0 stays, 1 is the next state, 2 skips a blank.
    steps = np.zeros(emissions.shape, np.int64)
    rows = np.arange(len(states))
    options = np.full((3, len(states)), IMPOSSIBLE)
    options[0] = np.where(rows < 2, emissions[0], IMPOSSIBLE)
    unskippable = np.where(skips, 0.0, IMPOSSIBLE)[2:]
    for at in range(1, frame_count):
        scores = options[0]
        options[1, 1:] = scores[:-1]
        np.add(scores[:-2], unskippable, out=options[2, 2:])
        np.argmax(options, axis=0, out=steps[at])
        options[0] = options[steps[at], rows] + emissions[at]
    scores = options[0]
    state = len(states) - 1 - int(scores[-2] > scores[-1])
    if scores[state] <= IMPOSSIBLE / 2:
        return None
    path = np.empty(frame_count, np.int64)
    for at in range(frame_count - 1, -1, -1):
        path[at] = state
        state -= int(steps[at, state])
    return path
