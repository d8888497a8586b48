"""Decode recordings of any format to mono float32 samples, as a stream in constant memory."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from wavrag.audio.decoder import Decoder
from wavrag.audio.resampling import SAMPLE_RATE
from wavrag.audio.source import AudioFile, name_of, open_audio, undecodable
from wavrag.errors import AudioError
from wavrag.types import Clip, Float32, NoteCallback


def load(
    file: AudioFile,
    sample_rate: int = SAMPLE_RATE,
    start: float = 0.0,
    end: float | None = None,
    on_note: NoteCallback | None = None,
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
    samples = np.concatenate(list(stream(file, sample_rate, start, end, on_note)))
    return Clip(samples, sample_rate, name_of(file), max(0.0, start))


def stream(
    file: AudioFile,
    sample_rate: int = SAMPLE_RATE,
    start: float = 0.0,
    end: float | None = None,
    on_note: NoteCallback | None = None,
) -> Iterator[Float32]:
    """Decode a recording, or a span of it, block by block.

    The downmix keeps the level of equal channels, never clips, and includes the centre channel.
    Resampling is band-limited. Times match those of a media player: gaps between timestamps are
    filled with silence. Damaged frames are skipped and reported to `on_note`.

    Args:
        file: a path or a binary file; see `open_audio`.
        sample_rate: sample rate of the result in Hz.
        start: first second, accurate to 50 ms; formats with seeking skip to it directly.
        end: last second; None for the end of the recording.
        on_note: called with one sentence per kind of damage.

    Yields:
        Mono samples in [-1, 1], about a second per block, shape = (n_samples,).

    Raises:
        AudioError: during iteration, if the recording cannot be decoded, has no audio in the span,
            or has samples that are not finite.
    """
    start = max(0.0, start)
    limit = math.inf if end is None else round((end - start) * sample_rate)
    count = 0  # samples so far
    for seek in (True, False):
        with open_audio(file) as source:
            decoder = Decoder(source, sample_rate)
            if seek and not decoder.seek(start):
                continue  # no seeking in this format: decode from the beginning
            for block in decoder.blocks(start):
                samples = block[: int(min(len(block), limit - count))]
                finite = np.isfinite(samples)
                if not finite.all():
                    bad = start + (count + int(np.argmin(finite))) / sample_rate
                    raise AudioError(
                        f"{source.name}: has samples that are not numbers (NaN or infinity) at"
                        f" about {bad:.1f} s: export the recording again"
                    )
                count += len(samples)
                if len(samples):
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
