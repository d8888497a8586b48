"""Speaker diarisation: who speaks when in a recording, with an unknown number of speakers.

Voice activity detection finds speech. A window of 1.6 s slides over it and gives speaker vectors,
which are clustered. The clusters are the start of VBx (Landini et al. 2022, "Bayesian HMM
clustering of x-vector sequences"), which removes speakers that the vectors do not need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from wavrag.audio import SAMPLE_RATE, VAD_FRAME, VoiceDetector, vad_frames
from wavrag.embed.base import unit_rows
from wavrag.embed.speaker_encoder import (
    SPAN_SAMPLES,
    SPAN_SECONDS,
    SPEAKER_DIM,
    SpeakerEncoder,
)  # fmt: skip
from wavrag.types import Float32, Int64

FRAME_SECONDS = VAD_FRAME / SAMPLE_RATE
SPEECH_PROBABILITY, SPEECH_HYSTERESIS = 0.5, 0.15
GAP_SECONDS = 0.3  # shorter pauses belong to the speech around them
MIN_SPEECH_SECONDS = 0.2  # a shorter burst is a click
STEP_SECONDS = 0.4  # between windows

# Chosen with `python benchmarks/diarisation.py DATA --tune` on conversations of training speakers.
WINDOW_COSINE = 0.55  # mean cosine from which two groups of windows are one cluster
EVIDENCE = 0.3  # weight of a window: neighbours share three quarters of their samples
PRIOR = 6.0  # weight of the prior of a speaker's vector; higher values find fewer speakers
STAY = 0.85  # probability that a speaker goes on from one window to the next
STAY_AFTER_PAUSE = 0.5
ITERATIONS = 15
MIN_SHARE = 1e-3  # of the turns; speakers below are removed
# Windows that are clustered at most; the others follow by similarity. Bounds memory (25 MB) and
# time; 1,000 s of speech.
MAX_CLUSTERED = 2_500


@dataclass(frozen=True, slots=True)
class SpeakerTurn:
    """A span of speech of one speaker.

    Attributes:
        start: seconds.
        end: seconds.
        speaker: index of the speaker, in the order of appearance.
    """

    start: float
    end: float
    speaker: int


@dataclass(frozen=True, slots=True, eq=False)
class Diarisation:
    """Result of diarisation.

    Attributes:
        turns: in chronological order, without overlap.
        voices: mean vector of each speaker, unit length, shape = (n_speakers, 64).
    """

    turns: tuple[SpeakerTurn, ...]
    voices: Float32


@dataclass(frozen=True, slots=True, eq=False)
class SpeechWindows:
    """Speaker vectors of the windows of a recording.

    Attributes:
        centres: time of the middle of each window in seconds, shape = (n_windows,).
        segments: index of the segment of each window, shape = (n_windows,).
        vectors: unit vectors, shape = (n_windows, 64).
        spans: start and end of each segment of speech in seconds, shape = (n_segments, 2).
    """

    centres: Float32
    segments: Int64
    vectors: Float32
    spans: Float32


def diarise(blocks: Iterable[Float32], encoder: SpeakerEncoder) -> Diarisation:
    """Find out who speaks when.

    Memory grows by 3 KB for each second of speech; the samples are not held.

    Args:
        blocks: consecutive samples at 16 kHz in blocks of any length, float32, shape = (n,).
        encoder: the speaker encoder.

    Example:
        >>> from wavrag import audio
        >>> from wavrag.demo import DATA
        >>> recording = DATA / "corpus" / "recordings" / "baker-interview.mp3"
        >>> len(diarise(audio.stream(recording), SpeakerEncoder()).voices)
        2
    """
    return cluster_speakers(embed_speech(blocks, encoder), *encoder.variances())


def embed_speech(blocks: Iterable[Float32], encoder: SpeakerEncoder) -> SpeechWindows:
    """Detect speech and embed windows of 1.6 s over it, `STEP_SECONDS` apart."""
    centres: list[float] = []
    segments: list[int] = []
    spans: list[tuple[float, float]] = []
    vectors = [np.empty((0, SPEAKER_DIM), np.float32)]
    for index, (start, samples) in enumerate(speech_segments(blocks)):
        last = max(0, len(samples) - SPAN_SAMPLES)
        steps = 1 + -(-last // round(STEP_SECONDS * SAMPLE_RATE))
        starts = np.linspace(0, last, steps).astype(int)
        vectors.append(encoder.embed_spans([samples[at : at + SPAN_SAMPLES] for at in starts]))
        duration = len(samples) / SAMPLE_RATE
        centres += list(start + starts / SAMPLE_RATE + min(duration, SPAN_SECONDS) / 2)
        segments += [index] * steps
        spans.append((start, start + duration))
    return SpeechWindows(
        np.array(centres, np.float32),
        np.array(segments, np.int64),
        np.concatenate(vectors),
        np.array(spans, np.float32).reshape(-1, 2),
    )


def speech_segments(blocks: Iterable[Float32]) -> Iterator[tuple[float, Float32]]:
    """Yield the start in seconds and the samples of each segment of speech."""
    gap, shortest = round(GAP_SECONDS / FRAME_SECONDS), MIN_SPEECH_SECONDS / FRAME_SECONDS
    buffer: list[Float32] = []
    first = last = -1  # voiced frames of the segment
    detector = VoiceDetector()
    for number, frame in enumerate(vad_frames(blocks)):
        padded = np.pad(frame, (0, VAD_FRAME - len(frame)))
        follows = last == number - 1 and first >= 0
        limit = SPEECH_PROBABILITY - (SPEECH_HYSTERESIS if follows else 0.0)
        voiced = detector.probability(padded) >= limit
        if voiced:
            first, last = (number if first < 0 else first), number
        if first >= 0:
            buffer.append(padded)
        # A segment of a minute ends at once, so that its samples need not be held.
        if first >= 0 and (number - last > gap or len(buffer) * FRAME_SECONDS > 60.0):
            if last - first + 1 >= shortest:
                yield first * FRAME_SECONDS, np.concatenate(buffer[: last - first + 1])
            buffer, first = [], -1
    if first >= 0 and last - first + 1 >= shortest:
        yield first * FRAME_SECONDS, np.concatenate(buffer[: last - first + 1])


def cluster_speakers(windows: SpeechWindows, within: float, between: Float32) -> Diarisation:
    """Cluster the windows and assign each part of the speech to a speaker.

    Args:
        windows: speech of a recording.
        within: variance of a speaker's vectors in each dimension.
        between: variance of the speakers' means in each dimension, shape = (64,).
    """
    if not len(windows.vectors):
        return Diarisation((), np.empty((0, SPEAKER_DIM), np.float32))
    stay = np.where(np.diff(windows.segments, prepend=-1) > 0, STAY_AFTER_PAUSE, STAY)
    labels = cluster_windows(windows.vectors)
    labels = refine_labels(windows.vectors / within**0.5, labels, stay, between / within)
    # Numbered by first appearance.
    _, firsts, labels = np.unique(labels, return_index=True, return_inverse=True)
    labels = np.argsort(np.argsort(firsts))[labels]
    return Diarisation(tuple(make_turns(windows, labels)), mean_voices(windows.vectors, labels))


def cluster_windows(vectors: Float32) -> Int64:
    """Label of each window: agglomerative clustering with average linkage.

    Args:
        vectors: unit vectors, shape = (n_windows, 64).

    Returns:
        Labels from 0, shape = (n_windows,).
    """
    count = min(len(vectors), MAX_CLUSTERED)
    sample = vectors[np.linspace(0, len(vectors) - 1, count).astype(int)]
    cosines = (sample @ sample.T).astype(np.float32)
    np.fill_diagonal(cosines, -1)
    sizes = np.ones(count)
    labels = np.arange(count)
    best = cosines.argmax(1)
    while True:
        values = cosines[np.arange(count), best]
        i = int(values.argmax())
        if values[i] < WINDOW_COSINE:
            break
        j = int(best[i])
        # Average linkage: the mean cosine over all pairs of windows.
        merged = (sizes[i] * cosines[i] + sizes[j] * cosines[j]) / (sizes[i] + sizes[j])
        merged[cosines[i] < -0.5] = merged[i] = merged[j] = -1  # clusters that are merged away
        cosines[i] = cosines[:, i] = merged
        cosines[j] = cosines[:, j] = -1
        sizes[i] += sizes[j]
        labels[labels == j] = i
        stale = np.flatnonzero((best == i) | (best == j))
        best[stale] = cosines[stale].argmax(1)
        best[i] = cosines[i].argmax()
        better = merged > cosines[np.arange(count), best]
        best[better] = i
    labels = np.unique(labels, return_inverse=True)[1]
    if count == len(vectors):
        return labels
    nearest: Int64 = (vectors @ mean_voices(sample, labels).T).argmax(1)
    return nearest


def mean_voices(vectors: Float32, labels: Int64) -> Float32:
    """Unit mean vector of each label, shape = (n_labels, 64)."""
    sums = np.zeros((labels.max() + 1, vectors.shape[1]), np.float32)
    np.add.at(sums, labels, vectors)
    return unit_rows(sums)


def refine_labels(vectors: Float32, labels: Int64, stay: Float32, between: Float32) -> Int64:
    """Assign windows to speakers by VBx.

    Args:
        vectors: of unit variance within speakers, shape = (n_windows, dim).
        labels: clusters to start from, shape = (n_windows,).
        stay: probability that the speaker of the last window goes on, shape = (n_windows,).
        between: variance of the speakers' means, shape = (dim,).

    Returns:
        Labels, shape = (n_windows,); fewer or as many as at the start.
    """
    projected = vectors * np.sqrt(between)
    shares = np.eye(labels.max() + 1)[labels] * 0.9 + 0.1 / (labels.max() + 1)
    priors = np.full(shares.shape[1], 1 / shares.shape[1])
    for _ in range(ITERATIONS):
        # Posterior of each speaker's vector: variance and mean (equations 17 and 16).
        variances = 1 / (1 + EVIDENCE / PRIOR * shares.sum(0)[:, None] * between)
        means = EVIDENCE / PRIOR * variances * (shares.T @ projected)
        scores = EVIDENCE * (projected @ means.T - (variances + means**2) @ between / 2)
        likelihoods = np.exp(scores - scores.max(1, keepdims=True))
        shares, entries = forward_backward(likelihoods, stay, priors)
        kept = entries >= MIN_SHARE * entries.sum()
        shares = shares[:, kept] / shares[:, kept].sum(1, keepdims=True)
        priors = entries[kept] / entries[kept].sum()
    result: Int64 = shares.argmax(1)
    return result


def forward_backward(likelihoods: Any, stay: Float32, priors: Any) -> tuple[Any, Any]:
    """Posteriors of a hidden Markov model that stays with a speaker or draws one from the priors.

    Args:
        likelihoods: of each window and speaker, shape = (n_windows, n_speakers).
        stay: probability to stay, shape = (n_windows,).
        priors: probability of each speaker, shape = (n_speakers,).

    Returns:
        Posteriors, shape = (n_windows, n_speakers), and the expected number of times that each
        speaker is drawn, shape = (n_speakers,).
    """
    forward, backward = np.empty_like(likelihoods), np.ones_like(likelihoods)
    state = priors
    for index, row in enumerate(likelihoods):
        if index:
            state = stay[index] * state + (1 - stay[index]) * priors
        state = state * row / (state * row).sum()
        forward[index] = state
    for index in range(len(likelihoods) - 1, 0, -1):
        state = backward[index] * likelihoods[index]
        state = stay[index] * state + (1 - stay[index]) * (priors * state).sum()
        backward[index - 1] = state / state.sum()
    posteriors = forward * backward
    posteriors /= posteriors.sum(1, keepdims=True)
    future = backward[1:] * likelihoods[1:]
    draws = (1 - stay[1:, None]) * priors * future
    total = (stay[1:, None] * forward[:-1] * future + draws).sum(1, keepdims=True)
    return posteriors, posteriors[0] + (draws / total).sum(0)


def make_turns(windows: SpeechWindows, labels: Int64) -> Iterator[SpeakerTurn]:
    """Turn labels of windows into spans; a change lies halfway between two windows."""
    for index, (start, end) in enumerate(windows.spans):
        first = start
        members = np.flatnonzero(windows.segments == index)
        for before, after in pairwise(members):
            if labels[before] != labels[after]:
                change = (windows.centres[before] + windows.centres[after]) / 2
                yield SpeakerTurn(float(first), float(change), int(labels[before]))
                first = change
        yield SpeakerTurn(float(first), float(end), int(labels[members[-1]]))
