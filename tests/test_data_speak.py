import importlib.util
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import wave
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wavrag.data
from audio_files import frequency, tone
from wavrag import audio
from wavrag.cli import main
from wavrag.data.records import Content, TrainingRecord, read_records, write_records
from wavrag.data.speak import SpeakOptions, SpeakResult, read_questions, speak_records
from wavrag.data.voices import (
    RESERVED_VOICES,
    Endpoint,
    OpenAISpeaker,
    PiperSpeaker,
    is_reserved_voice,
    load_speaker,
)
from wavrag.errors import AudioError, InputError, MissingExtraError
from wavrag.types import Clip

NEGATIVE = Content(text="not this")
RECORDS = [
    TrainingRecord(
        f"set/{n}", Content(text=f"question {n}"), (Content(text=f"answer {n}"),), (NEGATIVE,)
    )
    for n in range(8)
]


class Siren:
    """Says every text as a tone of a pitch and length drawn for it."""

    revision = "1"
    voices: Sequence[str] = ("high", "low")

    def __init__(self, name: str = "siren", unable: Sequence[str] = ()) -> None:
        self.name = name
        self.unable = unable
        self.said: list[str] = []

    def speak(self, text: str, voice: str, rng: np.random.Generator) -> Clip:
        self.said.append(text)
        if text in self.unable:
            raise AudioError("cannot say it")
        if text == "die":
            raise KeyboardInterrupt
        hertz = (400 if voice == "low" else 1_000) + int(rng.integers(100))
        return Clip(tone(hertz, rng.uniform(0.05, 0.1), 16_000), 16_000, text)


def speak(
    folder: Path, engine: Siren | None = None, records: Any = RECORDS, **options: Any
) -> SpeakResult:
    return speak_records(records, [engine or Siren()], folder, SpeakOptions(**options))


def written(folder: Path) -> list[TrainingRecord]:
    return list(read_records(folder / "records.jsonl"))


def clips(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "audio").glob("*/*")}


def test_a_spoken_query_keeps_its_words_aside_and_the_rest_as_it_was(tmp_path: Path) -> None:
    assert speak(tmp_path / "out") == SpeakResult(8, 8, 0, ())
    shutil.move(tmp_path / "out", tmp_path / "moved")  # paths are relative
    records = written(tmp_path / "moved")
    assert [record.id for record in records] == [record.id for record in RECORDS]
    for before, after in zip(RECORDS, records, strict=True):
        assert (after.query.text, after.query.transcript) == (None, before.query.text)
        assert (after.positives, after.negatives) == (before.positives, before.negatives)
        clip = audio.load(str(after.query.audio))
        assert 0.05 <= clip.duration <= 0.1
        assert 400 <= frequency(clip.samples, 16_000) <= 1_120
    with wave.open(str(records[0].query.audio)) as file:
        assert (file.getsampwidth(), file.getnchannels(), file.getframerate()) == (2, 1, 16_000)


def test_what_spoke_each_clip_is_written_down(tmp_path: Path) -> None:
    speak(tmp_path)
    rows = list(map(json.loads, (tmp_path / "clips.jsonl").read_text().splitlines()))
    assert [row["text"] for row in rows] == [record.query.text for record in RECORDS]
    assert {row["voice"] for row in rows} == {"high", "low"}
    for row, record in zip(rows, written(tmp_path), strict=True):
        assert (row["engine"], row["revision"]) == ("siren", "1")
        assert str(tmp_path / row["audio"]) == record.query.audio
        # The clip can be made again from what is written.
        again = Siren().speak(row["text"], row["voice"], np.random.default_rng(row["draw"]))
        stored = audio.load(str(record.query.audio)).samples
        assert np.abs(again.samples - stored).max() < 1e-4


