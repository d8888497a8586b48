"""The demo corpus: complete, small, audible, and with every answer where its question says."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import av
import numpy as np
import pypdf
import pytest

from wavrag.demo import DATA

TEXTS = Path(__file__).parent.parent / "tools" / "demo_corpus"
AUDIO_SUFFIXES = {".opus", ".ogg", ".mp3", ".m4a", ".flac", ".wav"}
QUESTION_VOICES = {"af_kore", "am_echo", "bm_lewis"}
HELD_OUT_VOICES = {
    *("af_nova", "am_onyx", "bf_alice", "bm_daniel"),
    *("af_sky", "am_puck", "bf_lily", "bm_fable"),
}

FILES = sorted(
    path for path in DATA.rglob("*") if path.is_file() and path.name not in {"NOTICE.md"}
)
AUDIO_FILES = [path for path in FILES if path.suffix in AUDIO_SUFFIXES]
RECORDINGS = [path for path in AUDIO_FILES if path.parent.name == "recordings"]
DOCUMENTS = sorted((DATA / "corpus" / "documents").iterdir())
PLAN: dict[str, Any] = json.loads((DATA / "questions" / "questions.json").read_text("utf-8"))
SPOKEN: list[dict[str, Any]] = PLAN["spoken"]


def relative(path: Path) -> str:
    return path.relative_to(DATA).as_posix()


def decode(path: Path) -> tuple[np.ndarray, float]:
    """Samples as float32 of shape (n,), and their duration in seconds."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono", 16_000)
        frames = [r for frame in container.decode(audio=0) for r in resampler.resample(frame)]
        frames += resampler.resample(None)
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return samples, len(samples) / 16_000


def read_document(path: Path) -> str:
    if path.suffix == ".pdf":
        text = "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)
    else:
        text = path.read_text(encoding="utf-8")
    if path.suffix == ".html":
        text = re.sub(r"<[^>]+>", " ", text)
    return " ".join(text.split())


def test_it_is_small_enough_to_ship() -> None:
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) <= 6_000_000


def test_it_mixes_ten_of_each_and_all_formats() -> None:
    assert len(RECORDINGS) >= 10
    assert len(DOCUMENTS) >= 10
    assert {path.suffix for path in RECORDINGS} == AUDIO_SUFFIXES
    assert {path.suffix for path in DOCUMENTS} == {".md", ".txt", ".html", ".pdf"}


def test_the_notice_names_every_file_and_no_other() -> None:
    notice = (DATA / "NOTICE.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([^`]+)` \|", notice, flags=re.MULTILINE)
    assert sorted(named) == [relative(path) for path in FILES]


@pytest.mark.parametrize("path", AUDIO_FILES, ids=relative)
def test_audio_is_audible_and_not_clipped(path: Path) -> None:
    samples, seconds = decode(path)
    low, high = (15, 60) if path in RECORDINGS else (2, 6)
    assert low < seconds < high
    assert 0.3 < np.abs(samples).max() < 0.95
    assert -30 < 20 * np.log10(np.sqrt(np.mean(samples**2))) < -15


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_are_of_a_readable_length(path: Path) -> None:
    assert 150 <= len(read_document(path).split()) <= 600


def test_questions_ask_about_both_kinds_and_every_file_is_asked() -> None:
    kinds = [question["answer_source"].split("/")[0] for question in SPOKEN]
    assert kinds.count("recordings") >= 6
    assert kinds.count("documents") >= 6
    assert kinds[0] == "recordings"  # the demo's first answer cites seconds
    asked = sorted(question["file"] for question in SPOKEN)
    assert asked == [p.name for p in AUDIO_FILES if p.parent.name == "questions"]


@pytest.mark.parametrize(
    "question", [*SPOKEN, PLAN["typed"]], ids=lambda question: question["text"]
)
def test_the_answer_is_where_the_question_says(question: dict[str, Any]) -> None:
    path = DATA / "corpus" / question["answer_source"]
    words = question["answer_contains"].casefold()
    if path in DOCUMENTS:
        assert read_document(path).casefold().count(words) == 1
        return
    timelines = json.loads((TEXTS / "timelines.json").read_text(encoding="utf-8"))
    ((_, start, end),) = [row for row in timelines[path.name] if words in row[0].casefold()]
    assert question["answer_start"] == pytest.approx(start, abs=0.06)
    assert question["answer_end"] == pytest.approx(end, abs=0.06)
    samples, seconds = decode(path)
    assert end < seconds
    spoken = samples[round(start * 16_000) : round(end * 16_000)]
    assert np.sqrt(np.mean(spoken**2)) > 0.02


def test_questions_have_voices_of_their_own() -> None:
    scripts = [tomllib.loads(p.read_text("utf-8")) for p in (TEXTS / "recordings").glob("*.toml")]
    recorded = {turn["voice"] for script in scripts for turn in script["turn"]}
    assert {question["voice"] for question in SPOKEN} == QUESTION_VOICES
    assert not recorded & (QUESTION_VOICES | HELD_OUT_VOICES)
