"""Chunks as a microphone or a socket sends them, to mono samples at 16 kHz."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from wavrag.audio import SAMPLE_RATE, Mixer
from wavrag.errors import AudioError
from wavrag.types import Float32

Chunk: TypeAlias = bytes | bytearray | memoryview | np.ndarray[Any, np.dtype[Any]]

LOUDEST = 2.0  # samples beyond are no sound in [-1, 1], whatever overshoot a filter left


class Intake:
    """Takes chunks of one format, of any length, and gives the same sound at 16 kHz.

    A chunk that is refused leaves everything as it was.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        """Take chunks of a rate in Hz and of one or two channels."""
        self._sample_rate = sample_rate
        self._channels = channels
        self._mixer: Mixer | None = None

    def push(self, chunk: Chunk) -> Float32:
        """The samples that a chunk makes known, shape = (n_samples,); none for an empty chunk.

        Args:
            chunk: bytes are 16-bit PCM, little-endian; an array holds int16 or float samples in
                [-1, 1], shape = (n,), or (n, 2) for two channels. Bytes and flat arrays of two
                channels alternate between them.

        Raises:
            AudioError: it is not such a chunk; the message says what to send.
        """
        samples = self._samples(chunk)
        if not len(samples):
            return np.empty(0, np.float32)
        if self._sample_rate == SAMPLE_RATE and self._channels == 1:
            return samples[:, 0]
        from av.audio.frame import AudioFrame

        layout = "mono" if self._channels == 1 else "stereo"
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = self._sample_rate
        if self._mixer is None:
            self._mixer = Mixer(frame, SAMPLE_RATE, live=True)
        self._mixer.push(frame)
        return _joined(list(self._mixer.pull()))

    def finish(self) -> Float32:
        """The last samples, which the filter held back, shape = (n_samples,)."""
        mixer, self._mixer = self._mixer, None
        return _joined(list(mixer.finish())) if mixer else np.empty(0, np.float32)

    def _samples(self, chunk: Chunk) -> Float32:
        """Float samples of a chunk, shape = (n, channels)."""
        if isinstance(chunk, np.ndarray):
            values = self._shaped(chunk)
        else:
            size = memoryview(chunk).nbytes
            if size % (2 * self._channels):
                raise AudioError(
                    f"a chunk of {size} bytes is no whole number of 16-bit samples in"
                    f" {self._channels} channel(s): send whole samples"
                )
            values = np.frombuffer(chunk, "<i2").reshape(-1, self._channels)
        if values.dtype == np.int16:
            return np.ascontiguousarray(values, np.float32) / np.float32(32_768)
        floats = np.ascontiguousarray(values, np.float32)
        if not np.isfinite(floats).all():
            raise AudioError("a chunk has samples that are not numbers (NaN or infinity)")
        if len(floats) and float(np.abs(floats).max()) > LOUDEST:
            raise AudioError(
                f"a chunk has samples up to {float(np.abs(floats).max()):g}: scale floats to"
                " [-1, 1], or send 16-bit integers"
            )
        return np.clip(floats, -1.0, 1.0)

    def _shaped(self, chunk: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
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
                f"a chunk of {len(chunk)} samples cannot be shared by {self._channels} channels:"
                " send whole frames"
            )
        return chunk.reshape(-1, self._channels)


class SampleBuffer:
    """The samples that are still needed of a stream that goes on."""

    def __init__(self) -> None:
        self._base = 0
        self._end = 0
        self._room = np.empty(SAMPLE_RATE, np.float32)

    @property
    def end(self) -> int:
        """Samples since the beginning of the stream."""
        return self._end

    def append(self, samples: Float32) -> None:
        """Add what comes next."""
        kept = self._end - self._base
        need = kept + len(samples)
        if need > len(self._room):
            room = np.empty(2 * need, np.float32)
            room[:kept] = self._room[:kept]
            self._room = room
        self._room[kept:need] = samples
        self._end += len(samples)

    def cut(self, start: int, end: int) -> Float32:
        """A copy of the samples of a span, which must be there."""
        assert self._base <= start <= end <= self._end
        return self._room[start - self._base : end - self._base].copy()

    def drop_before(self, start: int) -> None:
        """Forget what comes before a sample."""
        gone = min(start, self._end) - self._base
        if gone > SAMPLE_RATE:
            self._room = self._room[gone:].copy()
            self._base += gone


def _joined(blocks: list[Float32]) -> Float32:
    if len(blocks) == 1:
        return blocks[0]
    return np.concatenate(blocks) if blocks else np.empty(0, np.float32)
