"""Correct headers that declare less audio than a file holds, such as those of a crashed recorder.

FFmpeg believes these headers. A corrected copy of the few bytes is laid over the file for reading;
the file stays as it is.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import IO, Any, cast

# Bytes after the audio that are no chunks, but too few to matter: an ID3v1 tag, padding. Half a
# second of telephone audio.
TAIL_BYTES = 4_096
# Encoders that write to a pipe cannot know the size and write one of at least this many bytes.
UNKNOWN_SIZE = 0x7FFF_F000
MAX_CHUNKS = 1_000
XING_BYTES = 1_024  # of the first MP3 frame, that are searched for its header


@dataclass(frozen=True, slots=True)
class _Layout:
    """The order of a format of chunks: an identifier and a size, then the content."""

    chunk: str  # format of identifier and size (`struct`)
    size: str  # format of the size
    size_at: int  # offset of the size within the chunk
    data: bytes  # identifier of the chunk with the audio
    first: int  # offset of the first chunk
    align: int = 1
    inclusive: bool = False  # the size counts the identifier and itself
    largest: int = 0xFFFF_FFFF


_W64_SUFFIX = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_RIFF = _Layout("<4sI", "<I", 4, b"data", 12, align=2)
_LAYOUTS = {
    b"RIFF": _RIFF,
    b"RF64": _RIFF,
    b"FORM": _Layout(">4sI", ">I", 4, b"SSND", 12, align=2, largest=UNKNOWN_SIZE),
    b"caff": _Layout(">4sq", ">q", 4, b"data", 8, largest=2**62),
    b"riff": _Layout("<16sq", "<q", 16, b"data" + _W64_SUFFIX, 40, 8, True, 2**62),
}
_TYPES = (b"WAVE", b"AIFF", b"AIFC")  # of RIFF and FORM files; others are video or pictures
CHUNKED_FORMATS = ("wav", "aiff", "caf", "w64")  # FFmpeg's names of these formats


def repair_header(binary: IO[bytes]) -> tuple[IO[bytes], float | None]:
    """Return a file with a header that covers its audio, at the beginning of the file.

    Args:
        binary: a file with seeking, at any position.

    Returns:
        The file, or a view of it with a corrected header; and the bytes of audio that its own
        header declares per byte in the file, None if it declares none.
    """
    size = binary.seek(0, io.SEEK_END)
    binary.seek(0)
    head = binary.read(40)
    plain = _patch(binary, 0, b"")
    binary.seek(0)
    if head.startswith(b".snd") and head[8:12] == bytes(4):
        return _patch(binary, 8, b"\xff" * 4), None  # AU: FFmpeg refuses a size of 0
    layout = _LAYOUTS.get(head[:4])
    if layout is None or (layout.first == 12 and head[8:12] not in _TYPES):
        return plain, None
    at, patch, share = _repair_chunks(binary, size, layout)
    binary.seek(0)
    return _patch(binary, at, patch), share


def _repair_chunks(
    binary: IO[bytes], size: int, layout: _Layout
) -> tuple[int, bytes, float | None]:
    """Offset and bytes of the correction, and the share of the audio that the header declares."""
    unknown = 0, b"", None
    at, content, length = layout.first, 0, 0
    for _ in range(MAX_CHUNKS):
        chunk = _read_chunk(binary, at, size, layout)
        if chunk is None:
            return unknown
        name, content, length = chunk
        if name == layout.data:
            break
        at = _next_chunk(content, length, layout)
    else:
        return unknown
    present = size - content
    if present <= 0 or length >= UNKNOWN_SIZE or length < 0:
        return unknown
    if length + TAIL_BYTES >= present or _are_chunks(
        binary, _next_chunk(content, length, layout), size, layout
    ):
        return 0, b"", max(1.0, length / present)
    value = min(present + (content - at if layout.inclusive else 0), layout.largest)
    patch = struct.pack(layout.size, value)
    return at + layout.size_at, patch, length / present


def _read_chunk(
    binary: IO[bytes], at: int, size: int, layout: _Layout
) -> tuple[bytes, int, int] | None:
    """Identifier, offset of the content and its declared size; None at the end of the file."""
    length = struct.calcsize(layout.chunk)
    if not 0 <= at <= size - length:
        return None
    binary.seek(at)
    name, n_bytes = struct.unpack(layout.chunk, binary.read(length))
    if layout.inclusive:
        n_bytes = max(0, n_bytes - length)
    return name, at + length, n_bytes


def _next_chunk(content: int, length: int, layout: _Layout) -> int:
    return -(-(content + max(0, length)) // layout.align) * layout.align


def _are_chunks(binary: IO[bytes], at: int, size: int, layout: _Layout) -> bool:
    """True if the rest of a file is chunks, such as tags, and no audio that was left out."""
    for _ in range(MAX_CHUNKS):
        if at >= size - TAIL_BYTES:
            return True
        chunk = _read_chunk(binary, at, size, layout)
        if chunk is None:
            return True
        name, content, length = chunk
        # Another file of the same kind follows: two recordings were joined byte by byte.
        if name[:4] in _LAYOUTS or not all(0x20 <= byte < 0x7F for byte in name[:4]):
            return False
        if layout.inclusive and not name.endswith(_W64_SUFFIX):
            return False
        if content + length > size + layout.align:
            return False
        at = _next_chunk(content, length, layout)
    return False


def is_joined_mp3(binary: IO[bytes]) -> bool:
    """True if an MP3 is longer than its own header says: recordings joined byte by byte."""
    at = binary.tell()
    try:
        size = binary.seek(0, io.SEEK_END)
        binary.seek(0)
        start = id3_bytes(binary.read(10))
        binary.seek(start)
        frame = binary.read(XING_BYTES)
        index = max(frame.find(b"Xing"), frame.find(b"Info"))
        if index < 0 or len(frame) < index + 16 or not frame[index + 7] & 2:
            return False
        (n_bytes,) = struct.unpack_from(">I", frame, index + (12 if frame[index + 7] & 1 else 8))
        # FFmpeg's own bound for a joined file, whose duration it then estimates.
        return bool(size - start > n_bytes * 17 / 16)
    finally:
        binary.seek(at)


def id3_bytes(head: bytes) -> int:
    """Length in bytes of an ID3v2 tag with these first ten bytes; 0 if they are none."""
    if len(head) < 10 or not head.startswith(b"ID3") or max(head[6:10]) > 0x7F:
        return 0
    length = 0
    for byte in head[6:10]:
        length = length << 7 | byte
    return 10 + length


def _patch(binary: IO[bytes], offset: int, patch: bytes) -> IO[bytes]:
    view: Any = _Patched(binary, offset, patch)
    return cast("IO[bytes]", view)


class _Patched(io.RawIOBase):
    """A binary file with a few bytes replaced, if any; reading and seeking only."""

    def __init__(self, binary: IO[bytes], offset: int, patch: bytes) -> None:
        self._binary = binary
        self._offset = offset
        self._patch = patch

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            return self._binary.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -1  # an offset of a damaged file; PyAV would print the exception

    def tell(self) -> int:
        return self._binary.tell()

    def read(self, size: int = -1) -> bytes:
        at = self._binary.tell()
        data = self._binary.read(size)
        first = max(at, self._offset)
        last = min(at + len(data), self._offset + len(self._patch))
        if first >= last:
            return data
        patch = self._patch[first - self._offset : last - self._offset]
        return data[: first - at] + patch + data[last - at :]
