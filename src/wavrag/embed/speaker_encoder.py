"""Speaker vectors: the GE2E encoder of Resemblyzer with a linear projection, as an ONNX graph.

Two spans of the same voice have a higher cosine than spans of two voices.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from wavrag.audio import SAMPLE_RATE
from wavrag.embed.base import unit_rows
from wavrag.embed.runtime import load_session
from wavrag.types import Float32, as_float32

SPEAKER_WEIGHTS = Path(__file__).parent / "weights" / "speakers" / "encoder.onnx"
SPEAKER_REVISION = "ge2e-1"  # vectors of another revision are not comparable
SPEAKER_DIM = 64

SPAN_SECONDS = 1.6  # the encoder was trained on spans of this length
SPAN_SAMPLES = round(SPAN_SECONDS * SAMPLE_RATE)
_FFT, _HOP, _BANDS = 400, 160, 40
_LEVEL = 10 ** (-30 / 20)  # RMS of the training clips: -30 dBFS; the mels are not logarithmic
_BATCH = 32


class SpeakerEncoder:
    """Embeds the voice of spans of 1.6 s. The graph is loaded with the first span."""

    def __init__(self) -> None:
        self._session: Any = None
        self._lock = threading.Lock()

    def embed_spans(self, spans: Sequence[Float32]) -> Float32:
        """Embed spans of a recording.

        Args:
            spans: samples at 16 kHz, float32, shape = (`SPAN_SAMPLES`,); shorter ones are repeated.

        Returns:
            Unit vectors, shape = (n_spans, 64).
        """
        session = self._load()
        vectors = [np.empty((0, SPEAKER_DIM), np.float32)]
        for start in range(0, len(spans), _BATCH):
            mels = np.stack([speaker_mels(span) for span in spans[start : start + _BATCH]])
            vectors.append(session.run(None, {"mels": mels})[0])
        return np.concatenate(vectors)

    def variances(self) -> tuple[float, Float32]:
        """Variances of the vectors of training speakers.

        Returns:
            The variance within a speaker, equal in all dimensions, and that of the speakers' means
            in each dimension, shape = (64,).
        """
        values = json.loads(self._load().get_modelmeta().custom_metadata_map["variances"])
        return float(values["within"]), np.array(values["between"], np.float32)

    def _load(self) -> Any:
        with self._lock:
            if self._session is None:
                self._session = load_session(SPEAKER_WEIGHTS)
            return self._session

    def embed_voice(self, samples: Float32) -> Float32:
        """Embed a clip of one voice of any length at 16 kHz: the unit mean over its spans."""
        last = max(0, len(samples) - SPAN_SAMPLES)
        starts = np.linspace(0, last, 1 + -(-last // (SPAN_SAMPLES // 2))).astype(int)
        vectors = self.embed_spans([samples[at : at + SPAN_SAMPLES] for at in starts])
        return as_float32(unit_rows(vectors.mean(0, keepdims=True))[0])


def speaker_mels(span: Float32) -> Float32:
    """Input of the graph for a span, repeated up to `SPAN_SAMPLES`; shape = (160, 40)."""
    if len(span) < SPAN_SAMPLES:
        span = np.resize(span, SPAN_SAMPLES)
    level = float(np.sqrt(np.mean(np.square(span, dtype=np.float64))))
    return mel_spectrogram((span * (_LEVEL / max(level, 1e-6))).astype(np.float32))


def mel_spectrogram(samples: Float32) -> Float32:
    """Power in 40 mel bands, as `librosa.feature.melspectrogram` computes it.

    Args:
        samples: samples at 16 kHz, shape = (n,).

    Returns:
        Powers, float32, shape = (n // 160, 40): frames of 25 ms every 10 ms.
    """
    padded = np.pad(samples, _FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP][: len(samples) // _HOP]
    window = np.hanning(_FFT + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    return as_float32(power @ mel_filters())


@cache
def mel_filters() -> Float32:
    """Triangular filters of unit area on the mel scale of Slaney's Auditory Toolbox.

    Returns:
        Weights, shape = (201, 40).
    """
    # The scale is linear below 1 kHz (200/3 Hz per mel) and logarithmic above (27 mels per 6.4).
    step = np.log(6.4) / 27
    mels = np.linspace(0.0, 15 + np.log(SAMPLE_RATE / 2 / 1000) / step, _BANDS + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp(step * (mels - 15)))
    bins = np.linspace(0, SAMPLE_RATE / 2, _FFT // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins) / np.diff(edges)[1:]
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])
    return as_float32(filters)
