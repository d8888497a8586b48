import io
import os
import struct
import subprocess
import sys
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from audio_files import frequency, tone, write, write_mute_video, write_tracks
from wavrag import audio
from wavrag.errors import AudioError
from wavrag.types import Clip

RATE = 16_000


@pytest.mark.parametrize(
    "suffix", [".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".mp4", ".webm"]
)
def test_every_format_gives_its_tone_and_length(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a recording, großes Ohr 耳{suffix}"
    write(path, tone(440, 2.5, 48_000)[None], 48_000, video=suffix == ".mp4")
    clip = audio.load(path)
    assert clip.sample_rate == RATE
    assert clip.samples.dtype == np.float32
    assert clip.source == str(path)
    assert clip.duration == pytest.approx(2.5, abs=0.1)
    assert frequency(clip.samples[RATE : 2 * RATE], RATE) == pytest.approx(440, abs=1)
    assert np.abs(clip.samples[RATE : 2 * RATE]).max() == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"])
def test_every_sample_format_of_wav(tmp_path: Path, codec: str) -> None:
    path = write(tmp_path / "a.wav", tone(440, 1, RATE)[None], RATE, codec=codec)
    np.testing.assert_allclose(audio.load(path).samples, tone(440, 1, RATE), atol=0.02)


def test_ogg_vorbis(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    with av.open(str(path), "w") as container:
        # FFmpeg's own encoder counts as an experiment and takes two channels.
        stream = container.add_stream(
            "vorbis", rate=44_100, layout="stereo", options={"strict": "experimental"}
        )
        channels = np.repeat(tone(440, 2, 44_100)[None], 2, axis=0)
        frame = av.AudioFrame.from_ndarray(channels, format="fltp", layout="stereo")
        frame.sample_rate = 44_100
        fifo = av.AudioFifo()
        fifo.write(frame)
        while (part := fifo.read(64, partial=True)) is not None:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    clip = audio.load(path)
    assert clip.duration == pytest.approx(2, abs=0.1)
    assert frequency(clip.samples[8_000:24_000], RATE) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 192_000])
def test_other_rates_are_resampled(tmp_path: Path, rate: int) -> None:
    path = write(tmp_path / "a.wav", tone(1_000, 2, rate)[None], rate)
    clip = audio.load(path)
    assert clip.duration == pytest.approx(2, abs=0.01)
    assert frequency(clip.samples, RATE) == pytest.approx(1_000, abs=1)


def test_what_the_rate_cannot_carry_is_filtered_out_not_folded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(30_000, 1, 192_000)[None], 192_000)
    assert np.abs(audio.load(path).samples[1_000:-1_000]).max() < 0.002


def test_stereo_keeps_its_level_and_both_sides(tmp_path: Path) -> None:
    left, right = tone(300, 1, RATE, 0.9), tone(700, 1, RATE, 0.9)
    same = write(tmp_path / "same.wav", np.stack([left, left]), RATE, layout="stereo")
    np.testing.assert_allclose(audio.load(same).samples, left, atol=1e-3)
    both = write(tmp_path / "both.wav", np.stack([left, right]), RATE, layout="stereo")
    np.testing.assert_allclose(audio.load(both).samples, (left + right) / 2, atol=1e-3)


def test_three_channels_and_5_1_keep_the_voice_in_the_centre(tmp_path: Path) -> None:
    voice, quiet = tone(440, 1, RATE, 0.9), np.zeros(RATE, np.float32)
    rumble = tone(50, 1, RATE, 0.9)
    three = write(tmp_path / "3.wav", np.stack([quiet, quiet, voice]), RATE, layout="3.0")
    assert np.abs(audio.load(three).samples).max() > 0.3
    channels = np.stack([quiet, quiet, voice, rumble, quiet, quiet])
    path = write(tmp_path / "6.flac", channels, RATE, layout="5.1")
    mixed = audio.load(path).samples
    assert np.abs(mixed).max() > 0.2
    assert frequency(mixed, RATE) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".flac", ".opus", ".m4a"])
