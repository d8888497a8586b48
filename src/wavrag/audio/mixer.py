"""Downmix and resample decoded frames of any format to mono float32 at one sample rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from wavrag.types import Float32

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

# Options of libswresample. `rematrix_maxval=1.0` scales the mixing weights so that full-scale
# channels cannot clip: each channel of stereo counts half, the centre of 5.1 counts most. The
# filter is longer than the default, which attenuates aliasing by 30 to 90 dB more.
RESAMPLE = "{rate}:rematrix_maxval=1.0:filter_size=64:cutoff=0.95"


class Mixer:
    """Downmixes and resamples frames of a single sample format, layout and rate."""

    def __init__(self, like: AudioFrame, sample_rate: int, *, live: bool = False) -> None:
        """Build the filter graph.

        Args:
            like: a frame with the format, layout and rate of the input.
            sample_rate: sample rate of the result in Hz.
            live: yield samples immediately instead of in blocks of a second.
        """
        from av.filter import Graph

        self.sample_rate = like.sample_rate  # Hz, of the input
        self._format = like.format.name
        self._layout = like.layout.name
        self._channels = like.layout.nb_channels
        self._graph = graph = Graph()
        graph.threads = 1
        rate, form, layout = like.sample_rate, self._format, self._layout
        nodes = [graph.add_abuffer(sample_rate=rate, format=form, layout=layout)]
        if self._channels > 2 and all(channel.name == "NONE" for channel in like.layout.channels):
            # The channels have no names, so libswresample would drop some; take their mean.
            share = "+".join(f"{1 / self._channels}*c{n}" for n in range(self._channels))
            nodes.append(graph.add("pan", f"mono|c0={share}"))
        mono = f"sample_fmts=flt:channel_layouts=mono:sample_rates={sample_rate}"
        nodes.append(graph.add("aresample", RESAMPLE.format(rate=sample_rate)))
        nodes.append(graph.add("aformat", mono))
        if not live:
            nodes.append(graph.add("asetnsamples", f"n={sample_rate}:p=0"))
        nodes.append(graph.add("abuffersink"))
        graph.link_nodes(*nodes)
        graph.configure()

    def takes(self, frame: AudioFrame) -> bool:
        """Return True if a frame has the format, layout and rate of this mixer."""
        kind = (frame.sample_rate, frame.format.name, frame.layout.name)
        return kind == (self.sample_rate, self._format, self._layout)

    def push(self, frame: AudioFrame) -> None:
        """Add a frame."""
        frame.pts = None  # `Decoder` has resolved the timestamps; the graph must only count samples
        self._graph.push(frame)

    def silence(self, seconds: float) -> Iterator[AudioFrame]:
        """Yield frames of silence in the input format, a second each; the last may be shorter."""
        from av.audio.frame import AudioFrame

        remaining = round(seconds * self.sample_rate)
        while remaining > 0:
            samples = min(remaining, self.sample_rate)
            frame = AudioFrame(self._format, self._layout, samples)
            frame.sample_rate = self.sample_rate
            # The only unsigned format, where silence is the middle of the range.
            zero = b"\x80" if self._format.startswith("u8") else b"\0"
            for plane in frame.planes:
                plane.update(zero * plane.buffer_size)
            yield frame
            remaining -= samples

    def pull(self) -> Iterator[Float32]:
        """Yield available blocks, of a second each unless live, shape = (n_samples,)."""
        import av

        while True:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, av.error.EOFError):
                return
            yield np.asarray(frame.to_ndarray(), np.float32).reshape(-1)

    def finish(self) -> Iterator[Float32]:
        """End the input and yield the remaining samples."""
        self._graph.push(None)
        yield from self.pull()
