"""The experiments themselves, in quick mode on real models and a little data, and their parts."""

import json
import shutil
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiment_data import make_data
from experiments.__main__ import main
from experiments.ablation import PartialRetriever
from experiments.gpu import MODELS, OPTIONS, Model, gpu_seconds
from experiments.long_recording import _level
from experiments.longform import _overlap
from experiments.noises import disturbances, music
from experiments.search import ExperimentIndex, crossing, draw_sample, falls_to
from wavrag.audio import load
from wavrag.audio.augmentation import reverberate
from wavrag.embed import Embedder, load_embedder
from wavrag.types import Document, EmbedInput, Query

needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("experiments") / "data")


def quick(name: str, data: Path, out: Path, arguments: Sequence[str] = ()) -> dict[str, Any]:
    given = ["--quick", "--data", str(data), "--out", str(out), "--json", str(out) + ".json"]
    assert main([name, *given, *arguments]) == 0
    results: dict[str, Any] = json.loads((out / "results.json").read_text(encoding="utf-8"))
    for file in results["figures"].values():
        plot = (out / file).read_bytes()
        assert plot.startswith(b"\x89PNG")
        assert len(plot) < 80_000
    return results


def rows(results: dict[str, Any], name: str) -> list[list[Any]]:
    found: list[list[Any]] = next(t["rows"] for t in results["tables"] if t["name"] == name)
    return found


def assert_resumes(name: str, data: Path, run: Path, copy: Path) -> None:
    """Resume a copy of a run without every third step: the results are the same bytes."""
    shutil.copytree(run, copy)
    for path in [copy / "results.json", *copy.glob("*.png")]:
        path.unlink()
    # The steps are sorted by system, so that each system runs again.
    for step in sorted((copy / "steps").iterdir())[::3]:
        step.unlink()
    quick(name, data, copy)
    assert (copy / "results.json").read_bytes() == (run / "results.json").read_bytes()


def test_noise(data: Path, tmp_path: Path) -> None:
    results = quick("noise", data, tmp_path / "a")
    assert_resumes("noise", data, tmp_path / "a", tmp_path / "b")
    clean, *disturbed = rows(results, "recall")
    assert clean[0] == "none"
    assert all(cell["mean"] >= 0.8 for cell in clean[2:])
    assert [row[1] for row in disturbed] == [20, 0] * 4
    assert "--model whisper-tiny=DIR" in results["left_out"][0]
    # Every step is kept: what is there is not asked again.
    steps = sorted((tmp_path / "a" / "steps").iterdir())
    assert len(steps) == 2 * (1 + 4 * 2)
    before = [step.stat().st_mtime_ns for step in steps]
    quick("noise", data, tmp_path / "a")
    assert [step.stat().st_mtime_ns for step in steps] == before


@needs_flite
def test_ablation(data: Path, tmp_path: Path) -> None:
    results = quick("ablation", data, tmp_path / "a")
    ladder = rows(results, "ladder")
    assert len(ladder) == 11
    assert ladder[0][1:5] == [None] * 4  # an untrained encoder knows no text
    assert ladder[0][5]["mean"] >= 0
    assert ladder[-2][5:] == [None, None]  # typed words look for no recordings
    assert ladder[5][2]["mean"] >= 0.8


@needs_flite
def test_realspeech(data: Path, tmp_path: Path) -> None:
    results = quick("realspeech", data, tmp_path / "a")
    readings = rows(results, "readings")
    assert {row[1] for row in readings} >= {"human", "flite"}
    assert all(0 <= row[3]["mean"] <= 1 for row in readings)
    assert all(row[3]["mean"] == 1 for row in readings if row[1] == "human")
    assert results["left_out"]


@needs_flite
def test_longform(data: Path, tmp_path: Path) -> None:
    results = quick("longform", data, tmp_path / "a")
    lengths = rows(results, "length")
    assert {row[1] for row in lengths} == {1}
    assert all(row[5]["mean"] >= 0.5 for row in lengths)
    with wave.open(str(tmp_path / "a" / "recording-1min.wav")) as recording:
        assert recording.getnframes() >= 60 * 16_000
    kept = json.loads((tmp_path / "a" / "steps" / "recording-1min.json").read_text())["value"]
    starts = sorted(start for start, _ in kept["places"].values())
    assert len(starts) == 4
    # Each near the middle of its quarter, the more sentences before it the later.
    assert all(abs(start - (n + 0.5) * 15) < 10 for n, start in enumerate(starts))
    assert [row[1] for row in rows(results, "spans")] == [2]
    timings = json.loads((tmp_path / "a" / "timings.json").read_text())["tables"][0]["rows"]
    assert all(row[-1] > 50 for row in timings)  # megabytes of a process with its models