def test_a_part_begins_where_it_should(tmp_path: Path, suffix: str) -> None:
    # A sweep: every moment has a frequency of its own, 100 Hz more each second.
    rate, seconds = 48_000, 30
    time = np.arange(seconds * rate) / rate
    sweep = (0.5 * np.sin(2 * np.pi * (200 * time + 50 * time**2))).astype(np.float32)
    path = write(tmp_path / f"a{suffix}", sweep[None], rate)
    whole = audio.load(path).samples
    part = audio.load(path, start=17.3, end=19.3)
    assert part.start == 17.3
    assert part.duration == pytest.approx(2.0, abs=1e-3)
    expected = whole[round(17.3 * RATE) :][: len(part.samples)]
    lags = range(-800, 801, 8)  # 50 ms either way
    middle = part.samples[8_000:24_000]
    fits = [float(middle @ expected[8_000 + lag : 24_000 + lag]) for lag in lags]
    assert abs(list(lags)[int(np.argmax(fits))]) < 0.05 * RATE


def test_a_stream_comes_in_blocks_of_about_a_second(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", tone(440, 10, RATE)[None], RATE)
    sizes = [len(block) for block in audio.stream(path)]
    assert sum(sizes) == 10 * RATE
    assert max(sizes) < 1.5 * RATE


def test_a_binary_file_and_a_stream_of_unknown_length(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(440, 1, RATE)[None], RATE)
    data = bytearray(path.read_bytes())
    assert audio.load(io.BytesIO(bytes(data))).duration == pytest.approx(1.0)
    # As programs write it that pipe: the length of the data is not known yet.
    at = data.index(b"data") + 4
    data[at : at + 4] = data[4:8] = b"\xff\xff\xff\xff"
    clip = audio.load(io.BytesIO(bytes(data)))
    assert clip.duration == pytest.approx(1.0)
    assert clip.source == "standard input"


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files that cannot be decoded, and what the message says of each."""
    empty = folder / "empty.wav"
    empty.touch()
    text = folder / "text.wav"
    text.write_text("this is a letter, not a sound\n" * 100)
    lying = folder / "text.mp3"
    lying.write_text("this is a letter, not a sound\n" * 100)
    none = folder / "none.wav"
    with wave.open(str(none), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
    mute = folder / "mute.mp4"
    write_mute_video(mute)
    nan = folder / "nan.wav"
    samples = tone(440, 2, RATE)
    samples[20_000] = np.nan
    payload = samples.astype("<f4").tobytes()
    header = struct.pack(
        "<4sI4s4sIHHIIHH",
        b"RIFF",
        36 + len(payload),
        b"WAVE",
        b"fmt ",
        16,
        3,
        1,
        RATE,
        RATE * 4,
        4,
        32,
    )
    nan.write_bytes(header + struct.pack("<4sI", b"data", len(payload)) + payload)
    return {
        "empty": (empty, "empty"),
        "text": (text, "not decodable audio"),
        "lying": (lying, "(not decodable audio|holds no audio)"),
        "0 samples": (none, "0 samples"),
        "no sound": (mute, "has no audio stream"),
        "NaN": (nan, "not numbers .* at about 1"),
        "folder": (folder, "is a folder"),
        "missing": (folder / "missing.wav", "no such file"),
    }


@pytest.mark.parametrize(
    "kind", ["empty", "text", "lying", "0 samples", "no sound", "NaN", "folder", "missing"]
)
def test_bad_files_are_named_with_the_reason(tmp_path: Path, kind: str) -> None:
    path, reason = bad_files(tmp_path)[kind]
    with pytest.raises(AudioError, match=reason) as caught:
        audio.load(path)
    assert str(path) in str(caught.value)


def test_a_file_without_permission(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(440, 1, RATE)[None], RATE)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)  # root may read every file, nobody may not
    try:
        with pytest.raises(AudioError, match=r"a\.wav: Permission denied"):
            audio.load(path)
    finally:
        os.seteuid(user)


def test_a_truncated_mp3_gives_what_is_there_and_a_note(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", tone(440, 20, 44_100)[None], 44_100)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    notes: list[str] = []
    blocks = list(audio.stream(path, on_note=notes.append))
    assert sum(map(len, blocks)) == pytest.approx(10 * RATE, rel=0.05)
    assert len(notes) == 1
    assert str(path) in notes[0]
    assert "truncated" in notes[0]


def test_damage_in_the_middle_is_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", tone(440, 20, 44_100)[None], 44_100)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3_000] = os.urandom(3_000)
    path.write_bytes(bytes(data))
    blocks = list(audio.stream(path))
    assert sum(map(len, blocks)) > 15 * RATE


@pytest.mark.parametrize("suffix", [".webm", ".m4a", ".ogg"])
def test_missing_sound_is_silence_so_that_later_seconds_stay_right(
    tmp_path: Path, suffix: str
) -> None:
    sound = tone(440, 20, 48_000)
    sound[18 * 48_000 :] *= 0.1
    path = write(tmp_path / f"a{suffix}", sound[None], 48_000)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3_000] = np.random.default_rng(0).bytes(3_000)
    path.write_bytes(bytes(data))
    notes: list[str] = []
    samples = np.concatenate(list(audio.stream(path, on_note=notes.append)))
    assert len(samples) == pytest.approx(20 * RATE, abs=0.1 * RATE)
    # The fall in level is where it was.
    assert np.abs(samples[round(17.7 * RATE) : round(17.9 * RATE)]).max() > 0.2
    assert np.abs(samples[round(18.1 * RATE) : round(19.9 * RATE)]).max() < 0.1
    assert len(notes) == 1
    assert notes[0].startswith(f"{path}: ")


def test_sound_that_begins_after_the_picture_keeps_its_seconds(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=5)
        picture.width = picture.height = 64
        picture.pix_fmt = "yuv420p"
        sound = container.add_stream("flac", rate=RATE, layout="mono")
        for _ in range(10):
            image = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(picture.encode(image))
        pcm = (tone(440, 1, RATE) * 32_767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = RATE
        frame.pts = RATE
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
        container.mux(picture.encode(None))
    samples = audio.load(path).samples
    assert len(samples) == pytest.approx(2 * RATE, abs=800)
    assert not samples[: round(0.95 * RATE)].any()
    assert np.abs(samples[round(1.05 * RATE) :]).max() > 0.2


@pytest.mark.parametrize("channels", [3, 6, 10])
def test_unnamed_channels_are_averaged(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "a.wav"
    for heard in range(channels):
        samples = np.zeros((RATE, channels))
        samples[:, heard] = tone(440, 1, RATE, 0.9) * 32_767
        with wave.open(str(path), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(samples.astype("<i2").tobytes())
        expected = tone(440, 1, RATE, 0.9 / channels)
        np.testing.assert_allclose(audio.load(path).samples, expected, atol=1e-3)


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    # The index of an m4a is at its end: it takes a seek to find it.
    path = write(tmp_path / "a.m4a", tone(440, 2, RATE)[None], RATE)
    with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert audio.load(process.stdout).duration == pytest.approx(2, abs=0.2)


def test_a_playlist_opens_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "secret.wav", tone(440, 1, RATE)[None], RATE)
    path = tmp_path / "list.wav"
    path.write_text("ffconcat version 1.0\nfile secret.wav\n")
    with pytest.raises(AudioError, match="not decodable audio"):
        audio.load(path)


def test_an_abandoned_stream_closes_its_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", tone(440, 10, RATE)[None], RATE)
    with open(path, "rb") as file:
        blocks = audio.stream(path)
        next(blocks)
        held = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
        blocks.close()
        if held:
            assert len(os.listdir("/proc/self/fd")) < len(held)
        # A file that was given stays open.
        audio.load(file)
        assert not file.closed


def test_a_sound_file_leaves_nothing_on_standard_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", tone(440, 5, 44_100)[None], 44_100)
    path.write_bytes(path.read_bytes()[5_000:-300])
    code = f"from wavrag import audio; audio.load({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stderr == b""


def test_a_part_beyond_the_end(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(440, 2, RATE)[None], RATE)
    with pytest.raises(AudioError, match="no audio from 5 s on"):
        audio.load(path, start=5)


@pytest.mark.parametrize(("before", "after"), [(48_000, 16_000), (8_000, 16_000), (44_100, 16_000)])
def test_resampling_in_memory(before: int, after: int) -> None:
    clip = audio.resample(Clip(tone(1_000, 2, before), before, "a", 3.0), after)
    assert clip.duration == pytest.approx(2, abs=0.01)
    assert (clip.sample_rate, clip.source, clip.start) == (after, "a", 3.0)
    assert frequency(clip.samples, after) == pytest.approx(1_000, abs=1)


def test_resampling_refuses_what_is_no_sound() -> None:
    with pytest.raises(AudioError, match="0 samples"):
        audio.resample(Clip(np.zeros(0, np.float32), 8_000), RATE)
    with pytest.raises(AudioError, match=r"a\.wav: .*NaN"):
        audio.resample(Clip(np.full(9, np.inf, np.float32), 8_000, "a.wav"), RATE)
    with pytest.raises(AudioError, match=r"a\.wav: has 9 samples, too few"):
        audio.resample(Clip(np.ones(9, np.float32), 15_000, "a.wav"), RATE)


def test_a_written_clip_reads_back(tmp_path: Path) -> None:
    clip = Clip(tone(440, 1, RATE), RATE)
    path = tmp_path / "ö.wav"
    audio.write_wav(path, clip)
    np.testing.assert_allclose(audio.load(path).samples, clip.samples, atol=1e-4)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(AudioError, match="cannot write"):
        audio.write_wav(tmp_path / "missing" / "a.wav", clip)


def test_channels_of_opposite_polarity_do_not_cancel(tmp_path: Path) -> None:
    voice = tone(440, 3, RATE, 0.5)
    noise = 0.05 * np.random.default_rng(0).standard_normal((2, len(voice))).astype(np.float32)
    path = write(tmp_path / "a.ogg", np.stack([voice, -voice]) + noise, RATE, layout="stereo")
    mixed = audio.load(path).samples
    assert np.abs(mixed[RATE : 2 * RATE]).max() == pytest.approx(0.55, abs=0.1)
    # The polarity changes in the middle of a joined recording.
    channels = np.concatenate([np.stack([voice, voice]), np.stack([voice, -voice])], axis=1)
    path = write(tmp_path / "b.wav", channels, RATE, layout="stereo")
    mixed = audio.load(path).samples
    np.testing.assert_allclose(mixed[: 3 * RATE], voice, atol=1e-3)
    assert np.sqrt(np.mean(mixed[4 * RATE :] ** 2)) == pytest.approx(0.5 / np.sqrt(2), abs=0.01)


def test_one_channel_or_track_alone(tmp_path: Path) -> None:
    channels = np.stack([tone(300, 2, RATE), tone(700, 2, RATE)])
    path = write(tmp_path / "a.wav", channels, RATE, layout="stereo")
    for number, hertz in ((1, 300), (2, 700)):
        clip = audio.load(path, start=0.5, end=1.5, channel=number)
        assert clip.duration == 1.0
        assert frequency(clip.samples, RATE) == pytest.approx(hertz, abs=1)
    with pytest.raises(AudioError, match="has 2 channels and no channel 3"):
        audio.load(path, channel=3)
    tracks = write_tracks(tmp_path / "b.mkv", [tone(300, 2, RATE), tone(700, 2, RATE)])
    for number, hertz in ((None, 300), (1, 300), (2, 700)):
        clip = audio.load(tracks, start=0.5, end=1.5, track=number)
        assert frequency(clip.samples, RATE) == pytest.approx(hertz, abs=1)
    with pytest.raises(AudioError, match="has 2 audio tracks and no track 3"):
        audio.load(tracks, track=3)
