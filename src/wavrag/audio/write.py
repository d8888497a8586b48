"""Write clips as WAV files, on disk or in memory."""

from __future__ import annotations

import io
import os
import wave
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from wavrag.errors import AudioError
from wavrag.types import Clip


def write_wav(path: str | os.PathLike[str], clip: Clip) -> None:
    """Write a clip as a 16-bit WAV file, atomically.

    Raises:
        AudioError: the file cannot be written.
    """
    target = Path(path)
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        try:
            with scratch.open("wb") as file:
                _write(file, clip.sample_rate, np.clip(clip.samples, -1, 1) * 32_767)
            scratch.replace(target)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise AudioError(f"cannot write {target}: {error.strerror or error}") from error


def wav_bytes(clip: Clip) -> bytes:
    """Return a clip as a 16-bit WAV file; samples from a 16-bit file are preserved exactly.

    A sample of 1.0 becomes 32,767, the maximum.
    """
    samples = np.rint(clip.samples.astype(np.float64) * 32_768).clip(-32_768, 32_767)
    file = io.BytesIO()
    _write(file, clip.sample_rate, samples)
    return file.getvalue()


def _write(file: BinaryIO, sample_rate: int, samples: npt.NDArray[np.floating]) -> None:
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(sample_rate)
        wav.writeframes(samples.astype("<i2").tobytes())
