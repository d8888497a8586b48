"""Find where speech begins, pauses and ends, by counting frames of 32 ms."""

from __future__ import annotations

import math
from collections import deque

from wavrag.audio import SAMPLE_RATE, VAD_FRAME
from wavrag.live.options import ONSET_MS, VOICE_THRESHOLD

FRAME_MS = 1e3 * VAD_FRAME / SAMPLE_RATE
HYSTERESIS = 0.15  # a frame after a voiced one needs that much less probability


class VoiceTrack:
    """Counts the voiced frames of a stream.

    Positions are samples since the beginning of the stream.

    Attributes:
        end: position after the last frame.
        last_voiced: position after the last voiced frame; None before the first.
        voiced_frames: number of voiced frames since the turn began.
    """

    def __init__(self, start: int = 0) -> None:
        """Start a track at a position of the stream."""
        self._onset = frames_of(ONSET_MS)
        self._recent: deque[bool] = deque(maxlen=2 * self._onset)
        self.end = start
        self.last_voiced: int | None = None
        self.voiced_frames = 0

    def add(self, probability: float) -> bool:
        """Add the next frame by its speech probability; returns True if it is voiced."""
        in_speech = bool(self._recent) and self._recent[-1]
        is_voiced = probability >= VOICE_THRESHOLD - (HYSTERESIS if in_speech else 0.0)
        self._recent.append(is_voiced)
        self.end += VAD_FRAME
        if is_voiced:
            self.voiced_frames += 1
            self.last_voiced = self.end
        return is_voiced

    def onset(self) -> int | None:
        """Position of the beginning of speech; None until enough frames are voiced."""
        if not self._recent or not self._recent[-1] or sum(self._recent) < self._onset:
            return None
        return self.end - VAD_FRAME * (len(self._recent) - self._recent.index(True))

    def begin(self) -> None:
        """Begin a turn: of the voiced frames so far, only those of the onset count."""
        self.voiced_frames = sum(self._recent)

    @property
    def pause(self) -> int:
        """Frames since the last voiced one; 0 before the first."""
        return 0 if self.last_voiced is None else (self.end - self.last_voiced) // VAD_FRAME


def frames_of(milliseconds: float) -> int:
    """Number of frames that cover a duration, at least 1."""
    # The epsilon keeps a whole number of frames from becoming one more by rounding.
    return max(1, math.ceil(milliseconds / FRAME_MS - 1e-9))
