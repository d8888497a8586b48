"""Sound: decoding any format, resampling, cutting at pauses, writing. Knows no retrieval model."""

from wavrag.audio.decode import load, stream
from wavrag.audio.resample import resample
from wavrag.audio.source import AUDIO_SUFFIXES
from wavrag.audio.windows import WindowOptions, windows
from wavrag.audio.write import wav_bytes, write_wav

__all__ = [
    "AUDIO_SUFFIXES",
    "WindowOptions",
    "load",
    "resample",
    "stream",
    "wav_bytes",
    "windows",
    "write_wav",
]
