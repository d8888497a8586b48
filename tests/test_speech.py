import json
import os
import re
import shutil
import sys
import types
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavrag.audio import SAMPLE_RATE, load, write_wav
from wavrag.audio.prosody import Prosody, measure_prosody
from wavrag.data import voices
from wavrag.demo import DATA
from wavrag.embed.base import Embedder
from wavrag.errors import InputError, SpeechError, WavRAGError
from wavrag.speech import (
    ENGINES,
    Engine,
    FakeEngine,
    Style,
    best_engine,
    find_defect,
    load_engine,
    match_style,
    name_sources,
    speak,
    speak_stream,
    spoken_text,
    write_answer,
)
from wavrag.speech.answers import PAUSE
from wavrag.speech.base import NEUTRAL, apply_gain
from wavrag.speech.kokoro import Kokoro
from wavrag.speech.quantities import read_quantities
from wavrag.speech.sentence_stream import spoken_sentences
from wavrag.speech.style import measure_voice
from wavrag.text import edit_distance
from wavrag.types import Citation, Clip, EmbedInput, Float32, Passage

VARIABLES = ("PIPER", "KOKORO", "SPEECH_URL", "SPEECH_MODEL", "SPEECH_VOICE")
PROGRAMS = {"flite": "flite", "espeak": "espeak-ng", "festival": "text2wave"}
CALIBRATION = "All of the boats are at the harbour by the evening, or so they say."


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine where nothing speaks; the folder is where it looks for programs."""
    for name in VARIABLES:
        monkeypatch.delenv(f"WAVRAG_{name}", raising=False)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(folder: Path, name: str, *, speaks: bool = True) -> None:
    """A program that writes a tone to its output, or only an empty file."""
    tone = folder / "tone.wav"
    write_wav(tone, Clip(np.full(1_600, 0.1, np.float32), SAMPLE_RATE))
    script = f"""#!{sys.executable}
import sys
arguments = sys.argv[1:]
out = open(arguments[arguments.index("-o") + 1], "wb") if "-o" in arguments else sys.stdout.buffer
if {speaks}:
    out.write(open({str(tone)!r}, "rb").read())
"""
    (folder / name).write_text(script)
    (folder / name).chmod(0o755)


def installed(name: str) -> Engine:
    if shutil.which(PROGRAMS[name]) is None:
        pytest.skip(f"{PROGRAMS[name]} is not installed here")
    if (defect := find_defect(name)) is not None:
        pytest.skip(f"{name} {defect}")
    return load_engine(name)


class Recorder(FakeEngine):
    """Keeps what it was asked to say."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, Style]] = []

    def speak(self, text: str, voice: str, style: Style) -> Clip:
        self.said.append((text, voice, style))
        return super().speak(text, voice, style)


# The seam


