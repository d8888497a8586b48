"""Cut a recording into passages while it streams through, without holding it in memory.

Voice activity detection separates speech from other audio. Speech is cut at its pauses. Audio
without speech (music, a bell, a dog) is cut into windows of equal length. Silence is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from operator import itemgetter

import numpy as np

from wavrag.audio.resampling import SAMPLE_RATE
from wavrag.audio.vad import VAD_FRAME, VoiceDetector
from wavrag.types import Clip, Float32

# Changing any constant below changes the passages of every recording: raise `SPLIT_VERSION` in
# `wavrag.kb.passages` along with it, so that existing knowledge bases index recordings again.

# Seconds. The packaged models take at most 30 s; shorter passages also make citations precise.
MAX_SECONDS = 24.0
TARGET_SECONDS = 12.0  # from this length on, the next clear pause ends a passage
MIN_SECONDS = 5.0  # shorter speech waits for more, so that no remark is a passage of its own
OVERLAP_SECONDS = 1.0  # shared by two passages if speech without a pause had to be cut

PAUSE_SECONDS = 0.15  # shortest pause for a cut when a passage has reached its maximum length
CLEAR_PAUSE_SECONDS = 0.4  # pause that ends a passage beyond its target length
GAP_SECONDS = 2.0  # silence that ends a passage beyond its minimum length
LONG_GAP_SECONDS = 4.0  # silence that ends any passage
PAD_SECONDS = 0.2  # padding around speech, for soft sounds that the detector misses

SOUND_SECONDS = 10.0  # window length for audio without speech; CLAP takes 10 s
MIN_SOUND_SECONDS = 3.0  # shorter audio between speech is dropped

# dBFS of the loudest moment, below which audio without speech counts as silence. Between speech it
# is room tone. In a recording without any speech (birds, a distant train) quiet audio may be the
# whole content, so the bound is lower until the first speech.
FLOOR_DB = -50.0
FLOOR_DB_BEFORE_SPEECH = -75.0

SPEECH_PROBABILITY = 0.5  # a frame with at least this probability is voiced
SPEECH_HYSTERESIS = 0.15  # lower by this much after a voiced frame: words fade out

FRAMES_PER_SECOND = SAMPLE_RATE / VAD_FRAME
# Speech begins once this many of the last frames are voiced (0.3 of 0.8 s); a click or the stroke
# of a bell has fewer.
ONSET_VOICED_FRAMES, ONSET_FRAMES = 10, 25
LEVEL_WINDOW = SAMPLE_RATE // 2  # samples per loudness measurement


def windows(
    blocks: Iterable[Float32],
    sample_rate: int = SAMPLE_RATE,
    source: str | None = None,
    overlap_seconds: float = OVERLAP_SECONDS,
    *,
    keep_silence: bool = True,
) -> Iterator[Clip]:
    """Cut a recording into clips of about 5 to 24 s, in chronological order.

    All detected speech is covered. Clips overlap only where speech had to be cut without a pause.
    Memory use does not depend on the length of the recording.

    Args:
        blocks: consecutive samples in blocks of any length, float32, shape = (n,).
        sample_rate: Hz; must be 16,000.
        source: path or URI for `Clip.source`.
        overlap_seconds: overlap of clips if speech had to be cut without a pause; 0 for
            transcription, which would repeat words.
        keep_silence: return a clip of silence for a recording without anything else.

    Returns:
        Clips with `start` and `speech` set; with `keep_silence` at least one for a recording with
        any samples.

    Raises:
        ValueError: another sample rate.

    Example:
        >>> from wavrag import audio
        >>> from wavrag.demo import DATA
        >>> recording = DATA / "corpus" / "recordings" / "bells-in-the-rain.opus"
        >>> clips = list(audio.windows(audio.stream(recording)))
        >>> clips[0].start, clips[0].speech
        (0.0, False)
    """
    if sample_rate != SAMPLE_RATE:
        raise ValueError(f"recordings are cut at {SAMPLE_RATE} Hz, not at {sample_rate} Hz")
    detector = VoiceDetector()
    floor_db = FLOOR_DB_BEFORE_SPEECH if keep_silence else FLOOR_DB
    cutter = _Cutter(detector, source, overlap_seconds, floor_db)
    for frame in frames(blocks):
        yield from cutter.push(frame)
    yield from cutter.finish(keep_silence=keep_silence)


def channel_windows(
    blocks: Iterable[Float32], n_channels: int, source: str | None = None
) -> Iterator[tuple[int, Clip]]:
    """Cut each channel of a recording at 16 kHz into clips, in the order of their start.

    Args:
        blocks: consecutive samples, shape = (n_channels, n) each.
        n_channels: number of channels.
        source: path or URI for `Clip.source`.

    Yields:
        Number of the channel, from 1, and a clip as of `windows`; none for a silent channel.
    """
    cutters = [
        _Cutter(VoiceDetector(), source, OVERLAP_SECONDS, FLOOR_DB) for _ in range(n_channels)
    ]
    # A clip waits until no channel can return an earlier one: half a minute at most.
    queue: list[tuple[float, int, Clip]] = []
    for frame in frames(blocks):
        for number, (cutter, samples) in enumerate(zip(cutters, frame, strict=True), 1):
            queue += [(clip.start, number, clip) for clip in cutter.push(samples)]
        if queue:
            queue.sort(key=itemgetter(0, 1))
            earliest = min(cutter.earliest for cutter in cutters)
            while queue and queue[0][0] <= earliest:
                yield queue.pop(0)[1:]
    for number, cutter in enumerate(cutters, 1):
        queue += [(clip.start, number, clip) for clip in cutter.finish(keep_silence=False)]
    yield from (item[1:] for item in sorted(queue, key=itemgetter(0, 1)))


def frames(blocks: Iterable[Float32]) -> Iterator[Float32]:
    """Regroup samples, shape = (..., n), into frames of 512; the last one may be shorter."""
    remainder: Float32 | None = None
    for block in blocks:
        samples = block
        if remainder is not None and remainder.size:
            samples = np.concatenate([remainder, block], axis=-1)
        end = samples.shape[-1] // VAD_FRAME * VAD_FRAME
        for at in range(0, end, VAD_FRAME):
            yield samples[..., at : at + VAD_FRAME]
        remainder = samples[..., end:]
    if remainder is not None and remainder.size:
        yield remainder


class _Cutter:
    """Buffers frames until a passage is complete, and tracks whether speech is in progress."""

    def __init__(
        self, detector: VoiceDetector, source: str | None, overlap: float, floor_db: float
    ) -> None:
        self._detector = detector
        self._source = source
        self._overlap = frame_count(overlap)
        self._floor_db = floor_db  # until the first speech
        self._frames: list[Float32] = []
        self._voiced: list[bool] = []
        self._first_frame = 0  # number of the first buffered frame within the recording
        self._in_speech = False
        self._last_voiced = 0  # index into `_frames`
        self._pending: Clip | None = None  # last speech passage; a short tail may still join it
        self._silence: Clip | None = None  # fallback for a recording that is silent throughout
        self._has_output = False
        self._has_speech = False

    @property
    def earliest(self) -> float:
        """Earliest possible start of the next passage, in seconds."""
        first = self._first_frame * VAD_FRAME / SAMPLE_RATE
        return first if self._pending is None else min(first, self._pending.start)

    def push(self, frame: Float32) -> Iterator[Clip]:
        """Add the next frame and yield all complete passages."""
        self._frames.append(frame)
        self._voiced.append(self._has_voice(frame))
        if self._in_speech:
            yield from self._within_speech()
        else:
            yield from self._outside_speech()

    def finish(self, *, keep_silence: bool) -> Iterator[Clip]:
        """Yield the remaining passages; one of silence if there is no other, if it is kept."""
        if self._in_speech:
            yield from self._end_speech()
        if self._frames:
            yield from self._sound(len(self._frames))
        yield from self._release()
        if keep_silence and not self._has_output and self._silence is not None:
            yield self._silence

    def _has_voice(self, frame: Float32) -> bool:
        padded = frame if len(frame) == VAD_FRAME else np.pad(frame, (0, VAD_FRAME - len(frame)))
        follows_voice = bool(self._voiced) and self._voiced[-1]
        limit = SPEECH_PROBABILITY - (SPEECH_HYSTERESIS if follows_voice else 0.0)
        return self._detector.probability(padded) >= limit

    def _outside_speech(self) -> Iterator[Clip]:
        recent = self._voiced[-ONSET_FRAMES:]
        if self._voiced[-1] and sum(recent) >= ONSET_VOICED_FRAMES:
            self._has_speech = True
            first = len(self._frames) - len(recent) + recent.index(True)
            yield from self._sound(max(0, first - frame_count(PAD_SECONDS)))
            self._in_speech = True
            self._last_voiced = len(self._frames) - 1
            return
        # Keep back the last frames: they may turn out to be the beginning of speech.
        complete = len(self._frames) - ONSET_FRAMES - frame_count(PAD_SECONDS)
        if complete >= frame_count(SOUND_SECONDS + MIN_SOUND_SECONDS):
            yield from self._emit_sound(self._cut(frame_count(SOUND_SECONDS), speech=False))

    def _within_speech(self) -> Iterator[Clip]:
        if self._voiced[-1]:
            self._last_voiced = len(self._frames) - 1
        pause = len(self._frames) - 1 - self._last_voiced
        length = len(self._frames)
        speech_length = self._last_voiced + 1
        if pause >= frame_count(LONG_GAP_SECONDS) or (
            pause >= frame_count(GAP_SECONDS) and speech_length >= frame_count(MIN_SECONDS)
        ):
            yield from self._end_speech()
        elif length >= frame_count(TARGET_SECONDS) and pause >= frame_count(CLEAR_PAUSE_SECONDS):
            yield from self._cut_speech(length - pause // 2, overlap=0)
        elif length >= frame_count(MAX_SECONDS):
            pause_middle = self._longest_pause()
            if pause_middle is not None:
                yield from self._cut_speech(pause_middle, overlap=0)
            else:
                yield from self._cut_speech(self._quietest_frame(), self._overlap)

    def _cut_speech(self, cut: int, overlap: int) -> Iterator[Clip]:
        """End a passage within speech; the next passage begins at the cut, minus the overlap."""
        yield from self._release()
        self._pending = self._cut(cut, speech=True, overlap=overlap)
        indices = [index for index, has_voice in enumerate(self._voiced) if has_voice]
        self._last_voiced = indices[-1] if indices else 0

    def _end_speech(self) -> Iterator[Clip]:
        """End speech after its last voiced frame and the padding."""
        end = min(len(self._frames), self._last_voiced + 1 + frame_count(PAD_SECONDS))
        self._in_speech = False
        if not any(self._voiced):
            # The last passage ended in the pause after the last word.
            yield from self._release()
            return
        tail = self._cut(end, speech=True)
        pending = self._pending
        joined_seconds = tail.end - pending.start if pending else 0.0
        if pending and tail.duration < MIN_SECONDS and joined_seconds <= MAX_SECONDS:
            overlap = max(0, round((pending.end - tail.start) * SAMPLE_RATE))
            samples = np.concatenate([pending.samples, tail.samples[overlap:]])
            self._pending = self._clip(samples, pending.start, speech=True)
        else:
            yield from self._release()
            self._pending = tail
        yield from self._release()

    def _release(self) -> Iterator[Clip]:
        if self._pending is not None:
            self._has_output = True
            yield self._pending
            self._pending = None

    def _sound(self, length: int) -> Iterator[Clip]:
        """Cut the first `length` frames, which contain no speech, into windows."""
        window, shortest = frame_count(SOUND_SECONDS), frame_count(MIN_SOUND_SECONDS)
        while length >= window + shortest:
            yield from self._emit_sound(self._cut(window, speech=False))
            length -= window
        if length:
            remainder = self._cut(length, speech=False)
            if length >= shortest:
                yield from self._emit_sound(remainder)
            else:
                self._silence = self._silence or remainder

    def _emit_sound(self, window: Clip) -> Iterator[Clip]:
        yield from self._release()
        floor_db = FLOOR_DB if self._has_speech else self._floor_db
        if loudest_db(window.samples) >= floor_db:
            self._has_output = True
            yield window
        else:
            self._silence = self._silence or window

    def _longest_pause(self) -> int | None:
        """Return the middle of the longest pause after the minimum length; None without a pause."""
        first = frame_count(MIN_SECONDS)
        best, best_length, run = None, frame_count(PAUSE_SECONDS), 0
        for index in range(first, len(self._voiced)):
            run = 0 if self._voiced[index] else run + 1
            if run >= best_length:
                best, best_length = index - run // 2, run
        return best

    def _quietest_frame(self) -> int:
        """Return the frame with the least power in the last third."""
        first = len(self._frames) * 2 // 3
        powers = [float(np.mean(frame**2)) for frame in self._frames[first:]]
        return first + int(np.argmin(powers))

    def _cut(self, length: int, *, speech: bool, overlap: int = 0) -> Clip:
        """Return the first `length` frames as a clip and remove them, except the overlap."""
        samples = np.concatenate(self._frames[:length])
        clip = self._clip(samples, self._first_frame * VAD_FRAME / SAMPLE_RATE, speech)
        removed = length - overlap
        del self._frames[:removed], self._voiced[:removed]
        self._first_frame += removed
        return clip

    def _clip(self, samples: Float32, start: float, speech: bool) -> Clip:
        return Clip(samples, SAMPLE_RATE, self._source, start, speech)


@cache  # asked with the same few spans for each frame
def frame_count(seconds: float) -> int:
    """Return the number of frames in a time span."""
    return round(seconds * FRAMES_PER_SECOND)


def loudest_db(samples: Float32) -> float:
    """Return the level of the loudest half second in dBFS.

    An average over the clip would hide the single call of a bird.
    """
    starts = range(0, len(samples), LEVEL_WINDOW)
    return max(level_db(samples[at : at + LEVEL_WINDOW]) for at in starts)


def level_db(samples: Float32) -> float:
    """Return the RMS level in dBFS; -120 for digital silence."""
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return 10 * float(np.log10(max(power, 1e-12)))
