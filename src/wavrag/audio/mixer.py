"""Decoded frames of any sample format, channel layout and rate to mono float32 at one rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from wavrag.types import Float32

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

# libswresample. The maximum of 1 scales the mixing weights so that no mix of full-scale channels
# clips: both channels of stereo count half, the centre channel of 5.1 most. The filter is longer
# than the default: what lies above the new Nyquist frequency folds back 30 to 90 dB weaker.
RESAMPLE = "{rate}:rematrix_maxval=1.0:filter_size=64:cutoff=0.95"


class Mixer:
    """Mixes and resamples frames of one kind: the kind of the frame that it is made for.

    Attributes:
        sample_rate: Hz of the frames that it takes.
    """

    def __init__(self, like: AudioFrame, sample_rate: int, *, live: bool = False) -> None:
        """Make one.

        Args:
            like: a frame of the kind that it will be given.
            sample_rate: Hz of what it gives.
            live: give samples as soon as they are known, rather than in blocks of a second.
        """
        from av.filter import Graph

        self.sample_rate = like.sample_rate
        self._format = like.format.name
        self._layout = like.layout.name
        self._channels = like.layout.nb_channels
        self._graph = graph = Graph()
        graph.threads = 1
        nodes = [
            graph.add_abuffer(
                sample_rate=like.sample_rate, format=self._format, layout=self._layout
            )
        ]
        if self._channels > 2 and all(channel.name == "NONE" for channel in like.layout.channels):
            # Nobody said which channel is which: the plain mean leaves none out.
            share = "+".join(f"{1 / self._channels}*c{n}" for n in range(self._channels))
            nodes.append(graph.add("pan", f"mono|c0={share}"))
        nodes += [
            graph.add("aresample", RESAMPLE.format(rate=sample_rate)),
            graph.add(
                "aformat", f"sample_fmts=flt:channel_layouts=mono:sample_rates={sample_rate}"
            ),
        ]
        if not live:
            nodes.append(graph.add("asetnsamples", f"n={sample_rate}:p=0"))
        nodes.append(graph.add("abuffersink"))
        graph.link_nodes(*nodes)
        graph.configure()

    def takes(self, frame: AudioFrame) -> bool:
        """Whether a frame is of this mixer's kind."""
        return (
            frame.sample_rate == self.sample_rate
            and frame.format.name == self._format
            and frame.layout.name == self._layout
        )

    def push(self, frame: AudioFrame) -> None:
        """Add a frame."""
        frame.pts = None  # samples are counted, timestamps are dealt with before
        self._graph.push(frame)

    def silence(self, seconds: float) -> Iterator[AudioFrame]:
        """Frames of silence of this mixer's kind, a second each; the last may be short."""
        from av.audio.frame import AudioFrame

        left = round(seconds * self.sample_rate)
        while left > 0:
            samples = min(left, self.sample_rate)
            frame = AudioFrame(self._format, self._layout, samples)
            frame.sample_rate = self.sample_rate
            zero = b"\x80" if self._format.startswith("u8") else b"\0"
            for plane in frame.planes:
                plane.update(zero * plane.buffer_size)
            yield frame
            left -= samples

    def pull(self) -> Iterator[Float32]:
        """Blocks that are ready, of a second each unless live, shape = (n_samples,)."""
        import av

        while True:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, av.error.EOFError):
                return
            yield np.asarray(frame.to_ndarray(), np.float32).reshape(-1)

    def finish(self) -> Iterator[Float32]:
        """All that is left."""
        self._graph.push(None)
        yield from self.pull()