def test_the_fake_is_an_engine_and_follows_its_style() -> None:
    engine = FakeEngine()
    assert isinstance(engine, Engine)
    own = measure_voice(engine, "low")
    assert own.f0 == pytest.approx(110, rel=0.02)
    other = measure_prosody(engine.speak(CALIBRATION, "low", Style(1.2, 3.0, -6.0)))
    assert other.f0 == pytest.approx(110 * 2 ** (3 / 12), rel=0.02)
    plain = measure_prosody(engine.speak(CALIBRATION, "low", Style()))
    assert (other.rate or 0) / (plain.rate or 1) == pytest.approx(1.2, rel=0.08)
    assert (other.loudness or 0) - (plain.loudness or 0) == pytest.approx(-6, abs=0.7)
    high = engine.speak(CALIBRATION, "low", Style(voice="high"))
    assert measure_prosody(high).f0 == pytest.approx(200, rel=0.02)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_rate_is_above_zero(rate: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Style(rate=rate)


def test_apply_gain_never_clips() -> None:
    clip = Clip(np.array([0.1, -0.2, 0.4], np.float32), SAMPLE_RATE)
    assert np.allclose(apply_gain(clip, 20 * np.log10(2)).samples, [0.2, -0.4, 0.8], atol=1e-6)
    # 12 dB is a factor of 3.98: the peak would be 1.59, so all is turned down to 0.99.
    loud = apply_gain(clip, 12.0).samples
    assert np.abs(loud).max() == pytest.approx(0.99)
    assert loud[0] / loud[2] == pytest.approx(0.25)
    assert not apply_gain(Clip(np.zeros(5, np.float32), SAMPLE_RATE), 6.0).samples.any()


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_installed_engines_take_a_style(name: str) -> None:
    engine = installed(name)
    voice = engine.default_voice

    def heard(style: Style) -> Prosody:
        clip = engine.speak(CALIBRATION, voice, style)
        assert clip.sample_rate == SAMPLE_RATE
        return measure_prosody(clip)

    plain, higher, lower = heard(Style()), heard(Style(pitch=3.0)), heard(Style(pitch=-3.0))
    assert plain.f0 is not None
    assert higher.f0 is not None
    assert lower.f0 is not None
    assert 12 * np.log2(higher.f0 / plain.f0) == pytest.approx(3, abs=0.8)
    assert 12 * np.log2(lower.f0 / plain.f0) == pytest.approx(-3, abs=0.8)
    assert heard(Style(rate=1.25)).duration < 0.9 * plain.duration
    assert heard(Style(rate=0.8)).duration > 1.1 * plain.duration
    quiet = heard(Style(energy=-10.0))
    assert (quiet.rms or 0) - (plain.rms or 0) == pytest.approx(-10, abs=0.1)


def test_a_voice_that_takes_no_pitch_is_played_faster() -> None:
    engine = installed("flite")
    plain = measure_prosody(engine.speak(CALIBRATION, "rms", Style()))
    higher = measure_prosody(engine.speak(CALIBRATION, "rms", Style(pitch=3.0)))
    assert 12 * np.log2((higher.f0 or 1) / (plain.f0 or 1)) == pytest.approx(3, abs=0.8)
    assert higher.duration == pytest.approx(plain.duration, rel=0.1), "the pace stays"


# The registry


def test_engines_that_are_not_there_say_what_to_do(bare: Path) -> None:
    with pytest.raises(SpeechError, match="apt-get install espeak-ng"):
        best_engine()
    for name, wanted in PROGRAMS.items():
        with pytest.raises(InputError, match=rf"{wanted}.*install it"):
            best_engine(name)
    for name, variable in (
        ("piper", "WAVRAG_PIPER"),
        ("kokoro", "WAVRAG_KOKORO"),
        ("openai", "WAVRAG_SPEECH_URL"),
    ):
        with pytest.raises(InputError, match=f"set {variable}"):
            best_engine(name)
    with pytest.raises(InputError, match="no speech engine 'hal': choose from kokoro, flite"):
        best_engine("hal")
    assert best_engine("fake").name == "fake"
    assert "fake" not in ENGINES


def test_the_best_program_is_taken(bare: Path) -> None:
    for name in ("espeak-ng", "text2wave", "flite"):  # worst first
        program(bare, name)
        best = best_engine()
        assert PROGRAMS[best.name] == name
        assert best.default_voice in best.voices


def test_a_program_without_a_voice_is_no_engine(bare: Path) -> None:
    program(bare, "flite", speaks=False)
    assert "cannot speak" in str(find_defect("flite"))
    with pytest.raises(InputError, match=r"flite is installed, but cannot speak \(.*apt-get"):
        load_engine("flite")
    with pytest.raises(SpeechError, match="no speech engine is available"):
        best_engine()
    program(bare, "espeak-ng")
    assert best_engine().name == "espeak"


def test_the_environment_comes_before_programs(
    bare: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program(bare, "flite")
    model = tmp_path / "en_GB-x-low.onnx"
    model.write_bytes(b"")
    Path(f"{model}.json").write_text('{"num_speakers": 2}')
    monkeypatch.setenv("WAVRAG_PIPER", str(model))
    with pytest.raises(InputError, match="'piper': install it"):
        best_engine()  # what is named but cannot be used is told, not passed over
    Path(f"{model}.json").write_text("[]")
    with pytest.raises(InputError, match="is no configuration of a Piper voice"):
        best_engine()
    Path(f"{model}.json").write_text('{"num_speakers": 2}')
    program(bare, "piper")
    monkeypatch.setenv("WAVRAG_KOKORO", str(tmp_path))
    monkeypatch.setenv("WAVRAG_SPEECH_URL", "http://127.0.0.1:9/v1")
    engine = best_engine()
    assert (engine.name, engine.voices) == ("piper", ("en_GB-x-low#0", "en_GB-x-low#1"))
    assert best_engine("flite").name == "flite"
    monkeypatch.delenv("WAVRAG_PIPER")
    with pytest.raises(WavRAGError, match="kokoro"):  # neither the package nor the model
        best_engine()
    monkeypatch.delenv("WAVRAG_KOKORO")
    pytest.importorskip("openai", reason="needs the extra wavrag[openai]")
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    monkeypatch.setenv("WAVRAG_SPEECH_VOICE", "nova,echo")
    monkeypatch.setenv("WAVRAG_SPEECH_MODEL", "own-tts")
    engine = best_engine()
    assert (engine.name, engine.revision, engine.voices) == ("openai", "own-tts", ("nova", "echo"))


# What is said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("The lens was turned by hand [1].", "The lens was turned by hand."),
        ("It is shut. [1][2]", "It is shut."),
        ("Shut [1, 3], or so [source 2]; open [1-3].", "Shut, or so; open."),
        ("He said so [sic].", "He said so [sic]."),
        ("**Bold**, *thin*, __both__ and `code`.", "Bold, thin, both and code."),
        ("Snake_case_name stays, 2*3*4 too.",
         "Snake_case_name stays, two times three times four too."),
        ("# A heading", "A heading."),
        ("\u7968\u4ef7\u3002 [1]", "\u7968\u4ef7\u3002"),
        ("- an item with [a link](https://example.org/x_(y))", None),
        ("See [the page](https://example.org/a?b=c).", "See the page."),
        ("See https://www.example.org/a/b.html?c=1#d.", "See example dot org."),
        ("(at <http://localhost:8080/x>)", "(at localhost)"),
        ("Write to ann.lee@mail.example.org!", "Write to ann.lee at mail dot example dot org!"),
        ("Dr. Ames, e.g., came.", "Doctor Ames, for example, came."),
        ("Bolts, nuts, etc. are in box No. 5.", "Bolts, nuts, et cetera are in box number five."),
        ("It is ~5 km at 20 °C and 3–5 % grade.",
         "It is about five kilometres at twenty degrees Celsius and three to five percent grade."),
        ("From 2024-05-01 on, 4-6 people.",
         "From the first of May twenty twenty-four on, four to six people."),
        ("Salt &amp; pepper<br>and more", "Salt and pepper and more."),
        ("“Well,” she said — ‘no’…", "\"Well,\" she said, 'no'..."),
        ("> quoted line", "quoted line."),
        ("| a | b |\n|---|---|\n| c | d |", "a: c, b: d."),
        ("| a | b |\n| c | d |\nText.", "a, b. c, d. Text."),
        ("| Bus | Fare |\n|:--|--:|\n| Night \\| late | \u2014 |", "Bus: Night, late, Fare: none."),
        ("- [x] done\n- [ ] open", "done. open."),
        ("```python\nx = 1\n```", "x equals one."),
        ("Fine 🙂!", "Fine!"),
        ("[1]", ""),
        (" \n---\n", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_what_is_spoken_of_what_is_written(written: str, said: str | None) -> None:
    if said is None:
        assert "http" not in spoken_text(written)
        assert spoken_text(written).startswith("an item with a link")
    else:
        assert spoken_text(written) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("1,205,003", "one million two hundred and five thousand and three"),
        ("5,50 \u20ac or 1,5 h", "5,50 \u20ac or 1,5 h"),  # decimal commas: not English
        ("3.10 or 007", "three point one zero or zero zero seven"),
        ("1,000 of 12345678901234567", "one thousand of one two three four five six seven"
         " eight nine zero one two three four five six seven"),
        ("In 1984, 1905, 1900 and 2007", "In nineteen eighty-four, nineteen oh five, nineteen"
         " hundred and two thousand and seven"),
        ("1984 people", "nineteen eighty-four people"),
        ("1984 visitors", "one thousand nine hundred and eighty-four visitors"),
        ("the 1990s and '60s", "the nineteen nineties and sixties"),
        ("1914-18", "nineteen fourteen to eighteen"),
        ("on 1 May 2024", "on the first of May twenty twenty-four"),
        ("on Jan. 22, 2010", "on January twenty-second, twenty ten"),
        ("the 12th, the 20th", "the twelfth, the twentieth"),
        ("at 10:05, 10:00, 22:00 and 9.30 p.m.",
         "at ten oh five, ten o'clock, twenty-two hundred and nine thirty PM"),
        ("0:13.8-1:01:02", "thirteen point eight seconds to one hour one minute two seconds"),
        ("\u00a34.50, $1.01, 20 EUR", "four pounds and fifty pence, one dollar and one cent,"
         " twenty euros"),
        ("\u20ac3-5m, $2 billion, 4bn", "three to five million euros, two billion dollars, four"
         " billion"),
        ("1 km, 2 ft, 5-km, 3 g/l, 9 km\u00b2", "one kilometre, two feet, five-kilometre, three"
         " grams per litre, nine square kilometres"),
        ("-5 \u00b0C, 5 \u00b1 1 mm, #7", "minus five degrees Celsius, five plus or minus one"
         " millimetre, number seven"),
        ("3/4, 2\u00bd and 1 1/2 cups", "three quarters, two and one half and one and one half"
         " cups"),
        ("Henry VIII and World War II", "Henry the eighth and World War two"),
        ("192.168.0.1", "one hundred and ninety-two point one hundred and sixty-eight point zero"
         " point one"),
        ("call 020 7946 0958", "call zero two zero, seven nine four six, zero nine five eight"),
        ("B12, 3D, COVID-19, 10.30x", "B12, 3D, COVID-nineteen, 10.30x"),
    ],
)  # fmt: skip
def test_numbers_are_read_with_their_units_and_signs(written: str, said: str) -> None:
    assert read_quantities(written) == said


MARKS = ["[1]", "[1][2]", " [1, 3]", " [source 2]", "[1-3]", "[ 12 ]", " [1; 2 and 3]."]
PIECES = [
    "The lens", "is 5 km", "**bold**", "e.g.", "Dr. Ames", "\u20ac3.50", "shut.", "Why?", "[sic]",
    "100 %", "| a | b |", "|---|---|", "\n", "\n\n", "\n- ", "\n1. ", "\n# ", '"', "\u2014",
]  # fmt: skip


@given(
    st.lists(st.sampled_from(MARKS) | st.sampled_from(PIECES), max_size=14), st.integers(1, 9)
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_no_mark_reaches_a_synthesiser(pieces: list[str], size: int) -> None:
    text = " ".join(pieces)

    class Listener(FakeEngine):
        said: list[str] = []  # noqa: RUF012

        def speak(self, text: str, voice: str, style: Style) -> Clip:
            self.said = [*self.said, text]
            return Clip(np.zeros(1, np.float32), SAMPLE_RATE)

    engine = Listener()
    for _ in speak_stream([text[at : at + size] for at in range(0, len(text), size)], engine):
        pass
    said = " ".join(engine.said)
    assert re.search(r"\[[^\]s]*\]|\d|[*#\u2014]", said) is None
    # Where a sentence ends may depend on words that a stream does not have yet.
    assert words(said) == words(spoken_text(text))
    assert words(spoken_text(said)) == words(said), "spoken text stays as it is"


def test_sources_are_named_once_with_their_place() -> None:
    page = Passage("m", 0, "Rinse.", source="/docs/pump_manual.pdf", page=3)
    minutes = Passage("c", 4, "At nine.", start=60.0, end=90.0, source="c.mp3", title="Council [1]")
    citations = [
        Citation(1, minutes, start=72.4, end=75.0),
        Citation(2, page),
        Citation(3, minutes),
    ]
    assert name_sources(citations) == (
        "Sources: Council, at one minute twelve seconds; pump_manual, page three."
    )
    assert name_sources([]) == ""


ANSWER = """# The bridge

The **middle span** is closed [1]. Dr. Smith, e.g., raised it by 3.5 m [2, 3]; see
<https://www.example.org/a/b?c=1>. "Go on. Now," he said. It costs ~5 euros.

- First item
- Second *item* with `code` [1]
1. numbered

| a | b |
|---|---|
| 5 km/h | 20 °C |

The U.S. Army's ships, etc. are here. [2] Mail bob@example.org now! The end"""
SAID = [
    "The bridge.",
    "The middle span is closed.",
    "Doctor Smith, for example, raised it by three point five metres; see example dot org.",
    '"Go on. Now," he said.',
    "It costs about five euros.",
    "First item.",
    "Second item with code.",
    "numbered.",
    "a: five kilometres per hour, b: twenty degrees Celsius.",
    "The U.S. Army's ships, et cetera are here.",
    "Mail bob at example dot org now!",
    "The end.",
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 1_000])
def test_sentences_of_a_stream_are_those_of_the_whole(size: int) -> None:
    pieces = [ANSWER[at : at + size] for at in range(0, len(ANSWER), size)]
    assert list(spoken_sentences(pieces)) == SAID


def test_a_lone_quotation_mark_holds_little_back() -> None:
    text = 'A board of 5" is enough. ' + "It is cut once more. " * 40
    given = 0

    def pieces() -> Iterator[str]:
        nonlocal given
        for letter in text:
            given += 1
            yield letter

    said = spoken_sentences(pieces())
    next(said)
    assert given < 600
    assert len(list(said)) == 40


def test_a_clip_comes_as_soon_as_its_sentence_has_ended() -> None:
    events: list[str] = []

    def pieces() -> Iterator[str]:
        for piece in ("The first", " is here [1]. The", " second one", " is here. A third", "."):
            events.append(piece)
            yield piece

    engine = Recorder()
    for clip in speak_stream(pieces(), engine, "high", Style(rate=1.1)):
        assert clip.sample_rate == SAMPLE_RATE
        events.append(f"> {engine.said[-1][0]}")
    assert events == [
        "The first",
        " is here [1]. The",
        " second one",
        "> The first is here.",
        " is here. A third",
        "> The second one is here.",
        ".",
        "> A third.",
    ]
    assert {(voice, style) for _, voice, style in engine.said} == {("high", Style(rate=1.1))}


def test_a_whole_answer_is_its_sentences_with_pauses() -> None:
    engine = FakeEngine()
    spoken = speak("One bell. [1] Two bells.", engine, "low")
    parts = [engine.speak(text, "low", Style()).samples for text in ("One bell.", "Two bells.")]
    gap = np.zeros(round(PAUSE * SAMPLE_RATE), np.float32)
    assert np.array_equal(spoken.samples, np.concatenate([parts[0], gap, parts[1]]))


def test_what_cannot_be_spoken() -> None:
    engine = FakeEngine()
    with pytest.raises(SpeechError, match=r"nothing to say in '\[1\]'"):
        speak("[1]", engine)
    with pytest.raises(
        SpeechError, match=r"fake \(low\) cannot speak 'Hm\.': .*no syllable to speak"
    ):
        speak("Hm.", engine)
    with pytest.raises(SpeechError, match="no voice 'loud': choose from low, high"):
        speak("One.", engine, "loud")
    assert list(speak_stream([], engine)) == []


# Following


def prosody(f0: float | None, rate: float | None, loudness: float | None) -> Prosody:
    return Prosody(3.0, f0, 4.0, 0.5, rate, -20.0, loudness, 0, 0.0)


def test_a_style_makes_up_for_the_difference() -> None:
    own = prosody(100.0, 4.0, -20.0)
    # 12 log2(120 / 100) = 3.156 semitones; 4.4 / 4 = 1.1; -23 is 3 below -20.
    style = match_style(prosody(120.0, 4.4, -23.0), own)
    assert (style.pitch, style.rate, style.energy) == pytest.approx((3.156, 1.1, -3.0), abs=1e-3)
    far = match_style(prosody(390.0, 9.0, -60.0), own)
    assert (far.pitch, far.rate, far.energy) == (4.0, 1.25, -8.0)
    low = match_style(prosody(60.0, 1.0, 0.0), own)
    assert (low.pitch, low.rate, low.energy) == (-4.0, 0.8, 8.0)
    assert match_style(prosody(None, None, None), own) == Style()
    assert match_style(prosody(120.0, 4.4, -23.0), prosody(None, None, None)) == Style()


def test_an_answer_in_a_file_follows_the_question(tmp_path: Path) -> None:
    engine = FakeEngine()
    question = engine.speak(CALIBRATION, "low", Style(1.15, 2.0, -5.0))
    text = "The boats are at the harbour. [1] All of them are there by the evening."
    plain = write_answer(text, tmp_path / "a.wav", engine=engine)
    assert (plain.engine, plain.voice, plain.style) == ("fake", "low", Style())
    after = write_answer(
        text, tmp_path / "b.wav", engine=engine, follow="question", question=question
    )
    assert after.style.pitch == pytest.approx(2.0, abs=0.3)
    assert after.style.rate == pytest.approx(1.15, rel=0.08)
    assert after.style.energy == pytest.approx(-5.0, abs=0.7)
    source = write_answer(
        text, tmp_path / "c.wav", engine="fake", follow="source", question=question
    )
    assert source.style == Style(), "there is no source to follow"
    own = write_answer(text, tmp_path / "c.wav", engine=engine, follow="source", source=question)
    assert own.style == after.style
    for spoken in (plain, after):
        with wave.open(str(spoken.path)) as file:
            assert (file.getsampwidth(), file.getnchannels()) == (2, 1)
            assert file.getnframes() / file.getframerate() == pytest.approx(spoken.duration)
    heard, before = measure_prosody(load(after.path)), measure_prosody(load(plain.path))
    assert 12 * np.log2((heard.f0 or 1) / (before.f0 or 1)) == pytest.approx(2.0, abs=0.4)


def test_silence_is_followed_by_the_own_way(tmp_path: Path) -> None:
    silence = Clip(np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE)
    spoken = write_answer(
        "One.", tmp_path / "a.wav", engine="fake", follow="question", question=silence
    )
    assert spoken.style == Style()


# Words


def words(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


def test_a_recogniser_gets_the_words_back(cascade: Embedder, tmp_path: Path) -> None:
    if not any(map(shutil.which, PROGRAMS.values())) and not any(
        os.environ.get(f"WAVRAG_{name}") for name in VARIABLES[:3]
    ):
        pytest.skip("nothing here can speak")
    sentences = [
        "The spare key is under the blue flower pot by the door [1].",
        "Why does the high tide come later every day?",
        "The last train to the city leaves at half past nine in the evening.",
        "Dr. Smith says that the cat has to take two tablets **every** morning.",
        "They raised the middle of the bridge so that boats could pass below it.",
    ]
    clips = []
    for number, sentence in enumerate(sentences):
        spoken = write_answer(sentence, tmp_path / f"{number}.wav")
        clips.append(load(spoken.path, SAMPLE_RATE))
    heard = cascade.embed_with_texts([EmbedInput(clip=clip) for clip in clips], "passage").texts
    said = [words(spoken_text(text)) for text in sentences]
    wrong = sum(edit_distance(words(a or ""), b) for a, b in zip(heard, said, strict=True))
    assert wrong / sum(map(len, said)) < 0.3


def test_the_questions_of_the_demo_are_measured_and_followed(tmp_path: Path) -> None:
    engine = installed("espeak")
    question = load(DATA / "questions" / "spare-key.opus")
    heard = measure_prosody(question).f0
    spoken = write_answer(
        CALIBRATION,
        tmp_path / "a.wav",
        engine=engine,
        voice="en-us+f2",
        follow="question",
        question=question,
    )
    plain = write_answer(CALIBRATION, tmp_path / "b.wav", engine=engine, voice="en-us+f2")
    follows, before = measure_prosody(load(spoken.path)).f0, measure_prosody(load(plain.path)).f0
    assert heard is not None
    assert follows is not None
    assert before is not None
    assert abs(np.log2(follows / heard)) < abs(np.log2(before / heard))


# Training


def test_what_training_draws_reaches_the_program(
    bare: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Programs that write down their arguments and say a tone.
    write_wav(tmp_path / "tone.wav", Clip(np.full(1_600, 0.1, np.float32), SAMPLE_RATE))
    script = (
        f"#!{sys.executable}\nimport json, shutil, sys\n"
        f"json.dump(sys.argv[1:], open({str(tmp_path / 'given.json')!r}, 'w'))\n"
        f"tone = open({str(tmp_path / 'tone.wav')!r}, 'rb').read()\n"
        "out = open(sys.argv[sys.argv.index('-o') + 1], 'wb') if '-o' in sys.argv else"
        " sys.stdout.buffer\nout.write(tone)\n"
    )
    for name in ("flite", "espeak-ng", "text2wave"):
        program(bare, name)
        (bare / name).write_text(script)

    def given(name: str, voice: str, seed: int) -> list[str]:
        voices.load_speaker(name).speak("Say it.", voice, np.random.default_rng(seed))
        arguments: list[str] = json.loads((tmp_path / "given.json").read_text())
        return arguments

    for seed in range(3):
        rng = np.random.default_rng(seed)
        stretch = f"duration_stretch={rng.uniform(0.82, 1.2):.2f}"
        flite = given("flite", "slt", seed)
        assert flite[:-1] == ["-voice", "slt", "--setf", stretch, "-t", "Say it.", "-o"]
        rng = np.random.default_rng(seed)
        pace, pitch = str(rng.integers(130, 195)), str(rng.integers(30, 70))
        assert given("espeak", "en-us+m1", seed) == [
            *("-v", "en-us+m1", "-s", pace, "-p", pitch, "--stdout", "--", "Say it.")
        ]
        rng = np.random.default_rng(seed)
        stretch = f"(Parameter.set 'Duration_Stretch {rng.uniform(0.85, 1.2):.2f})"
        festival = given("festival", "kal_diphone", seed)
        assert festival[:4] == ["-eval", "(voice_kal_diphone)", "-eval", stretch]


class FakeKokoro:
    """Stands for the model of the package `kokoro-onnx`: a tone whose level is the voice's."""

    def __init__(self) -> None:
        self.tokenizer = self
        self.asked: list[tuple[str, float]] = []

    @classmethod
    def from_session(cls, session: object, voices: str) -> "FakeKokoro":
        return cls()

    def get_voices(self) -> list[str]:
        return ["af_heart", "af_nova", "bm_george", "zf_xiaoyi"]

    def get_voice_style(self, name: str) -> Float32:
        return np.full((4, 2), self.get_voices().index(name) + 1, np.float32)

    def phonemize(self, text: str, accent: str) -> str:
        return f"{accent}:{text}"

    def create(
        self, phonemes: str, timbre: Float32, speed: float, is_phonemes: bool
    ) -> tuple[Float32, int]:
        assert is_phonemes
        self.asked.append((phonemes, speed))
        return np.full(4_800, 0.1 * timbre[0, 0], np.float32), 24_000


@pytest.fixture
def kokoro(monkeypatch: pytest.MonkeyPatch) -> None:
    package = types.ModuleType("kokoro_onnx")
    package.Kokoro = FakeKokoro  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kokoro_onnx", package)
    monkeypatch.setattr("wavrag.speech.kokoro.load_session", lambda path: None)


@pytest.mark.usefixtures("kokoro")
def test_kokoro_mixes_voices_and_takes_an_accent(tmp_path: Path) -> None:
    engine = Kokoro(tmp_path)

    def said(voice: str, style: Style = NEUTRAL) -> tuple[str, float, float]:
        clip = engine.speak("So.", voice, style)
        assert clip.sample_rate == SAMPLE_RATE
        phonemes, speed = engine._model.asked[-1]
        return phonemes, speed, float(np.median(clip.samples))

    assert said("af_heart") == ("en-us:So.", 1.0, pytest.approx(0.1, abs=1e-3))
    assert said("bm_george")[0] == "en-gb:So."
    assert said("zf_xiaoyi", Style(rate=3.0, voice="zf_xiaoyi@en-gb"))[:2] == ("en-gb:So.", 2.0)
    # A quarter of voice 1 and three of voice 3: 0.25 x 0.1 + 0.75 x 0.3.
    mixed = said("af_heart", Style(voice="af_heart*0.25+bm_george"))
    assert mixed[2] == pytest.approx(0.25, abs=1e-3)
    with pytest.raises(ValueError, match="not in list"):
        said("af_heart", Style(voice="af_none"))


@pytest.mark.usefixtures("kokoro")
def test_training_speaks_with_no_voice_of_the_evaluation(tmp_path: Path) -> None:
    engine = voices.load_speaker("kokoro", tmp_path)
    assert list(engine.voices) == ["af_heart", "bm_george", "zf_xiaoyi"]
    assert "af_nova" in Kokoro(tmp_path).voices, "answers may"
    assert isinstance(engine, voices.KokoroSpeaker)
    drawn = [engine.style("zf_xiaoyi", np.random.default_rng(seed)) for seed in range(60)]
    mixed = [style for style in drawn if "+" in (style.voice or "")]
    assert 10 < len(mixed) < 32
    assert {str(style.voice).partition("@")[2] for style in drawn} == {"en-us", "en-gb"}
    assert all(0.85 <= style.rate <= 1.3 for style in drawn)
    # The order of the draws: mix or not, with whom, how much, accent, pace.
    rng = np.random.default_rng(int(np.flatnonzero(["+" in str(s.voice) for s in drawn])[0]))
    assert rng.random() < 1 / 3
    other = ("af_heart", "bm_george")[int(rng.integers(2))]
    share = float(rng.uniform(0.3, 0.7))
    accent = "en-gb" if rng.random() < 0.5 else "en-us"
    assert mixed[0] == Style(rng.uniform(0.85, 1.3), voice=f"zf_xiaoyi*{share!r}+{other}@{accent}")