@pytest.mark.parametrize(
    ("part", "kinds", "count"), [("query", "ST", 8), ("positives", "TS", 8), ("all", "SS", 16)]
)
def test_the_part_that_is_asked_for_is_spoken(
    part: str, kinds: str, count: int, tmp_path: Path
) -> None:
    assert speak(tmp_path, fields=part).new_clips == count
    for record in written(tmp_path):
        assert record.query.kind + record.positives[0].kind == kinds
        assert record.negatives == (NEGATIVE,)


def test_an_entry_that_has_sound_stays_as_it_is(tmp_path: Path) -> None:
    audio.write_wav(tmp_path / "own.wav", Clip(tone(500, 0.1, 16_000), 16_000))
    own = Content(text="words beside it", audio=str(tmp_path / "own.wav"))
    engine = Siren()
    speak(tmp_path / "out", engine, [TrainingRecord("a", own, (Content(text="x"),))], fields="all")
    assert engine.said == ["x"]
    assert written(tmp_path / "out")[0].query == own


def test_nothing_is_spoken_twice(tmp_path: Path) -> None:
    doubled = [*RECORDS, TrainingRecord("again", RECORDS[0].query, (Content(text="other"),))]
    engine = Siren()
    assert speak(tmp_path, engine, doubled) == SpeakResult(9, 8, 0, ())
    assert max(Counter(engine.said).values()) == 1
    first = clips(tmp_path)
    assert speak(tmp_path, engine, doubled, threads=3) == SpeakResult(9, 0, 8, ())
    assert len(engine.said) == 8
    # Other draws, and another engine revision, are other clips.
    assert speak(tmp_path, engine, doubled, seed=1).new_clips == 8
    engine.revision = "2"
    assert speak(tmp_path, engine, doubled).new_clips == 8
    assert len(clips(tmp_path)) == 24
    assert first.items() <= clips(tmp_path).items()
    assert len((tmp_path / "clips.jsonl").read_text().splitlines()) == 24


def test_killed_halfway_the_next_run_goes_on(tmp_path: Path) -> None:
    deadly = [
        *RECORDS[:5],
        TrainingRecord("d", Content(text="die"), (Content(text="x"),)),
        *RECORDS[5:],
    ]
    with pytest.raises(KeyboardInterrupt):
        speak(tmp_path / "cut", Siren(), deadly, threads=1)
    assert not (tmp_path / "cut" / "records.jsonl").exists()
    kept = len(clips(tmp_path / "cut"))
    assert 5 <= kept < 8
    engine = Siren()
    assert speak(tmp_path / "cut", engine) == SpeakResult(8, 8 - kept, kept, ())
    assert len(engine.said) == 8 - kept
    speak(tmp_path / "whole")
    assert clips(tmp_path / "cut") == clips(tmp_path / "whole")


def test_a_clip_without_samples_is_made_again(tmp_path: Path) -> None:
    speak(tmp_path)
    victim = Path(str(written(tmp_path)[3].query.audio))
    whole = victim.read_bytes()
    victim.write_bytes(b"")
    assert speak(tmp_path).new_clips == 1
    assert victim.read_bytes() == whole


RUN = """if True:
    import sys
    from pathlib import Path
    from test_data_speak import RECORDS, Siren, speak_records
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in range(100):
        speak_records(RECORDS, [Siren()], Path(sys.argv[1]))
        if turn < 10:  # the other run finds clips gone that it had found there
            for clip in Path(sys.argv[1]).glob("audio/*/*.wav"):
                clip.unlink(missing_ok=True)
"""


def test_two_runs_into_one_folder(tmp_path: Path) -> None:
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(2)
    ]
    try:
        for run in runs:
            assert run.stdout is not None
            assert run.stdout.readline() == "ready\n"
        for run in runs:
            assert run.stdin is not None
            run.stdin.write("go\n")
            run.stdin.flush()
        ends = [run.communicate(timeout=120) for run in runs]
    finally:
        for run in runs:
            run.kill()
    assert ends == [("", ""), ("", "")]
    assert [run.returncode for run in runs] == [0, 0]
    assert len(written(tmp_path)) == 8
    speak(tmp_path)
    for record in written(tmp_path):
        assert audio.load(str(record.query.audio)).duration >= 0.05
    left = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {".wav", ".jsonl", ""}, "nothing half-written stays"


