from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from audio_files import CODECS, frequency, tone, write, write_tracks
from wavrag import audio
from wavrag.audio import RecordingWindow
from wavrag.demo import DATA
from wavrag.types import Channels, Float32

RATE = 16_000
SECONDS = 14


def voice(name: str) -> Float32:
    """The first seconds of speech of a recording of the demo, at the level of ordinary speech."""
    return audio.load(DATA / "corpus" / "recordings" / name, end=SECONDS).samples[: SECONDS * RATE]


FIRST, SECOND = voice("vet-voicemail.m4a"), voice("honeybee-lecture.opus")


def split(path: Path, channels: Channels = "auto") -> tuple[list[RecordingWindow], list[str]]:
    """The windows and the notes of a recording."""
    notes: list[str] = []
    tracks = audio.inspect_recording(path).tracks
    return list(audio.split_recording(path, tracks, channels, notes.append)), notes


def resemblance(window: RecordingWindow, sound: Float32) -> float:
    """Correlation of a window with the span of a sound at its time."""
    samples = window.clip.samples
    first = round(window.clip.start * RATE)
    span = sound[first : first + len(samples)]
    return float(np.corrcoef(samples[: len(span)], span)[0, 1])


def decibels(level: float) -> np.float32:
    return np.float32(10 ** (level / 20))


# Level of the second speaker and of the crosstalk, in dB.
@pytest.mark.parametrize(("quiet", "crosstalk"), [(0, -90), (-20, -90), (0, -15), (-10, -30)])
def test_a_speaker_per_channel_is_heard_by_channel(
    tmp_path: Path, quiet: float, crosstalk: float
) -> None:
    second, leak = SECOND * decibels(quiet), decibels(crosstalk)
    call = np.stack([FIRST + leak * second, second + leak * FIRST])
    path = write(tmp_path / "call.wav", call, RATE, layout="stereo")
    windows, notes = split(path)
    assert notes == []
    assert {window.channel for window in windows} == {1, 2}
    starts = [window.clip.start for window in windows]
    assert starts == sorted(starts)
    for window in windows:
        assert window.track is None
        assert window.clip.speech
        assert resemblance(window, (FIRST, SECOND)[(window.channel or 0) - 1]) > 0.9
    assert {window.channel for window in split(path, "mix")[0]} == {None}


def test_what_only_leaks_into_a_channel_is_silence(tmp_path: Path) -> None:
    quiet = np.zeros(SECONDS * RATE, np.float32)
    first, second = np.concatenate([FIRST, quiet]), np.concatenate([quiet, SECOND])
    leak = decibels(-20)
    call = np.stack([first + leak * second, second + leak * first])
    windows, _ = split(write(tmp_path / "call.wav", call, RATE, layout="stereo"))
    assert {window.channel for window in windows} == {1, 2}
    for window in windows:
        # Each speaks in one half only, and is heard in that half only.
        assert (window.clip.end <= SECONDS + 1) == (window.channel == 1)
        assert (window.clip.start >= SECONDS - 1) == (window.channel == 2)


def stereo_sounds() -> dict[str, Float32]:
    """Stereo without a speaker per channel."""
    generator = np.random.default_rng(0)
    echoes = generator.standard_normal((2, 4_000)) * np.exp(-np.arange(4_000) / 1_000) / 20
    echoes[:, 30] += 0.3
    chords = [
        sum(tone(hertz, SECONDS, RATE, 0.1) for hertz in notes)
        * (1 + np.sin(np.arange(SECONDS * RATE) / RATE * pulse)).astype(np.float32)
        for notes, pulse in (((220, 277, 330), 7), ((440, 554), 3))
    ]
    noise = 1e-3 * generator.standard_normal(SECONDS * RATE).astype(np.float32)
    return {
        "the same": np.stack([FIRST, FIRST]),
        "panned": np.stack([FIRST + 0.5 * SECOND, SECOND + 0.5 * FIRST]),
        "reverberation": np.stack([np.convolve(FIRST, echo)[: len(FIRST)] for echo in echoes]),
        "music": np.stack(chords),
        "voice and music": np.stack([FIRST, chords[0]]),
        "one side": np.stack([FIRST, noise]),
        "delay": np.stack([FIRST, np.roll(FIRST, 3_300) / 2]),
    }


@pytest.mark.parametrize("kind", list(stereo_sounds()))
def test_other_stereo_is_mixed(tmp_path: Path, kind: str) -> None:
    channels = stereo_sounds()[kind].astype(np.float32)
    path = write(tmp_path / "a.wav", channels, RATE, layout="stereo")
    assert {window.channel for window in split(path)[0]} == {None}


def test_split_hears_any_number_of_channels(tmp_path: Path) -> None:
    channels = np.stack([tone(hertz, 4, RATE) for hertz in (300, 500, 700)])
    path = write(tmp_path / "a.wav", channels, RATE, layout="3.0")
    windows, _ = split(path, "split")
    assert [window.channel for window in windows] == [1, 2, 3]
    for window, hertz in zip(windows, (300, 500, 700), strict=True):
        assert frequency(window.clip.samples, RATE) == pytest.approx(hertz, abs=1)
    assert [window.channel for window in split(path)[0]] == [None]


