"""Opening recordings, and saying plainly what is wrong with one that cannot be opened."""

from __future__ import annotations

import io
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from wavrag.errors import AudioError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

AudioFile: TypeAlias = str | os.PathLike[str] | IO[bytes]

AUDIO_SUFFIXES = frozenset(
    {
        ".aac",
        ".aif",
        ".aiff",
        ".flac",
        ".m4a",
        ".m4b",
        ".mka",
        ".mkv",
        ".mov",
        ".mp3",
        ".mp4",
        ".oga",
        ".ogg",
        ".opus",
        ".wav",
        ".webm",
    }
)

# Formats that hold their own sound. A playlist is none: it would name files and addresses to open.
FORMATS = "aac,aiff,amr,asf,au,avi,caf,flac,matroska,mov,mp3,ogg,w64,wav,webm"
SPOOL_BYTES = 16 << 20  # a pipe's content up to this size stays in memory
IO_BYTES = 1 << 17  # read at once
ENDLESS = 0x7FFF_F000  # WAV sizes from here on are what a writer to a pipe puts for "unknown"
UNNAMED = "standard input"


@dataclass(frozen=True, slots=True, eq=False)
class AudioSource:
    """An open recording.

    Attributes:
        name: for messages.
        container: demultiplexer.
        stream: its sound.
        origin: timestamp of second 0, in seconds.
        duration: seconds of sound by the headers or by an estimate; None if unknown.
        declared: seconds of sound that a header promises; None where only an estimate exists.
    """

    name: str
    container: InputContainer
    stream: AudioStream
    origin: float
    duration: float | None
    declared: float | None


def name_of(file: AudioFile) -> str:
    """How messages call it: its path, or `standard input` for a binary file without one."""
    if isinstance(file, (str, os.PathLike)):
        return os.fspath(file)
    name = getattr(file, "name", None)
    return name if isinstance(name, str) else UNNAMED


@contextmanager
def open_audio(file: AudioFile) -> Iterator[AudioSource]:
    """Open a recording and find its sound; whatever was opened here is closed at the end.

    Args:
        file: a path, or a binary file; one that cannot seek, such as a pipe, is read to its end
            first. A binary file is read from its beginning and stays open.

    Raises:
        AudioError: it cannot be read or holds no sound; the message names it and the remedy.
    """
    import av

    name = name_of(file)
    with ExitStack() as stack:
        binary = _binary(file, name, stack)
        head = binary.read(8)
        binary.seek(0)
        try:
            container = stack.enter_context(
                av.open(
                    binary, buffer_size=IO_BYTES, options={"format_whitelist": FORMATS}, mode="r"
                )
            )
        except (av.error.FFmpegError, UnicodeError) as error:
            raise undecodable(name, error) from error
        stream: Any = container.streams.best("audio")
        if stream is None:
            raise AudioError(f"{name}: has no sound in it, only pictures or data: leave it out")
        if stream.codec_context is None or not stream.rate:
            raise AudioError(
                f"{name}: has sound that no decoder here knows: convert it to wav, flac or mp3"
            )
        origin = 0.0 if container.start_time is None else container.start_time / 1e6
        duration = _duration(container, stream)
        declared = _declared(container, stream, duration, head)
        yield AudioSource(name, container, stream, origin, duration, declared)


def _duration(container: InputContainer, stream: AudioStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / 1e6


def _declared(
    container: InputContainer, stream: AudioStream, duration: float | None, head: bytes
) -> float | None:
    """Seconds that a header promises.

    Durations of bare AAC, and of MP3 without the frame that counts the others, are guessed from
    the bit rate. That of WAV is what the file has room for, so its size is taken from the header.
    """
    kind = container.format.name
    if duration is None or kind == "aac" or (kind == "mp3" and not stream.start_time):
        return None
    if kind == "wav" and head.startswith(b"RIFF") and container.size > 0:
        (size,) = struct.unpack_from("<I", head, 4)
        if 0 < size < ENDLESS:
            missing: int = max(0, size + 8 - container.size)
            return duration * (1.0 + missing / container.size)
    return duration


def undecodable(name: str, error: BaseException) -> AudioError:
    """The error for content that no decoder makes sense of."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return AudioError(
        f"{name}: is not sound that can be decoded ({reason}): check that it is whole, replace it,"
        " or convert it to wav, flac or mp3"
    )


def _binary(file: AudioFile, name: str, stack: ExitStack) -> IO[bytes]:
    """A seekable binary file at its beginning."""
    binary: IO[bytes]
    try:
        if isinstance(file, (str, os.PathLike)):
            binary = stack.enter_context(open(file, "rb"))  # noqa: SIM115 - closed by the stack
        else:
            binary = file
        if not binary.seekable():
            spool = stack.enter_context(
                tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115 - closed by the stack
            )
            shutil.copyfileobj(binary, spool)
            binary = spool
        size = binary.seek(0, io.SEEK_END)
        binary.seek(0)
    except FileNotFoundError as error:
        raise AudioError(f"{name}: no such file: check the path") from error
    except IsADirectoryError as error:
        raise AudioError(f"{name}: is a folder, not a recording: name the files in it") from error
    except PermissionError as error:
        raise AudioError(
            f"{name}: Permission denied: allow reading it (chmod) or leave it out"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioError(f"{name}: cannot be read ({reason}): check the file") from error
    if not size:
        raise AudioError(f"{name}: is empty (0 bytes): replace it or leave it out")
    return binary
