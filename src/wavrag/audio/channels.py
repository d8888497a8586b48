"""Recognise recordings with one speaker per channel, such as telephone calls in stereo.

Frames of 32 ms are compared by their level in each channel, relative to the loud frames of that
channel, so that a quiet speaker counts as much as a loud one. With a speaker per channel, one of
the channels is much louder than the other in most frames, even while both speak, because speech
rises and falls by 20 dB several times a second. A voice or an instrument that both channels carry
rises in both: of mixtures made from speech and sounds, calls have at least 7 % of their frames
dominated by either channel, with crosstalk up to -12 dB; panned voices, two microphones in a room,
and music in true stereo at most 2 %. Music with instruments on one side only is told from speech
by voice activity detection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from wavrag.audio.vad import VAD_FRAME, VoiceDetector
from wavrag.types import Float32

DOMINANCE_DB = 10.0  # difference that crosstalk and panning rarely reach
ACTIVE_DB = -30.0  # relative to the loud frames of a channel; quieter frames are pauses
LOUD_PERCENTILE = 95.0
SILENT_DB = -70.0  # dBFS of the loud frames of a channel without any sound
MIN_SHARE = 0.04  # of the active frames, that each channel must dominate
SPEECH_PROBABILITY = 0.5  # of a frame that is speech
VOICED_SHARE = 0.5  # of the frames that a channel dominates, that must be speech
VOICE_DB = -15.0  # dBFS of the loud frames of ordinary speech
MIN_VOICED_FRAMES = 30  # about a second of speech in each channel

MAX_DELAY = 16  # frames between two channels with the same sound: half a second
SAME_CORRELATION = 0.85  # of their amplitudes; two speakers reach 0.4, also with crosstalk

LEAK_MARGIN_DB = 8.0  # crosstalk varies by the frequency of the sound
LEAK_LIMIT_DB = -6.0  # louder frames are the channel's own, whatever the crosstalk
OWN_DB = -35.0  # relative to the loud frames of a channel; quieter frames are its pauses
HANGOVER = 8  # frames on either side of a channel's own sound that are kept with it


class ChannelGate:
    """Silences each of two channels while it carries only the crosstalk of the other.

    Otherwise the words of one speaker would be recognised in both channels.
    """

    def __init__(self, references: Float32, leaks: tuple[float, float]) -> None:
        """Set the levels; `detect_speakers` measures them.

        Args:
            references: level of the loud frames of each channel in dBFS, shape = (2,).
            leaks: level of each channel relative to the other, in dB, while the other speaks.
        """
        self._references = references
        self._limits = [min(leak + LEAK_MARGIN_DB, LEAK_LIMIT_DB) for leak in leaks]

    def filter(self, blocks: Iterable[Float32]) -> Iterator[Float32]:
        """Yield the blocks, shape = (2, n_samples), with crosstalk replaced by silence."""
        buffer = np.empty((2, 0), np.float32)
        past = np.zeros((2, 0), np.bool_)  # whether the last frames are the channels' own
        for block in blocks:
            buffer = np.concatenate([buffer, block], axis=1)
            dominant = self._own_frames(buffer)
            count = dominant.shape[1] - HANGOVER  # the decision needs the frames after it
            if count > 0:
                yield self._silence(buffer[:, : count * VAD_FRAME], past, dominant)
                buffer = buffer[:, count * VAD_FRAME :]
                past = np.concatenate([past, dominant[:, :count]], axis=1)[:, -HANGOVER:]
        if buffer.size:
            yield self._silence(buffer, past, self._own_frames(buffer))

    def _own_frames(self, samples: Float32) -> npt.NDArray[np.bool_]:
        levels = frame_levels(samples) - self._references[:, None]
        limits = np.array(self._limits)[:, None]
        dominant: npt.NDArray[np.bool_] = (levels - levels[::-1] > limits) & (levels > OWN_DB)
        return dominant

    def _silence(
        self, samples: Float32, past: npt.NDArray[np.bool_], dominant: npt.NDArray[np.bool_]
    ) -> Float32:
        result = samples.copy()
        frames = np.concatenate([past, dominant], axis=1)
        window = np.ones(2 * HANGOVER + 1)
        for channel, row in zip(result, frames, strict=True):
            near = np.convolve(row, window)[HANGOVER:][past.shape[1] :] > 0.5
            mask = np.repeat(near, VAD_FRAME)[: len(channel)]
            channel[: len(mask)] *= mask
        return result


def detect_speakers(blocks: Sequence[Float32], *, voiced: bool = True) -> ChannelGate | None:
    """Return a gate for the crosstalk if each of two channels has a speaker of its own.

    Args:
        blocks: spans of a recording at 16 kHz, shape = (2, n_samples) each.
        voiced: require speech in both channels.
    """
    levels = [frame_levels(block) for block in blocks]
    joined = np.concatenate(levels, axis=1) if levels else np.empty((2, 0), np.float32)
    if not joined.size:
        return None
    references = np.percentile(joined, LOUD_PERCENTILE, axis=1).astype(np.float32)
    relative = joined - references[:, None]
    active = relative.max(axis=0) > ACTIVE_DB
    difference = relative[0] - relative[1]
    dominant = [active & (sign * difference > DOMINANCE_DB) for sign in (1, -1)]
    shares = [frames.sum() / max(1, active.sum()) for frames in dominant]
    if references.min() < SILENT_DB or min(shares) < MIN_SHARE or _is_delayed(joined):
        return None
    if voiced:
        for channel, frames in enumerate(dominant):
            # The detector hears a quiet speaker worse than a loud one.
            gain = 10 ** ((VOICE_DB - float(references[channel])) / 20)
            count = np.count_nonzero(_voiced(blocks, channel, gain) & frames)
            if count < max(MIN_VOICED_FRAMES, VOICED_SHARE * frames.sum()):
                return None
    first, second = dominant
    leaks = (float(np.median(difference[second])), -float(np.median(difference[first])))
    return ChannelGate(references, leaks)


def frame_levels(samples: Float32) -> Float32:
    """Level in dBFS of each complete frame of 32 ms, shape = (n_channels, n_frames)."""
    count = samples.shape[1] // VAD_FRAME
    frames = samples[:, : count * VAD_FRAME].reshape(len(samples), count, VAD_FRAME)
    power = np.einsum("cft,cft->cf", frames, frames) / VAD_FRAME
    levels: Float32 = 10 * np.log10(power + np.float32(1e-12))
    return levels


def _is_delayed(levels: Float32) -> bool:
    """True if one channel repeats the other with a delay, as with an effect or an echo."""
    amplitudes = 10 ** (levels / 20)
    first, second = amplitudes - amplitudes.mean(axis=1, keepdims=True)
    norm = max(float(np.linalg.norm(first) * np.linalg.norm(second)), 1e-12)
    count = len(first)
    lags = range(-min(MAX_DELAY, count - 1), min(MAX_DELAY, count - 1) + 1)
    products = (
        float(first[max(0, -lag) : count - max(0, lag)] @ second[max(0, lag) : count + min(0, lag)])
        for lag in lags
    )
    return max(products) > SAME_CORRELATION * norm


def _voiced(blocks: Sequence[Float32], channel: int, gain: float) -> npt.NDArray[np.bool_]:
    """Whether each frame of a channel is speech, in the order of `frame_levels`."""
    probabilities: list[float] = []
    for block in blocks:
        samples = np.clip(block[channel] * np.float32(gain), -1.0, 1.0)
        # A span is a recording of its own for the detector.
        detector = VoiceDetector()
        starts = range(0, len(samples) - VAD_FRAME + 1, VAD_FRAME)
        frames = (samples[at : at + VAD_FRAME] for at in starts)
        probabilities += map(detector.probability, frames)
    return np.array(probabilities) >= SPEECH_PROBABILITY