def test_silence_in_all_channels_is_one_window(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.zeros((2, 4 * RATE), np.float32), RATE, layout="stereo")
    assert [window.channel for window in split(path, "split")[0]] == [None]


def test_a_track_with_speech_is_heard_beside_a_silent_one(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "a.mkv", [np.zeros_like(FIRST), FIRST])
    windows, notes = split(path)
    assert {window.track for window in windows} == {2}
    assert resemblance(windows[0], FIRST) > 0.99
    assert notes == [f"{path}: audio track 1 of 2 is silent"]


def test_several_tracks_are_one_recording_by_time(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "a.mkv", [FIRST, SECOND[: 8 * RATE]], titles=("Mic", "Desktop"))
    windows, notes = split(path)
    assert notes == []
    assert {window.track for window in windows} == {1, 2}
    starts = [window.clip.start for window in windows]
    assert starts == sorted(starts)
    for window in windows:
        assert resemblance(window, (FIRST, SECOND)[(window.track or 0) - 1]) > 0.99
    assert [track.title for track in audio.inspect_recording(path).tracks] == ["Mic", "Desktop"]


def test_a_track_that_repeats_another_is_left_out(tmp_path: Path) -> None:
    noise = 1e-3 * np.random.default_rng(0).standard_normal(len(FIRST)).astype(np.float32)
    copy = np.roll(0.7 * FIRST + noise, 200)  # as another encoder would store it
    path = write_tracks(tmp_path / "a.mkv", [FIRST, copy])
    windows, notes = split(path)
    assert {window.track for window in windows} == {1}
    assert notes == [f"{path}: audio track 2 of 2 repeats another one and is left out"]


def test_silent_tracks_alone_give_one_window(tmp_path: Path) -> None:
    quiet = np.zeros(4 * RATE, np.float32)
    windows, notes = split(write_tracks(tmp_path / "a.mkv", [quiet, quiet]))
    assert len(windows) == 1
    assert len(notes) == 1
    assert "all of its 2 audio tracks are silent" in notes[0]


def write_tagged(path: Path, tags: dict[str, str], chapters: list[tuple[int, int, str]]) -> Path:
    """Write 4 s with tags, and chapters in milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(CODECS[path.suffix], rate=48_000, layout="mono")
        container.metadata.update(tags)
        entries: list[Any] = [
            {"id": number, "start": start, "end": end, "time_base": Fraction(1, 1000),
             "metadata": {"title": title}}
            for number, (start, end, title) in enumerate(chapters)
        ]  # fmt: skip
        container.set_chapters(entries)
        resampler = av.AudioResampler(stream.format, "mono", 48_000, frame_size=960)
        frame = av.AudioFrame.from_ndarray(tone(440, 4, 48_000)[None], "fltp", "mono")
        frame.sample_rate = 48_000
        for given in (frame, None):
            for part in resampler.resample(given):
                container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mp3", ".m4a", ".opus"])
def test_tags_and_chapters(tmp_path: Path, suffix: str) -> None:
    tags = {
        "title": "Bees in winter", "artist": "Ada  Ångström", "album": "Talks", "genre": "Podcast",
        "date": "2019-05-01", "track": "3/12", "lyrics": "[00:01.00] The queen sleeps\nin a ball",
    }  # fmt: skip
    chapters = [(0, 2_000, "Introduction"), (2_000, 4_000, "Winter")]
    path = write_tagged(tmp_path / f"a{suffix}", tags, chapters)
    read = audio.inspect_recording(path).tags
    assert read.title == "Bees in winter"
    expected = {"artist": "Ada Ångström", "album": "Talks", "genre": "Podcast",
                "date": "2019-05-01", "year": 2019, "track_number": 3}  # fmt: skip
    assert read.metadata == expected
    assert read.texts == (("Lyrics", "The queen sleeps\nin a ball"),)
    assert [chapter.title for chapter in read.chapters] == ["Introduction", "Winter"]
    assert [read.section(a, a + 0.8) for a in (0.5, 2.5, 9.0)] == ["Introduction", "Winter", ""]


@pytest.mark.parametrize(
    "title", ["Track 1", "track01", "Audio Track", "12", "Untitled", " ", "\x1b"]
)
def test_titles_that_name_nothing_are_left_out(tmp_path: Path, title: str) -> None:
    path = write_tagged(tmp_path / "a.mp3", {"title": title}, [])
    assert audio.inspect_recording(path).tags.title == ""


def test_a_tag_in_an_old_encoding_is_read(tmp_path: Path) -> None:
    path = write_tagged(tmp_path / "a.wav", {"title": "Gr__e"}, [])
    path.write_bytes(path.read_bytes().replace(b"Gr__e", "Grüße".encode("cp1252")))
    assert audio.inspect_recording(path).tags.title == "Grüße"
