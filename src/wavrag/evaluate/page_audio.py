"""Recordings inside an HTML page: mono MP3 as `data:` URIs, up to a total size."""

from __future__ import annotations

import base64
import io
from fractions import Fraction

import numpy as np

from wavrag import audio
from wavrag.audio import SAMPLE_RATE
from wavrag.errors import InputError
from wavrag.types import Clip

BIT_RATE = 32_000  # bits per second; speech stays clear, and 30 s take about 160 kB in base64
MAX_SECONDS = 30.0  # of one recording


def encode_mp3(clip: Clip) -> bytes:
    """Encode a clip as MP3, which every browser plays."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE, layout="mono")
        stream.bit_rate = BIT_RATE
        # Samples beyond [-1, 1] would wrap around in 16 bits. LAME takes planar samples (s16p).
        samples = (np.clip(clip.samples, -1, 1) * 32_767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16p", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = SAMPLE_RATE, Fraction(1, SAMPLE_RATE), 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))  # flushes the encoder
    return file.getvalue()


class PageAudio:
    """The recordings of a page as `data:` URIs, each stored once.

    Attributes:
        uris: by key, for the players of the page.
        skipped: recordings that are unreadable or exceed the budget, by key, with the reason.
    """

    def __init__(self, budget: int) -> None:
        """Set the maximum size of all URIs together, in bytes."""
        self.uris: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self._remaining = budget

    def add(self, path: str, start: float = 0.0, end: float | None = None) -> tuple[str, str]:
        """Add a span of a recording, at most its first 30 s.

        Returns the key of the URI, empty if the recording is skipped, and a note for the reader of
        the page, empty if there is nothing to note.
        """
        key = f"{path}#{start:g}-{'' if end is None else f'{end:g}'}"
        if key in self.skipped:
            return "", self.skipped[key]
        shorten = end is None or end - start > MAX_SECONDS
        try:
            clip = audio.load(path, SAMPLE_RATE, start, start + MAX_SECONDS if shorten else end)
            duration = audio.load(path, SAMPLE_RATE).duration - start if shorten else clip.duration
        except InputError as error:
            self.skipped[key] = f"the recording cannot be read: {error}"
            return "", self.skipped[key]
        if key not in self.uris:
            uri = "data:audio/mpeg;base64," + base64.b64encode(encode_mp3(clip)).decode()
            if len(uri) > self._remaining:  # the base64 text is what fills the page
                self.skipped[key] = "the recording is left out, as the page would be too large"
                return "", self.skipped[key]
            self._remaining -= len(uri)
            self.uris[key] = uri
        # Decoders may pad a recording by some milliseconds, which is not worth a note.
        shortened = duration > MAX_SECONDS + 0.1
        return key, f"the first {MAX_SECONDS:g} s of {duration:.0f} s" if shortened else ""
