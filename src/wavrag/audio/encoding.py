"""Encode clips as audio files in memory, in the formats of browsers and web services."""

from __future__ import annotations

import io
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from wavrag.audio.resampling import resample
from wavrag.types import Clip

AudioFormat: TypeAlias = Literal["wav", "mp3", "opus", "ogg", "flac", "aac", "pcm"]
FORMATS: tuple[AudioFormat, ...] = get_args(AudioFormat)
PCM_RATE = 24_000  # Hz; OpenAI's speech API sends raw PCM at this rate
FRAME = 4096  # samples per frame


class _Codec(NamedTuple):
    container: str
    codec: str
    media_type: str
    rate: int | None = None  # Hz; None keeps the rate of the clip
    layout: str = "s16"


_CODECS: dict[AudioFormat, _Codec] = {
    "wav": _Codec("wav", "pcm_s16le", "audio/wav"),
    "mp3": _Codec("mp3", "libmp3lame", "audio/mpeg", 24_000, "s16p"),
    "opus": _Codec("ogg", "libopus", "audio/ogg", 24_000),
    "ogg": _Codec("ogg", "libopus", "audio/ogg", 24_000),
    "flac": _Codec("flac", "flac", "audio/flac"),
    "aac": _Codec("adts", "aac", "audio/aac", 24_000, "fltp"),
    "pcm": _Codec("s16le", "pcm_s16le", "audio/pcm", PCM_RATE),
}


def media_type(format: AudioFormat) -> str:
    """Return the media type of a format, for `Content-Type`."""
    return _CODECS[format].media_type


def encode(clip: Clip, format: AudioFormat) -> bytes:
    """Encode a clip as a mono audio file.

    Args:
        clip: mono, in [-1, 1].
        format: `wav` and `flac` keep the sample rate, with 16 bits per sample; `mp3`, `opus` and
            `ogg` (both Opus in Ogg) and `aac` use 24 kHz; `pcm` is raw 16-bit little-endian
            samples at 24 kHz.
    """
    import av

    codec = _CODECS[format]
    clip = resample(clip, codec.rate or clip.sample_rate)
    samples = np.rint(np.clip(clip.samples, -1, 1) * 32_767).astype(np.int16)
    file = io.BytesIO()
    with av.open(file, "w", format=codec.container) as container:
        stream: Any = container.add_stream(codec.codec, rate=clip.sample_rate, layout="mono")
        converter = av.AudioResampler(codec.layout, "mono", clip.sample_rate)
        for start in range(0, len(samples), FRAME):
            block = samples[None, start : start + FRAME]
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate, frame.pts = clip.sample_rate, start
            for output in converter.resample(frame):
                container.mux(stream.encode(output))
        for output in converter.resample(None):
            container.mux(stream.encode(output))
        container.mux(stream.encode(None))
    return file.getvalue()
