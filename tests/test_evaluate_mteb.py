"""Embedders as models of mteb, and tasks of either kind, without a hub."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import importlib
import json
import random
import sys
from pathlib import Path
from typing import Any

import datasets
import mteb
import numpy as np
import pytest
from mteb.models import EncoderProtocol
from mteb.types import PromptType

from audio_files import tone, write
from test_data_tasks import make_task
from wavrag.audio import load, windows
from wavrag.data.tasks import Task, load_task
from wavrag.demo import DATA
from wavrag.embed import Embedder, FakeEmbedder, load_embedder
from wavrag.embed.base import unit_rows
from wavrag.errors import EmbedderError, InputError, MissingExtraError
from wavrag.evaluate import evaluate_run, mean
from wavrag.evaluate.metrics import rank_ids
from wavrag.evaluate.mteb_model import MTEBModel, load_cell
from wavrag.evaluate.mteb_tasks import (
    FolderRetrieval,
    MixedCorpusRetrieval,
    SpokenQuestionRetrieval,
    build_retrieval_data,
    use_local_data,
)
from wavrag.types import EmbedInput

RATE = 16_000
ANY: dict[str, Any] = {"task_metadata": None, "hf_split": "test", "hf_subset": "default"}
MODEL = MTEBModel(FakeEmbedder())


def encode(batches: Any, model: MTEBModel = MODEL, **more: Any) -> Any:
    return model.encode(batches, **ANY, **more)


def scores_of(task: Any, model: MTEBModel = MODEL, **more: Any) -> dict[str, Any]:
    """What mteb finds, by its own way through a task."""
    found = mteb.evaluate(model, task, cache=None, show_progress_bar=False, **more)
    (scores,) = found.task_results[0].scores[task.metadata.eval_splits[0]]
    return dict(scores)


def sound(path: Path, hertz: float, seconds: float = 1.0) -> str:
    """A file of a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return str(write(path, tone(hertz, seconds, RATE)[None], RATE))


# The model


def test_it_keeps_the_protocol_of_mteb() -> None:
    assert isinstance(MODEL, EncoderProtocol)
    meta = MTEBModel("wavretriever").mteb_model_meta
    assert (meta.name, meta.embed_dim, meta.modalities) == (
        "wavrag/wavretriever",
        load_embedder("wavretriever").spec.dim,
        ["audio", "text"],
    )
    assert meta.revision == load_embedder("wavretriever").spec.revision
    assert meta.languages == ["eng-Latn"]
    assert MTEBModel("minilm").mteb_model_meta.modalities == ["text"]


def test_another_revision_is_refused() -> None:
    assert MTEBModel("fake", "1").embedder.spec.revision == "1"
    with pytest.raises(EmbedderError, match="fake has revision '1', not '2'"):
        MTEBModel("fake", "2")


def test_rows_are_what_the_embedder_makes_of_them(tmp_path: Path) -> None:
    path = sound(tmp_path / "low.wav", 200)
    clip = load(path, RATE)
    batches = [
        {"text": ["green tea", ""], "audio": [None, path]},
        {"text": ["a kettle"], "audio": [path]},
    ]
    items = [EmbedInput("green tea"), EmbedInput(clip=clip), EmbedInput("a kettle", clip)]
    rows = encode(batches)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, FakeEmbedder().embed(items, "passage"), atol=1e-6)
    assert encode([]).shape == (0, 64)


def test_prompt_types_are_roles() -> None:
    asked: list[str] = []

    class Noting(FakeEmbedder):
        def embed(self, items: Any, role: Any) -> Any:
            asked.append(role)
            return super().embed(items, role)

    model = MTEBModel(Noting())
    for prompt_type in (PromptType.query, PromptType.document, None):
        encode([{"text": ["tea"]}], model, prompt_type=prompt_type)
    assert asked == ["query", "passage", "passage"]


