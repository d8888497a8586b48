"""Cut the recording of a file into windows: each of its audio tracks, mixed or by channel."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np

from wavrag.audio.channels import detect_speakers
from wavrag.audio.decode import RecordingTooLongError, decoded_seconds, stream_channels
from wavrag.audio.decoder import Decoder
from wavrag.audio.mixer import StereoMix
from wavrag.audio.resampling import SAMPLE_RATE
from wavrag.audio.source import AudioFile, decoding_errors, name_of, open_audio
from wavrag.audio.tags import Tags, read_tags, track_title
from wavrag.audio.windows import channel_windows, windows
from wavrag.errors import AudioError
from wavrag.types import Channels, Clip, Float32, NoteCallback

# Speakers per channel are detected from the first minute, which is decoded anyway, and from spans
# of the rest: 5 s in every 50 s, eight at most.
HEAD_SECONDS = 60
SPAN_SECONDS = 5.0
SECONDS_PER_SPAN = 50.0
MAX_SPANS = 8

SAME_CORRELATION = 0.95  # of the windows of two tracks with the same audio in two encodings
MAX_SHIFT = 800  # samples between them: encoders add up to 50 ms
RECENT_WINDOWS = 16  # of other tracks, that a window is compared with
MIN_COVERAGE = 0.8  # share of a window, that the other track must repeat


class RecordingWindow(NamedTuple):
    """A window of a recording, with its track and channel from 1; None if there is one of each."""

    clip: Clip
    track: int | None = None
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class Track:
    """An audio track of a file."""

    number: int | None  # from 1; None if it is the only one
    channels: int
    seconds: float  # according to the headers, or an estimate; 0 if unknown
    title: str = ""


@dataclass(frozen=True, slots=True)
class Recording:
    """The audio tracks of a file, also those without a decoder, and its tags."""

    tracks: tuple[Track, ...] = (Track(None, 1, 0.0),)
    tags: Tags = field(default_factory=Tags)


def inspect_recording(file: AudioFile) -> Recording:
    """Read the headers of a recording.

    Raises:
        AudioError: the file cannot be read or contains no audio.

    Example:
        >>> from wavrag.demo import DATA
        >>> path = DATA / "corpus" / "recordings" / "bells-in-the-rain.opus"
        >>> [(track.channels, round(track.seconds)) for track in inspect_recording(path).tracks]
        [(1, 18)]
    """
    with decoding_errors(name_of(file)), open_audio(file) as source:
        streams = source.container.streams.audio
        seconds = source.duration or 0.0
        tracks = [Track(None, source.channels, seconds)]
        if len(streams) > 1:
            tracks = []
            for number, stream in enumerate(streams, 1):
                channels = stream.codec_context.channels if stream.codec_context else 1
                tracks.append(Track(number, channels, seconds, track_title(stream.metadata)))
        return Recording(tuple(tracks), read_tags(source))


def split_recording(
    file: AudioFile,
    tracks: Sequence[Track],
    channels: Channels = "auto",
    on_note: NoteCallback | None = None,
    max_seconds: float | None = None,
) -> Iterator[RecordingWindow]:
    """Cut the recording of a file into windows at 16 kHz, in the order of their start.

    Every audio track is decoded. Tracks that are silent, that repeat another one, or that cannot be
    decoded are left out with a note. Memory use does not depend on the length of the recording.

    Args:
        file: a path or a binary file with seeking.
        tracks: all audio tracks of the file.
        channels: `split` the channels, `mix` them, or `auto`: split the two channels of a
            recording with a speaker in each.
        on_note: called with remarks about damage and about tracks that are left out.
        max_seconds: longest track; None for a limit in proportion to the size of the file.

    Returns:
        At least one window for a recording with any samples.

    Raises:
        AudioError: during iteration, if no track can be decoded, or one is too long.
    """
    if max_seconds is None:
        max_seconds = decoded_seconds(file) / len(tracks)
    cut = partial(_track_windows, file, max_seconds=max_seconds)
    if len(tracks) == 1:
        yield from cut(tracks[0], channels, on_note, keep_silence=True)
        return
    name, on_note = name_of(file), on_note or (lambda _: None)
    failures: dict[int, AudioError] = {}
    numbers = range(1, len(tracks) + 1)
    totals, repetitions = dict.fromkeys(numbers, 0), dict.fromkeys(numbers, 0)
    streams = [
        _catch(failures, number, cut(track, channels, on_note, keep_silence=False))
        for number, track in enumerate(tracks, 1)
    ]
    recent: deque[RecordingWindow] = deque(maxlen=RECENT_WINDOWS * len(tracks))
    for window in heapq.merge(*streams, key=lambda window: window.clip.start):
        assert window.track is not None
        totals[window.track] += 1
        if _is_repetition(window, recent):
            repetitions[window.track] += 1
        else:
            recent.append(window)
            yield window
    if len(failures) == len(tracks):
        raise failures[1]
    for number in numbers:
        failure = str(failures.get(number, "")).removeprefix(f"{name}: ")
        if remark := _explain_omission(number, failure, totals, repetitions):
            on_note(f"{name}: audio track {number} of {len(tracks)} {remark}")
    if not any(totals.values()):
        on_note(f"{name}: all of its {len(tracks)} audio tracks are silent")
        silent = next(track for track in tracks if track.number not in failures)
        yield from cut(silent, "mix", None, keep_silence=True)


def _explain_omission(
    track: int, failure: str, totals: Mapping[int, int], repetitions: Mapping[int, int]
) -> str:
    """Why a track adds no windows; "" if it does, or if all tracks are silent."""
    if failure:
        return f"is left out: it {failure}"
    if not any(totals.values()):
        return ""
    if not totals[track]:
        return "is silent"
    is_repetition = repetitions[track] == totals[track]
    return "repeats another one and is left out" if is_repetition else ""


def _catch(
    failures: dict[int, AudioError], track: int, stream: Iterator[RecordingWindow]
) -> Iterator[RecordingWindow]:
    """Pass on the windows of a track until it ends or fails."""
    try:
        yield from stream
    except RecordingTooLongError:
        raise
    except AudioError as error:
        failures[track] = error


def _track_windows(
    file: AudioFile,
    track: Track,
    channels: Channels,
    on_note: NoteCallback | None,
    *,
    keep_silence: bool,
    max_seconds: float,
) -> Iterator[RecordingWindow]:
    name, number, n_channels = name_of(file), track.number, track.channels
    cut = partial(windows, source=name, keep_silence=keep_silence)
    decode = partial(stream_channels, file, track=number, on_note=on_note, max_seconds=max_seconds)
    if n_channels == 1 or channels == "mix" or (channels == "auto" and n_channels > 2):
        blocks = decode("mix")
        yield from (RecordingWindow(clip, number) for clip in cut(blocks))
        return
    blocks = (_with_channels(block, n_channels) for block in decode("all"))
    if n_channels == 2:
        head = list(itertools.islice(blocks, HEAD_SECONDS))
        evidence = [np.concatenate(head, axis=1), *_read_spans(file, track)]
        gate = detect_speakers(evidence, voiced=channels == "auto")
        blocks = itertools.chain(head, blocks)
        if gate is None and channels == "auto":
            mixed = map(StereoMix(SAMPLE_RATE).mix, blocks)
            yield from (RecordingWindow(clip, number) for clip in cut(mixed))
            return
        del head, evidence
        if gate is not None:
            blocks = gate.filter(blocks)
    has_output = False
    for channel, clip in channel_windows(blocks, n_channels, name):
        has_output = True
        yield RecordingWindow(clip, number, channel)
    if keep_silence and not has_output:
        yield from _track_windows(
            file, track, "mix", None, keep_silence=True, max_seconds=max_seconds
        )


def _with_channels(block: Float32, n_channels: int) -> Float32:
    """Return a block with the usual number of channels if it changes within the recording."""
    if len(block) == n_channels:
        return block
    return np.repeat(block.mean(axis=0, keepdims=True), n_channels, axis=0)


def _read_spans(file: AudioFile, track: Track) -> list[Float32]:
    """Decode a few spans after the first minute; none if the format cannot seek."""
    remainder = track.seconds - HEAD_SECONDS
    count = min(MAX_SPANS, int(remainder / SECONDS_PER_SPAN))
    spans: list[Float32] = []
    if count < 1:
        return spans
    with open_audio(file, track.number) as source:
        for index in range(count):
            start = HEAD_SECONDS + (index + 0.5) * remainder / count
            decoder = Decoder(source, SAMPLE_RATE, "all")
            if not decoder.seek(start):
                break
            blocks = itertools.islice(decoder.blocks(start), round(SPAN_SECONDS))
            spans += [block for block in blocks if len(block) == 2 and np.isfinite(block).all()]
    return spans


def _is_repetition(window: RecordingWindow, recent: deque[RecordingWindow]) -> bool:
    """True if another track has the same audio at the same time."""
    overlap = 0
    for candidate in recent:
        if candidate.track == window.track:
            continue
        start = max(window.clip.start, candidate.clip.start)
        end = min(window.clip.end, candidate.clip.end)
        if end - start > 2 * MAX_SHIFT / SAMPLE_RATE:
            spans = [_span(clip, start, end) for clip in (window.clip, candidate.clip)]
            if _correlation(*spans) < SAME_CORRELATION:
                return False
            overlap += len(spans[0])
    return overlap >= MIN_COVERAGE * len(window.clip.samples)


def _span(clip: Clip, start: float, end: float) -> Float32:
    first = round((start - clip.start) * SAMPLE_RATE)
    return clip.samples[first : first + int((end - start) * SAMPLE_RATE)]


def _correlation(first: Float32, second: Float32) -> float:
    """Highest normalised correlation of two spans within the largest shift."""
    length = min(len(first), len(second))
    size = 1 << (length + MAX_SHIFT).bit_length()
    spectrum = np.fft.rfft(first[:length], size) * np.conj(np.fft.rfft(second[:length], size))
    products = np.fft.irfft(spectrum, size)
    highest = max(products[: MAX_SHIFT + 1].max(), products[-MAX_SHIFT:].max())
    energy = float(first[:length] @ first[:length]) * float(second[:length] @ second[:length])
    correlation: float = float(highest) / max(energy**0.5, 1e-12)
    return correlation
