"""Recordings small enough to lie in a page: mono MP3 at 16 kHz, within a budget of bytes."""

from __future__ import annotations

import base64
import io
from fractions import Fraction

import numpy as np

from wavrag import audio
from wavrag.audio import SAMPLE_RATE
from wavrag.errors import InputError
from wavrag.types import Clip

BITS = 32_000  # a second
LONGEST = 30.0  # seconds of one recording


def mp3(clip: Clip) -> bytes:
    """A clip as MP3, which every browser plays."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE, layout="mono")
        stream.bit_rate = BITS
        samples = (np.clip(clip.samples, -1, 1) * 32_767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16p", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = SAMPLE_RATE, Fraction(1, SAMPLE_RATE), 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


class Sounds:
    """The recordings of a page, each once, as `data:` URIs.

    Attributes:
        uris: by key, for the players.
        left_out: recordings that did not fit, or cannot be read, with the reason.
    """

    def __init__(self, budget: int) -> None:
        """Keep to a size.

        Args:
            budget: bytes of all recordings together, as written in the page.
        """
        self.uris: dict[str, str] = {}
        self.left_out: dict[str, str] = {}
        self._left = budget

    def add(self, path: str, start: float = 0.0, end: float | None = None) -> tuple[str, str]:
        """Take in a stretch of a recording, at most its first 30 s.

        Returns:
            Its key, empty if it was left out, and what must be said of it, if anything.
        """
        key = f"{path}#{start:g}-{'' if end is None else f'{end:g}'}"
        if key in self.left_out:
            return "", self.left_out[key]
        cut = end is None or end - start > LONGEST
        try:
            clip = audio.load(path, SAMPLE_RATE, start, start + LONGEST if cut else end)
            whole = audio.load(path, SAMPLE_RATE).duration - start if cut else clip.duration
        except InputError as error:
            self.left_out[key] = f"the recording cannot be read: {error}"
            return "", self.left_out[key]
        if key not in self.uris:
            uri = "data:audio/mpeg;base64," + base64.b64encode(mp3(clip)).decode()
            if len(uri) > self._left:
                self.left_out[key] = "the recording is left out, as the page would be too large"
                return "", self.left_out[key]
            self._left -= len(uri)
            self.uris[key] = uri
        return key, f"the first {LONGEST:g} s of {whole:.0f} s" if whole > LONGEST + 0.1 else ""