def test_a_text_that_cannot_be_spoken_is_told_and_its_record_left_out(tmp_path: Path) -> None:
    engine = Siren(unable=["question 2", "answer 5"])
    done = speak(tmp_path, engine, fields="all")
    assert (done.records, done.new_clips) == (6, 14)
    assert [name for name, _ in done.failures] == ["set/2", "set/5"]
    assert done.failures[0][1].endswith("cannot say it")
    assert [record.id for record in written(tmp_path)] == [f"set/{n}" for n in (0, 1, 3, 4, 6, 7)]


def test_silence_is_a_failure(tmp_path: Path) -> None:
    class Mute(Siren):
        def speak(self, text: str, voice: str, rng: np.random.Generator) -> Clip:
            clip = super().speak(text, voice, rng)
            return clip if text != "question 1" else Clip(0 * clip.samples, 16_000)

    ((name, reason),) = speak(tmp_path, Mute()).failures
    assert name == "set/1"
    assert "silent" in reason


def test_programs_that_fail_say_why(tmp_path: Path) -> None:
    class Program(Siren):
        def speak(self, text: str, voice: str, rng: np.random.Generator) -> Clip:
            if text == "question 0":
                subprocess.run(
                    [sys.executable, "-c", "raise SystemExit('no such voice')"],
                    check=True,
                    capture_output=True,
                )
            if text == "question 1":
                raise subprocess.TimeoutExpired("siren", 60)
            return super().speak(text, voice, rng)

    (_, first), (_, second) = speak(tmp_path, Program()).failures
    assert first.endswith("exit code 1: no such voice")
    assert second.endswith("took longer than 60 s")


def test_if_nothing_can_be_spoken_it_is_an_error(tmp_path: Path) -> None:
    engine = Siren(unable=[str(record.query.text) for record in RECORDS])
    with pytest.raises(InputError, match=r"no text could be spoken; record 'set/0': .*cannot say"):
        speak(tmp_path, engine)
    assert not (tmp_path / "records.jsonl").exists()


def test_an_engine_that_cannot_go_on_ends_the_run(tmp_path: Path) -> None:
    class Broken(Siren):
        def speak(self, text: str, voice: str, rng: np.random.Generator) -> Clip:
            super().speak(text, voice, rng)
            raise InputError("the key is refused")

    many = [TrainingRecord(str(n), Content(text=str(n)), (Content(text="x"),)) for n in range(200)]
    engine = Broken()
    with pytest.raises(InputError, match="the key is refused"):
        speak(tmp_path, engine, many, threads=2)
    assert len(engine.said) < 20, "the others are not tried"


def test_engines_and_voices_are_drawn_for_each_text(tmp_path: Path) -> None:
    many = [TrainingRecord(str(n), Content(text=str(n)), (Content(text="x"),)) for n in range(60)]
    cast = [Siren("one"), Siren("two"), Siren("three")]
    cast[2].voices = ("other",)
    speak_records(many, cast, tmp_path, SpeakOptions(voices=("low", "other")))
    rows = list(map(json.loads, (tmp_path / "clips.jsonl").read_text().splitlines()))
    drawn = Counter((row["engine"], row["voice"]) for row in rows)
    assert set(drawn) == {("one", "low"), ("two", "low"), ("three", "other")}
    assert min(drawn.values()) >= 8
    assert len({row["draw"] for row in rows}) == 60