def test_long_sound_is_windowed_and_averaged(human_reading: Path) -> None:
    """44 s, and the fake hears 30 s: nothing is cut off."""
    clip = load(human_reading, RATE)
    assert clip.duration > 30
    pieces = list(windows([clip.samples], RATE))
    assert len(pieces) > 1
    assert pieces[-1].end > 40
    fake = FakeEmbedder()
    vectors = fake.embed([EmbedInput("read", piece) for piece in pieces], "passage")
    wanted = unit_rows(vectors.mean(0, keepdims=True))
    batch = {"text": ["tea", "read", ""], "audio": [None, str(human_reading), str(human_reading)]}
    rows = encode([batch])
    np.testing.assert_allclose(rows[1:2], wanted, atol=1e-6)
    np.testing.assert_allclose(rows[:1], fake.embed([EmbedInput("tea")], "passage"), atol=1e-6)
    # The first window alone is another vector: the rest counts.
    assert float((rows[1] * vectors[0]).sum()) < 0.999


class Decoder:
    """Answers to the two keys as that of `datasets` does, and is no mapping."""

    def __init__(self, cell: dict[str, Any]) -> None:
        self._cell = cell

    def __getitem__(self, key: str) -> Any:
        return self._cell[key]


def test_sound_in_every_form(tmp_path: Path) -> None:
    path = sound(tmp_path / "low.wav", 200)
    clip = load(path, RATE)
    encoded = Path(path).read_bytes()
    for cell in (
        path,
        {"path": path, "bytes": None},
        {"path": None, "bytes": encoded},
        {"array": clip.samples, "sampling_rate": RATE},
        {"array": np.stack([clip.samples, clip.samples]), "sampling_rate": RATE},
        {"array": clip.samples.astype(np.float64), "sampling_rate": RATE},
        Decoder({"array": clip.samples, "sampling_rate": RATE}),
    ):
        found = load_cell(cell, RATE)
        assert (found.samples.dtype, found.sample_rate) == (np.float32, RATE)
        np.testing.assert_allclose(found.samples, clip.samples, atol=1e-4)
    half = load_cell({"array": clip.samples, "sampling_rate": RATE}, 8_000)
    assert (half.sample_rate, len(half.samples)) == (8_000, RATE // 2)
    with pytest.raises(InputError, match="neither array, bytes nor path"):
        load_cell({"path": None, "bytes": None}, RATE)


def test_rows_that_cannot_be_embedded_are_told(tmp_path: Path) -> None:
    path = sound(tmp_path / "low.wav", 200)
    with pytest.raises(InputError, match="a row of the task has neither text nor audio"):
        encode([{"text": [""], "audio": [None]}])
    with pytest.raises(InputError, match="a batch has neither text nor audio, but id"):
        encode([{"id": ["1"]}])
    with pytest.raises(EmbedderError, match="fake embeds no image"):
        encode([{"text": ["a"], "image": [None]}])
    with pytest.raises(EmbedderError, match="minilm embeds text only"):
        encode([{"audio": [path]}], MTEBModel("minilm"))


def test_similarities_are_cosines() -> None:
    rows = np.array([[1, 0], [0.6, 0.8]], np.float32)
    np.testing.assert_allclose(MODEL.similarity(rows, rows), [[1, 0.6], [0.6, 1]], atol=1e-6)
    np.testing.assert_allclose(MODEL.similarity_pairwise(rows, rows[::-1].copy()), [0.6, 0.6])


@pytest.mark.parametrize("module", ["mteb_model", "mteb_tasks"])
def test_without_the_extra_it_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"wavrag.evaluate.{module}"
    monkeypatch.setitem(sys.modules, "mteb", None)
    for loaded in [each for each in sys.modules if each.startswith("mteb.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtraError, match=r"pip install 'wavrag\[mteb\]'"):
        importlib.import_module(name)


# Tasks of WavRAG as tasks of mteb


def graded(folder: Path) -> Task:
    """Forty texts in made-up words, and queries of their words with grades from 0 to 3."""
    chance = random.Random(5)
    words = [f"{a}{b}" for a in ("ka", "lo", "mi", "nu", "pe") for b in ("ra", "si", "to", "va")]
    corpus = [
        {
            "_id": f"d{n:02d}",
            "title": f"{words[n % 20]} ness",
            "text": " ".join(chance.sample(words, 7)),
        }
        for n in range(40)
    ]
    queries = [{"_id": f"q{n:02d}", "text": " ".join(chance.sample(words, 4))} for n in range(15)]
    qrels = [
        (query["_id"], entry["_id"], chance.randrange(4) if number else 3)
        for query in queries
        for number, entry in enumerate(chance.sample(corpus, 6))
    ]
    return load_task(make_task(folder, corpus, queries, qrels))


class Observed(FolderRetrieval):
    """Keeps the ranking and the values of each query before mteb rounds their means."""

    values: dict[str, dict[str, float]]
    results: dict[str, dict[str, float]]

    def task_specific_scores(self, scores: Any, qrels: Any, results: Any, **more: Any) -> Any:
        self.values, self.results = scores, results
        return {}


@pytest.mark.parametrize("name", ["minilm", "wavretriever"])
def test_recall_and_ndcg_are_those_of_mteb_on_its_ranking(name: str, tmp_path: Path) -> None:
    task = graded(tmp_path / "graded")
    theirs = Observed(task)
    found = scores_of(theirs, MTEBModel(name))
    for each in theirs.results.values():
        assert len(set(each.values())) == len(each) == len(task.corpus), "no ties"
    ranked = {query: rank_ids(each) for query, each in theirs.results.items()}
    ours = evaluate_run(ranked, task.qrels)
    for metric, cut, rounded in (
        ("recall@1", "recall_1", "recall_at_1"),
        ("recall@5", "recall_5", "recall_at_5"),
        ("recall@10", "recall_10", "recall_at_10"),
        ("ndcg@10", "ndcg_cut_10", "ndcg_at_10"),
    ):
        wanted = [theirs.values[query][cut] for query in task.qrels]
        np.testing.assert_allclose(ours[metric], wanted, atol=1e-6)
        assert 0 < np.mean(wanted) < 1, "figures that could differ"
        assert round(mean(ours[metric]), 5) == pytest.approx(found[rounded], abs=1e-6)


def test_a_task_of_every_modality_runs(tmp_path: Path) -> None:
    """The little task has texts, a sound, and an entry of both, and such queries."""
    task = load_task(make_task(tmp_path / "little"))
    mixed = MixedCorpusRetrieval(task)
    assert mixed.metadata.category == "at2at"
    assert mixed.metadata.name == "MixedCorpusRetrieval-little"
    assert mixed.metadata.modalities == ["text", "audio"]
    found = scores_of(mixed)
    assert found["recall_at_1"] == 1
    assert found["main_score"] == found["ndcg_at_10"] == 1


def test_a_query_of_its_own_id_is_no_hit(tmp_path: Path) -> None:
    low, near, high = (
        sound(tmp_path / f"{n}.wav", h) for n, h in (("a", 200), ("b", 210), ("c", 4_000))
    )
    entries = [{"_id": "a", "audio": low}, {"_id": "b", "audio": near}, {"_id": "c", "audio": high}]
    task = load_task(make_task(tmp_path / "same", entries, entries[:1], [("a", "b", 1)]))
    same = FolderRetrieval(task)
    assert same.metadata.category == "a2a"
    assert scores_of(same)["recall_at_1"] == 1


def test_spoken_questions_find_passages(tmp_path: Path, cascade: Embedder) -> None:

    rows = json.loads((DATA / "questions" / "questions.json").read_text("utf-8"))["spoken"][:4]
    corpus = [{"_id": f"t{n}", "text": row["text"]} for n, row in enumerate(rows)]
    queries = [
        {"_id": f"q{n}", "text": row["text"], "audio": str(DATA / "questions" / row["file"])}
        for n, row in enumerate(rows)
    ]
    folder = make_task(
        tmp_path / "spoken", corpus, queries, [(f"q{n}", f"t{n}", 1) for n in range(4)]
    )
    with pytest.raises(InputError, match="spoken is at2t, not a2t: load it with query_modality"):
        SpokenQuestionRetrieval(load_task(folder))
    spoken = SpokenQuestionRetrieval(load_task(folder, query_modality="audio"))
    assert spoken.metadata.category == "a2t"
    assert scores_of(spoken, MTEBModel(cascade))["recall_at_1"] == 1


def test_a_corpus_of_one_kind_is_not_mixed(tmp_path: Path) -> None:
    task = graded(tmp_path / "graded")
    with pytest.raises(InputError, match="graded has only texts in its corpus: make a mixed"):
        MixedCorpusRetrieval(task)


def test_judgements_must_be_whole(tmp_path: Path) -> None:
    corpus, queries = [{"_id": "d", "text": "a"}], [{"_id": "q", "text": "a"}]
    task = load_task(make_task(tmp_path, corpus, queries, [("q", "d", 0.5)]))
    with pytest.raises(InputError, match=r"'q' and 'd' are judged 0.5: mteb needs whole numbers"):
        FolderRetrieval(task)


# mteb's own tasks on data that is here


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int]]:
    """A hundred clips of four kinds, each in a band of its own."""
    folder = tmp_path_factory.mktemp("tones")
    return [
        (sound(folder / f"{kind}-{n}.wav", hertz + n, 0.25), kind)
        for n in range(25)
        for kind, hertz in enumerate((300, 1_180, 2_060, 6_060))
    ]


def split(**columns: Any) -> Any:
    return datasets.Dataset.from_dict(columns)


def test_audio_classification_and_clustering(tones: list[tuple[str, int]]) -> None:
    data = {"train": split(audio=[p for p, _ in tones], target=[k for _, k in tones])}
    task = use_local_data(mteb.get_task("ESC50"), "ESC50 on tones", datasets.DatasetDict(data))
    assert type(task).__name__ == "ESC50Classification"
    assert scores_of(task)["accuracy"] == 1
    clusters = use_local_data(
        mteb.get_task("ESC50Clustering"), "ESC50Clustering on tones", datasets.DatasetDict(data)
    )
    assert scores_of(clusters)["v_measure"] > 0.5
    assert clusters.metadata.name == "ESC50Clustering on tones"


def test_audio_pairs(tones: list[tuple[str, int]]) -> None:
    chance = random.Random(1)
    pairs = [chance.sample(tones, 2) for _ in range(40)]
    data = split(
        audio1=[a for (a, _), _ in pairs],
        audio2=[b for _, (b, _) in pairs],
        label=[int(k == j) for (_, k), (_, j) in pairs],
    )
    task = use_local_data(
        mteb.get_task("ESC50PairClassification"), "pairs", datasets.DatasetDict({"test": data})
    )
    assert scores_of(task)["max_ap"] == pytest.approx(1)


def test_audio_reranking(tones: list[tuple[str, int]], tmp_path: Path) -> None:
    entries = [{"_id": f"c{n}", "audio": path} for n, (path, _) in enumerate(tones)]
    qrels = [
        (f"c{n}", f"c{m}", int(kind == other))
        for n, (_, kind) in enumerate(tones[:6])
        for m, (_, other) in enumerate(tones)
        if n != m
    ]
    made = build_retrieval_data(load_task(make_task(tmp_path, entries, entries[:6], qrels)))
    test = made["default"]["test"]
    test["top_ranked"] = {q: list(judged)[:20] for q, judged in test["relevant_docs"].items()}
    task = use_local_data(mteb.get_task("ESC50AudioReranking"), "reranking", made)
    found = scores_of(task)
    assert found["recall_at_1"] > 0
    assert found["precision_at_3"] == 1


def test_text_retrieval(tmp_path: Path) -> None:
    task = use_local_data(
        mteb.get_task("NQ"),
        "NQ on made-up words",
        build_retrieval_data(graded(tmp_path / "graded")),
    )
    own = scores_of(FolderRetrieval(graded(tmp_path / "again")), MTEBModel("minilm"))
    assert scores_of(task, MTEBModel("minilm"))["ndcg_at_10"] == own["ndcg_at_10"]
