"""Where speech begins, pauses and ends: a pure count over frames of 32 ms."""

from __future__ import annotations

import math
from collections import deque

from wavrag.audio import SAMPLE_RATE, VAD_FRAME

FRAME_MS = 1e3 * VAD_FRAME / SAMPLE_RATE
HYSTERESIS = 0.15  # once in a voice, so much weaker a sign of it is enough


class VoiceTrack:
    """Which of the frames had a voice.

    Places are samples from the beginning of the stream; `start` is where this track begins.

    Attributes:
        end: of the last frame that was heard.
        last_voiced: end of the last frame with a voice; None before the first.
        voiced_frames: those with a voice, since the turn began.
    """

    def __init__(self, threshold: float, onset_ms: float, start: int = 0) -> None:
        self._threshold = threshold
        self._onset = frames_of(onset_ms)
        self._recent: deque[bool] = deque(maxlen=2 * self._onset)
        self.end = start
        self.last_voiced: int | None = None
        self.voiced_frames = 0

    def hear(self, probability: float) -> bool:
        """Take in the next frame; whether it has a voice."""
        within = bool(self._recent) and self._recent[-1]
        voiced = probability >= self._threshold - (HYSTERESIS if within else 0.0)
        self._recent.append(voiced)
        self.end += VAD_FRAME
        if voiced:
            self.voiced_frames += 1
            self.last_voiced = self.end
        return voiced

    def onset(self) -> int | None:
        """The sample at which speech began, as soon as there is enough of it."""
        if not self._recent or not self._recent[-1] or sum(self._recent) < self._onset:
            return None
        return self.end - VAD_FRAME * (len(self._recent) - self._recent.index(True))

    def begin(self) -> None:
        """A turn begins; of the voice before it, only what made it begin counts."""
        self.voiced_frames = sum(self._recent)

    @property
    def pause(self) -> int:
        """Frames since the last one with a voice; 0 before the first."""
        return 0 if self.last_voiced is None else (self.end - self.last_voiced) // VAD_FRAME


def frames_of(milliseconds: float) -> int:
    """The fewest frames that last so long, at least 1."""
    return max(1, math.ceil(milliseconds / FRAME_MS - 1e-9))
