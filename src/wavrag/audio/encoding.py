"""Clips as the bytes of a file, in the formats that browsers and services exchange."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from wavrag.audio.resampling import resample
from wavrag.types import Clip

AudioFormat: TypeAlias = Literal["wav", "mp3", "opus", "ogg", "flac", "aac", "pcm"]
FORMATS: tuple[AudioFormat, ...] = get_args(AudioFormat)
PCM_RATE = 24_000  # Hz of bare samples, as OpenAI's service sends them
FRAME = 4096  # samples encoded at a time


@dataclass(frozen=True, slots=True)
class _Coding:
    container: str
    codec: str
    media_type: str
    rate: int | None = None  # Hz that the codec asks for; None for any
    layout: str = "s16"


_CODINGS: dict[AudioFormat, _Coding] = {
    "wav": _Coding("wav", "pcm_s16le", "audio/wav"),
    "mp3": _Coding("mp3", "libmp3lame", "audio/mpeg", 24_000, "s16p"),
    "opus": _Coding("ogg", "libopus", "audio/ogg", 24_000),
    "ogg": _Coding("ogg", "libopus", "audio/ogg", 24_000),
    "flac": _Coding("flac", "flac", "audio/flac"),
    "aac": _Coding("adts", "aac", "audio/aac", 24_000, "fltp"),
    "pcm": _Coding("s16le", "pcm_s16le", "audio/pcm", PCM_RATE),
}


def media_type(format: AudioFormat) -> str:
    """What `Content-Type` names a format."""
    return _CODINGS[format].media_type


def encode(clip: Clip, format: AudioFormat) -> bytes:
    """A clip as the content of a mono file.

    Args:
        clip: mono, in [-1, 1].
        format: `wav` and `flac` keep its rate, 16 bits a sample; `mp3`, `opus` (in Ogg, as is
            `ogg`) and `aac` have 24 kHz; `pcm` is bare 16-bit little-endian samples at 24 kHz.
    """
    import av

    coding = _CODINGS[format]
    clip = resample(clip, coding.rate or clip.sample_rate)
    samples = np.rint(np.clip(clip.samples, -1, 1) * 32_767).astype(np.int16)
    file = io.BytesIO()
    with av.open(file, "w", format=coding.container) as container:
        stream: Any = container.add_stream(coding.codec, rate=clip.sample_rate, layout="mono")
        converter = av.AudioResampler(coding.layout, "mono", clip.sample_rate)
        for start in range(0, len(samples), FRAME):
            frame = av.AudioFrame.from_ndarray(
                samples[None, start : start + FRAME], format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts = clip.sample_rate, start
            for converted in converter.resample(frame):
                container.mux(stream.encode(converted))
        for converted in converter.resample(None):
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return file.getvalue()