@pytest.mark.parametrize(
    ("voices", "wanted", "complaint"),
    [
        (("high", "af_nova"), (), "held back for evaluation: af_nova"),
        (("high",), ("am_onyx",), "held back for evaluation: am_onyx"),
        (("en_US-joe-medium",), (), "held back for evaluation: en_US-joe-medium"),
        (("high", "low"), ("middle",), "no engine has the voice 'middle': choose from high, low"),
    ],
)
def test_voices_that_cannot_be_had(
    voices: tuple[str, ...], wanted: tuple[str, ...], complaint: str, tmp_path: Path
) -> None:
    engine = Siren()
    engine.voices = voices
    with pytest.raises(InputError, match=complaint):
        speak(tmp_path, engine, voices=wanted)
    assert engine.said == []


def test_an_engine_without_the_voices_named(tmp_path: Path) -> None:
    other = Siren("other")
    other.voices = ("odd",)
    with pytest.raises(InputError, match=r"engine other has none of the voices named: .*odd"):
        speak_records(RECORDS, [Siren(), other], tmp_path, SpeakOptions(voices=("low",)))


def test_every_reserved_voice_is_known_within_a_name() -> None:
    for voice in RESERVED_VOICES:
        assert is_reserved_voice(voice)
        assert is_reserved_voice(f"en_US-{voice}-medium#3")
        assert is_reserved_voice(f"af_bella+{voice}")
    for voice in ("slt", "af_bella", "en-us+Gene", "en_US-lessac-medium", "alloy", "joey"):
        assert not is_reserved_voice(voice)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        speak(tmp_path / "file" / "out")


def test_lines_of_a_text_file_are_questions(tmp_path: Path) -> None:
    (tmp_path / "trivia.txt").write_text("Who was it?\n\n  When?  \n")
    first, second = read_questions(tmp_path / "trivia.txt")
    assert first == TrainingRecord(
        "trivia/1", Content(text="Who was it?"), (Content(text="Who was it?"),), source="trivia"
    )
    assert (second.id, second.query.text) == ("trivia/3", "When?")


# Piper


