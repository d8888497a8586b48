"""Open recordings, and explain in the error message why one cannot be opened."""

from __future__ import annotations

import io
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TypeAlias, cast

from wavrag.audio.headers import CHUNKED_FORMATS, is_joined_mp3, repair_header
from wavrag.errors import AudioError, WavRAGError

if TYPE_CHECKING:
    from av.audio.codeccontext import AudioCodecContext as CodecContext
    from av.audio.stream import AudioStream
    from av.container import InputContainer

AudioFile: TypeAlias = str | os.PathLike[str] | IO[bytes]

# Without `.ts`, which is usually TypeScript: `is_recording` decides.
AUDIO_SUFFIXES = frozenset({
    ".3g2", ".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".asf", ".au",
    ".avi", ".caf", ".flac", ".flv", ".m2ts", ".m4a", ".m4b", ".m4v", ".mka", ".mkv", ".mov",
    ".mp2", ".mp3", ".mp4", ".mpeg", ".mpg", ".oga", ".ogg", ".ogv", ".opus", ".spx", ".tta",
    ".voc", ".w64", ".wav", ".weba", ".webm", ".wma", ".wmv", ".wv",
})  # fmt: skip

# Formats that contain audio themselves. Playlists are excluded: FFmpeg would open the files and
# URLs in them, which an upload must not make a server do.
FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,matroska,mov,mp3,mpc,mpc8,mpeg,"
    "mpegts,oma,ogg,rm,tta,voc,w64,wav,webm,wv"
)
# Formats without a duration in their headers.
ESTIMATED = ("aac", "ac3", "amr", "au", "dts", "eac3", "mpeg", "mpegts", "voc")
MAX_CHANNELS = 64  # of a track; FFmpeg has no layout for more
# Hz; outside of these a header lies. A second of less would decode from a handful of bytes.
MIN_RATE, MAX_RATE = 1_000, 768_000
SPOOL_BYTES = 16 << 20  # piped input up to this size stays in memory, more goes to a file
IO_BYTES = 1 << 17  # bytes per read
DEFAULT_NAME = "standard input"
PROBE_PACKETS = 64  # packets that `is_recording` tries to decode


@dataclass(frozen=True, slots=True, eq=False)
class AudioSource:
    """An open recording."""

    name: str  # for error messages
    container: InputContainer
    stream: AudioStream
    decoder: CodecContext
    origin: float  # timestamp of second 0, in seconds
    duration: float | None  # seconds, from the headers or estimated; None if unknown
    header_seconds: float | None  # according to a header; None if there is only an estimate
    # Bytes of audio that the header declares per byte in the file; None if it declares none.
    declared_share: float | None

    @property
    def tracks(self) -> int:
        """Number of audio tracks."""
        return len(self.container.streams.audio)

    @property
    def channels(self) -> int:
        """Number of channels of the selected track."""
        return self.decoder.channels


def name_of(file: AudioFile) -> str:
    """Return the name for messages: the path, or `standard input` for a file without a path."""
    if isinstance(file, (str, os.PathLike)):
        return os.fspath(file)
    name = getattr(file, "name", None)
    return name if isinstance(name, str) else DEFAULT_NAME


@contextmanager
def decoding_errors(name: str) -> Iterator[None]:
    """Translate exceptions of a decoder: a hostile file can make it raise any."""
    try:
        yield
    except WavRAGError:
        raise
    except Exception as error:
        raise undecodable(name, error) from error


@contextmanager
def open_audio(file: AudioFile, track: int | None = None) -> Iterator[AudioSource]:
    """Open a recording and select an audio track, as a context manager.

    Args:
        file: a path or a binary file. Binary files are read from the beginning and stay open;
            those without seeking, such as pipes, are read to the end first.
        track: number of the audio track, from 1; None for the default one.

    Raises:
        AudioError: the file cannot be read or contains no audio; the message names the remedy.
    """
    import av

    name = name_of(file)
    with ExitStack() as stack:
        binary = _binary(file, name, stack)
        binary, declared_share = repair_header(binary)
        try:
            # Tags in other encodings than UTF-8 occur in WAV and AVI.
            opened = av.open(
                binary, buffer_size=IO_BYTES, options={"format_whitelist": FORMATS}, mode="r",
                metadata_errors="surrogateescape",
            )  # fmt: skip
            container = stack.enter_context(opened)
        except (av.error.FFmpegError, UnicodeError, OSError) as error:
            raise undecodable(name, error) from error
        stream = _select_stream(container, track, name)
        if stream.codec_context is None or not stream.rate:
            raise AudioError(
                f"{name}: has an audio codec without a decoder: convert it to wav, flac or mp3"
            )
        check_format(name, stream.codec_context.channels, stream.rate)
        origin = 0.0 if container.start_time is None else container.start_time / 1e6
        duration = _duration(container, stream)
        yield AudioSource(
            name, container, stream, _decoder(stream), origin, duration,
            _header_seconds(container, stream, duration, binary), declared_share,
        )  # fmt: skip


