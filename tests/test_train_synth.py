import json
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest

from audio_files import tone
from wavrag.data.voices import RESERVED_VOICES, load_speaker
from wavrag.errors import AudioError, InputError
from wavrag.train.mini.synth import read_set, synthesise
from wavrag.train.mini.texts import SourceText
from wavrag.types import Clip

TEXTS = [SourceText(f"text number {number}", "test") for number in range(9)]


class Whistle:
    """Says every text as a tone, of a pitch and length drawn for it."""

    name = "whistle"
    voices: tuple[str, ...] = ("high", "low")

    def __init__(self) -> None:
        self.said: list[str] = []

    def speak(self, text: str, voice: str, rng: np.random.Generator) -> Clip:
        self.said.append(text)
        if text.endswith("4"):
            raise AudioError("no sound")
        hertz = (300 if voice == "low" else 900) + rng.integers(100)
        return Clip(tone(hertz, rng.uniform(0.01, 0.03), 16_000), 16_000, text)


def test_what_was_spoken_is_read_back(tmp_path: Path) -> None:
    counts = synthesise(TEXTS, Whistle(), tmp_path, seed=0, limit=7, threads=3)
    assert (counts.clips, counts.failed) == (6, 1)
    records = read_set(tmp_path)
    assert [record.text for record in records] == [TEXTS[at].text for at in (0, 1, 2, 3, 5, 6)]
    assert {record.voice for record in records} == {"high", "low"}
    for record in records:
        assert np.abs(record.samples()).max() == pytest.approx(0.25, abs=0.02)
        assert len(record.samples()) == record.count


def test_killed_halfway_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    synthesise(TEXTS, Whistle(), whole, seed=3, limit=9)
    synthesise(TEXTS, Whistle(), broken, seed=3, limit=5)
    with (broken / "audio.i16").open("ab") as audio:
        audio.write(b"half a clip")
    with (broken / "index.jsonl").open("a") as index:
        index.write('{"text": "half a li')
    engine = Whistle()
    seen: list[int] = []
    synthesise(TEXTS, engine, broken, seed=3, limit=9, on_progress=seen.append)
    assert sorted(engine.said) == [text.text for text in TEXTS[5:]], "the others are kept"
    assert seen == [6, 7, 8, 9]
    for name in ("audio.i16", "index.jsonl"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()


def test_voices_of_the_evaluation_are_refused(tmp_path: Path) -> None:
    class Impostor(Whistle):
        voices = ("high", sorted(RESERVED_VOICES)[0])

    with pytest.raises(InputError, match=sorted(RESERVED_VOICES)[0]):
        synthesise(TEXTS, Impostor(), tmp_path, seed=0, limit=1)


@pytest.mark.parametrize(
    ("name", "complaint"), [("hal", "no speech engine 'hal'"), ("kokoro", "--kokoro")]
)
def test_an_engine_that_cannot_be_had_is_named(name: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        load_speaker(name)


def test_an_engine_that_is_not_installed_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"flite.*install it"):
        load_speaker("flite")


@pytest.mark.parametrize("name", ["flite", "espeak", "festival"])
def test_installed_engines_speak(name: str, tmp_path: Path) -> None:
    program = {"flite": "flite", "espeak": "espeak-ng", "festival": "text2wave"}[name]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed here")
    clip = load_speaker(name).speak(
        "-n is not an option; it's read.", load_speaker(name).voices[0], np.random.default_rng(0)
    )
    assert clip.sample_rate == 16_000
    assert 0.8 < len(clip.samples) / 16_000 < 8
    assert np.abs(clip.samples).max() > 0.05


def test_no_set_of_clips(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no index\.jsonl"):
        read_set(tmp_path)


def test_the_stored_sound_is_plain_16_bit(tmp_path: Path) -> None:
    synthesise(TEXTS, Whistle(), tmp_path, seed=0, limit=1)
    (row,) = map(json.loads, (tmp_path / "index.jsonl").read_text().splitlines())
    data = (tmp_path / "audio.i16").read_bytes()
    assert len(data) == 2 * row["samples"]
    with wave.open(str(tmp_path / "x.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(data)
    (record,) = read_set(tmp_path)
    assert np.array_equal(
        np.frombuffer(data, "<i2"), np.round(record.samples() * 32_767).astype("<i2")
    )
