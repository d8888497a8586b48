"""Recordings of any format to mono float32 samples, as a stream of constant memory."""

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
    """Decode a recording, or a span of it, into memory: `stream` in one piece.

    Raises:
        AudioError: it cannot be decoded, or has no sound there.
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

    Channels are mixed so that equal channels keep their level, nothing clips, and the centre
    channel is heard. Resampling is band-limited. Seconds are those that a player shows: where
    timestamps leave a gap, silence fills it. What is damaged is left out and `on_note` is told.

    Args:
        file: a path or a binary file; see `open_audio`.
        sample_rate: Hz wanted.
        start: second to begin at; it is sought where the format allows, and met within 50 ms.
        end: second to stop at; None for the end of the recording.
        on_note: called with one sentence for each kind of damage that was met.

    Yields:
        Mono samples in [-1, 1], about a second of them, shape = (n_samples,).

    Raises:
        AudioError: on iteration: it cannot be decoded, has no sound there, or holds samples that
            are not finite.
    """
    start = max(0.0, start)
    wanted = math.inf if end is None else round((end - start) * sample_rate)
    given = 0
    for seek in (True, False):
        with open_audio(file) as source:
            decoder = Decoder(source, sample_rate)
            if seek and not decoder.seek(start):
                continue  # the format cannot: decode from the beginning instead
            for block in decoder.blocks(start):
                kept = block[: int(min(len(block), wanted - given))]
                finite = np.isfinite(kept)
                if not finite.all():
                    bad = start + (given + int(np.argmin(finite))) / sample_rate
                    raise AudioError(
                        f"{source.name}: has samples that are not numbers (NaN or infinity) at"
                        f" about {bad:.1f} s: repair it or export it again"
                    )
                given += len(kept)
                if len(kept):
                    yield np.clip(kept, -1.0, 1.0)
                if given >= wanted:
                    break
            if not given:
                raise _nothing(source.name, start, end, decoder)
            for note in decoder.damage(whole=given < wanted):
                if on_note is not None:
                    on_note(f"{source.name}: {note}")
            return


def _nothing(name: str, start: float, end: float | None, decoder: Decoder) -> AudioError:
    """The error for a recording of which no sample came out."""
    if decoder.failure is not None:
        return undecodable(name, decoder.failure)
    if not decoder.position:
        return AudioError(f"{name}: has 0 samples of sound: record it again or leave it out")
    span = f"from {start:g} s on" if end is None else f"from {start:g} to {end:g} s"
    return AudioError(
        f"{name}: has no sound {span}: it ends at {decoder.position:.1f} s; ask for an earlier part"
    )
