"""One open recording decoded along its own clock, around whatever is damaged in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wavrag.audio.mixer import Mixer
from wavrag.audio.source import AudioSource
from wavrag.types import Float32, format_seconds

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

PREROLL = 0.5  # s decoded ahead of what is sought: decoders need some packets to settle
SEEK_TOLERANCE = 0.02  # s that the first frame after a seek may be late
GAP = 0.1  # s that timestamps may run ahead of the samples before silence fills it
LONGEST_GAP = 3_600.0  # s; a longer jump is a broken timestamp and no gap
NOTED_GAP = 0.25  # s of missing sound worth a note
SHORTFALL = 0.5  # s that a recording may end before its declared duration
FRAMES_AT_ONCE = 64  # frames mixed together, which saves calls


class Decoder:
    """Decodes the sound of one open recording, once.

    Attributes:
        position: second that decoding has reached.
        failure: the first error that decoding met; None if there was none.
    """

    def __init__(self, source: AudioSource, sample_rate: int) -> None:
        self.position = 0.0
        self.failure: Exception | None = None
        self._failed_at = 0.0
        self._missing: tuple[float, float] | None = None
        self._origin = source.origin
        self._source = source
        self._sample_rate = sample_rate
        self._frames = self._decoded()

    def seek(self, second: float) -> bool:
        """Go to a little before a second; False if decoding must begin at the beginning instead."""
        import av

        goal = second - PREROLL
        time_base = self._source.stream.time_base
        if goal <= 0:
            return True
        if time_base is None:
            return False
        try:
            self._source.container.seek(
                int((goal + self._origin) / time_base), stream=self._source.stream
            )
        except (av.error.FFmpegError, OSError):
            return False
        first = next(self._frames, None)
        self.failure = None  # decoders that start in the middle may refuse the first packets
        if first is None or first.time is None:
            return False
        self._frames = itertools.chain([first], self._frames)
        self.position = first.time - self._origin
        return 0 <= self.position <= second + SEEK_TOLERANCE

    def blocks(self, start: float) -> Iterator[Float32]:
        """Mono samples from a second on, as the recording has them, shape = (n_samples,)."""
        skip = round((start - self.position) * self._sample_rate)
        for block in self._mixed():
            if skip < len(block):
                yield block[skip:]
            skip = max(0, skip - len(block))

    def damage(self, whole: bool) -> Iterator[str]:
        """What was wrong with what has been decoded, a sentence each.

        Args:
            whole: whether it was decoded to its end.
        """
        declared = self._source.declared
        cut = whole and declared is not None and self.position < declared - SHORTFALL
        at_cut = cut and self._failed_at >= self.position - SHORTFALL
        if self.failure is not None and not at_cut:
            yield (
                f"damaged at {format_seconds(self._failed_at)} and perhaps later; what could be"
                " decoded is used: replace it by a whole copy"
            )
        elif self._missing is not None:
            after, until = (format_seconds(second) for second in self._missing)
            yield f"sound is missing from {after} to {until} and perhaps later: silence fills it"
        if cut and declared is not None:
            yield (
                f"ends after {self.position:.1f} s of {declared:.1f} s: it was cut off, and what is"
                " there is used: replace it by a whole copy"
            )

    def _mixed(self) -> Iterator[Float32]:
        mixer: Mixer | None = None
        waiting = 0
        for frame in self._frames:
            if mixer is not None and not mixer.takes(frame):
                yield from mixer.finish()
                mixer = None
            if mixer is None:
                mixer = Mixer(frame, self._sample_rate)
            gap = self._gap_before(frame)
            for silent in mixer.silence(gap):
                mixer.push(silent)
                yield from mixer.pull()
            self.position += gap + frame.samples / frame.sample_rate
            mixer.push(frame)
            waiting += 1
            if waiting == FRAMES_AT_ONCE:
                waiting = 0
                yield from mixer.pull()
        if mixer is not None:
            yield from mixer.finish()

    def _gap_before(self, frame: AudioFrame) -> float:
        """Seconds of silence that a frame's timestamp asks for."""
        if frame.time is None:
            return 0.0
        gap = frame.time - self._origin - self.position
        if abs(gap) <= GAP:
            return 0.0
        if not 0 < gap <= LONGEST_GAP:
            self._origin += gap  # the clock was set anew: go on from here
            return 0.0
        if self.position and gap >= NOTED_GAP and self._missing is None:
            self._missing = (self.position, self.position + gap)
        return gap

    def _decoded(self) -> Iterator[AudioFrame]:
        """Frames in order; what does not decode is left out and remembered."""
        import av

        packets = self._source.container.demux(self._source.stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                self._fail(error)
                return
            if packet is None:
                return
            try:
                frames = packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError as error:
                self._fail(error)
                continue
            yield from frames

    def _fail(self, error: Exception) -> None:
        if self.failure is None:
            self.failure = error
            self._failed_at = self.position