def is_recording(file: AudioFile) -> bool:
    """Return True if a file contains audio that can be decoded, whatever its name.

    The beginning of the file is read and decoded, usually in about a millisecond. No other file is
    opened, whatever the content refers to.

    Args:
        file: a path or a binary file with seeking, which stays open.

    Example:
        >>> from wavrag.demo import DATA
        >>> is_recording(DATA / "corpus" / "recordings" / "bells-in-the-rain.opus")
        True
    """
    import av

    try:
        with decoding_errors(name_of(file)), open_audio(file) as source:
            for packet in itertools.islice(source.container.demux(source.stream), PROBE_PACKETS):
                # Damage at the beginning does not make a file something else.
                with suppress(av.error.FFmpegError):
                    if packet.decode():
                        return True
    except AudioError:
        return False
    return False


def check_format(name: str, channels: int, rate: int) -> None:
    """Refuse a number of channels or a sample rate (Hz) beyond the limits.

    Raises:
        AudioError: it is beyond them.
    """
    if channels > MAX_CHANNELS:
        raise AudioError(
            f"{name}: has {channels} channels, and at most {MAX_CHANNELS} are read: mix it down"
        )
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(
            f"{name}: has a sample rate of {rate:,} Hz, and rates from {MIN_RATE:,} to"
            f" {MAX_RATE:,} Hz are read: convert it to 16,000 Hz"
        )


def _duration(container: InputContainer, stream: AudioStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / 1e6


def _select_stream(container: InputContainer, track: int | None, name: str) -> AudioStream:
    streams: Any = container.streams
    if track is None:
        best: AudioStream | None = None
        # PyAV raises it for a stream of a damaged transport stream that appears late.
        with suppress(IndexError):
            best = streams.best("audio")
        if best is None:
            raise AudioError(f"{name}: has no audio stream, only pictures or data: leave it out")
        return best
    if not 1 <= track <= len(streams.audio):
        raise AudioError(
            f"{name}: has {len(streams.audio)} audio tracks and no track {track}: choose another"
        )
    selected: AudioStream = streams.audio[track - 1]
    return selected


def _decoder(stream: AudioStream) -> CodecContext:
    """Return the decoder of a stream.

    FFmpeg's own decoder of AMR rejects the frames between two words (discontinuous transmission);
    the one of OpenCORE fills them with comfort noise.
    """
    import av

    context = stream.codec_context
    if context.name in ("amrnb", "amrwb"):
        with suppress(av.codec.codec.UnknownCodecError):
            decoder: Any = av.AudioCodecContext.create(f"libopencore_{context.name}", "r")
            decoder.sample_rate, decoder.layout = stream.rate, "mono"
            return cast("CodecContext", decoder)
    return context


def _header_seconds(
    container: InputContainer, stream: AudioStream, duration: float | None, binary: IO[bytes]
) -> float | None:
    """Return the duration according to a header, in seconds.

    FFmpeg estimates the duration of formats without one, and of MP3 without a Xing header, from
    the bit rate.
    For formats of chunks the declared bytes decide, see `repair_header`.
    """
    kind = container.format.name
    if kind in ESTIMATED or kind in CHUNKED_FORMATS:
        return None
    if stream.duration is None and len(container.streams.audio) > 1:
        return None  # the duration of the container is that of its longest track
    if kind == "mp3" and (not stream.start_time or is_joined_mp3(binary)):
        return None
    return duration


def undecodable(name: str, error: BaseException) -> AudioError:
    """Return the error for a file that no decoder understands."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return AudioError(
        f"{name}: is not decodable audio ({reason}): check that the file is complete, replace it,"
        " or convert it to wav, flac or mp3"
    )


@contextmanager
def open_binary(file: AudioFile) -> Iterator[IO[bytes]]:
    """Open a file, or rewind one that is open.

    Raises:
        AudioError: it cannot be read.
    """
    with ExitStack() as stack:
        yield _binary(file, name_of(file), stack)


def _binary(file: AudioFile, name: str, stack: ExitStack) -> IO[bytes]:
    """Open a file, or buffer a stream without seeking, and return it at its beginning."""
    binary: IO[bytes]
    try:
        if isinstance(file, (str, os.PathLike)):
            binary = stack.enter_context(open(file, "rb"))  # noqa: SIM115 - closed by the stack
        else:
            binary = file
        if not binary.seekable():
            spool = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115 - closed by the stack
            stack.enter_context(spool)
            shutil.copyfileobj(binary, spool)
            binary = spool
        size = binary.seek(0, io.SEEK_END)
        binary.seek(0)
    except FileNotFoundError as error:
        raise AudioError(f"{name}: no such file: check the path") from error
    except IsADirectoryError as error:
        raise AudioError(f"{name}: is a folder, not a recording: pass the files in it") from error
    except PermissionError as error:
        remedy = "allow reading it (chmod) or leave it out"
        raise AudioError(f"{name}: Permission denied: {remedy}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioError(f"{name}: cannot be read ({reason}): check the file") from error
    if not size:
        raise AudioError(f"{name}: is empty (0 bytes): replace it or leave it out")
    return binary