def piper_voice(folder: Path, name: str = "en_US-tiny-low", **config: Any) -> Path:
    """A Piper voice that says every phoneme as a short tone."""
    onnx = pytest.importorskip("onnx", reason="needs the extra wavrag[train]")
    from onnx import TensorProto, helper

    constants = {"first": [1], "second": [2], "one": [1.0], "length": [600.0], "pitch": [0.3]}
    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["scales", "first", "second"], ["scale"]),
            helper.make_node("Mul", ["scale", "length"], ["long"]),
            helper.make_node("Cast", ["long"], ["count"], to=TensorProto.INT64),
            helper.make_node("Concat", ["first", "count"], ["repeats"], axis=0),
            helper.make_node("Cast", ["input"], ["ids"], to=TensorProto.FLOAT),
            helper.make_node("Tile", ["ids", "repeats"], ["tiled"]),
            helper.make_node("CumSum", ["tiled", "first"], ["phase"]),
            helper.make_node("Mul", ["phase", "pitch"], ["angle"]),
            helper.make_node("Sin", ["angle"], ["wave"]),
            helper.make_node("Unsqueeze", ["wave", "first"], ["output"]),
        ],
        "voice",
        [
            helper.make_tensor_value_info("input", TensorProto.INT64, [1, "n"]),
            helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
            helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, "samples"])],
        [
            helper.make_tensor(
                key,
                TensorProto.INT64 if isinstance(value[0], int) else TensorProto.FLOAT,
                [1],
                value,
            )
            for key, value in constants.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    ids = {chr(code): [code] for code in range(32, 127)} | {"_": [0], "^": [1], "$": [2]}
    settings: dict[str, Any] = {
        "audio": {"sample_rate": 22_050},
        "espeak": {"voice": "en-us"},
        "inference": {"noise_scale": 0.667, "length_scale": 1, "noise_w": 0.8},
        "phoneme_type": "text",
        "phoneme_id_map": ids,
        "num_symbols": 128,
        "num_speakers": 1,
        "speaker_id_map": {},
    }
    path.with_name(path.name + ".json").write_text(json.dumps(settings | config))
    return path


def test_piper_speaks(tmp_path: Path) -> None:
    if shutil.which("piper") is None:
        pytest.skip("piper is not installed here")
    engine = load_speaker("piper", piper=[piper_voice(tmp_path)])
    assert engine.voices == ("en_US-tiny-low",)
    spoken = [
        engine.speak("-n is no option,\nit is read.", "en_US-tiny-low", np.random.default_rng(seed))
        for seed in range(2)
    ]
    for clip in spoken:
        assert clip.sample_rate == 16_000
        assert clip.duration > 0.5
        assert np.abs(clip.samples).max() > 0.5
    assert spoken[0].duration != spoken[1].duration, "the pace is drawn"


def test_the_command_line_of_piper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A program with Piper's options, which writes down what it was given.
    program = tmp_path / "bin" / "piper"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport json, shutil, sys\n"
        f"given = [sys.argv[1:], sys.stdin.read()]\n"
        f"json.dump(given, open({str(tmp_path / 'given.json')!r}, 'w'))\n"
        f"shutil.copy({str(tmp_path / 'tone.wav')!r}, sys.argv[sys.argv.index('--output_file')+1])"
    )
    program.chmod(0o755)
    audio.write_wav(tmp_path / "tone.wav", Clip(tone(500, 0.2, 22_050), 22_050))
    monkeypatch.setenv("PATH", str(program.parent))
    model = piper_voice(tmp_path, "en_GB-many-low", num_speakers=3)
    engine = load_speaker("piper", piper=[model])
    assert engine.voices == tuple(f"en_GB-many-low#{number}" for number in range(3))
    clip = engine.speak("two\nlines", "en_GB-many-low#2", np.random.default_rng(0))
    assert clip.sample_rate == 16_000
    assert clip.duration == pytest.approx(0.2, abs=0.01)
    options, said = json.loads((tmp_path / "given.json").read_text())
    assert said == "two lines\n"
    assert options[:2] == ["--model", str(model)]
    assert options[options.index("--speaker") + 1] == "2"
    assert 0.85 <= float(options[options.index("--length_scale") + 1]) <= 1.2


def test_piper_voices_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"name its file with --piper"):
        load_speaker("piper")
    with pytest.raises(InputError, match=r"there is no .*gone\.onnx"):
        PiperSpeaker([tmp_path / "gone.onnx"])
    for model in (
        piper_voice(tmp_path, "en_US-joe-low"),
        piper_voice(tmp_path, "x", dataset="joe"),
    ):
        with pytest.raises(InputError, match="held back for evaluation"):
            PiperSpeaker([model])
    model = piper_voice(tmp_path, "bad")
    with pytest.raises(InputError, match="two Piper voices are called bad"):
        PiperSpeaker([model, model])
    revision = PiperSpeaker([model]).revision
    model.write_bytes(model.read_bytes() + b"\0")
    assert PiperSpeaker([model]).revision != revision
    (tmp_path / "bad.onnx.json").write_text("[")
    with pytest.raises(InputError, match=r"bad\.onnx\.json is no configuration"):
        PiperSpeaker([model])


# A service with OpenAI's interface


class Service:
    """What a loopback server was asked, and what it answers, in turn; the last answer stays."""

    def __init__(self, *answers: int | bytes) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.url = ""


