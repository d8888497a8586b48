"""Decode one open recording by its timestamps, skipping damaged packets and filling gaps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wavrag.audio.headers import id3_bytes
from wavrag.audio.mixer import Mixer, Selection
from wavrag.audio.source import AudioSource, check_format
from wavrag.types import Float32, format_seconds

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

PREROLL = 0.5  # s decoded before the seek target: decoders need a few packets to settle
SEEK_TOLERANCE = 0.02  # s; the first frame after a seek may be this late
GAP = 0.1  # s; smaller gaps between timestamps are jitter, larger ones are filled with silence
LONGEST_GAP = 3_600.0  # s; a longer jump is a broken timestamp, not a gap
LATEST_GAP = 60.0  # s; a gap to a time that far behind the end of the recording is none either
REPORTABLE_GAP = 0.25  # s of missing audio worth a note
SHORTFALL = 0.5  # s; encoders round the duration in the header, so a small shortfall is normal
FRAMES_PER_PULL = 64  # fewer calls into FFmpeg's filter graph


class Decoder:
    """Decodes the audio of one open recording, once."""

    def __init__(self, source: AudioSource, sample_rate: int, channels: Selection = "mix") -> None:
        self.position = 0.0  # current second of the recording
        self.failure: Exception | None = None  # first decoding error
        self._failed_at = 0.0
        self._missing: tuple[float, float] | None = None
        self._origin = source.origin
        self._source = source
        self._sample_rate = sample_rate
        self._channels = channels
        self._is_mp3 = source.container.format.name == "mp3"
        self._frames = self._decode()

    def seek(self, second: float) -> bool:
        """Seek to shortly before a second; False if decoding has to start at the beginning."""
        import av

        goal = second - PREROLL
        stream = self._source.stream
        if goal <= 0:
            return True
        if stream.time_base is None:
            return False
        try:
            target = int((goal + self._origin) / stream.time_base)
            self._source.container.seek(target, stream=stream)
        except (av.error.FFmpegError, OSError):
            return False
        first = next(self._frames, None)
        # Decoders that start mid-stream may reject the first packets: no damage to report.
        self.failure = None
        if first is None or first.time is None:
            return False
        self._frames = itertools.chain([first], self._frames)
        self.position = first.time - self._origin
        return 0 <= self.position <= second + SEEK_TOLERANCE

    def blocks(self, start: float) -> Iterator[Float32]:
        """Yield samples from a second on, in the shape of the selected channels; see `Mixer`."""
        skip = round((start - self.position) * self._sample_rate)
        for block in self._mixed():
            length = block.shape[-1]
            if skip < length:
                yield block[..., skip:]
            skip = max(0, skip - length)

    def damage(self, to_end: bool) -> Iterator[str]:
        """Describe the damage in the decoded span, one sentence per kind.

        Args:
            to_end: True if the recording was decoded to its end.
        """
        nominal, share = self._source.header_seconds, self._source.declared_share
        if share is not None:
            nominal = self.position * share
        is_cut = to_end and nominal is not None and self.position < nominal - SHORTFALL
        # A cut through the last packet also fails to decode: report the cut alone.
        failed_at_cut = is_cut and self._failed_at >= self.position - SHORTFALL
        if self.failure is not None and not failed_at_cut:
            yield (
                f"damaged at {format_seconds(self._failed_at)} and perhaps later; the decodable"
                " audio is used: replace the file with an intact copy"
            )
        elif self._missing is not None:
            after, until = (format_seconds(second) for second in self._missing)
            yield f"audio is missing from {after} to {until} and perhaps later: filled with silence"
        if to_end and share is not None and share < 1.0:
            yield (
                f"its header declares {self.position * share:.1f} s, but the file holds"
                f" {self.position:.1f} s: all of them are used"
            )
        if is_cut and nominal is not None:
            yield (
                f"ends after {self.position:.1f} s of {nominal:.1f} s: the file is truncated, and"
                " the remaining audio is used: replace the file with an intact copy"
            )

    def _mixed(self) -> Iterator[Float32]:
        mixer: Mixer | None = None
        pending = 0  # frames in the mixer
        for frame in self._frames:
            if mixer is not None and not mixer.takes(frame):
                yield from mixer.finish()
                mixer = None
            if mixer is None:
                channels, rate = frame.layout.nb_channels, frame.sample_rate
                check_format(self._source.name, channels, rate)
                mixer = Mixer(frame, self._sample_rate, channels=self._channels)
            gap = self._gap_before(frame)
            for silent in mixer.silence(gap):
                mixer.push(silent)
                yield from mixer.pull()
            self.position += gap + frame.samples / frame.sample_rate
            mixer.push(frame)
            pending += 1
            if pending == FRAMES_PER_PULL:
                pending = 0
                yield from mixer.pull()
        if mixer is not None:
            yield from mixer.finish()

    def _gap_before(self, frame: AudioFrame) -> float:
        """Return the seconds of silence between the last frame and this one."""
        if frame.time is None:
            return 0.0
        gap = frame.time - self._origin - self.position
        if abs(gap) <= GAP:
            return 0.0
        end = self._source.duration
        is_beyond = end is not None and self.position + gap > max(end, 0.0) + LATEST_GAP
        if is_beyond or not 0 < gap <= LONGEST_GAP:
            self._origin += gap  # the timestamps restart: continue from here
            return 0.0
        # Times of MP3 are counted from its bytes: a gap is a tag, such as a picture.
        is_reportable = gap >= REPORTABLE_GAP and not self._is_mp3
        if self.position and is_reportable and self._missing is None:
            self._missing = (self.position, self.position + gap)
        return gap

    def _decode(self) -> Iterator[AudioFrame]:
        """Yield frames in order; skip undecodable packets and remember the first failure."""
        import av

        packets = self._source.container.demux(self._source.stream)
        tag_end = 0  # end of a tag in the middle of an MP3, in bytes
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError, IndexError) as error:
                # IndexError: PyAV does not know streams that appear late in a transport stream.
                self._fail(error)
                return
            if packet is None:
                return
            if self._is_mp3:
                # Joined recordings have the tags of the second one in the middle: no damage.
                position = packet.pos or 0
                tag = id3_bytes(bytes(memoryview(packet)[:10])) if packet.size else 0
                tag_end = max(tag_end, position + tag if tag else 0)
                if position < tag_end:
                    continue
            try:
                # An empty packet flushes the decoder.
                frames = self._source.decoder.decode(packet if packet.size else None)
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
