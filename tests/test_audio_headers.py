import struct
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest

from audio_files import frequency, tone, write
from wavrag import audio
from wavrag.errors import AudioError
from wavrag.types import Float32

RATE = 16_000
ID3 = b"ID3\x04\x00\x00"


def decode(path: Path) -> tuple[Float32, list[str]]:
    """The samples and the notes of a recording."""
    notes: list[str] = []
    return np.concatenate(list(audio.stream(path, on_note=notes.append))), notes


# Suffix, codec, identifier of the chunk with the audio, offset and format of its size.
CHUNKS = [
    (".wav", "pcm_s16le", b"data", 4, "<I"),
    (".wav", "pcm_alaw", b"data", 4, "<I"),
    (".wav", "adpcm_ms", b"data", 4, "<I"),
    (".aiff", "pcm_s16be", b"SSND", 4, ">I"),
    (".caf", "pcm_s16le", b"data", 4, ">q"),
    (".w64", "pcm_s16le", b"data\xf3", 16, "<q"),
]


@pytest.mark.parametrize("share", [0, 5])
@pytest.mark.parametrize(("suffix", "codec", "name", "offset", "form"), CHUNKS)
def test_a_header_that_declares_less_than_there_is(
    tmp_path: Path, suffix: str, codec: str, name: bytes, offset: int, form: str, share: int
) -> None:
    path = write(tmp_path / f"a{suffix}", tone(440, 5, RATE)[None], RATE, codec=codec)
    data = bytearray(path.read_bytes())
    at = data.index(name) + offset
    declared = len(data) // share if share else 0
    struct.pack_into(form, data, at, declared)
    path.write_bytes(data)
    samples, notes = decode(path)
    assert len(samples) == pytest.approx(5 * RATE, abs=0.11 * RATE)
    assert frequency(samples[-RATE:], RATE) == pytest.approx(440, abs=1)
    assert len(notes) == 1
    assert f"declares {5 / share if share else 0:.1f} s, but the file holds 5." in notes[0]
    assert audio.load(path, start=4, end=4.5).duration == pytest.approx(0.5, abs=1e-3)


def test_tags_after_the_audio_are_not_audio(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(440, 1, RATE)[None], RATE)
    tags = b"LIST" + struct.pack("<I", 8_000) + b"INFO" + bytes(7_996)
    path.write_bytes(path.read_bytes() + tags)
    samples, notes = decode(path)
    assert (len(samples), notes) == (RATE, [])
    # Padding and an old tag are no audio either.
    path.write_bytes(path.read_bytes()[: -len(tags)] + b"TAG" + bytes(125))
    assert [len(decode(path)[0]), *decode(path)[1]] == [RATE]


def test_joined_wav_files_are_read_to_the_end(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(440, 2, RATE)[None], RATE)
    path.write_bytes(path.read_bytes() * 2)
    assert len(decode(path)[0]) == pytest.approx(4 * RATE, abs=100)


def test_a_count_of_samples_is_no_proof_of_truncation(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(440, 4, RATE)[None], RATE, codec="adpcm_ima_wav")
    data = bytearray(path.read_bytes())
    at = data.index(b"fact") + 8
    struct.pack_into("<I", data, at, 8 * RATE)
    path.write_bytes(data)
    samples, notes = decode(path)
    assert len(samples) == pytest.approx(4 * RATE, abs=0.1 * RATE)
    assert notes == []


def test_a_truncated_wav_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(440, 4, RATE)[None], RATE)
    path.write_bytes(path.read_bytes()[: 2 * RATE * 2])
    samples, notes = decode(path)
    assert len(samples) == pytest.approx(2 * RATE, abs=100)
    assert len(notes) == 1
    assert "ends after 2.0 s of 4.0 s: the file is truncated" in notes[0]


def test_joined_mp3s_are_not_damaged(tmp_path: Path) -> None:
    first = write(tmp_path / "a.mp3", tone(440, 3, 44_100)[None], 44_100).read_bytes()
    second = write(tmp_path / "b.mp3", tone(880, 3, 44_100)[None], 44_100).read_bytes()
    cover = ID3 + bytes([0, 4, 0, 0]) + np.random.default_rng(0).bytes(65_536)
    path = tmp_path / "joined.mp3"
    for between in (b"", b"TAG" + bytes(125), cover):
        path.write_bytes(first + between + second)
        samples, notes = decode(path)
        assert len(samples) == pytest.approx(6 * RATE, abs=0.5 * RATE)
        assert notes == []
        assert frequency(samples[RATE : 2 * RATE], RATE) == pytest.approx(440, abs=1)
        assert frequency(samples[-RATE:], RATE) == pytest.approx(880, abs=1)
        late = audio.load(path, start=4.5, end=5.5).samples
        assert frequency(late, RATE) == pytest.approx(880, abs=1)


def test_amr_with_silence_between_words_decodes_whole(tmp_path: Path) -> None:
    quiet = np.full(4 * 8_000, 1e-4, np.float32)
    sound = np.concatenate([tone(440, 3, 8_000), quiet, tone(880, 3, 8_000)])
    for suffix in (".amr", ".3gp"):
        path = tmp_path / f"a{suffix}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(
                "libopencore_amrnb", rate=8_000, layout="mono", options={"dtx": "1"}
            )
            for at in range(0, len(sound), 160):
                pcm = (sound[None, at : at + 160] * 32_767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
                frame.sample_rate, frame.pts = 8_000, at
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        samples, notes = decode(path)
        assert notes == []
        assert len(samples) == pytest.approx(10 * RATE, abs=0.1 * RATE)
        assert frequency(samples[RATE : 2 * RATE], RATE) == pytest.approx(440, abs=2)
        assert np.abs(samples[5 * RATE : 6 * RATE]).max() < 0.02
        assert frequency(samples[8 * RATE : 9 * RATE], RATE) == pytest.approx(880, abs=2)
        late = audio.load(path, start=8, end=9).samples
        assert frequency(late, RATE) == pytest.approx(880, abs=2)


def test_a_tag_that_is_not_utf8_does_not_refuse_the_recording(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(440, 1, RATE)[None], RATE)
    title = "Grüße".encode("cp1252")
    body = b"INFOINAM" + struct.pack("<I", len(title) + 1) + title + b"\0"
    tags = b"LIST" + struct.pack("<I", len(body)) + body
    data = path.read_bytes()
    path.write_bytes(data[:36] + tags + data[data.index(b"data") :])
    assert len(decode(path)[0]) == RATE


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".wav", "pcm_s16le"), (".caf", "pcm_s16le"), (".wma", "wmav2"), (".ts", "aac"),
     (".mp3", "libmp3lame"), (".m4a", "aac"), (".flv", "aac"), (".mka", "flac")],
)  # fmt: skip
def test_damaged_files_give_audio_or_the_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str, codec: str
) -> None:
    rate = 44_100 if suffix == ".flv" else RATE
    path = write(tmp_path / f"a{suffix}", tone(440, 1, rate)[None], rate, codec=codec)
    data, generator = path.read_bytes(), np.random.default_rng(0)
    for _ in range(25):
        damaged = bytearray(data)
        for at in generator.integers(0, min(len(data), 2_000), 4):
            damaged[at] = generator.choice([0, 127, 128, 255])
        del damaged[generator.integers(len(data) // 2, len(data)) :]
        path.write_bytes(damaged)
        audio.is_recording(path)
        # Any other error fails the test.
        with suppress(AudioError):
            tracks = audio.inspect_recording(path).tracks
            windows = list(audio.split_recording(path, tracks))
            assert all(window.clip.end < 70 for window in windows)
    assert capfd.readouterr().err == ""
