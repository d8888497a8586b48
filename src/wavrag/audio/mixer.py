"""Downmix or separate decoded frames of any format, and resample them to float32 at one rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from wavrag.types import Float32

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

# Channels of the result: the mix of all, all of them separately, or a single one, from 1.
Selection: TypeAlias = Literal["mix", "all"] | int

# Options of libswresample. `rematrix_maxval=1.0` scales the mixing weights so that full-scale
# channels cannot clip: each channel of stereo counts half, the centre of 5.1 counts most. The
# filter is longer than the default, which attenuates aliasing by 30 to 90 dB more.
RESAMPLE = "{rate}:rematrix_maxval=1.0:filter_size=64:cutoff=0.95"

# Correlation of two channels below which they would cancel each other in a mix. Reverberation and
# ambience in true stereo stay above -0.3.
OPPOSITE = -0.5
FADE = 256  # samples of the transition when the polarity changes


class Mixer:
    """Downmixes and resamples frames of a single sample format, layout and rate.

    Two channels of opposite polarity (a cable with swapped wires) are mixed with one inverted.
    """

    def __init__(
        self, like: AudioFrame, sample_rate: int, *, live: bool = False, channels: Selection = "mix"
    ) -> None:
        """Build the filter graph.

        Args:
            like: a frame with the format, layout and rate of the input.
            sample_rate: sample rate of the result in Hz.
            live: yield samples immediately instead of in blocks of a second.
            channels: `mix`; `all` for blocks with a row per channel; or the number of a channel.
                Mono has each channel.
        """
        from av.filter import Graph

        self.sample_rate = like.sample_rate  # Hz, of the input
        self._format = like.format.name
        self._layout = like.layout.name
        self._channels = like.layout.nb_channels
        self._selection = channels
        self._stereo = StereoMix(sample_rate)
        self._graph = graph = Graph()
        graph.threads = 1
        rate, form, layout = like.sample_rate, self._format, self._layout
        nodes = [graph.add_abuffer(sample_rate=rate, format=form, layout=layout)]
        if isinstance(channels, int):
            nodes.append(graph.add("pan", f"mono|c0=c{min(channels, self._channels) - 1}"))
        elif channels == "mix" and self._channels > 2 and _is_unnamed(like):
            # The channels have no names, so libswresample would drop some; take their mean.
            share = "+".join(f"{1 / self._channels}*c{n}" for n in range(self._channels))
            nodes.append(graph.add("pan", f"mono|c0={share}"))
        is_mono = isinstance(channels, int) or (channels == "mix" and self._channels != 2)
        target = f"sample_fmts=fltp:sample_rates={sample_rate}"
        nodes.append(graph.add("aresample", RESAMPLE.format(rate=sample_rate)))
        nodes.append(graph.add("aformat", target + is_mono * ":channel_layouts=mono"))
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
        """Yield available blocks, of a second each unless live.

        The shape is (n_samples,), or (n_channels, n_samples) with `all`.
        """
        import av

        while True:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, av.error.EOFError):
                return
            block = np.asarray(frame.to_ndarray(), np.float32)
            if self._selection == "all":
                yield block
            else:
                yield self._stereo.mix(block) if len(block) == 2 else block.reshape(-1)

    def finish(self) -> Iterator[Float32]:
        """End the input and yield the remaining samples."""
        self._graph.push(None)
        yield from self.pull()


def _is_unnamed(frame: AudioFrame) -> bool:
    return all(channel.name == "NONE" for channel in frame.layout.channels)


class StereoMix:
    """Downmixes two channels, and inverts one of them where they would cancel each other."""

    def __init__(self, sample_rate: int) -> None:
        self._memory = sample_rate  # samples until an energy has decayed to 1/e
        self._energies = np.zeros(3)  # of the channels, and of their product
        self._polarity: float | None = None  # sign of the second channel in the last block

    def mix(self, block: Float32) -> Float32:
        """Return the mean of the channels of the next block of shape (2, n_samples)."""
        first, second = block
        # The memory keeps the short blocks of a live turn from changing the polarity at random.
        self._energies *= np.exp(-len(first) / self._memory)
        self._energies += (first @ first, second @ second, first @ second)
        previous = polarity = self._polarity or 1.0
        if self._energies[2] < OPPOSITE * np.sqrt(self._energies[0] * self._energies[1]):
            polarity = -1.0
        elif self._energies[2] > 0:
            polarity = 1.0
        mixed: Float32 = (first + np.float32(polarity) * second) * np.float32(0.5)
        if self._polarity is not None and polarity != previous:
            # A step would be audible as a click.
            ramp = np.linspace(previous, polarity, min(FADE, len(first)), dtype=np.float32)
            faded = first[: len(ramp)] + ramp * second[: len(ramp)]
            mixed[: len(ramp)] = faded * np.float32(0.5)
        self._polarity = polarity
        return mixed
