"""Sound files of every kind, made with FFmpeg's encoders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import av
import numpy as np

from wavrag.types import Float32

CODECS = {
    ".wav": "pcm_s16le",
    ".mp3": "libmp3lame",
    ".flac": "flac",
    ".ogg": "libopus",
    ".opus": "libopus",
    ".m4a": "aac",
    ".mp4": "aac",
    ".webm": "libopus",
}


def tone(hertz: float, seconds: float, rate: int, level: float = 0.25) -> Float32:
    """A sine."""
    time = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def write(
    path: Path,
    channels: Float32,
    rate: int,
    *,
    layout: str = "mono",
    codec: str | None = None,
    video: bool = False,
    tags: Mapping[str, str] | None = None,
) -> Path:
    """Encode channels, shape = (n_channels, n), with the codec of the path's suffix."""
    with av.open(str(path), "w") as container:
        container.metadata.update(tags or {})
        picture = None
        if video:
            picture = container.add_stream("mpeg4", rate=5)
            picture.width = picture.height = 64
            picture.pix_fmt = "yuv420p"
        audio = container.add_stream(codec or CODECS[path.suffix], rate=rate, layout=layout)
        if codec == "wmav2":
            audio.codec_context.bit_rate = 64_000  # this encoder has no default
        if picture is not None:
            for _ in range(5):
                image = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
                container.mux(picture.encode(image))
            container.mux(picture.encode(None))
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(channels, np.float32), format="fltp", layout=layout
        )
        frame.sample_rate = rate
        resampler = av.AudioResampler(format=audio.format, layout=layout, rate=rate)
        fifo = av.AudioFifo()
        for given in (frame, None):
            for part in resampler.resample(given):
                part.pts = None
                fifo.write(part)
        size = audio.codec_context.frame_size or 1024
        while (part := fifo.read(size, partial=True)) is not None:
            container.mux(audio.encode(part))
        container.mux(audio.encode(None))
    return path


def write_tracks(
    path: Path, tracks: list[Float32], rate: int = 16_000, titles: tuple[str, ...] = ()
) -> Path:
    """Write a file with a mono audio track for each of the sounds."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("flac", rate=rate, layout="mono") for _ in tracks]
        for stream, title in zip(streams, titles, strict=False):
            stream.metadata["title"] = title
        for at in range(0, max(map(len, tracks)), 4096):
            for stream, samples in zip(streams, tracks, strict=True):
                block = (samples[None, at : at + 4096] * 32_767).astype(np.int16)
                if block.size:
                    frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
                    frame.sample_rate, frame.pts = rate, at
                    container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


def frequency(samples: Float32, rate: int) -> float:
    """Hz of the strongest component."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


def write_mute_video(path: Path) -> None:
    """Write a video of one black picture, without an audio track."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=5)
        picture.width = picture.height = 64
        picture.pix_fmt = "yuv420p"
        image = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        container.mux(picture.encode(image))
        container.mux(picture.encode(None))
