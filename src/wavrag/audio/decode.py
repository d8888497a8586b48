"""Decode recordings of any format to float32 samples, as a stream in constant memory."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator

import numpy as np

from wavrag.audio.decoder import Decoder
from wavrag.audio.mixer import Selection
from wavrag.audio.resampling import SAMPLE_RATE
from wavrag.audio.source import (
    AudioFile,
    decoding_errors,
    name_of,
    open_audio,
    open_binary,
    undecodable,
)
from wavrag.errors import AudioError
from wavrag.types import Clip, Float32, NoteCallback, format_seconds

FREE_SECONDS = 600.0  # that any file may decode to
# Bytes per second of longer recordings. Speech takes 600 or more in every codec, and 320 with
# pauses that are not transmitted; silence takes 140 (AAC), 230 (Opus) or 260 (FLAC).
LEAST_RATE = 300


def load(
    file: AudioFile,
    sample_rate: int = SAMPLE_RATE,
    start: float = 0.0,
    end: float | None = None,
    on_note: NoteCallback | None = None,
    *,
    track: int | None = None,
    channel: int | None = None,
) -> Clip:
    """Decode a recording, or a span of it, into memory; arguments as for `stream`.

    Raises:
        AudioError: the recording cannot be decoded, or has no audio in the span.

    Example:
        >>> from wavrag.demo import DATA
        >>> recording = DATA / "corpus" / "recordings" / "bells-in-the-rain.opus"
        >>> clip = load(recording, start=2.0, end=5.0)
        >>> clip.sample_rate, clip.duration
        (16000, 3.0)
    """
    blocks = stream(file, sample_rate, start, end, on_note, track=track, channel=channel)
    samples = np.concatenate(list(blocks))
    return Clip(samples, sample_rate, name_of(file), max(0.0, start))


def stream(
    file: AudioFile,
    sample_rate: int = SAMPLE_RATE,
    start: float = 0.0,
    end: float | None = None,
    on_note: NoteCallback | None = None,
    *,
    track: int | None = None,
    channel: int | None = None,
) -> Iterator[Float32]:
    """Decode a recording, or a span of it, block by block.

    The downmix keeps the level of equal channels, never clips, and includes the centre channel.
    Two channels of opposite polarity do not cancel: one is inverted.
    Resampling is band-limited. Times match those of a media player: gaps between timestamps are
    filled with silence. Damaged frames are skipped and reported to `on_note`.

    Args:
        file: a path or a binary file; see `open_audio`.
        sample_rate: sample rate of the result in Hz.
        start: first second, accurate to 50 ms; formats with seeking skip to it directly.
        end: last second; None for the end of the recording.
        on_note: called with one sentence per kind of damage.
        track: number of the audio track, from 1; None for the default one.
        channel: number of a channel, from 1; None for the downmix of all.

    Yields:
        Mono samples in [-1, 1], about a second per block, shape = (n_samples,).

    Raises:
        AudioError: during iteration, if the recording cannot be decoded, has no such track or
            channel, has no audio in the span, or has samples that are not finite.
    """
    yield from stream_channels(
        file, "mix" if channel is None else channel, track=track, sample_rate=sample_rate,
        start=start, end=end, on_note=on_note,
    )  # fmt: skip


def stream_channels(
    file: AudioFile,
    channels: Selection,
    *,
    track: int | None = None,
    sample_rate: int = SAMPLE_RATE,
    start: float = 0.0,
    end: float | None = None,
    on_note: NoteCallback | None = None,
    max_seconds: float = math.inf,
) -> Iterator[Float32]:
    """Decode a recording like `stream`, with the given channels.

    Raises:
        AudioError: it decodes to more than `max_seconds`, or see `stream`.

    Yields:
        Blocks with shape (n_samples,), or (n_channels, n_samples) with `all`. The number of
        channels can change within a recording.
    """
    with decoding_errors(name_of(file)):
        yield from _decode(
            file, channels, track=track, sample_rate=sample_rate, start=max(0.0, start), end=end,
            on_note=on_note, max_seconds=max_seconds,
        )  # fmt: skip


def _decode(
    file: AudioFile,
    channels: Selection,
    *,
    track: int | None,
    sample_rate: int,
    start: float,
    end: float | None,
    on_note: NoteCallback | None,
    max_seconds: float,
) -> Iterator[Float32]:
    limit = math.inf if end is None else round((end - start) * sample_rate)
    count = 0  # samples so far
    for seek in (True, False):
        with open_audio(file, track) as source:
            if isinstance(channels, int) and not 1 <= channels <= source.channels:
                raise AudioError(
                    f"{source.name}: has {source.channels} channels and no channel {channels}:"
                    " choose another"
                )
            decoder = Decoder(source, sample_rate, channels)
            if seek and not decoder.seek(start):
                continue  # no seeking in this format: decode from the beginning
            for block in decoder.blocks(start):
                if count > max_seconds * sample_rate:
                    raise _too_long(source.name, max_seconds)
                samples = block[..., : int(min(block.shape[-1], limit - count))]
                finite = np.isfinite(np.atleast_2d(samples)).all(axis=0)
                if not finite.all():
                    bad = start + (count + int(np.argmin(finite))) / sample_rate
                    raise AudioError(
                        f"{source.name}: has samples that are not numbers (NaN or infinity) at"
                        f" about {bad:.1f} s: export the recording again"
                    )
                count += samples.shape[-1]
                if samples.size:
                    # Lossy codecs and the resampling filter overshoot full scale.
                    yield np.clip(samples, -1.0, 1.0)
                if count >= limit:
                    break
            if not count:
                raise _empty_error(source.name, start, end, decoder)
            for note in decoder.damage(to_end=count < limit):
                if on_note is not None:
                    on_note(f"{source.name}: {note}")
            return


class RecordingTooLongError(AudioError):
    """A recording decodes to more than its limit."""


def decoded_seconds(file: AudioFile) -> float:
    """Longest recording that a file of this size is expected to hold, in seconds.

    A few bytes can decode to hours of silence, which would take minutes to index.
    """
    with open_binary(file) as binary:
        return FREE_SECONDS + binary.seek(0, io.SEEK_END) / LEAST_RATE


def _too_long(name: str, seconds: float) -> AudioError:
    return RecordingTooLongError(
        f"{name}: decodes to more than {format_seconds(seconds)}, the limit for its size: if"
        " it is really longer, allow it with `wavrag index --max-hours`, or split it"
    )


def _empty_error(name: str, start: float, end: float | None, decoder: Decoder) -> AudioError:
    """Explain why a recording gave no samples."""
    if decoder.failure is not None:
        return undecodable(name, decoder.failure)
    if not decoder.position:
        return AudioError(f"{name}: has 0 samples of audio: record it again or leave it out")
    span = f"from {start:g} s on" if end is None else f"from {start:g} to {end:g} s"
    return AudioError(
        f"{name}: has no audio {span}: it ends at {decoder.position:.1f} s; choose an earlier span"
    )
