from pathlib import Path

import numpy as np
import pytest

from audio_files import frequency, tone, write, write_mute_video
from wavrag import audio

RATE = 16_000
# Suffix, codec and sample rate of kinds that phones, cameras and telephone systems write.
KINDS = [
    (".3gp", "aac", RATE), (".ac3", "ac3", 48_000), (".amr", "libopencore_amrnb", 8_000),
    (".asf", "wmav2", RATE), (".au", "pcm_mulaw", 8_000), (".avi", "pcm_s16le", RATE),
    (".caf", "pcm_s16le", RATE), (".flv", "aac", 44_100), (".m4v", "aac", RATE),
    (".mka", "flac", RATE), (".mp2", "mp2", RATE), (".mpg", "mp2", 48_000),
    (".ts", "aac", 48_000), (".tta", "tta", RATE), (".voc", "pcm_u8", RATE),
    (".w64", "pcm_s16le", RATE), (".webm", "libopus", 48_000), (".wma", "wmav2", RATE),
    (".wv", "wavpack", RATE),
]  # fmt: skip


@pytest.mark.parametrize(("suffix", "codec", "rate"), KINDS)
def test_recordings_of_phones_cameras_and_telephones(
    tmp_path: Path, suffix: str, codec: str, rate: int
) -> None:
    video = suffix in (".avi", ".m4v", ".mpg")
    path = write(tmp_path / f"a{suffix}", tone(440, 2, rate)[None], rate, codec=codec, video=video)
    memo = path.rename(tmp_path / "Voice memo 3")
    assert audio.is_recording(memo)
    clip = audio.load(memo)
    assert clip.duration == pytest.approx(2, abs=0.15)
    assert frequency(clip.samples[4_000:28_000], RATE) == pytest.approx(440, abs=4)


def test_other_files_are_no_recordings(tmp_path: Path) -> None:
    contents = {
        "letter.mp3": b"this is a letter, not a sound\n" * 100,
        "empty.wav": b"",
        "header.wav": b"RIFF\x00\x00\x00\x00WAVEfmt ",
        "noise": np.random.default_rng(0).bytes(100_000),
        "list.m3u8": b"#EXTM3U\n#EXTINF:1\nsecret.wav\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert not audio.is_recording(tmp_path / name)
    assert not audio.is_recording(tmp_path / "missing.wav")
    assert not audio.is_recording(tmp_path)
    write_mute_video(tmp_path / "mute.mp4")
    assert not audio.is_recording(tmp_path / "mute.mp4")