def test_longform_has_recordings_of_ten_minutes_at_least(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", str(data), "--out", str(tmp_path), "--set", "longest=5"]
    assert main(["longform", *arguments]) == 1
    assert "longest=5 leaves no recording: 10 minutes or more" in capsys.readouterr().err


def test_cost(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = quick("cost", data, tmp_path / "a")
    assert [row[0] for row in rows(results, "gpu")] == [model.label for model in MODELS]
    timings = json.loads((tmp_path / "a" / "timings.json").read_text())["tables"]
    assert [table["name"] for table in timings] == ["questions", "recordings"]
    assert all(row[3] > 0 for table in timings for row in table["rows"])
    dearer = quick("cost", data, tmp_path / "a", ["--set", "gpu_hour=1.6"])
    for before, after in zip(rows(results, "gpu"), rows(dearer, "gpu"), strict=True):
        assert after[1] == before[1]
        assert after[2] == pytest.approx(2 * before[2], abs=2e-6)
    out = capsys.readouterr().out
    assert "A GPU, modelled: nothing of this was measured" in out


def test_the_list_names_every_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.endswith("?") for line in lines)
    assert {"ablation", "noise", "longform", "realspeech", "cost"} <= {
        line.split()[0] for line in lines
    }


@pytest.mark.parametrize("name", ["ablation", "noise", "longform", "realspeech", "cost"])
def test_pages_name_what_the_results_have(name: str) -> None:
    page = Path(__file__).parent.parent / "docs" / "experiments" / f"{name}.md"
    text = page.read_text(encoding="utf-8")
    assert f"python -m experiments {name}" in text
    for plot in page.parent.glob(f"{name}-*.png"):
        assert f"({plot.name})" in text
        assert plot.stat().st_size < 80_000


def test_where_curves_cross() -> None:
    # a - b is -0.2 at 10 and +0.2 at 0: halfway.
    assert crossing([10, 0], [0.4, 0.6], [0.6, 0.4]) == 5
    # -0.1 at 20, equal at 10, +0.3 at 0: a quarter of the way from 20 to 0.
    assert crossing([20, 10, 0], [0.5, 0.5, 0.5], [0.6, 0.5, 0.2]) == 15
    assert crossing([10, 0], [0.6, 0.5], [0.5, 0.4]) is None
    assert crossing([10, 0], [0.5, 0.4], [0.5, 0.5]) is None


def test_where_a_curve_falls_to_a_level() -> None:
    assert falls_to([20, 10, 0], [1.0, 0.8, 0.4], 0.5) == pytest.approx(
        2.5
    )  # three quarters from 0.8 to 0.4
    assert falls_to([20, 10], [1.0, 0.8], 0.5) is None
    assert falls_to([20, 10, 0], [1.0, 0.5, 0.5], 0.5) is None  # it never falls below


def test_samples_are_drawn_with_the_seed_and_keep_their_order() -> None:
    everything = list(range(50))
    some = draw_sample(everything, 10, 3)
    assert some == sorted(some)
    assert len(set(some)) == 10
    assert some == draw_sample(everything, 10, 3) != draw_sample(everything, 10, 4)
    assert draw_sample([1, 2], 5, 0) == [1, 2]


def test_noise_has_the_ratio_that_is_asked_for(data: Path) -> None:
    speech = load(data / "clips" / "00.wav").samples * np.float32(0.1)
    others = {f"{n}": [data / "clips" / f"{n:02d}.wav"] for n in range(1, 7)}
    for name, disturb in disturbances(others).items():
        quiet = disturb(speech, 20.0, np.random.default_rng(1))
        again = disturb(speech, 20.0, np.random.default_rng(1))
        assert np.array_equal(quiet, again)
        assert len(quiet) == len(speech)
        if name == "room":
            continue
        added = quiet - speech
        ratio = 10 * np.log10(np.mean(speech**2) / np.mean(added**2))
        assert ratio == pytest.approx(20, abs=0.01)
        other = disturb(speech, 20.0, np.random.default_rng(2))
        assert not np.array_equal(quiet, other)


def test_a_room_has_the_ratio_that_is_asked_for() -> None:
    click = np.zeros(16_000, np.float32)
    click[0] = 1.0
    for ratio in (10.0, -5.0):
        wet = reverberate(click, 16_000, 0.6, np.random.default_rng(0), ratio)
        assert wet[0] == pytest.approx(1, abs=1e-4)
        assert 10 * np.log10(wet[0] ** 2 / np.sum(wet[1:] ** 2)) == pytest.approx(ratio, abs=0.01)


def test_music_is_tones_below_half_the_rate() -> None:
    piece = music(32_000, np.random.default_rng(0))
    assert piece.dtype == np.float32
    assert len(piece) == 32_000
    spectrum = np.sort(np.abs(np.fft.rfft(piece)) ** 2)[::-1]
    assert spectrum[:500].sum() > 0.8 * spectrum.sum()  # of 16,001 lines: tones, no hiss


def test_all_stages_together_are_the_retriever(data: Path) -> None:
    clips = [EmbedInput(clip=load(data / "clips" / f"{n:02d}.wav")) for n in range(3)]
    items = [*clips, EmbedInput(text="the spare key")]
    staged, whole = PartialRetriever(True), load_embedder("wavretriever-fast")
    np.testing.assert_allclose(staged.embed(items, "query"), whole.embed(items, "query"), atol=1e-6)
    spelled = PartialRetriever(False).embed(clips, "query")
    assert not np.allclose(spelled, whole.embed(clips, "query"), atol=1e-3)


def test_a_knowledge_base_that_is_asked(cascade: Embedder) -> None:
    documents = [
        Document("tea", text="Tea is made of leaves.", title="Tea"),
        Document("tram", text="The tram runs on rails.", title="Tram"),
    ]
    with ExperimentIndex(cascade, documents) as index:
        ranked, words = index.search_with_words(Query(text="what does a tram run on"))
    assert words == "what does a tram run on"
    assert ranked["dense"] == ["tram", "tea"]
    assert ranked["lexical"] == ["tram"]
    assert ranked["fused"][0] == "tram"


def test_a_passage_counts_from_half_of_the_shorter_one() -> None:
    assert _overlap([0, 10], [5, 25])  # 5 of 10 s
    assert not _overlap([0, 10], [6, 26])  # 4 of 10 s
    assert _overlap([0, 30], [28, 32])  # 2 of 4 s
    assert not _overlap([0, 10], [20, 30])


def test_sentences_are_equally_loud() -> None:
    loud = _level(np.full(100, 0.5, np.float32))
    assert loud == pytest.approx(np.full(100, 0.1), abs=1e-6)
    click = np.zeros(10_000, np.float32)
    click[0] = 0.5
    assert np.abs(_level(click)).max() == pytest.approx(0.99)


def test_the_model_of_a_gpu() -> None:
    # One operation a second is worth 2e-12 s at 1e12 FLOPS: 1e9 parameters at 50 Hz for 100 s
    # are 1e13 operations, 10 s; 10 clips of 10 s write 20 tokens each, in one batch.
    price = {
        **OPTIONS, "gpu_tflops": 1.0, "gpu_gbytes": 1e6, "utilisation": 1.0, "pass_ms": 0.0,
        "step_ms": 50.0, "tokens_second": 2.0,
    }  # fmt: skip
    plain = Model("plain", 1e9, 50.0)
    assert gpu_seconds(plain, 100, 10, 10, price) == pytest.approx(10)
    writing = Model("writing", 1e9, 50.0, decoder=1e9)
    # A step: 2e9 * 10 operations are 20 ms, below the 50 ms that any step takes: 20 of them.
    assert gpu_seconds(writing, 100, 10, 10, price) == pytest.approx(11)
    padded = Model("padded", 1e9, 50.0, padded=30.0)
    assert gpu_seconds(padded, 100, 10, 10, price) == pytest.approx(30)
