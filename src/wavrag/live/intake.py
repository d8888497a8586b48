"""Convert chunks from a microphone or a socket to mono samples at 16 kHz."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from wavrag.arguments import check_type
from wavrag.audio import SAMPLE_RATE, Mixer
from wavrag.errors import AudioError
from wavrag.types import Float32

Chunk: TypeAlias = bytes | bytearray | memoryview | np.ndarray[Any, np.dtype[Any]]

_NO_SAMPLES = np.empty(0, np.float32)
# Resampling filters overshoot full scale a little; beyond 2 the samples have another scale.
MAX_AMPLITUDE = 2.0


class Intake:
    """Converts chunks of one format and any length.

    A rejected chunk leaves the state unchanged.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        """Accept chunks of a sample rate in Hz, with one or two channels."""
        self._sample_rate = sample_rate
        self._channels = channels
        self._mixer: Mixer | None = None

    def push(self, chunk: Chunk) -> Float32:
        """Convert a chunk; the resampling filter holds back a few samples until the next one.

        Args:
            chunk: bytes are 16-bit PCM, little-endian; an array holds int16 or float samples in
                [-1, 1], shape = (n,), or (n, 2) for two channels. Two channels are interleaved
                in bytes and in flat arrays.

        Returns:
            Samples at 16 kHz, shape = (n_samples,); empty for an empty chunk.

        Raises:
            AudioError: the chunk has another format; the message says which one to send.
        """
        samples = self._samples(chunk)
        if not len(samples):
            return _NO_SAMPLES
        if self._sample_rate == SAMPLE_RATE and self._channels == 1:
            return samples[:, 0]
        from av.audio.frame import AudioFrame

        layout = "mono" if self._channels == 1 else "stereo"
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = self._sample_rate
        if self._mixer is None:
            self._mixer = Mixer(frame, SAMPLE_RATE, live=True)
        self._mixer.push(frame)
        return np.concatenate([_NO_SAMPLES, *self._mixer.pull()])

    def finish(self) -> Float32:
        """Flush the resampling filter: the last samples, shape = (n_samples,)."""
        mixer, self._mixer = self._mixer, None
        return np.concatenate([_NO_SAMPLES, *mixer.finish()]) if mixer else _NO_SAMPLES

    def _samples(self, chunk: Chunk) -> Float32:
        """Float samples of a chunk, shape = (n, channels)."""
        if isinstance(chunk, np.ndarray):
            values = self._reshape(chunk)
        else:
            check_type(chunk, bytes | bytearray | memoryview, "a chunk")
            size = memoryview(chunk).nbytes
            if size % (2 * self._channels):
                raise AudioError(
                    f"a chunk of {size} bytes is not a whole number of 16-bit samples in"
                    f" {self._channels} channel(s): send whole samples"
                )
            values = np.frombuffer(chunk, "<i2").reshape(-1, self._channels)
        if values.dtype == np.int16:
            return np.ascontiguousarray(values, np.float32) / np.float32(32_768)
        floats = np.ascontiguousarray(values, np.float32)
        if not np.isfinite(floats).all():
            raise AudioError("a chunk has samples that are not numbers (NaN or infinity)")
        if len(floats) and float(np.abs(floats).max()) > MAX_AMPLITUDE:
            raise AudioError(
                f"a chunk has samples up to {float(np.abs(floats).max()):g}: scale floats to"
                " [-1, 1], or send 16-bit integers"
            )
        return np.clip(floats, -1.0, 1.0)

    def _reshape(self, chunk: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
        """An array as shape = (n, channels)."""
        if chunk.dtype != np.int16 and chunk.dtype.kind != "f":
            raise AudioError(f"a chunk has samples of type {chunk.dtype}: send int16 or float32")
        if chunk.ndim == 2 and chunk.shape[1] == self._channels:
            return chunk
        if chunk.ndim != 1:
            raise AudioError(
                f"a chunk has the shape {chunk.shape}: send (n,), or (n, {self._channels}) for the"
                f" {self._channels} channel(s) of the options"
            )
        if len(chunk) % self._channels:
            raise AudioError(
                f"a chunk of {len(chunk)} samples cannot be split into {self._channels} channels:"
                " send whole frames"
            )
        return chunk.reshape(-1, self._channels)


class SampleBuffer:
    """A growing stream of samples; the beginning can be dropped.

    They are kept as 16-bit integers, so a turn of 30 s takes 1 MB.
    """

    def __init__(self) -> None:
        self._start = 0
        self._end = 0
        self._array = np.empty(SAMPLE_RATE, np.int16)

    @property
    def end(self) -> int:
        """Number of samples since the beginning of the stream."""
        return self._end

    def append(self, samples: Float32) -> None:
        """Add the next samples."""
        size = self._end - self._start
        new_size = size + len(samples)
        if new_size > len(self._array):
            # In proportion to the size, so that the cost of copying is constant for each sample.
            array = np.empty(new_size + new_size // 4 + SAMPLE_RATE, np.int16)
            array[:size] = self._array[:size]
            self._array = array
        # Exact for samples that were 16-bit integers; the resampling filter overshoots full scale.
        self._array[size:new_size] = np.clip(np.rint(samples * 32_768), -32_768, 32_767)
        self._end += len(samples)

    def cut(self, start: int, end: int) -> Float32:
        """Copy the samples of a span, which must not have been dropped."""
        assert self._start <= start <= end <= self._end
        samples = self._array[start - self._start : end - self._start]
        return samples.astype(np.float32) / np.float32(32_768)

    def drop_before(self, start: int) -> None:
        """Allow the samples before a position to be freed."""
        surplus = min(start, self._end) - self._start
        # Freeing copies the remainder, so it waits until at least a second can go.
        if surplus > SAMPLE_RATE:
            self._array = self._array[surplus:].copy()
            self._start += surplus
