"""The script of the small retriever, from data to report, on random parts and made-up sounds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")
pytest.importorskip("peft")
pytest.importorskip("matplotlib")

import experiment_data  # noqa: E402
from benchmarks import paper_small  # noqa: E402
from wavrag.audio import SAMPLE_RATE, write_wav  # noqa: E402
from wavrag.train.contrastive.tiny import build_tiny  # noqa: E402
from wavrag.types import Clip  # noqa: E402

# Short enough to be aligned with half a second.
TRAINING = [f"{word} stands" for word in ("ash", "birch", "cedar", "elm", "fir")]
CHANGES = [
    "align.steps=4", "align.save_steps=2", "align.batch=4", "optim.max_steps=4", "optim.batch=4",
    "optim.save_steps=2", "weights={S2T=1,T2T=1,T2S=1,AT2AT=1}", 'augment.noise="noise"',
    "model.dtype=float32", "model.chunk_seconds=2.0", "optim.workers=1",
]  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Eight evaluation questions; five training sentences, and one that is an evaluation text."""
    folder = experiment_data.make_data(tmp_path / "data")
    paragraphs = [
        json.loads(line)
        for line in (folder / "text/squad_dev_eval.jsonl").read_text("utf-8").splitlines()
    ]
    questions = [
        json.loads(line)
        for line in (folder / "speech/squad_eval_kokoro.jsonl").read_text("utf-8").splitlines()
    ]
    for row in paragraphs:
        row["questions"] = [q["text"] for q in questions if q["positive"] == row["id"]]
    rows = []
    for at, text in enumerate([*TRAINING, questions[0]["text"]]):
        time = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
        tone = (0.3 * np.sin(2 * np.pi * 200 * (at + 1) * time)).astype(np.float32)
        write_wav(folder / "clips" / f"train-{at}.wav", Clip(tone, SAMPLE_RATE))
        rows.append({"audio": f"clips/train-{at}.wav", "text": text})
    pairs = [{"question": f"where is {text}?", "passage": text} for text in TRAINING]
    (folder / "sounds").mkdir(exist_ok=True)
    files = {
        "text/squad_dev_eval": paragraphs, "text/squad_train_pairs": pairs, "text/questions": [],
        "text/squad_dev_train": [{"context": "An oak is old.", "questions": ["what is old?"]}],
        "speech/kokoro_train": [], "speech/kathleen": rows, "speech/librispeech_train": [],
        "sounds/esc10": [row | {"label": "rain", "fold": at} for at, row in enumerate(rows)],
        "sounds/kitchen20": [], "sounds/moodist": [{"audio": row["audio"]} for row in rows],
    }  # fmt: skip
    for name, lines in files.items():
        experiment_data.write_rows(folder / f"{name}.jsonl", lines)
    return folder


def test_the_script_trains_evaluates_and_leaves_a_checkpoint(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build_tiny(tmp_path / "base", with_head=True)
    monkeypatch.setitem(paper_small.SIZES, "cpu", (1.0, 100, CHANGES, 8, 6))
    arguments = ["--data", data, "--base", tmp_path / "base", "--out", tmp_path / "out"]
    plot = tmp_path / "curves.png"
    arguments += ["--plot", plot, "--size", "cpu", "--beside", "fake"]
    monkeypatch.setattr("sys.argv", ["paper_small.py", *map(str, arguments)])
    paper_small.main()

    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [(point["stage"], point["step"]) for point in report["curve"]] == [
        ("raw", 0), ("align", 0), ("align", 2), ("align", 4), ("contrastive", 2),
        ("contrastive", 4),
    ]  # fmt: skip
    assert list(report["stages"]) == ["raw", "aligned", "contrastive", "fake"]
    # The sentence that is an evaluation text, and the recording above 1 s, are left out.
    assert report["rows"] == {"AT2AT": 4, "S2T": 5, "T2S": 5, "T2T": 6}
    own = report["stages"]["raw"]["spoken question to its text"]
    assert (own["queries"], own["passages"]) == (8, 8)
    assert 0 <= own["recall@1"] <= own["recall@10"] == 1  # ten hits of eight passages
    assert own["ci95@10"] == [1.0, 1.0]
    noisy = report["stages"]["contrastive"]["spoken question to its text, ambience at 0 dB"]
    assert (noisy["queries"], noisy["passages"]) == (6, 6)
    assert all(point["spoken question to its text"]["queries"] == 6 for point in report["curve"])
    assert set(report["differences"]) == set(report["stages"]["raw"])
    assert plot.read_bytes().startswith(b"\x89PNG")
    files = {path.name for path in (tmp_path / "out" / "checkpoint").iterdir()}
    assert files == {"adapter_config.json", "adapter_model.safetensors"}
    assert (tmp_path / "out" / "model" / "wavrag_embedder.json").exists()

    monkeypatch.setattr(paper_small, "train_retriever", None)  # a later call reads the results
    monkeypatch.setattr(paper_small, "embed", None)
    paper_small.main()
    assert "differences" in capsys.readouterr().out


def test_ranks_count_the_passages_before_the_own_one() -> None:
    # Cosines of two queries with two passages: the first finds its own, the second the other.
    vectors = {"query": np.eye(2), "passage": np.array([[1.0, 0.9], [0.5, 0.1]])}
    texts = [paper_small.Content(text=word) for word in "ab"]
    (result,) = paper_small.measure(
        lambda contents, role: vectors[role], {"set": (texts, texts)}
    ).values()
    assert result["recall@1"] == 0.5
    assert result["recall@10"] == 1.0
