"""Cutting a recording into passages, at pauses where there is speech, while it streams by.

Speech and what lies between is told apart first. Speech is cut at its pauses. Sound without a voice
(music, a bell, a dog) is cut into equal windows. Silence is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from wavrag.audio.resampling import SAMPLE_RATE
from wavrag.audio.vad import VAD_FRAME, VoiceDetector, voice_detector
from wavrag.types import Clip, Float32

FRAMES_PER_SECOND = SAMPLE_RATE / VAD_FRAME
# Speech begins where so many of so many frames have a voice (0.3 of 0.8 s); a click or the stroke
# of a bell has fewer.
ONSET_VOICED, ONSET_FRAMES = 10, 25
MOMENT = SAMPLE_RATE // 2  # samples over which loudness is judged


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """How recordings are cut. All times in seconds.

    Attributes:
        min_seconds: shorter stretches of speech wait for what follows.
        target_seconds: from here on the next clear pause ends a passage.
        max_seconds: longest passage.
        overlap_seconds: shared by two passages where speech without a pause was cut.
        pause_seconds: shortest pause to cut at, when a passage is at its longest.
        clear_pause_seconds: pause that ends a passage beyond its target.
        gap_seconds: silence that ends a passage beyond its minimum.
        long_gap_seconds: silence that ends any passage.
        pad_seconds: kept around speech.
        sound_seconds: length of windows of sound without a voice.
        min_sound_seconds: shorter sound between speech is left out.
        floor_db: dBFS; between speech, sound whose loudest moment is below is silence.
        hush_db: dBFS; the same as long as nobody has spoken, since quiet is all there may be.
        threshold: probability from which a frame has a voice.
    """

    min_seconds: float = 5.0
    target_seconds: float = 12.0
    max_seconds: float = 24.0
    overlap_seconds: float = 1.0
    pause_seconds: float = 0.15
    clear_pause_seconds: float = 0.4
    gap_seconds: float = 2.0
    long_gap_seconds: float = 4.0
    pad_seconds: float = 0.2
    sound_seconds: float = 10.0
    min_sound_seconds: float = 3.0
    floor_db: float = -50.0
    hush_db: float = -75.0
    threshold: float = 0.5


def windows(
    blocks: Iterable[Float32],
    sample_rate: int = SAMPLE_RATE,
    options: WindowOptions | None = None,
    source: str | None = None,
) -> Iterator[Clip]:
    """Cut a recording into clips of about 5 to 24 s, in order of time.

    Every second in which a voice was detected is in a clip. Clips overlap only where speech had to
    be cut without a pause. Memory does not grow with the recording.

    Args:
        blocks: consecutive samples of any lengths, float32, shape = (n,).
        sample_rate: Hz; must be 16,000.
        options: how to cut.
        source: given to every clip.

    Returns:
        Clips with `start` and `speech` set; at least one if there is any sample.

    Raises:
        ValueError: another sample rate.
    """
    if sample_rate != SAMPLE_RATE:
        raise ValueError(f"recordings are cut at {SAMPLE_RATE} Hz, not at {sample_rate} Hz")
    with voice_detector() as detector:
        cutter = _Cutter(options or WindowOptions(), detector, source)
        for frame in frames(blocks):
            yield from cutter.push(frame)
        yield from cutter.finish()


def frames(blocks: Iterable[Float32]) -> Iterator[Float32]:
    """The same samples in frames of 512; the last may be shorter."""
    rest = np.empty(0, np.float32)
    for block in blocks:
        samples = np.concatenate([rest, block]) if len(rest) else block
        whole = len(samples) // VAD_FRAME * VAD_FRAME
        yield from samples[:whole].reshape(-1, VAD_FRAME)
        rest = samples[whole:]
    if len(rest):
        yield rest


class _Cutter:
    """The frames that are not cut yet, and whether they are within speech."""

    def __init__(self, options: WindowOptions, detector: VoiceDetector, source: str | None) -> None:
        self._options = options
        self._detector = detector
        self._source = source
        self._frames: list[Float32] = []
        self._voiced: list[bool] = []
        self._at = 0  # index of the first frame in the recording
        self._in_speech = False
        self._last_voiced = 0  # index into `_frames`
        self._held: Clip | None = None  # speech that a short tail may still join
        self._silence: Clip | None = None  # what stands for a recording without any sound
        self._any = False
        self._spoken = False

    def push(self, frame: Float32) -> Iterator[Clip]:
        """Take in the next frame and give what is complete."""
        self._frames.append(frame)
        self._voiced.append(self._has_voice(frame))
        if self._in_speech:
            yield from self._within_speech()
        else:
            yield from self._outside_speech()

    def finish(self) -> Iterator[Clip]:
        """Give what is left."""
        if self._in_speech:
            yield from self._end_speech()
        if self._frames:
            yield from self._sound(len(self._frames))
        yield from self._release()
        if not self._any and self._silence is not None:
            yield self._silence

    def _has_voice(self, frame: Float32) -> bool:
        padded = frame if len(frame) == VAD_FRAME else np.pad(frame, (0, VAD_FRAME - len(frame)))
        # Once in a voice, a weaker sign of it is enough.
        within = bool(self._voiced) and self._voiced[-1]
        limit = self._options.threshold - (0.15 if within else 0.0)
        return self._detector.probability(padded) >= limit

    def _outside_speech(self) -> Iterator[Clip]:
        options = self._options
        recent = self._voiced[-ONSET_FRAMES:]
        if self._voiced[-1] and sum(recent) >= ONSET_VOICED:
            self._spoken = True
            first = len(self._frames) - len(recent) + recent.index(True)
            yield from self._sound(max(0, first - count(options.pad_seconds)))
            self._in_speech = True
            self._last_voiced = len(self._frames) - 1
            return
        # The last frames may turn out to be the beginning of speech.
        complete = len(self._frames) - ONSET_FRAMES - count(options.pad_seconds)
        if complete >= count(options.sound_seconds + options.min_sound_seconds):
            window = self._cut(count(options.sound_seconds), speech=False)
            yield from self._emit_sound(window)

    def _within_speech(self) -> Iterator[Clip]:
        options = self._options
        if self._voiced[-1]:
            self._last_voiced = len(self._frames) - 1
        pause = len(self._frames) - 1 - self._last_voiced
        length = len(self._frames)
        spoken = self._last_voiced + 1
        if pause >= count(options.long_gap_seconds) or (
            pause >= count(options.gap_seconds) and spoken >= count(options.min_seconds)
        ):
            yield from self._end_speech()
        elif length >= count(options.target_seconds) and pause >= count(
            options.clear_pause_seconds
        ):
            yield from self._cut_speech(length - pause // 2, overlap=0)
        elif length >= count(options.max_seconds):
            at = self._longest_pause()
            overlap = 0
            if at is None:
                at, overlap = self._quietest(), count(options.overlap_seconds)
            yield from self._cut_speech(at, overlap)

    def _cut_speech(self, at: int, overlap: int) -> Iterator[Clip]:
        """End a passage within speech; the next one begins there, less the overlap."""
        yield from self._release()
        self._held = self._cut(at, speech=True, overlap=overlap)
        self._last_voiced = max(
            (index for index, voiced in enumerate(self._voiced) if voiced), default=0
        )

    def _end_speech(self) -> Iterator[Clip]:
        """End speech after its last frame with a voice and the padding."""
        options = self._options
        end = min(len(self._frames), self._last_voiced + 1 + count(options.pad_seconds))
        self._in_speech = False
        if not any(self._voiced):
            # The last passage ended in the pause after the last word.
            yield from self._release()
            return
        tail = self._cut(end, speech=True)
        held = self._held
        together = tail.end - held.start if held else 0.0
        if held and tail.duration < options.min_seconds and together <= options.max_seconds:
            shared = max(0, round((held.end - tail.start) * SAMPLE_RATE))
            samples = np.concatenate([held.samples, tail.samples[shared:]])
            self._held = self._clip(samples, held.start, speech=True)
        else:
            yield from self._release()
            self._held = tail
        yield from self._release()

    def _release(self) -> Iterator[Clip]:
        if self._held is not None:
            self._any = True
            yield self._held
            self._held = None

    def _sound(self, length: int) -> Iterator[Clip]:
        """Cut the first frames, which have no speech, into windows of sound."""
        options = self._options
        window, shortest = count(options.sound_seconds), count(options.min_sound_seconds)
        while length >= window + shortest:
            yield from self._emit_sound(self._cut(window, speech=False))
            length -= window
        if length:
            rest = self._cut(length, speech=False)
            if length >= shortest:
                yield from self._emit_sound(rest)
            else:
                self._silence = self._silence or rest

    def _emit_sound(self, window: Clip) -> Iterator[Clip]:
        yield from self._release()
        floor_db = self._options.floor_db if self._spoken else self._options.hush_db
        if loudest_db(window.samples) >= floor_db:
            self._any = True
            yield window
        else:
            self._silence = self._silence or window

    def _longest_pause(self) -> int | None:
        """Middle of the longest pause beyond the shortest passage; None if there is none."""
        first = count(self._options.min_seconds)
        best, best_length, run = None, count(self._options.pause_seconds), 0
        for index in range(first, len(self._voiced)):
            run = 0 if self._voiced[index] else run + 1
            if run >= best_length:
                best, best_length = index - run // 2, run
        return best

    def _quietest(self) -> int:
        """The frame of least power in the last third."""
        first = len(self._frames) * 2 // 3
        powers = [float(np.mean(frame**2)) for frame in self._frames[first:]]
        return first + int(np.argmin(powers))

    def _cut(self, length: int, *, speech: bool, overlap: int = 0) -> Clip:
        """Take the first frames off as a clip, leaving the overlap."""
        samples = np.concatenate(self._frames[:length])
        clip = self._clip(samples, self._at * VAD_FRAME / SAMPLE_RATE, speech)
        gone = length - overlap
        del self._frames[:gone], self._voiced[:gone]
        self._at += gone
        return clip

    def _clip(self, samples: Float32, start: float, speech: bool) -> Clip:
        return Clip(samples, SAMPLE_RATE, self._source, start, speech)


def count(seconds: float) -> int:
    """Frames in that time."""
    return round(seconds * FRAMES_PER_SECOND)


def loudest_db(samples: Float32) -> float:
    """Level in dBFS of the loudest moment, so that one call of a bird is not lost in an average."""
    return max(level_db(samples[at : at + MOMENT]) for at in range(0, len(samples), MOMENT))


def level_db(samples: Float32) -> float:
    """RMS level in dBFS; -120 for digital silence."""
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return 10 * float(np.log10(max(power, 1e-12)))