def wav() -> bytes:
    """A WAV file as a server writes it that does not know the length beforehand."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(24_000)
        out.writeframes((tone(600, 0.5, 24_000) * 32_767).astype("<i2").tobytes())
    data = bytearray(file.getvalue())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    return bytes(data)


@contextmanager
def serving(*answers: int | bytes) -> Iterator[Service]:
    """A server that speaks the protocol: POST /v1/audio/speech; a number is an error's status."""
    service = Service(*answers)
    hurry = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            service.asked.append(request)
            service.keys.append(self.headers["Authorization"])
            answer: int | bytes = 404
            if self.path == "/v1/audio/speech":
                answer = service.answers.pop(0) if len(service.answers) > 1 else service.answers[0]
            if answer == 0:  # never
                hurry.wait(20)
                return
            failed = isinstance(answer, int)
            body = (
                json.dumps({"error": {"message": "so it is"}}).encode()
                if isinstance(answer, int)
                else answer
            )
            self.send_response(answer if isinstance(answer, int) else 200)
            self.send_header("Content-Type", "application/json" if failed else "audio/wav")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("retry-after-ms", "1")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            service.url = f"http://127.0.0.1:{http.server_port}/v1"
            yield service
        finally:
            hurry.set()
            http.shutdown()
            thread.join()


needs_sdk = pytest.mark.skipif(
    importlib.util.find_spec("openai") is None, reason="needs the extra wavrag[openai]"
)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-for-this-test")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def ask(url: str, **options: Any) -> Clip:
    endpoint = Endpoint("tts-1", url, ("coral",), **options)
    return OpenAISpeaker(endpoint).speak("Hear me.", "coral", np.random.default_rng(0))


@needs_sdk
def test_a_service_speaks() -> None:
    with serving(wav()) as service:
        clip = ask(service.url)
    assert clip.sample_rate == 16_000
    assert clip.duration == pytest.approx(0.5, abs=0.01)
    assert frequency(clip.samples, 16_000) == pytest.approx(600, abs=5)
    (request,) = service.asked
    assert service.keys == ["Bearer a-key-for-this-test"]
    assert 0.85 <= request.pop("speed") <= 1.2
    assert request == {
        "model": "tts-1",
        "voice": "coral",
        "input": "Hear me.",
        "response_format": "wav",
    }


@needs_sdk
def test_a_service_that_is_busy_is_asked_again() -> None:
    with serving(429, 500, 503, wav()) as service:
        assert ask(service.url).duration > 0.4
    assert len(service.asked) == 4


@needs_sdk
@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (401, InputError, "rejects the key: correct OPENAI_API_KEY"),
        (403, InputError, "rejects the key"),
        (404, InputError, "has no model 'tts-1', or is not such an endpoint"),
        (429, InputError, "has too many requests"),
        (400, AudioError, "rejects the text"),
        (500, AudioError, "rejects the text"),
        (b'{"error": "no sound"}', AudioError, "returned no audio"),
        (b"", AudioError, "returned no audio"),
    ],
)
def test_what_a_service_refuses_names_its_address(
    answer: int | bytes, error: type[Exception], message: str
) -> None:
    with serving(answer) as service, pytest.raises(error) as raised:
        ask(service.url, retries=1)
    assert type(raised.value) is error
    assert str(raised.value).startswith(f"{service.url}/: {message}")


@needs_sdk
def test_a_service_that_never_answers() -> None:
    with serving(0) as service, pytest.raises(AudioError, match="did not answer in time") as raised:
        ask(service.url, timeout=0.2, retries=0)
    assert service.url in str(raised.value)


@needs_sdk
def test_no_service() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(InputError, match=rf"{url}/: is not reachable"):
        ask(url, retries=0)


def test_a_service_needs_the_sdk_a_key_and_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="--model"):
        load_speaker("openai")
    if importlib.util.find_spec("openai") is not None:
        monkeypatch.delenv("OPENAI_API_KEY")
        with pytest.raises(InputError, match="set OPENAI_API_KEY"):
            load_speaker("openai", endpoint=Endpoint("tts-1"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'wavrag\[openai\]'"):
        load_speaker("openai", endpoint=Endpoint("tts-1"))


# The command


@pytest.fixture
def siren(monkeypatch: pytest.MonkeyPatch) -> Siren:
    """The engine that the command loads by any name."""
    engine = Siren(unable=["question 3"])
    monkeypatch.setattr(wavrag.data, "load_speaker", lambda name, *_, **__: engine)
    return engine


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_records(tmp_path / "records.jsonl", RECORDS)
    return tmp_path / "records.jsonl"


def test_the_command_prints_counts(
    siren: Siren, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    arguments = ["synth", str(file), "--out", out, "--engine", "siren", "--threads", "2"]
    assert main([*arguments, "--limit", "3"]) == 0
    captured = capsys.readouterr()
    assert "3 records, 3 clips spoken, 0 reused, 0 records failed" in captured.out
    assert captured.err == ""
    with file.open("a") as lines:
        lines.write('{"id": "half\n')
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert "7 records, 4 clips spoken, 3 reused, 1 record failed" in captured.out
    skipped, failed = captured.err.splitlines()
    assert skipped.startswith(f"skipped: {file}:9: ")
    assert failed.startswith("failed: set/3: siren (")
    assert siren.said.count("question 0") == 1


@pytest.mark.usefixtures("siren")
def test_the_command_prints_json_and_nothing_else(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["synth", str(file), "--out", str(out), "--fields", "all", "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.err == ""
    result = json.loads(captured.out)
    assert (result["records"], result["spoken"], result["reused"]) == (7, 15, 0)
    assert [failure["id"] for failure in result["failed"]] == ["set/3"]
    assert {record.direction for record in written(out)} == {"S2S"}
    assert result["out"] == str(out / "records.jsonl")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--limit", "0"], 2, "--limit: 0"),
        (["--threads", "-1"], 2, "--threads: -1"),
        (["--engine", "hal"], 1, "no speech engine 'hal'"),
        (["--engine", "kokoro"], 1, "--kokoro"),
        (["--engine", "piper"], 1, "--piper"),
        (["--engine", "openai"], 1, "--model"),
    ],
)
def test_what_the_command_refuses(
    arguments: list[str],
    code: int,
    message: str,
    file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["synth", str(file), "--out", str(tmp_path / "out"), *arguments]) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_file_without_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "none.txt").write_text("\n\n")
    assert main(["synth", str(tmp_path / "none.txt"), "--out", str(tmp_path / "out")]) == 1
    assert "holds no record" in capsys.readouterr().err
    assert main(["synth", str(tmp_path / "gone.jsonl"), "--out", str(tmp_path / "out")]) == 1
    assert "gone.jsonl cannot be read" in capsys.readouterr().err


@needs_sdk
def test_the_command_with_a_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "q.txt").write_text("Who?\nWhen?\nWho?\n")
    out = tmp_path / "out"
    with serving(wav()) as service:
        arguments = ["--engine", "openai", "--base-url", service.url, "--model", "tts-1"]
        command = ["synth", str(tmp_path / "q.txt"), "--out", str(out), *arguments]
        assert main([*command, "--voice", "ballad"]) == 0
    assert sorted(request["input"] for request in service.asked) == ["When?", "Who?"]
    assert {request["voice"] for request in service.asked} == {"ballad"}
    assert "3 records, 2 clips spoken" in capsys.readouterr().out
    assert [record.query.transcript for record in written(out)] == ["Who?", "When?", "Who?"]


@pytest.mark.parametrize(("name", "program"), [("flite", "flite"), ("espeak", "espeak-ng")])
def test_the_command_with_an_installed_engine(name: str, program: str, tmp_path: Path) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed here")
    (tmp_path / "q.txt").write_text("What is the capital of France?\n-h\n")
    out = tmp_path / "out"
    assert main(["synth", str(tmp_path / "q.txt"), "--out", str(out), "--engine", name]) == 0
    question, _ = written(out)
    assert 0.8 < audio.load(str(question.query.audio)).duration < 5
    (row, _) = map(json.loads, (out / "clips.jsonl").read_text().splitlines())
    assert row["revision"], "the program says its version"
